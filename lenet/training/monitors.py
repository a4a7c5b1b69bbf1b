"""The metrics that checkpoints and early stopping monitor."""

import lightning.pytorch as pl

from lenet.errors import UserError, nearest

__all__ = ["ScheduleMonitor", "check_monitor"]


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


class ScheduleMonitor(pl.Callback):
    """Refuse a schedule that monitors a validation metric where there is no validation."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the schedule, now that it is made."""
        data = getattr(trainer, "datamodule", None)
        for config in trainer.lr_scheduler_configs:
            monitor = str(config.monitor)
            if monitor.startswith("val/") and getattr(data, "val_size", None) == 0:
                raise UserError(
                    f"--model.scheduler.monitor {monitor}: not available with --data.val_size 0. "
                    "Set --model.scheduler.monitor train/loss, or a larger --data.val_size."
                )
