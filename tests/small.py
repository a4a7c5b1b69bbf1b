"""Small files of every data set, in the layout in which torchvision downloads them."""

import bz2
import hashlib
import pickle
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision import datasets

import lenet
from lenet.data.sets import emnist

# What --data takes, and the arguments that some take beside.
DATA = (
    *("MNIST", "FashionMNIST", "KMNIST", "QMNIST", "EMNIST"),
    *("USPS", "CIFAR10", "CIFAR100", "Digits", "ImageFolder"),
)
SPLITS = tuple(emnist.SPLITS)
FOLDER_CLASSES = ("blue sky", "night", "été")


def random_images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_idx(path: Path, values: np.ndarray) -> None:
    """Write unsigned bytes or 32-bit integers, the first byte of each the highest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {np.dtype(np.uint8): 8, np.dtype(np.int32): 12}[values.dtype]
    sizes = b"".join(n.to_bytes(4, "big") for n in values.shape)
    content = values.astype(values.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(bytes([0, 0, kind, values.ndim]) + sizes + content)


def write_mnist(root: Path, name: str = "MNIST", train: int = 120, test: int = 30) -> None:
    for part, count in (("train", train), ("t10k", test)):
        file = root / name / "raw" / part
        write_idx(Path(f"{file}-images-idx3-ubyte"), random_images(count, 28, 28))
        write_idx(Path(f"{file}-labels-idx1-ubyte"), (np.arange(count) % 10).astype(np.uint8))


def write_qmnist(root: Path, train: int = 120, test: int = 30) -> None:
    for part, count in (("train", train), ("test", test)):
        file = root / "QMNIST" / "raw" / f"qmnist-{part}"
        write_idx(Path(f"{file}-images-idx3-ubyte"), random_images(count, 28, 28))
        labels = np.full((count, 8), 4711, dtype=np.int32)  # writer, place, ...
        labels[:, 0] = np.arange(count) % 10
        write_idx(Path(f"{file}-labels-idx2-int"), labels)


def write_emnist(root: Path, split: str, train: int = 186, test: int = 62) -> None:
    num_classes = len(emnist.SPLITS[split][0])
    for part, count in (("train", train), ("test", test)):
        file = root / "EMNIST" / "raw" / f"emnist-{split}-{part}"
        write_idx(Path(f"{file}-images-idx3-ubyte"), random_images(count, 28, 28))
        labels = np.arange(count) % num_classes + (split == "letters")
        write_idx(Path(f"{file}-labels-idx1-ubyte"), labels.astype(np.uint8))


def write_usps(root: Path, train: int = 60, test: int = 20) -> None:
    """Write a line an image: its digit plus one, and 256 pixels from -1 to 1, counted from one."""
    root.mkdir(parents=True, exist_ok=True)
    for name, count in (("usps.bz2", train), ("usps.t.bz2", test)):
        lines = []
        for i, image in enumerate(random_images(count, 256) / 127.5 - 1):
            pixels = " ".join(f"{place}:{value:.6f}" for place, value in enumerate(image, start=1))
            lines.append(f"{i % 10 + 1} {pixels} \n")
        (root / name).write_bytes(bz2.compress("".join(lines).encode()))


def write_cifar(root: Path, name: str, monkeypatch, count: int = 40) -> None:
    """Write the pickles, each of so many images, and let torchvision expect their sums."""
    dataset = getattr(datasets, name)
    folder = root / dataset.base_folder
    folder.mkdir(parents=True, exist_ok=True)
    num_classes = int(name.removeprefix("CIFAR"))
    key = "labels" if num_classes == 10 else "fine_labels"

    def write(file: str, content: dict) -> str:
        pickled = pickle.dumps(content)
        (folder / file).write_bytes(pickled)
        return hashlib.md5(pickled).hexdigest()

    for part in ("train_list", "test_list"):
        sums = []
        for seed, (file, _) in enumerate(getattr(dataset, part)):
            labels = [i % num_classes for i in range(count)]
            content = {"data": random_images(count, 3072, seed=seed), key: labels}
            sums.append([file, write(file, content)])
        monkeypatch.setattr(dataset, part, sums)
    meta = dict(dataset.meta)
    meta["md5"] = write(meta["filename"], {meta["key"]: [str(i) for i in range(num_classes)]})
    monkeypatch.setattr(dataset, "meta", meta)


def write_image(path: Path, shade: int | tuple[int, int, int], size=(20, 16), seed=0) -> None:
    """Write an image of a shade or color with some noise, ``size`` being width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    depth = () if isinstance(shade, int) else (3,)
    noise = np.random.default_rng(seed).integers(-20, 21, (size[1], size[0], *depth))
    Image.fromarray((np.array(shade) + noise).clip(0, 255).astype(np.uint8)).save(path)


def write_folder(root: Path, classes=FOLDER_CLASSES, count: int = 10) -> None:
    """Write so many images of each class, of several sizes: a name has a space, another accents."""
    for place, name in enumerate(classes):
        for i in range(count):
            color = (40 + 70 * place, 120, 220 - 70 * place)
            write_image(root / name / f"{i:02}.png", color, size=(20 + i, 30 - i), seed=i)


def write_data(root: Path, name: str, monkeypatch) -> None:
    """Write a data set, and have a part of it held out that leaves something to train on."""
    if name in ("MNIST", "FashionMNIST", "KMNIST"):
        write_mnist(root, name)
    elif name == "QMNIST":
        write_qmnist(root)
    elif name == "EMNIST":
        for split, (classes, mean, std, _) in emnist.SPLITS.items():
            write_emnist(root, split)
            monkeypatch.setitem(emnist.SPLITS, split, (classes, mean, std, 62))
    elif name == "USPS":
        write_usps(root)
    elif name in ("CIFAR10", "CIFAR100"):
        write_cifar(root, name, monkeypatch)
    elif name == "ImageFolder":
        write_folder(root)
    if name not in ("Digits", "ImageFolder", "EMNIST"):
        monkeypatch.setattr(getattr(lenet, name), "usual_val_size", 10)


def split_up(root: Path) -> Path:
    """Make folders train, val and test of a folder of classes."""
    for name in FOLDER_CLASSES:
        for part, numbers in (("val", (0, 1)), ("test", (2, 3, 4)), ("train", range(5, 10))):
            (root / part / name).mkdir(parents=True)
            for i in numbers:
                (root / name / f"{i:02}.png").rename(root / part / name / f"{i:02}.png")
        (root / name).rmdir()
    return root
