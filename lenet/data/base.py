"""The base class of all data modules: download, split, batches, resizing and normalization.

The images stay in memory as published, one byte per value. A batch is a single index operation, and
each batch is padded or resized, distorted and normalized as a whole on its device.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from lenet.data.augmentation import Distortions, batch_generator
from lenet.data.images.files import Framing, num_cores, square_image
from lenet.data.images.handwriting import Handwriting
from lenet.data.images.ink import MAX_SIDE
from lenet.data.images.user_images import UserImages
from lenet.data.memory import (
    EVALUATION_FACTOR,
    EpochSampler,
    Images,
    LazyLoader,
    TensorImages,
    identity,
    per_channel,
    start_worker,
)
from lenet.data.ranges import check_ranges
from lenet.errors import UserError
from lenet.hyperparameters import keep_plain

__all__ = ["ImageDataModule"]

PADDED_SIZE = 32  # pixels: LeNet-5 pads MNIST to this size. Larger padding would be mostly black.


class ImageDataModule(pl.LightningDataModule, ABC):
    """Labeled images, split into training, validation and test sets.

    The validation images are drawn from the training images by ``split_seed`` alone, so they are
    the same in every command, process and training seed. They are never trained on. The test set
    is the published one.

    A subclass describes the data set: ``classes``, ``in_channels``, ``mean`` and ``std`` of the
    training images in [0, 1], ``usual_val_size``, ``read``, and ``fetch`` if it is downloaded.

    Args:
        root: Folder of the data sets. For ImageFolder, the folder of the images. By default the
            environment variable PATH_DATASETS, or ``data`` if it is not set.
        batch_size: Number of images per training batch on each device. Validation, test and
            prediction use four times as many.
        val_size: Number of training images to use for validation. 0 trains on all images and keeps
            the last weights. By default the usual number for the data set.
        split_seed: Seed of the split into training and validation images.
        image_size: Height and width to which images are padded or resized, in pixels. By default
            the size that the model was built for: 32, or the published size for an MLP.
        resize: Whether to resize smaller images (true) or pad them with black (false). By default
            true for Digits, USPS, ImageFolder and sizes above 32 pixels. Larger images are always
            resized.
        num_workers: Number of processes that load batches. By default 0 if the images are in
            memory, otherwise the number of CPU cores, up to 8.
        rotation: Maximum random rotation of training images in either direction, in degrees.
        scaling: Maximum random scaling, as a fraction: 0.1 scales by 0.9 to 1.1.
        shear: Maximum random shear in either direction, in degrees.
        translation: Maximum random shift along each axis, in pixels of ``image_size``.
        elastic: Strength of the elastic distortions: standard deviation of each pixel's shift, in
            pixels.
        elastic_sigma: Smoothness of the elastic distortions: sigma of the Gaussian, in pixels.
            Larger is gentler.
        predict_path: Your images to predict instead of the test images: a file, a folder or a
            pattern such as ``'scans/*.png'``.
        raw: Whether to use your images as they are, instead of preparing them like those of the
            data set.

    Raises:
        UserError: If a number is out of range, or the data cannot be read or downloaded.
    """

    classes: tuple[str, ...]
    in_channels: int = 1
    mean: tuple[float, ...]
    std: tuple[float, ...]
    native_size: int | None = None  # height and width of the images as published, in pixels
    usual_val_size: int
    usually_resized: bool = False
    handwriting: ClassVar[Handwriting | None] = None  # how handwriting was prepared
    framing: Framing = "crop"  # how images of any size become square
    names: Sequence[str] | None = None  # names of the test images, if they have any
    # Options that select images. By default those that a subclass adds, and the root if the
    # subclass downloads nothing.
    selecting: ClassVar[tuple[str, ...] | None] = None

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 64,
        val_size: int | None = None,
        split_seed: int = 0,
        image_size: int | None = None,
        resize: bool | None = None,
        num_workers: int | None = None,
        rotation: float = 0.0,
        scaling: float = 0.0,
        shear: float = 0.0,
        translation: float = 0.0,
        elastic: float = 0.0,
        elastic_sigma: float = 4.0,
        predict_path: str | None = None,
        raw: bool = False,
    ):
        super().__init__()
        # The path belongs to one command, not to the training.
        self.save_hyperparameters(logger=False, ignore=["predict_path"])
        keep_plain(self)
        check_ranges(self.hparams)
        self.root = Path(root or os.environ.get("PATH_DATASETS") or "data").expanduser().absolute()
        self.batch_size = batch_size
        self.val_size = val_size
        self.split_seed = split_seed
        self._given_size = image_size
        self._given_resize = resize
        self._bring_to(image_size or PADDED_SIZE)
        self.num_workers = num_workers
        self.predict_path = predict_path
        self.raw = raw
        self.user_images: UserImages | None = None
        self.distortions = Distortions(
            rotation, scaling, shear, translation, elastic, elastic_sigma
        )
        self.sets: dict[str, TensorImages] = {}
        self._shared_seed: int | None = None

    @property
    def shared_seed(self) -> int:
        """Seed of the order and the distortions, the same in all processes of a training."""
        return torch.initial_seed() if self._shared_seed is None else self._shared_seed

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def fetch(self) -> None:
        """Download the data set to the root if it is missing. By default does nothing."""

    @abstractmethod
    def read(self, train: bool) -> tuple[Images, Tensor]:
        """Read images ``(N, C, H, W)`` as ``uint8`` and labels ``(N,)`` from the root.

        Args:
            train: Whether to read the training images or the test images.
        """

    def divide(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the indices of the training images and of the validation images."""
        seeded = torch.Generator().manual_seed(self.split_seed)
        order = torch.randperm(len(labels), generator=seeded)
        val_size = self.num_val(len(labels))
        return order[val_size:], order[:val_size]

    def num_val(self, available: int) -> int:
        """Return the number of validation images among ``available`` images.

        Raises:
            UserError: If no images would be left to train on.
        """
        val_size = self.usual_val_size if self.val_size is None else self.val_size
        if val_size >= available:
            raise UserError(
                f"--data.val_size {val_size}: must be less than {available}, the number of "
                f"training images in {type(self).__name__}."
            )
        return val_size

    def prepare_data(self) -> None:
        """Download the data set if needed, in one process per machine."""
        predicts = self.trainer is not None and self.trainer.state.fn == TrainerFn.PREDICTING
        if not (predicts and self.predict_path is not None):
            self.fetch()

    def setup(self, stage: str) -> None:
        """Read the images that the stage needs, unless they have been read."""
        if self.trainer is not None:
            # With --seed_everything false, each process has a different seed.
            self._shared_seed = self.trainer.strategy.broadcast(torch.initial_seed())
            self.match_size(self.trainer.lightning_module)
        if stage == "validate" and self.val_size == 0:
            raise UserError(
                "--data.val_size 0: leaves no images for validation. Use lenet test, or set a "
                "larger --data.val_size."
            )
        if stage in ("fit", "validate") and "train" not in self.sets:
            images, labels = self.read(train=True)
            train, val = self.divide(labels)
            self.sets["train"] = TensorImages(images, labels, train)
            self.sets["val"] = TensorImages(images, labels, val)
            if self.val_size == 0:
                rank_zero_info(f"Training on all {len(train)} images, without a validation set")
        if stage == "predict" and self.predict_path is not None:
            size = self.native_size or self.image_size
            min_size = 2 * (max(size, MAX_SIDE) if self.handwriting else size)
            self.user_images = UserImages(self.predict_path, self.prepare_image, min_size)
            self.sets["predict"] = TensorImages(self.user_images.images, None)
        elif stage in ("test", "predict") and "test" not in self.sets:
            images, labels = self.read(train=False)
            self.sets["test"] = self.sets["predict"] = TensorImages(images, labels)

    def prepare_image(self, image: Image.Image) -> Tensor:
        """Convert an image of any size and mode to the published format of the data set.

        Returns:
            The image ``(C, H, W)`` as ``uint8``, light on dark for data sets of handwriting.

        Raises:
            UserError: If the data set is handwriting and the image is empty.
        """
        if self.handwriting is not None and not self.raw:
            return self.handwriting.prepare(image)
        return square_image(
            image, self.in_channels, self.native_size or self.image_size, self.framing
        )

    def train_dataloader(self) -> DataLoader:
        """Return the loader of the training images, shuffled."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        """Return the loader of the validation images, if there are any."""
        return self._loader("val") if len(self.sets["val"]) else []

    def test_dataloader(self) -> DataLoader:
        """Return the loader of the test images."""
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader:
        """Return the loader of the images to predict: your images if given, or the test images."""
        return self._loader("predict")

    def _loader(self, name: str, shuffle: bool = False) -> DataLoader:
        """Return the loader of one part of the data. Evaluation batches are four times as large.

        Raises:
            UserError: If there are fewer images than devices.
        """
        images = self.sets[name]
        trainer = self.trainer
        seed = self.shared_seed
        num_replicas = trainer.world_size if trainer else 1
        if num_replicas > len(images):
            raise UserError(
                f"--trainer.devices {num_replicas}: there are only {len(images)} images. Set "
                f"--trainer.devices {len(images)} or fewer."
            )
        num_workers = self.num_workers
        if num_workers is None:
            num_workers = 0 if isinstance(images.images, Tensor) else num_cores()
        # Evaluation must not repeat images to give every device equally many: they would count
        # twice.
        sampler = (EpochSampler if shuffle else UnrepeatedDistributedSampler)(
            images,
            num_replicas=num_replicas,
            rank=trainer.global_rank if trainer else 0,
            shuffle=shuffle,
            # PyTorch adds the epoch: without the factor, seed 1 would repeat the orders of seed 0.
            seed=1_000_003 * seed % 2**62,
        )
        if isinstance(sampler, EpochSampler):
            sampler.trainer = trainer
            sampler.batch_size = self.batch_size
        return LazyLoader(
            images,
            batch_size=self.batch_size if shuffle else EVALUATION_FACTOR * self.batch_size,
            sampler=sampler,
            num_workers=num_workers,
            # For the workers. Only the network uses the global generator, so that dropout can be
            # resumed.
            generator=torch.Generator().manual_seed(seed),
            collate_fn=identity,
            worker_init_fn=start_worker,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=num_workers > 0,
        )

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Resize or pad, distort and normalize a batch of images on their device."""
        # A model that is not an ImageClassifier may lack these attributes.
        model = self.trainer.lightning_module if self.trainer is not None else None
        dtype = getattr(model, "dtype", torch.float32)  # float64 with --trainer.precision 64-true
        if isinstance(batch, Tensor):
            return batch.to(dtype)  # the example input of the model summary
        images, *rest = batch
        images = self.to_size(images)
        if self.distortions and self.trainer is not None and self.trainer.training:
            images = self.distortions(images, batch_generator(self.trainer, self.shared_seed))
        images = self.normalize(images, getattr(model, "input_range", None))
        layout = getattr(model, "memory_format", torch.contiguous_format)
        # contiguous() would not change the layout of one-channel images.
        return images.to(dtype=dtype, memory_format=layout), *rest

    @classmethod
    def size_for(cls, model: Any) -> int | None:
        """Return the image size that a model expects by default.

        Args:
            model: A model, or the class of a model that will be built.

        Returns:
            Height and width in pixels, or None if the model has no size.
        """
        if isinstance(model, type):
            return getattr(model, "usual_image_size", None) or cls.native_size
        return getattr(model, "image_size", None)

    def match_size(self, model: Any) -> None:
        """Use the image size that a model expects, unless ``image_size`` was given."""
        size = self.size_for(model)
        if self._given_size is None and size is not None:
            self._bring_to(size)
            self.hparams["image_size"] = size

    def _bring_to(self, image_size: int) -> None:
        self.image_size = image_size
        upsized = self.usually_resized or image_size > PADDED_SIZE
        self.resize = upsized if self._given_resize is None else self._given_resize

    def to_size(self, images: Tensor) -> Tensor:
        """Pad or resize images ``(N, C, H, W)`` to ``image_size``, as floating point in 0..255."""
        images = images.float()
        rows, columns = (self.image_size - side for side in images.shape[-2:])
        if rows == columns == 0:
            return images
        if self.resize or rows < 0 or columns < 0:
            size = (self.image_size, self.image_size)
            return F.interpolate(images, size, mode="bilinear", antialias=True)
        left, top = columns // 2, rows // 2
        return F.pad(images, (left, columns - left, top, rows - top))

    def normalize(self, images: Tensor, input_range: tuple[float, float] | None = None) -> Tensor:
        """Normalize images to zero mean and unit variance over the training set.

        Args:
            images: Images ``(N, C, H, W)`` in 0..255.
            input_range: The values that 0 and 255 are mapped to instead, if a model defines them.
        """
        if input_range is not None:
            low, high = input_range
            return low + images * ((high - low) / 255)
        mean, std = (per_channel(values, images.device) for values in (self.mean, self.std))
        return (images - 255 * mean) / (255 * std)
