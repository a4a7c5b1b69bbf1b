"""The metrics that checkpoints and early stopping monitor."""

import lightning.pytorch as pl

from lenet.errors import UserError, nearest

__all__ = ["check_monitor"]


def check_monitor(option: str, monitor: str, trainer: pl.Trainer) -> None:
    """Refuse a metric that is not logged, as early as possible."""
    logged = sorted(map(str, trainer.callback_metrics))
    if monitor in logged or not any(name.startswith("val") for name in logged):
        return
    if not trainer.sanity_checking or monitor.startswith("val"):
        later = ", and more after the first epoch" if trainer.sanity_checking else ""
        raise UserError(
            f"--{option}.monitor {monitor}: no such metric is logged.{nearest(monitor, logged)} "
            f"Available: {', '.join(logged)}{later}."
        )
