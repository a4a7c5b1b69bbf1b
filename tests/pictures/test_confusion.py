import csv
import warnings

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nan, tensor

from lenet.pictures import confusion
from lenet.pictures.confusion import draw_confusion, per_class, write_classes

# Of the first class 8 are found and 2 taken for the second; nothing is of the third.
COUNTS = tensor([[8, 2, 0], [1, 4, 0], [0, 0, 0]])


def test_precision_and_recall_are_those_worked_out_by_hand():
    found = per_class(COUNTS)
    expected = {
        "precision": [8 / 9, 4 / 6, nan],
        "recall": [8 / 10, 4 / 5, nan],
        "f1": [16 / 19, 8 / 11, nan],
    }
    for name, values in expected.items():
        wanted = tensor(values, dtype=torch.float64)
        torch.testing.assert_close(found[name], wanted, equal_nan=True)
    assert found["support"].tolist() == [10, 5, 0]


def test_what_cannot_be_told_is_left_empty_in_the_table(tmp_path):
    path = write_classes(tmp_path / "c.csv", COUNTS, ["blue sky", "été", "雪, old"])
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["class", "precision", "recall", "f1", "support"],
        ["blue sky", "0.888889", "0.800000", "0.842105", "10"],
        ["été", "0.666667", "0.800000", "0.727273", "5"],
        ["雪, old", "", "", "", "0"],
    ]


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """Keep what is drawn, and draw it."""
    figures, draw = [], confusion.draw

    def keep(path, size, picture):
        def both(figure):
            picture(figure)
            figures.append(figure)

        return draw(path, size, both)

    monkeypatch.setattr(confusion, "draw", keep)
    return figures


def test_cells_have_their_counts_and_the_list_the_worst_of_them(tmp_path, drawn):
    draw_confusion(tmp_path / "c.png", COUNTS, ["a", "b", "$c$"], "title")
    matrix, beside = drawn[0].axes
    cells = {text.get_position(): text.get_text() for text in matrix.texts}
    assert cells == {(0, 0): "8", (1, 0): "2", (0, 1): "1", (1, 1): "4"}
    assert [label.get_text() for label in matrix.get_yticklabels()] == ["a", "b", "$c$"]
    assert (matrix.get_ylabel(), matrix.get_xlabel()) == ("truth", "predicted")
    lines = beside.texts[0].get_text().splitlines()
    assert lines[:2] == ["12 of 15 right", "80.00%"]
    assert lines[-2:] == ["a taken for b: 2", "b taken for a: 1"]


@pytest.mark.parametrize(("number", "counted"), [(2, True), (10, True), (47, False), (100, False)])
def test_any_number_of_classes_is_drawn_with_a_size_to_read_it(tmp_path, drawn, number, counted):
    counts = torch.eye(number, dtype=torch.long) * 90 + 1
    names = [f"a class {i}" for i in range(number)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_confusion(tmp_path / "c.png", counts, names, "title")
    matrix = drawn[0].axes[0]
    assert len(matrix.texts) == (number**2 if counted else 0)
    labels = matrix.get_xticklabels()
    assert [label.get_text() for label in labels] == names
    assert min(label.get_fontsize() for label in labels) >= 6  # points
    with Image.open(tmp_path / "c.png") as image:
        assert image.width > 18 * number  # pixels: three fifths of it is type


def test_right_is_blue_and_wrong_is_red(tmp_path, drawn):
    draw_confusion(tmp_path / "c.png", COUNTS, "abc", "title")
    [image] = drawn[0].axes[0].get_images()
    colors = torch.as_tensor(image.get_array())
    red, _, blue = colors.unbind(-1)
    assert blue[0, 0] > red[0, 0]
    assert red[0, 1] > blue[0, 1]
    assert colors[2].min() == 1  # of a class without images
