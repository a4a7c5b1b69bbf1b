"""Pictures of a run and of predictions."""

from lenet.pictures.callback import Pictures
from lenet.pictures.predictions import PredictionWriter

__all__ = ["Pictures", "PredictionWriter"]
