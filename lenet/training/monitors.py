"""The metrics that checkpoints and early stopping watch."""

import lightning.pytorch as pl

from lenet.errors import UserError, nearest

__all__ = ["check_monitor"]


def check_monitor(option: str, monitor: str, trainer: pl.Trainer) -> None:
    """Refuse a figure that is not logged, as soon as that is seen."""
    logged = sorted(map(str, trainer.callback_metrics))
    if monitor in logged or not any(name.startswith("val") for name in logged):
        return
    if not trainer.sanity_checking or monitor.startswith("val"):
        later = ", and after an epoch others" if trainer.sanity_checking else ""
        raise UserError(
            f"--{option}.monitor {monitor}: no such figure is logged.{nearest(monitor, logged)} "
            f"There are {', '.join(logged)}{later}."
        )
