import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lenet import Digits, load
from lenet.pictures.predictions import draw_predictions, write_images, write_table
from tests.conftest import QUIET, TINY


def test_predict_writes_a_row_an_image_with_every_probability(lenet, trained):
    done = lenet("predict", "--ckpt_path", "best", *QUIET)
    assert done.code == 0, done.err
    with open("runs/LeNet-Digits-1/predictions.csv", newline="") as file:
        rows = list(csv.reader(file))
    header, rows = rows[0], rows[1:]
    assert header[:4] == ["index", "label", "prediction", "confidence"]
    assert header[4:] == [f"probability of {digit}" for digit in range(10)]
    assert [int(row[0]) for row in rows] == list(range(360))
    data = Digits()
    data.setup("test")
    images, labels = data.sets["test"].images, data.sets["test"].labels
    assert [row[1] for row in rows] == [str(label) for label in labels.tolist()]
    with torch.inference_mode():
        expected = load("best")(data.normalize(data.to_size(images))).softmax(dim=1)
    found = torch.tensor([[float(p) for p in row[4:]] for row in rows])
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)
    assert [int(row[2]) for row in rows] == expected.argmax(dim=1).tolist()
    assert all(row[3] == max(row[4:], key=float) for row in rows)
    right = sum(row[1] == row[2] for row in rows)
    assert f"Predicted 360 images, {right} of them correctly" in done.out


def test_ten_random_images_are_saved_at_a_size_a_person_can_see(lenet):
    lenet("run", *TINY, "--predictions.num_images", "10")
    folder = Path("runs/LeNet-Digits-1/predictions")
    pictures = sorted(path.name for path in folder.iterdir())
    assert len(pictures) == 10
    assert all(re.fullmatch(r"\d+_predicted_\d\.png", name) for name in pictures)
    with Image.open(folder / pictures[0]) as image:
        assert min(image.size) >= 280
    lenet("predict", "--seed_everything", "7", *QUIET, "--predictions.num_images", "3")
    again = [path.name for path in folder.iterdir()]
    assert len(again) == 3
    assert set(again) != set(pictures[:3])


def test_the_saved_image_is_the_one_of_its_index(tmp_path):
    images = torch.arange(3, dtype=torch.uint8).mul(100).view(3, 1, 1, 1).expand(3, 1, 8, 8)
    write_images(tmp_path / "out", images, [5, 6, 9], ["a", "T-shirt/top", "c d"])
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "5_predicted_a.png",
        "6_predicted_T-shirt-top.png",
        "9_predicted_c-d.png",
    }
    with Image.open(tmp_path / "out" / "6_predicted_T-shirt-top.png") as image:
        assert np.unique(np.asarray(image)).tolist() == [100]


def test_the_table_counts_confidence_by_the_predicted_class(tmp_path):
    probabilities = torch.tensor([[0.25, 0.75], [0.9, 0.1]])
    path = tmp_path / "table.csv"
    write_table(path, ("no", "yes"), torch.tensor([3, 4]), torch.tensor([1, 1]), probabilities)
    assert path.read_text().splitlines()[1:] == [
        "3,yes,yes,0.750000,0.250000,0.750000",
        "4,yes,no,0.900000,0.900000,0.100000",
    ]


def test_the_table_has_the_names_of_images_that_have_one(tmp_path):
    probabilities = torch.tensor([[0.25, 0.75], [0.9, 0.1]])
    path, names = tmp_path / "table.csv", ["no/ä b.png", "yes/1.png"]
    rows = (torch.tensor([0, 1]), torch.tensor([0, 1]), probabilities, names)
    write_table(path, ("no", "yes"), *rows)
    assert path.read_text(encoding="utf-8").splitlines() == [
        "index,image,label,prediction,confidence,probability of no,probability of yes",
        "0,no/ä b.png,no,yes,0.750000,0.250000,0.750000",
        "1,yes/1.png,yes,no,0.900000,0.900000,0.100000",
    ]


@pytest.mark.parametrize("wrong", [True, False])
def test_only_wrong_predictions_are_marked_red(tmp_path, wrong):
    images = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    right = [True, not wrong, True]
    draw_predictions(tmp_path / "sheet.png", images, ["a", "b", "c"], ["a", "a", "c"], right)
    with Image.open(tmp_path / "sheet.png") as image:
        red, green, _ = np.moveaxis(np.asarray(image.convert("RGB")).astype(int), -1, 0)
    assert ((red - green) > 100).any() == wrong


def test_results_of_an_evaluation_name_their_checkpoint(lenet):
    lenet("run", *TINY)
    with open("runs/LeNet-Digits-1/test.json") as file:
        found = json.load(file)
    assert set(found) == {"checkpoint", "data", "images", "test/loss", "test/accuracy"}
    assert found["checkpoint"].endswith("LeNet-Digits-1/checkpoints/best.ckpt")
