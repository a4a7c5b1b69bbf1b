"""Run folders, and the reading of what is in them.

Importing this room does not import PyTorch.
"""

from lenet.runs.configs import read_config
from lenet.runs.finding import find_checkpoint
from lenet.runs.folders import (
    CONFIG,
    check_writable,
    create,
    discard,
    folder_of,
    is_continued,
    mark_started,
    options,
    quoted,
    short,
    taken,
)

__all__ = [
    "CONFIG",
    "check_writable",
    "create",
    "discard",
    "find_checkpoint",
    "folder_of",
    "is_continued",
    "mark_started",
    "options",
    "quoted",
    "read_config",
    "short",
    "taken",
]
