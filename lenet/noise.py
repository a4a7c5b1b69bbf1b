"""What Lightning and PyTorch say that is an advertisement, or wrong here, and is not passed on."""

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator

__all__ = ["install_filters", "quiet"]

# Warnings, each with the reason why it is wrong here.
_WRONG = (
    r".*does not have many workers",  # the images are in memory: workers would slow it down
    r".*is smaller than the logging interval",  # figures are logged once an epoch
    r".*Checkpoint directory .* exists and is not empty",  # it is the run that goes on
    r".*could not find the monitored key",  # validation is switched off
    r"Total length of `list` across ranks is zero",  # no images are held out for validation
    r"Be aware that when using `ckpt_path`, callbacks",  # an evaluation has none that keep
    r"You're resuming from a checkpoint that ended before the epoch ended",  # EpochSampler can
    r"Image size .* could be decompression bomb",  # twice as much is refused; less is a photograph
    r"(Possibly c|C)orrupt EXIF data",  # of an image that is read all the same
    r"Grad strides do not match bucket view strides",  # of 25 numbers in the first layer
    r".*isinstance\(treespec, LeafSpec\)",  # of Lightning to itself
)


# Advertisements for two packages, and news of no use: which checkpoint, `lenet` has said.
_UNASKED = (
    "💡 Tip: For seamless",
    "TPU available: False",
    "Loading `train_dataloader` to estimate",
    "Restoring states from the checkpoint path at",
    "Restored all states from the checkpoint at",
    "Loaded model weights from the checkpoint at",
    "`Trainer.fit` stopped: `max_",  # as it was told to, and into the line of the last epoch
    "\nDetected KeyboardInterrupt",  # we say ourselves what becomes of it
)


class _NoAdvertisements(logging.Filter):
    """Drop what nobody asked for."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not message.startswith(_UNASKED)


def install_filters() -> None:
    """Filter them, and nothing else."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_NoAdvertisements())
    for message in _WRONG:
        warnings.filterwarnings("ignore", message=message)
    threading.excepthook = _in_thread


def _in_thread(args: threading.ExceptHookArgs) -> None:
    # TensorBoard's writer raises what it says here once more, where it is handled.
    if "tensorboard" not in type(args.thread).__module__:
        threading.__excepthook__(args)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep back all that is said meanwhile, such as by PyTorch of its own progress and future."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
