"""Pictures of a run, and the predictions to look at."""

from lenet.pictures.callback import Pictures
from lenet.pictures.predictions import PredictionWriter

__all__ = ["Pictures", "PredictionWriter"]
