"""What Lightning says that is an advertisement, or wrong here, and is not passed on."""

import logging
import warnings

__all__ = ["hush"]

# Warnings, each with the reason why it is wrong here.
_WRONG = (
    r".*does not have many workers",  # the images are in memory: workers would slow it down
    r".*is smaller than the logging interval",  # figures are logged once an epoch
    r"Be aware that when using `ckpt_path`, callbacks",  # an evaluation has none that keep
    r".*isinstance\(treespec, LeafSpec\)",  # of Lightning to itself
)


class _NoAdvertisements(logging.Filter):
    """Drop the advertisements for two packages, and the news that there is no TPU."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not message.startswith(("💡 Tip: For seamless", "TPU available: False"))


def hush() -> None:
    """Filter them, and nothing else."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_NoAdvertisements())
    for message in _WRONG:
        warnings.filterwarnings("ignore", message=message)
