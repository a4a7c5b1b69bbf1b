"""Your images, in a folder per class."""

import hashlib
import os
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from lenet.data.base import ImageDataModule
from lenet.data.images.files import Framing, ImageFiles, is_color
from lenet.data.memory import Images
from lenet.data.sets.folder_listing import check_classes, list_parts
from lenet.errors import UserError

__all__ = ["ImageFolder", "stratified_order"]

MAX_BYTES_IN_MEMORY = 2 << 30  # bytes: images that take more are decoded as it goes


class ImageFolder(ImageDataModule):
    """Your own images, in a folder per class: any number, any size, gray or color.

    ``root`` has a folder for each class, or else folders ``train``, ``val`` and ``test`` that have.
    Where ``test`` or ``val`` is missing, a tenth of the training images is drawn for it by
    ``split_seed``, of each class its share. A class is called what its folder is called. Its
    name, and the mean and deviation that are measured on the training images, are kept with the
    run: a checkpoint can be tested where there are test images alone.

    Args:
        color: Whether images are brought to color, or else to gray. By default to color if any
            training image has colors.
        framing: How an image becomes square: ``"crop"`` cuts its longer side off evenly, ``"pad"``
            fills its shorter one up with black, ``"stretch"`` distorts it.
        test_size: Number of images that are held out for testing where there is no folder ``test``.
            By default a tenth.
        in_memory: Whether all images are decoded beforehand and held in memory, or else each when
            it is needed, by worker processes, with the same result. By default in memory if they
            take no more than 2 GiB at ``image_size``.
        class_names: Classes, in the order of their numbers. By default the folders' names by
            alphabet.
        mean: Mean of each channel, in [0, 1]. By default measured on the training images.
        std: Deviation of each channel, likewise.
        drawn: Which images were drawn for testing, by folder: a checkpoint says so, and others that
            may have been trained on are not tested. With null they are.
        **kwargs: Passed on to :class:`ImageDataModule`.

    Raises:
        UserError: If there are no images, fewer than two classes, a class without images, one
            that training does not have, or images that cannot be read.
    """

    usually_resized = True
    selecting = ("root", "test_size", "split_seed")

    def __init__(
        self,
        color: bool | None = None,
        framing: Framing = "crop",
        test_size: int | None = None,
        in_memory: bool | None = None,
        class_names: list[str] | None = None,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        drawn: dict[str, str] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not self.resize:
            raise UserError("--data.resize false: images of a folder have --data.framing pad.")
        if test_size is not None and test_size < 1:
            raise UserError(f"--data.test_size {test_size}: must be at least 1.")
        self.classes = tuple(class_names or ())
        if len(set(self.classes)) < len(self.classes):
            raise UserError(f"--data.class_names {class_names}: has a class twice.")
        self._test_size = test_size
        self._in_memory = in_memory
        self._drawn = drawn
        self._paths: dict[bool, list[str]] = {}
        # An export, or the prediction of your images, needs no more than a checkpoint has.
        is_complete = None not in (class_names, color, mean, std)
        if not is_complete or (self.predict_path is None and self.root.exists()):
            self._list()
            color = self._has_colors() if color is None else color
        self.in_channels = 3 if color else 1
        self._use_given(mean, std)
        self.framing: Framing = framing
        self._images: dict[bool, Images] = {}
        # What a checkpoint keeps, for the commands to come.
        self.hparams.update(class_names=list(self.classes), color=color, drawn=self._drawn)

    def _list(self) -> None:
        """Find the images of each part, and draw those that are held out."""
        parts = list_parts(self.root)
        self.classes = self.classes or tuple(parts.get("train", ()))
        check_classes(self.root, parts, self.classes)
        paths, labels = self._paths_and_labels(parts.get("train", {}))
        if "test" in parts:
            if self._test_size is not None:
                raise UserError(
                    f"--data.test_size {self._test_size}: {self.root} has a folder test. Leave "
                    "one out."
                )
            self.names, test_labels = self._paths_and_labels(parts["test"])
            self._drawn = None
        else:
            test_size = max(1, len(paths) // 10) if self._test_size is None else self._test_size
            if test_size >= len(paths):
                raise UserError(
                    f"--data.test_size {test_size}: {self.root} has {len(paths)} images, of which "
                    "some must be left to train on."
                )
            order = stratified_order(labels, self.split_seed)
            test, rest = order[:test_size].sort().values, order[test_size:].sort().values
            self.names = [paths[i] for i in test]
            test_labels = labels[test]
            paths = [paths[i] for i in rest]
            labels = labels[rest]
            self._check_drawn(self.names)
        self.usual_val_size = max(1, len(paths) // 10)
        val_paths, val_labels = self._paths_and_labels(parts.get("val", {}))
        self._num_val_files = len(val_paths) if "val" in parts else None
        self._paths = {True: [*paths, *val_paths], False: self.names}
        self._labels = {True: torch.cat([labels, val_labels]), False: test_labels}

    def _check_drawn(self, names: list[str]) -> None:
        """Refuse to test on others than a training of this folder held out."""
        sum_ = hashlib.sha256(os.fsencode("\n".join(names))).hexdigest()[:16]
        if (self._drawn or {}).get(str(self.root)) not in (None, sum_):
            raise UserError(
                f"--data.root {self.root}: the images that are drawn for testing are not those of "
                "the training, since files have come or gone, or --data.split_seed or "
                "--data.test_size is another. Some were trained on. Put those to test into a "
                "folder test, or say --data.drawn null."
            )
        self._drawn = {str(self.root): sum_}

    def _has_colors(self) -> bool:
        train = self.divide(self._labels[True])[0].tolist() if self._paths[True] else []
        trained_on = [self._paths[True][i] for i in train] or self._paths[False]
        return any(is_color(str(self.root / path)) for path in trained_on)

    @property
    def in_memory(self) -> bool:
        """Whether the images are held in memory."""
        count = sum(map(len, self._paths.values()))
        fits = count * self.in_channels * self.image_size**2 <= MAX_BYTES_IN_MEMORY
        return fits if self._in_memory is None else self._in_memory

    def _paths_and_labels(self, part: dict[str, list[str]]) -> tuple[list[str], Tensor]:
        """Give the paths of a part and their labels ``(N,)``."""
        pairs = [(path, i) for i, name in enumerate(self.classes) for path in part.get(name, [])]
        return [path for path, _ in pairs], torch.tensor([i for _, i in pairs], dtype=torch.int64)

    def _use_given(self, mean: list[float] | None, std: list[float] | None) -> None:
        for name, values in (("mean", mean), ("std", std)):
            if values is None:
                continue
            if len(values) != self.in_channels or (name == "std" and min(values) <= 0):
                raise UserError(
                    f"--data.{name} {values}: must be of {self.in_channels}, one a channel"
                    f"{', greater than 0' if name == 'std' else ''}."
                )
            setattr(self, name, tuple(values))
        self._given = {"mean": mean is not None, "std": std is not None}
        self._measured = all(self._given.values())

    def divide(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Give the indices of the images to train on, and of those to validate on."""
        every = torch.arange(len(labels))
        if self.val_size == 0:
            return every, every[:0]
        if self._num_val_files is not None:
            num_train = len(labels) - self._num_val_files
            return every[:num_train], every[num_train:]
        order = stratified_order(labels, self.split_seed)
        val_size = self.num_val(len(labels))
        train, val = order[val_size:].sort().values, order[:val_size].sort().values
        missing = set(range(self.num_classes)) - set(labels[train].tolist())
        if missing:
            raise UserError(
                f"{self.root}: too few images of {self.classes[min(missing)]!r}: all of them are "
                "held out for validation and testing."
            )
        return train, val

    def setup(self, stage: str) -> None:
        """Read what the stage needs, and measure the training images unless that was done."""
        if not self._paths and stage != "predict":
            self._list()
        if stage in ("fit", "validate") or not self._measured:
            if not self._paths[True]:
                raise UserError(
                    f"--data.root {self.root}: has no folder train, and so nothing to train on or "
                    "to measure mean and deviation on."
                )
            super().setup("fit")
        super().setup(stage)
        if stage == "test" and self._drawn:
            rank_zero_info(
                f"Testing on {len(self._paths[False])} of the {sum(map(len, self._paths.values()))}"
                f" images of {self.root}, drawn by --data.split_seed {self.split_seed}. To test on "
                "all of a folder, put its classes into one called test."
            )

    def read(self, train: bool) -> tuple[Images, Tensor]:
        """Read the images, or get ready to: all of them are decoded once, and checked."""
        if train not in self._images:
            # Before a training the test images as well: it is too late to refuse one after it.
            self._scan([True, False] if train else [False])
        return self._images[train], self._labels[train]

    def _scan(self, parts: list[bool]) -> None:
        size = (self.in_channels, self.image_size, self.framing)
        paths = [path for part in parts for path in self._paths[part]]
        images, sums = ImageFiles(str(self.root), paths, *size).scan(keep=self.in_memory)
        start = 0
        for part in parts:
            stop = start + len(self._paths[part])
            files = ImageFiles(str(self.root), self._paths[part], *size)
            self._images[part] = images[start:stop] if isinstance(images, Tensor) else files
            start = stop
        if parts[0] and not self._measured:
            self._measure(sums[:, self.divide(self._labels[True])[0]])

    def _measure(self, sums: Tensor) -> None:
        """Take mean and deviation out of each image's sums and sums of squares ``(2, N, C)``."""
        mean, square = sums.sum(1).double() / (sums.shape[1] * self.image_size**2)
        # At least one step of 255: images that are all the same have no deviation.
        std = (square - mean.square()).clamp(min=1).sqrt()
        for name, figure in (("mean", mean), ("std", std)):
            if not self._given[name]:
                setattr(self, name, tuple(round(value, 4) for value in (figure / 255).tolist()))
        self._measured = True
        self.hparams.update(mean=list(self.mean), std=list(self.std))


def stratified_order(labels: Tensor, seed: int) -> Tensor:
    """Order images by chance, so that any first part of them has its share of each class.

    Args:
        labels: Their classes, ``(N,)``.
        seed: Another number gives another order.

    Returns:
        Their indices, ``(N,)``.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    place = torch.zeros(len(labels), dtype=torch.float64)
    for label in labels.unique():
        of_it = order[labels[order] == label]
        place[of_it] = (torch.arange(len(of_it)) + 0.5).double() / len(of_it)
    return order[place[order].argsort(stable=True)]
