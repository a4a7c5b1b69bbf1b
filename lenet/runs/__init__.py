"""Run folders, and reading their files.

Importing this package does not import PyTorch.
"""

from lenet.runs.configs import read_config
from lenet.runs.finding import explains_ckpt_path, find_checkpoint
from lenet.runs.folders import (
    CONFIG,
    check_writable,
    command_options,
    create,
    discard_empty,
    folder_of,
    locked,
    mark_started,
    resumes_in_place,
    shell_quote,
    short_path,
)

__all__ = [
    "CONFIG",
    "check_writable",
    "command_options",
    "create",
    "discard_empty",
    "explains_ckpt_path",
    "find_checkpoint",
    "folder_of",
    "locked",
    "mark_started",
    "read_config",
    "resumes_in_place",
    "shell_quote",
    "short_path",
]
