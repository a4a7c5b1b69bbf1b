"""The user's own images, in a folder per class."""

from typing import Any

import torch
from torch import Tensor

from lenet.data.base import ImageDataModule
from lenet.data.files import Framing, ImageFiles, is_colour
from lenet.data.listing import check_classes, list_parts
from lenet.data.memory import Images
from lenet.errors import UserError

__all__ = ["ImageFolder", "spread"]

MEMORY = 2 << 30  # bytes: images that take more are decoded as it goes


class ImageFolder(ImageDataModule):
    """Your own images, in a folder per class: any number, any size, grey or colour.

    ``root`` has a folder for each class, or else folders ``train``, ``val`` and ``test`` that have.
    Where ``test`` or ``val`` is missing, a tenth of the training images is drawn for it by
    ``split_seed``, of each class its share. A class is called what its folder is called. Its
    name, and the mean and deviation that are measured on the training images, are kept with the
    run: a checkpoint can be tested where there are test images alone.

    Args:
        colour: Whether images are brought to colour, or else to grey. By default to colour if any
            training image has colours.
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
        **kwargs: Passed on to :class:`ImageDataModule`.

    Raises:
        UserError: If there are no images, fewer than two classes, a class without images, one
            that training does not have, or images that cannot be read.
    """

    usually_resized = True

    def __init__(
        self,
        colour: bool | None = None,
        framing: Framing = "crop",
        test_size: int | None = None,
        in_memory: bool | None = None,
        class_names: list[str] | None = None,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not self.resize:
            raise UserError("--data.resize false: images of a folder have --data.framing pad.")
        if test_size is not None and test_size < 1:
            raise UserError(f"--data.test_size {test_size}: must be at least 1.")
        # What a checkpoint knows is enough for what needs no images, such as an export.
        known = None not in (class_names, colour, mean, std)
        parts = {} if known and not self.root.exists() else list_parts(self.root)
        self.classes = tuple(class_names or parts.get("train", ()))
        check_classes(self.root, parts, self.classes)
        paths, labels = self._number(parts.get("train", {}))
        if "test" in parts or not parts:
            self.names, test_labels = self._number(parts.get("test", {}))
        else:
            test_size = max(1, len(paths) // 10) if test_size is None else test_size
            if test_size >= len(paths):
                raise UserError(
                    f"--data.test_size {test_size}: {self.root} has {len(paths)} images, of which "
                    "some must be left to train on."
                )
            order = spread(labels, self.split_seed)
            test, rest = order[:test_size].sort().values, order[test_size:].sort().values
            self.names, test_labels = [paths[i] for i in test], labels[test]
            paths, labels = [paths[i] for i in rest], labels[rest]
        self.usual_val_size = max(1, len(paths) // 10)
        val_paths, val_labels = self._number(parts.get("val", {}))
        self._num_own_val = len(val_paths) if "val" in parts else None
        self._paths = {True: [*paths, *val_paths], False: self.names}
        self._labels = {True: torch.cat([labels, val_labels]), False: test_labels}
        if colour is None:
            train = self.divide(self._labels[True])[0].tolist() if paths else []
            trained_on = [self._paths[True][i] for i in train] or self.names
            colour = any(is_colour(str(self.root / path)) for path in trained_on)
        self.in_channels = 3 if colour else 1
        self._check_figures(mean, std)
        self.framing: Framing = framing
        size = (len(self._paths[True]) + len(self.names)) * self.in_channels * self.image_size**2
        self.in_memory = size <= MEMORY if in_memory is None else in_memory
        # What a checkpoint keeps, for the commands to come.
        self.hparams.update(class_names=list(self.classes), colour=colour)

    def _number(self, part: dict[str, list[str]]) -> tuple[list[str], Tensor]:
        """Give the paths of a part and their labels ``(N,)``."""
        found = [(path, i) for i, name in enumerate(self.classes) for path in part.get(name, [])]
        return [path for path, _ in found], torch.tensor([i for _, i in found], dtype=torch.int64)

    def _check_figures(self, mean: list[float] | None, std: list[float] | None) -> None:
        for name, values in (("mean", mean), ("std", std)):
            if values is None:
                continue
            if len(values) != self.in_channels or (name == "std" and min(values) <= 0):
                raise UserError(
                    f"--data.{name} {values}: must be {self.in_channels} numbers, one a channel"
                    f"{', greater than 0' if name == 'std' else ''}."
                )
            setattr(self, name, tuple(values))
        self._measured = mean is not None and std is not None

    def divide(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Give the indices of the images to train on, and of those to validate on."""
        if self._num_own_val is not None:
            every = torch.arange(len(labels))
            num_train = len(labels) - self._num_own_val
            return every[:num_train], every[num_train:]
        order, val_size = spread(labels, self.split_seed), self.checked_val_size(len(labels))
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
        if not self._paths[True] and not self.names:
            list_parts(self.root)  # says that there is no such folder
        if stage in ("fit", "validate") or not self._measured:
            if not self._paths[True]:
                raise UserError(
                    f"--data.root {self.root}: has no folder train, and so nothing to train on or "
                    "to measure mean and deviation on."
                )
            super().setup("fit")
        super().setup(stage)

    def read(self, train: bool) -> tuple[Images, Tensor]:
        """Read the images, or get ready to: all of them are decoded once, and checked."""
        size = (self.in_channels, self.image_size, self.framing)
        files = ImageFiles(str(self.root), self._paths[train], *size)
        images, sums = files.scan(keep=self.in_memory)
        labels = self._labels[train]
        if train and not self._measured:
            self._measure(sums[:, self.divide(labels)[0]])
        return images, labels

    def _measure(self, sums: Tensor) -> None:
        """Take mean and deviation out of each image's sums and sums of squares ``(2, N, C)``."""
        mean, square = sums.sum(1).double() / (sums.shape[1] * self.image_size**2)
        # At least one step of 255: images that are all the same have no deviation.
        std = (square - mean.square()).clamp(min=1).sqrt()
        self.mean, self.std = (
            tuple(round(value, 4) for value in (figure / 255).tolist()) for figure in (mean, std)
        )
        self._measured = True
        self.hparams.update(mean=list(self.mean), std=list(self.std))


def spread(labels: Tensor, seed: int) -> Tensor:
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
