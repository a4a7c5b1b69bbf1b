"""Callbacks: what a run keeps, and what it leaves to look at."""

from lenet.callbacks.guarding import FiniteLoss, Interruption
from lenet.callbacks.keeping import BestCheckpoint, EarlyStopping, LastCheckpoint, SaveConfig
from lenet.callbacks.metrics import MetricsFile, ResultFile
from lenet.callbacks.pictures import Pictures
from lenet.callbacks.predictions import PredictionWriter
from lenet.callbacks.progress import ProgressBar
from lenet.callbacks.resuming import Resuming
from lenet.callbacks.summary import ModelSummary
from lenet.callbacks.threads import Threads

__all__ = [
    "BestCheckpoint",
    "EarlyStopping",
    "FiniteLoss",
    "Interruption",
    "LastCheckpoint",
    "MetricsFile",
    "ModelSummary",
    "Pictures",
    "PredictionWriter",
    "ProgressBar",
    "ResultFile",
    "Resuming",
    "SaveConfig",
    "Threads",
]
