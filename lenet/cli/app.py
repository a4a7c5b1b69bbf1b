"""The command line: every constructor argument is an option, every trainer method a command.

It extends LightningCLI with checkpoints that set the defaults, run folders, and one-line errors.
"""

import functools
import os
import sys
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, ModelSummary, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from lenet import __version__, runs, training
from lenet.cli import checkpoint_defaults, construction
from lenet.cli.checks import check_seed, check_values, match_model_and_data
from lenet.cli.first_look import FirstLook, look
from lenet.cli.known_options import command_options
from lenet.cli.parser import Parser, bound_what_is_read, parse
from lenet.commands import COMMANDS, Trainer
from lenet.data import ImageDataModule
from lenet.errors import UserError, nearest
from lenet.models import ImageClassifier
from lenet.pictures import Pictures, PredictionWriter
from lenet.runs import checkpoints, trusted_names
from lenet.runs.configs import flatten_groups

__all__ = ["GROUPS", "LeNetCLI"]

ROOT = "runs"
GROUPS = {
    "model": ImageClassifier,
    "data": ImageDataModule,
    "checkpoint": training.BestCheckpoint,
    "early_stopping": training.EarlyStopping,
    "predictions": PredictionWriter,
    "pictures": Pictures,
    "trainer": Trainer,
}
ABOUT = "Train, evaluate and explain small image classifiers."


class LeNetCLI(LightningCLI):
    """The ``lenet`` command line.

    For model and data, options override configs, which override the checkpoint, which overrides the
    defaults.
    """

    def __init__(self, args: list[str]):
        self.checkpoint: dict[str, Any] | None = None
        self.checkpoint_path: Path | None = None
        self.other_data: str | None = None  # folder of results on other data than the checkpoint's
        self.command = next((arg for arg in args if arg in COMMANDS), "")
        self.trains = self.command in ("fit", "run")
        bound_what_is_read()
        super().__init__(
            ImageClassifier,
            ImageDataModule,
            save_config_callback=training.SaveConfig,
            save_config_kwargs={"overwrite": True},
            trainer_class=Trainer,
            trainer_defaults={"max_epochs": 10, "default_root_dir": ROOT},
            parser_kwargs={"prog": "lenet", "version": __version__, "description": ABOUT},
            parser_class=Parser,
            subclass_mode_model=True,
            subclass_mode_data=True,
            args=args,
            auto_configure_optimizers=False,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Return only the given command, or all: the parsers of all seven take 0.3 s."""
        return {name: COMMANDS[name] for name in ([self.command] if self.command else COMMANDS)}

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Create a parser without abbreviations, so that a misspelled option is an error."""
        return super().init_parser(
            **{"allow_abbrev": False, "dump_header": [f"lenet=={__version__}"], **kwargs}
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the seed, with a correct help text, and the number of threads."""
        text = "Random seed. false: no seed; true: PL_GLOBAL_SEED, or 0 if unset."
        parser.add_argument("--seed_everything", type=bool | int, default=0, help=text)
        text = (
            "Number of CPU threads for PyTorch. By default a few steps are timed to choose the "
            "fastest number, and the run's config records it."
        )
        parser.add_argument("--num_threads", type=int | None, default=None, help=text)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the callbacks that are always there, and the default classes."""
        self.command_parser = parser
        for group in ("checkpoint", "early_stopping", "predictions", "pictures"):
            parser.add_lightning_class_args(cast(Any, GROUPS[group]), group)
        parser.set_defaults({"model": {"class_path": "LeNet"}, "data": {"class_path": "MNIST"}})

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the command line, with the checkpoint's model and data as defaults."""
        command = self.command
        if not command:
            parse(parser, parser, args, "", {})
            raise UserError(f"no command given. Choose from {', '.join(COMMANDS)}.")
        first = look(command, args)
        not_found = self._use_checkpoint(first)
        self._link_sizes()
        self.config = parse(parser, self.command_parser, first.args, command, first.classes)
        if not_found is not None:
            raise not_found
        if self.checkpoint_path is not None:
            # Not yet the file: Lightning would let its hyperparameters override the options.
            self.config[command]["ckpt_path"] = None
            _say(f"Checkpoint: {runs.short_path(self.checkpoint_path)}", file=sys.stderr)
        config = self.config[command]
        check_seed(config["seed_everything"])
        for group, cls in GROUPS.items():
            check_values(group, config[group], cls)
        match_model_and_data(command, config["model"], config["data"])

    def _use_checkpoint(self, first: FirstLook) -> UserError | None:
        """Find the checkpoint of the command, and use it for the defaults.

        Returns:
            The error for a missing default checkpoint, since --help and --print_config need none.
        """
        if self.trains and first.ckpt_path is None:
            return None
        if not self.trains:
            self.command_parser.set_defaults({"ckpt_path": "best"})
        try:
            self.checkpoint_path = runs.find_checkpoint(
                first.ckpt_path or "best",
                first.root or ROOT,
                in_folder="last" if self.trains else "best",
            )
            self.checkpoint = checkpoints.read(self.checkpoint_path)
            self._default_to_checkpoint(self.checkpoint, self.checkpoint_path, first)
            if self.trains and runs.resumes_in_place(self.checkpoint_path):
                self._default_to_run(runs.folder_of(self.checkpoint_path), first)
        except UserError as e:
            if first.is_typed:
                raise
            return e
        return None

    def _link_sizes(self) -> None:
        """Link the sizes of the data to the model, unless a checkpoint's model sets them."""
        path = self.checkpoint_path
        trained = {} if self.checkpoint is None else checkpoints.trained_sizes(self.checkpoint)
        for name in checkpoint_defaults.LINKED:
            check = None
            if name in trained and path is not None:
                check = functools.partial(
                    checkpoint_defaults.check_trained, name, trained[name], path
                )
                check.__name__ = "check_trained"  # type: ignore[attr-defined]  # for the help
                check = construction.LetThrough(check)
            source, target = f"data.{name}", f"model.init_args.{name}"
            self.command_parser.link_arguments(source, target, check, apply_on="instantiate")

    def _default_to_checkpoint(
        self, checkpoint: dict[str, Any], path: Path, first: FirstLook
    ) -> None:
        """Use a checkpoint's model and data as defaults."""
        for name, spec in checkpoints.class_specs(checkpoint, first.classes).items():
            trusted_names.check_names({name: spec}, path, first.words)
            if name == "model" and name not in first.classes and path.suffix == ".safetensors":
                training.check_shapes(checkpoint, path)
            checkpoint_defaults.check_options(name, spec, path)
            for linked in checkpoint_defaults.LINKED if name == "model" else ():
                spec["init_args"].pop(linked, None)
            self.command_parser.set_defaults({name: spec})

    def _default_to_run(self, folder: Path, first: FirstLook) -> None:
        """Use the config of a resumed run for the defaults of all other options."""
        config = folder / runs.CONFIG
        options = runs.read_config(config, str(config))
        options = {
            name: value
            for name, value in options.items()
            if name not in ("model", "data", "ckpt_path")
        }
        allowed = trusted_names.ALLOWED_IN_RUNS
        trusted_names.check_names(options, config, first.words, allowed, GROUPS)
        for name, value in flatten_groups(options).items():
            try:
                self.command_parser.set_defaults({name: value})
            except KeyError as e:
                known = nearest(name, command_options(self.command_parser, {}))
                raise UserError(f"{config}: {name}: no such option.{known}") from e

    def before_instantiate_classes(self) -> None:
        """Set the checkpoint, and keep errors of the trainer's classes unchanged."""
        if self.checkpoint_path is not None:
            self.config[self.command]["ckpt_path"] = str(self.checkpoint_path)
        for base in construction.OPTIONS.values():
            self.parser.add_instantiator(construction.construct, base, subclasses=True)

    def instantiate_classes(self) -> None:
        """Create model, data and trainer."""
        construction.as_raised(super().instantiate_classes)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Create the trainer and the folder of the run."""
        self._check_agreement()
        config = self.config_init[self.command]
        options = config["trainer"]
        if self.command in ("export", "demo") and config["num_threads"] is not None:
            torch.set_num_threads(config["num_threads"])  # these commands call no callbacks
        callbacks = self._callbacks(config)
        run_dir = None if options["fast_dev_run"] else self._make_run_dir(options)
        if run_dir is not None:
            for callback in callbacks:
                if isinstance(callback, ModelCheckpoint):
                    callback.dirpath = callback.dirpath or os.path.join(run_dir, "checkpoints")
        self.command_parser.callback_keys = []  # they are in the list already
        defaults = self.command_parser.get_defaults()
        defaults = {name: defaults.get(f"trainer.{name}") for name in vars(options)}
        try:
            kwargs |= self._switches(options, callbacks) | self._loggers(options, run_dir)
            with construction.naming(vars(options), defaults):
                trainer = super().instantiate_trainer(callbacks=callbacks, **kwargs)
        except BaseException:
            runs.discard_empty(run_dir, 0)
            raise
        trainer = cast(Trainer, trainer)
        trainer.run_dir = run_dir
        return trainer

    def _check_agreement(self) -> None:
        """Check that model, data and checkpoint fit together."""
        checkpoint_defaults.check_sizes(
            self.config[self.command]["model"]["init_args"], self.datamodule
        )
        if self.checkpoint is None or self.checkpoint_path is None:
            return
        checkpoints.check_fits(self.checkpoint, self.model, self.checkpoint_path)
        for warning in checkpoint_defaults.other_splits(
            self.checkpoint, self.datamodule, self.command
        ):
            _say(warning, file=sys.stderr)
        self.other_data = checkpoint_defaults.other_data(
            self.checkpoint, self.datamodule, self.command
        )
        self.checkpoint = None  # no longer needed, and memory-mapped

    def _make_run_dir(self, options: Any) -> str | None:
        """Return the folder for files: the checkpoint's run, or a new run.

        Returns:
            The folder, or None for a new run in processes other than the first.
        """
        path = self.checkpoint_path
        if path is not None and (not self.trains or runs.resumes_in_place(path)):
            folder = runs.folder_of(path)
            if self.other_data is not None:
                folder /= self.other_data
                others = "images" if self.command == "validate" else "data"
                _say(
                    f"The {others} differ from those of the training. Results go to "
                    f"{runs.short_path(folder)}",
                    file=sys.stderr,
                )
            return str(folder)
        if getattr(rank_zero_only, "rank", 0) > 0:
            return None
        name = f"{type(self.model).__name__}-{type(self.datamodule).__name__}"
        return str(runs.create(options["default_root_dir"] or ".", name))

    def _callbacks(self, config: Any) -> list[pl.Callback]:
        """List the trainer's callbacks in the order of their calls. Checkpoints are called last."""
        options = config["trainer"]
        bare = options["barebones"]
        fast = options["fast_dev_run"]
        chosen = options["callbacks"] or []
        chosen = chosen if isinstance(chosen, list) else [chosen]
        callbacks: list[pl.Callback] = [
            training.Threads(config["num_threads"]),  # before what the others compute
            *chosen,
        ]
        if self.command != "fit":
            callbacks.append(training.ResultFile())
        if self.trains and not bare:
            callbacks.append(config["early_stopping"])
        if self.command in ("predict", "run"):
            callbacks.append(config["predictions"])
        callbacks.append(config["pictures"])
        construction.check_callbacks(callbacks)
        keeps = self.trains and not bare and options["enable_checkpointing"] is not False
        if keeps:
            callbacks += [training.EpochRow(), config["checkpoint"]]
        if self.trains and not bare and not fast:
            last = [training.LastCheckpoint()] if keeps else []
            callbacks += [training.FiniteLoss(), *last, training.Interruption(keeps)]
        for option, kind, ours in (
            ("enable_model_summary", ModelSummary, training.ModelSummary),
            ("enable_progress_bar", ProgressBar, training.ProgressBar),
        ):
            is_chosen = any(isinstance(callback, kind) for callback in chosen)
            if options[option] is not False and not bare and not is_chosen:
                callbacks.append(ours())
        return callbacks

    def _switches(self, options: Any, callbacks: list[pl.Callback]) -> dict[str, Any]:
        """Disable the callbacks that Lightning would add in addition to ours."""
        ours = (training.EpochRow, training.BestCheckpoint, training.LastCheckpoint)
        kept = [callback for callback in callbacks if isinstance(callback, Checkpoint)]
        switches: dict[str, Any] = {"enable_checkpointing": bool(kept)}
        if options["barebones"]:
            switches["enable_checkpointing"] = None
        elif options["enable_checkpointing"] is False and not all(
            isinstance(callback, (*ours, training.Interruption)) for callback in kept
        ):
            switches["enable_checkpointing"] = False  # Lightning raises an error
        if any(isinstance(callback, training.ModelSummary) for callback in callbacks):
            switches["enable_model_summary"] = False
        return switches

    def _loggers(self, options: Any, run_dir: str | None) -> dict[str, Any]:
        """Return the trainer's default loggers. Evaluations do not log."""
        if options["barebones"] or options["logger"] not in (None, True):
            return {}
        if not self.trains or options["fast_dev_run"]:
            return {"logger": False}
        folder = run_dir or options["default_root_dir"] or "."
        board = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)
        return {"logger": [board, training.MetricsFile(folder)]}

    def after_fit(self) -> None:
        """Print the result of the training, its folder and the next command."""
        trainer = cast(Trainer, self.trainer)
        best = trainer.best
        folder = trainer.run_dir
        if folder is None:
            return
        if best is None or not best.best_model_path:
            return _say(f"No best weights were saved. The files are in {runs.short_path(folder)}.")
        _say(f"{best.verdict}. Weights saved to")
        _say(f"  {runs.short_path(best.best_model_path)}")
        options = runs.command_options(folder, self.model, self.datamodule)
        following = f"test {options}"
        if self.command == "run":
            following = f"predict {options} --data.predict_path YOUR_IMAGES"
        _say(f"Next:\n  lenet {following}")

    def after_run(self) -> None:
        """Print the result of the training and its folder."""
        self.after_fit()
        self.after_predict()

    def after_predict(self) -> None:
        """Exit with code 1 if some of the user's images could not be predicted."""
        if self.datamodule.user_images is not None and self.datamodule.user_images.left_out:
            raise SystemExit(1)


@rank_zero_only
def _say(text: str, **kwargs: Any) -> None:
    print(text, flush=True, **kwargs)
