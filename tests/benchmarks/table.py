"""The table of what was measured."""

import statistics
from dataclasses import dataclass, field

__all__ = ["Row", "faster", "table", "times"]


@dataclass
class Row:
    """A line of the table.

    Args:
        what: What was measured.
        figure: What came of it, and counts.
        reach: What is to be reached.
        ours: Each turn of lenet's.
        base: Each turn of what it is compared with, in pairs with ``ours``.
        unit: Of ``ours`` and ``base``.
        note: What else is to be known.
    """

    what: str
    figure: str
    reach: str
    ours: list[float] = field(default_factory=list)
    base: list[float] = field(default_factory=list)
    unit: str = "s"
    note: str = ""


def times(ours: list[float], base: list[float]) -> str:
    """Say how many times the baseline's time is ours: the median of the pairs, and all of them."""
    return _spread([a / b for a, b in zip(ours, base, strict=True)], 2)


def faster(ours: list[float], base: list[float]) -> str:
    """Say how many times as fast we are: the median of the pairs, and all of them."""
    return f"{_spread([b / a for a, b in zip(ours, base, strict=True)], 1)} as fast"


def _spread(ratios: list[float], digits: int) -> str:
    middle, *ends = (f"{f(ratios):.{digits}f}" for f in (statistics.median, min, max))
    return f"{middle} times ({ends[0]} to {ends[1]})"


def table(rows: list[Row]) -> str:
    """Give the table as Markdown."""
    header = "| measurement | lenet | compared with | result | target (stretch goal) |"
    lines = [header, "|---|---|---|---|---|"]
    for row in rows:
        medians = [
            f"{statistics.median(turns):.3g} {row.unit}" if turns else ""
            for turns in (row.ours, row.base)
        ]
        note = f" ({row.note})" if row.note else ""
        cells = (f"{row.what}{note}", *medians, row.figure, row.reach)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
