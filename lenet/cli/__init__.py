"""The command line."""

from lenet.cli.app import GROUPS, LeNetCLI

__all__ = ["GROUPS", "LeNetCLI"]
