"""A trained network taken elsewhere: as ONNX, as a program of PyTorch, or as weights."""

from lenet.export.programs import export

__all__ = ["export"]
