"""Training: the trainer and its callbacks."""

from lenet.training.checkpointing import BestCheckpoint, LastCheckpoint
from lenet.training.early_stopping import EarlyStopping
from lenet.training.finite_loss import FiniteLoss
from lenet.training.interruption import Interruption
from lenet.training.loading import check_shapes, load
from lenet.training.metrics_file import EpochRow, MetricsFile
from lenet.training.progress_bar import ProgressBar
from lenet.training.results import ResultFile
from lenet.training.resuming import Resuming
from lenet.training.saved_config import SaveConfig
from lenet.training.summary import ModelSummary
from lenet.training.threads import Threads
from lenet.training.trainer import Trainer

__all__ = [
    "BestCheckpoint",
    "EarlyStopping",
    "EpochRow",
    "FiniteLoss",
    "Interruption",
    "LastCheckpoint",
    "MetricsFile",
    "ModelSummary",
    "ProgressBar",
    "ResultFile",
    "Resuming",
    "SaveConfig",
    "Threads",
    "Trainer",
    "check_shapes",
    "load",
]
