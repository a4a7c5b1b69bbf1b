"""Filters for log messages and warnings that are advertisements or wrong for this program."""

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator

__all__ = ["install_filters", "quiet"]

# Warnings, each with the reason why it is wrong here.
_WRONG_WARNINGS = (
    r".*does not have many workers",  # the images are in memory: workers would slow it down
    r".*is smaller than the logging interval",  # metrics are logged once an epoch
    r".*Checkpoint directory .* exists and is not empty",  # it is the run that is resumed
    r".*could not find the monitored key",  # validation is switched off
    r"Total length of `list` across ranks is zero",  # there is no validation set
    r"Be aware that when using `ckpt_path`, callbacks",  # an evaluation has none that keep
    r"You're resuming from a checkpoint that ended before the epoch ended",  # EpochSampler can
    r"Image size .* could be decompression bomb",  # twice as much is refused; less is a photograph
    r"(Possibly c|C)orrupt EXIF data",  # of an image that is read all the same
    r"Grad strides do not match bucket view strides",  # of 25 numbers in the first layer
    r".*isinstance\(treespec, LeafSpec\)",  # Lightning's own use of PyTorch
)


# Beginnings of log messages: advertisements for two packages, and what `lenet` prints itself.
_UNWANTED_MESSAGES = (
    "💡 Tip: For seamless",
    "TPU available: False",
    "Loading `train_dataloader` to estimate",
    "Restoring states from the checkpoint path at",
    "Restored all states from the checkpoint at",
    "Loaded model weights from the checkpoint at",
    "`Trainer.fit` stopped: `max_",  # it would be printed into the line of the last epoch
    "\nDetected KeyboardInterrupt",  # `lenet` reports what was saved
)


class _MessageFilter(logging.Filter):
    """Drop messages with an unwanted beginning."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not message.startswith(_UNWANTED_MESSAGES)


def install_filters() -> None:
    """Install the log and warning filters."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_MessageFilter())
    for message in _WRONG_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    threading.excepthook = _report_of_thread


def _report_of_thread(args: threading.ExceptHookArgs) -> None:
    # The thread of TensorBoard's writer raises the same error again where it is handled.
    if "tensorboard" not in type(args.thread).__module__:
        threading.__excepthook__(args)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop all log messages and warnings in the ``with`` block, such as those of an export."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
