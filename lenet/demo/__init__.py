"""A page to draw on, which shows what a trained network makes of a drawing as it is drawn."""

from lenet.demo.server import serve

__all__ = ["serve"]
