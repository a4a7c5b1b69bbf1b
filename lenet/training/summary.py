"""The table of layers that is printed before a training."""

import re
from typing import Any

from lightning.pytorch.callbacks import RichModelSummary
from lightning.pytorch.utilities.model_summary.model_summary import (
    get_formatted_model_size,
    get_human_readable_count,
)
from rich import get_console
from rich.markup import escape
from rich.table import Table

__all__ = ["ModelSummary"]


_ONE = re.compile(r"^\[1, ([\d, ]+)\]$")


class ModelSummary(RichModelSummary):
    """Lightning's model summary, shortened to fit 80 characters.

    It omits the number and the mode of each layer and the prefix ``network.`` of each name. Sizes
    are those of one image: ``6x28x28`` for ``[1, 6, 28, 28]``.
    """

    def __init__(self) -> None:
        super().__init__(max_depth=-1)

    @staticmethod
    def summarize(
        summary_data: list[tuple[str, list[str]]],
        total_parameters: int,
        trainable_parameters: int,
        model_size: float,
        total_training_modes: dict[str, int],
        total_flops: int,
        **summarize_kwargs: Any,
    ) -> None:
        """Print one row per layer, and the totals."""
        table = Table(header_style="bold magenta")
        columns = {name: cells for name, cells in summary_data if name not in (" ", "Mode")}
        columns["Name"] = [name.removeprefix("network.") for name in columns["Name"]]
        for name, cells in columns.items():
            if name.endswith("sizes"):
                columns[name] = [_ONE.sub(lambda m: m[1].replace(", ", "x"), c) for c in cells]
            words = name in ("Name", "Type")
            table.add_column(name, justify="left" if words else "right", no_wrap=name == "Name")
        for row in zip(*columns.values(), strict=True):
            table.add_row(*map(escape, row))
        console = get_console()
        count = get_human_readable_count
        console.print(table)
        console.print(
            f"Parameters: {count(total_parameters)} ({get_formatted_model_size(model_size)} MB), "
            f"{count(trainable_parameters)} of them trainable. FLOPs: {count(total_flops)}."
        )
