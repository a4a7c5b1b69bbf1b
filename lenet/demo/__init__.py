"""A web page to draw on, which shows the predictions of a trained network as you draw."""

from lenet.demo.server import serve

__all__ = ["serve"]
