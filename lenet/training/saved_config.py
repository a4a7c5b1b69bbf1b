"""The config of a run."""

import filecmp
import shutil
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.cli import SaveConfigCallback

from lenet import runs
from lenet.writing import atomic_write

__all__ = ["SaveConfig"]


class SaveConfig(SaveConfigCallback):
    """Write ``config.yaml`` into the run's folder, when a training starts and at no other time.

    Where a training goes on in its run's folder with other options, its first ``config.yaml``
    becomes ``config-1.yaml`` and so on, so that none is lost. The checkpoint that it goes on from
    and images of one's own are not in it: the config is to repeat the run.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Wait: what cannot be trained must not replace a config."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, now that everything is restored and fits."""
        config = Path(str(trainer.log_dir), runs.CONFIG)
        self.config = self.config.clone()
        self.config["ckpt_path"] = None
        if trainer.strategy.root_device.type == "cpu":  # with others, last digits differ
            self.config["num_threads"] = torch.get_num_threads()
        self.config["data"]["init_args"]["predict_path"] = None
        if trainer.is_global_zero:
            with atomic_write(config) as part:
                # Not save(), which writes in the encoding of the machine.
                text = self.parser.dump(self.config, skip_unset=False)
                part.write_text(text, encoding="utf-8")
                if config.exists() and not filecmp.cmp(config, part, shallow=False):
                    number = 1
                    while (older := config.with_stem(f"{config.stem}-{number}")).exists():
                        number += 1
                    shutil.copy2(config, older)
            runs.mark_started(config.parent)
