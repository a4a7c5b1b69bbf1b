"""Exporting a trained network to ONNX, a PyTorch program, or a weights file."""

from lenet.export.programs import export

__all__ = ["export"]
