"""Your images, with one folder per class."""

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

MAX_BYTES_IN_MEMORY = 2 << 30  # bytes: larger data sets are decoded during training


class ImageFolder(ImageDataModule):
    """Your images, with one folder per class: any number and size, gray or color.

    ``root`` contains either one folder per class, or the folders ``train``, ``val`` and ``test``
    with one folder per class each. If ``test`` or ``val`` is missing, a tenth of the training
    images is drawn for it by ``split_seed``, stratified by class. Each class is named after its
    folder. A run stores the class names, and the mean and standard deviation of the training
    images. To test its checkpoint, only test images are needed.

    Args:
        color: Whether images are converted to color or to gray. By default to color if any
            training image has colors.
        framing: How images become square: ``"crop"`` crops the longer side evenly, ``"pad"`` pads
            the shorter side with black, ``"stretch"`` changes the aspect ratio.
        test_size: Number of images to use for testing if there is no folder ``test``. By default a
            tenth.
        in_memory: Whether to decode all images once and keep them in memory, or decode each image
            when it is needed, in worker processes. The results are the same. By default in memory
            if that takes at most 2 GiB at ``image_size``.
        class_names: Names of the classes, in the order of their indices. By default the names of
            the folders in alphabetical order.
        mean: Mean of each channel, in [0, 1]. By default computed from the training images.
        std: Standard deviation of each channel, in [0, 1]. By default computed from the training
            images.
        drawn: Fingerprints of the randomly drawn test images, by folder. Stored in checkpoints to
            ensure that no training image is tested. null disables this check.
        **kwargs: Passed on to :class:`ImageDataModule`.

    Raises:
        UserError: If there are no images, fewer than two classes, a class without images, a class
            that was not trained on, or images that cannot be read.
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
            raise UserError(
                "--data.resize false: not supported by ImageFolder. Use --data.framing pad."
            )
        if test_size is not None and test_size < 1:
            raise UserError(f"--data.test_size {test_size}: must be at least 1.")
        self.classes = tuple(class_names or ())
        if len(set(self.classes)) < len(self.classes):
            raise UserError(f"--data.class_names {class_names}: contains a class twice.")
        self._test_size = test_size
        self._in_memory = in_memory
        self._drawn = drawn
        self._paths: dict[bool, list[str]] = {}
        # Export and the prediction of the user's images need only what the checkpoint stores.
        is_complete = None not in (class_names, color, mean, std)
        if not is_complete or (self.predict_path is None and self.root.exists()):
            self._list()
            color = self._has_colors() if color is None else color
        self.in_channels = 3 if color else 1
        self._use_given(mean, std)
        self.framing: Framing = framing
        self._images: dict[bool, Images] = {}
        # A checkpoint stores these for later commands.
        self.hparams.update(class_names=list(self.classes), color=color, drawn=self._drawn)

    def _list(self) -> None:
        """List the images of each part, and draw the test images if there is no folder for them."""
        parts = list_parts(self.root)
        self.classes = self.classes or tuple(parts.get("train", ()))
        check_classes(self.root, parts, self.classes)
        paths, labels = self._paths_and_labels(parts.get("train", {}))
        if "test" in parts:
            if self._test_size is not None:
                raise UserError(
                    f"--data.test_size {self._test_size}: {self.root} has a folder test. Leave "
                    "this option out, or remove that folder."
                )
            self.names, test_labels = self._paths_and_labels(parts["test"])
            self._drawn = None
        else:
            test_size = max(1, len(paths) // 10) if self._test_size is None else self._test_size
            if test_size >= len(paths):
                raise UserError(
                    f"--data.test_size {test_size}: must be less than {len(paths)}, the number of "
                    f"images in {self.root}."
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
        """Refuse test images that differ from those drawn when this folder was trained on."""
        sum_ = hashlib.sha256(os.fsencode("\n".join(names))).hexdigest()[:16]
        if (self._drawn or {}).get(str(self.root)) not in (None, sum_):
            raise UserError(
                f"--data.root {self.root}: the test images differ from those of the training, so "
                "some may have been trained on. Files were added or removed, or --data.split_seed "
                "or --data.test_size changed. Move test images into a folder test, or add "
                "--data.drawn null to test anyway."
            )
        self._drawn = {str(self.root): sum_}

    def _has_colors(self) -> bool:
        train = self.divide(self._labels[True])[0].tolist() if self._paths[True] else []
        trained_on = [self._paths[True][i] for i in train] or self._paths[False]
        return any(is_color(str(self.root / path)) for path in trained_on)

    @property
    def in_memory(self) -> bool:
        """Whether the images are kept in memory."""
        count = sum(map(len, self._paths.values()))
        fits = count * self.in_channels * self.image_size**2 <= MAX_BYTES_IN_MEMORY
        return fits if self._in_memory is None else self._in_memory

    def _paths_and_labels(self, part: dict[str, list[str]]) -> tuple[list[str], Tensor]:
        """Return the paths of a part and their labels ``(N,)``."""
        pairs = [(path, i) for i, name in enumerate(self.classes) for path in part.get(name, [])]
        return [path for path, _ in pairs], torch.tensor([i for _, i in pairs], dtype=torch.int64)

    def _use_given(self, mean: list[float] | None, std: list[float] | None) -> None:
        for name, values in (("mean", mean), ("std", std)):
            if values is None:
                continue
            if len(values) != self.in_channels or (name == "std" and min(values) <= 0):
                raise UserError(
                    f"--data.{name} {values}: must have {self.in_channels} values, one per channel"
                    f"{', greater than 0' if name == 'std' else ''}."
                )
            setattr(self, name, tuple(values))
        self._given = {"mean": mean is not None, "std": std is not None}
        self._measured = all(self._given.values())

    def divide(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the indices of the training images and of the validation images."""
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
                f"{self.root}: too few images of {self.classes[min(missing)]!r}: none are left for "
                "training. Add images, or set a smaller --data.val_size."
            )
        return train, val

    def setup(self, stage: str) -> None:
        """Read the images that the stage needs, and compute mean and standard deviation once."""
        if not self._paths and stage != "predict":
            self._list()
        if stage in ("fit", "validate") or not self._measured:
            if not self._paths[True]:
                raise UserError(
                    f"--data.root {self.root}: has no folder train, which is needed for training "
                    "and to compute --data.mean and --data.std."
                )
            super().setup("fit")
        super().setup(stage)
        if stage == "test" and self._drawn:
            rank_zero_info(
                f"Testing on {len(self._paths[False])} of the {sum(map(len, self._paths.values()))}"
                f" images in {self.root}, drawn by --data.split_seed {self.split_seed}. To test on "
                "all images of a folder, move its classes into a folder test."
            )

    def read(self, train: bool) -> tuple[Images, Tensor]:
        """Return the images, in memory or as files. All of them are decoded once and checked."""
        if train not in self._images:
            # Also checks the test images, since an error after the training would be too late.
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
        """Compute mean and standard deviation from sums and sums of squares ``(2, N, C)``."""
        mean, square = sums.sum(1).double() / (sums.shape[1] * self.image_size**2)
        # At least one step of 255, since identical images have standard deviation 0.
        std = (square - mean.square()).clamp(min=1).sqrt()
        for name, figure in (("mean", mean), ("std", std)):
            if not self._given[name]:
                setattr(self, name, tuple(round(value, 4) for value in (figure / 255).tolist()))
        self._measured = True
        self.hparams.update(mean=list(self.mean), std=list(self.std))


def stratified_order(labels: Tensor, seed: int) -> Tensor:
    """Shuffle images so that every prefix of the order is stratified by class.

    Args:
        labels: Classes of the images ``(N,)``.
        seed: Seed of the order.

    Returns:
        Indices of the images ``(N,)``.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    place = torch.zeros(len(labels), dtype=torch.float64)
    for label in labels.unique():
        of_it = order[labels[order] == label]
        place[of_it] = (torch.arange(len(of_it)) + 0.5).double() / len(of_it)
    return order[place[order].argsort(stable=True)]
