import shutil
import unicodedata

import pytest
import torch
from PIL import Image

from lenet import ImageFolder
from lenet.data.sets.folder import stratified_order
from tests.small import FOLDER_CLASSES, split_up, write_image


def served(data: ImageFolder) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """All that a data module serves, by part and in order."""
    for stage in ("fit", "test"):
        data.setup(stage)
    return {name: part.__getitems__(list(range(len(part))))[:2] for name, part in data.sets.items()}


# Which images are in which part


def test_without_parts_a_tenth_is_held_out_twice_and_every_class_has_its_share(photos):
    parts = served(ImageFolder())
    counts = {name: labels.bincount(minlength=3).tolist() for name, (_, labels) in parts.items()}
    assert counts["test"] == [1, 1, 1]
    assert sum(counts["val"]) == 2
    assert max(counts["val"]) == 1
    assert [sum(n) for n in zip(*(counts[p] for p in ("train", "val", "test")), strict=True)] == [
        10
    ] * 3
    images = torch.cat([parts[name][0] for name in ("train", "val", "test")])
    assert len({image.numpy().tobytes() for image in images}) == 30


def test_the_split_depends_on_its_seed_alone(photos):
    torch.manual_seed(0)
    first = served(ImageFolder())
    torch.manual_seed(1)
    again = served(ImageFolder())
    assert all(first[p][0].equal(again[p][0]) and first[p][1].equal(again[p][1]) for p in first)
    assert not first["train"][0].equal(served(ImageFolder(split_seed=1))["train"][0])


def test_the_folders_of_the_parts_are_the_parts(photos):
    split_up(photos)
    parts = served(ImageFolder())
    counts = {name: labels.bincount().tolist() for name, (_, labels) in parts.items()}
    assert counts == {"train": [5] * 3, "val": [2] * 3, "test": [3] * 3, "predict": [3] * 3}


def test_the_parts_that_are_missing_are_drawn_from_the_training_images(photos):
    split_up(photos)
    shutil.rmtree(photos / "val")
    parts = served(ImageFolder(val_size=3))
    assert parts["val"][1].tolist() == [0, 1, 2]
    assert len(parts["train"][1]) == 12
    shutil.rmtree(photos / "test")
    parts = served(ImageFolder(val_size=3, test_size=6))
    assert [len(parts[name][1]) for name in ("train", "val", "test")] == [6, 3, 6]


def test_every_beginning_of_a_spread_has_its_share_of_each_class():
    labels = torch.tensor([0] * 80 + [1] * 20)
    order = stratified_order(labels, seed=3)
    assert sorted(order.tolist()) == list(range(100))
    for size in (5, 10, 50):
        assert labels[order[:size]].sum() == size // 5
    assert not order.equal(stratified_order(labels, seed=4))


def test_hidden_files_and_other_files_are_no_images(photos):
    (photos / "night" / "._00.png").write_bytes(b"of a Mac")
    (photos / "night" / "Thumbs.db").write_bytes(b"of Windows")
    (photos / ".git").mkdir()
    (photos / "night" / "deeper").mkdir()
    (photos / "night" / "00.png").rename(photos / "night" / "deeper" / "00.PNG")
    data = ImageFolder()
    assert data.classes == FOLDER_CLASSES
    assert sum(len(paths) for paths in data._paths.values()) == 30


def test_an_accent_is_the_same_however_a_system_writes_it(photos):
    split_up(photos)
    name = unicodedata.normalize("NFD", "été")
    assert name != "été"
    (photos / "test" / "été").rename(photos / "test" / name)
    assert served(ImageFolder())["test"][1].bincount().tolist() == [3, 3, 3]


# What they become


@pytest.mark.parametrize("parts", [True, False])
def test_decoded_as_it_goes_gives_the_same_images_labels_and_figures(photos, parts):
    if parts:
        split_up(photos)
    held, streamed = ImageFolder(in_memory=True), ImageFolder(in_memory=False)
    first, second = served(held), served(streamed)
    assert isinstance(held.sets["train"].images, torch.Tensor)
    assert not isinstance(streamed.sets["train"].images, torch.Tensor)
    for name in ("train", "val", "test", "predict"):
        assert all(a.equal(b) for a, b in zip(first[name], second[name], strict=True))
    assert (held.mean, held.std) == (streamed.mean, streamed.std)
    batches = [list(data.val_dataloader()) for data in (held, streamed)]
    assert all(a.equal(b) for a, b in zip(batches[0][0], batches[1][0], strict=True))


def test_what_fits_is_held_in_memory_and_what_does_not_is_decoded_by_workers(photos, monkeypatch):
    assert ImageFolder().in_memory
    monkeypatch.setattr("lenet.data.sets.folder.MAX_BYTES_IN_MEMORY", 30 * 3 * 32 * 32 - 1)
    monkeypatch.setattr("lenet.data.base.num_cores", lambda: 2)
    data = ImageFolder()
    assert not data.in_memory
    data.setup("fit")
    assert data.val_dataloader().num_workers == 2
    assert ImageFolder(image_size=16).in_memory


def test_mean_and_deviation_are_those_of_the_training_images_alone(photos):
    split_up(photos)
    for image in (photos / "test").rglob("*.png"):
        Image.new("RGB", (9, 9), "white").save(image)
    data = ImageFolder()
    images = served(data)["train"][0].double() / 255
    torch.testing.assert_close(
        torch.tensor(data.mean), images.mean((0, 2, 3)).float(), atol=6e-5, rtol=0
    )
    std = images.flatten(2).transpose(0, 1).flatten(1).std(1, correction=0).float()
    torch.testing.assert_close(torch.tensor(data.std), std, atol=6e-5, rtol=0)
    assert ImageFolder(mean=[0.5] * 3, std=[0.1] * 3).mean == (0.5, 0.5, 0.5)


def test_gray_and_color_mixed_become_color_and_gray_alone_stays_gray(photos):
    split_up(photos)
    for image in photos.rglob("*.png"):
        write_image(image, 90)
    assert ImageFolder().in_channels == 1
    # A color among what is tested changes nothing: a training never saw one.
    write_image(photos / "test" / "night" / "02.png", (200, 0, 0))
    assert ImageFolder().in_channels == 1
    assert ImageFolder(color=True).in_channels == 3
    write_image(photos / "train" / "night" / "07.png", (200, 0, 0))
    assert ImageFolder().in_channels == 3
    assert served(ImageFolder())["train"][0].shape == (15, 3, 32, 32)
    assert served(ImageFolder(color=False))["train"][0].shape == (15, 1, 32, 32)
