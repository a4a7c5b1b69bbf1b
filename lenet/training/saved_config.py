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
    """Write ``config.yaml`` to the run's folder when a training starts.

    If a training resumes in the same folder with different options, the old ``config.yaml`` is
    renamed to ``config-1.yaml`` and so on. The config omits the checkpoint and your images, so that
    it repeats the run from the start.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Do nothing yet: a training that cannot start must not replace a config."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the config, after everything has been restored."""
        config = Path(str(trainer.log_dir), runs.CONFIG)
        self.config = self.config.clone()
        self.config["ckpt_path"] = None
        if trainer.strategy.root_device.type == "cpu":  # affects the last digits of results
            self.config["num_threads"] = torch.get_num_threads()
        self.config["data"]["init_args"]["predict_path"] = None
        if trainer.is_global_zero:
            with atomic_write(config) as part:
                # save() would use the encoding of the machine.
                text = self.parser.dump(self.config, skip_unset=False)
                part.write_text(text, encoding="utf-8")
                if config.exists() and not filecmp.cmp(config, part, shallow=False):
                    number = 1
                    while (older := config.with_stem(f"{config.stem}-{number}")).exists():
                        number += 1
                    shutil.copy2(config, older)
            runs.mark_started(config.parent)
