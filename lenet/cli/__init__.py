"""The command line."""

from lenet.cli.app import COMMANDS, GROUPS, LeNetCLI

__all__ = ["COMMANDS", "GROUPS", "LeNetCLI"]
