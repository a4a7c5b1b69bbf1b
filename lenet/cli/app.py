"""The command line: every constructor argument is an option, every trainer method a command.

What is added to LightningCLI: which checkpoint is meant, and that it gives the defaults; run
folders; and that a mistake is one line.
"""

import sys
from pathlib import Path
from typing import Any, cast

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import ModelSummary, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from lenet import __version__, runs, training
from lenet.cli import checkpoint_defaults, construction
from lenet.cli.first_look import Glance, configs_first
from lenet.cli.parser import (
    Parser,
    bound_what_is_read,
    check_nulls,
    check_seed,
    complete,
    parse,
)
from lenet.commands import COMMANDS, Trainer
from lenet.data import ImageDataModule
from lenet.errors import UserError, nearest
from lenet.models import ImageClassifier
from lenet.pictures import Pictures, PredictionWriter
from lenet.runs import checkpoints, trusted_names
from lenet.runs.configs import flatten_groups

__all__ = ["LeNetCLI"]

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

    Who wins, for model and data: an option, then a config, then the checkpoint, then the default.
    """

    def __init__(self, args: list[str]):
        self.checkpoint: dict[str, Any] | None = None
        self.checkpoint_path: Path | None = None
        self.trained: dict[str, Any] = {}  # sizes that the checkpoint's model was trained for
        self.other_data: str | None = None  # folder of results on other data than the checkpoint's
        self.verb = next((arg for arg in args if arg in COMMANDS), None)
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
        """Name the command that is typed, or else all: the parsers of all seven take 0.3 s."""
        return {verb: COMMANDS[verb] for verb in ([self.verb] if self.verb else COMMANDS)}

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Make a parser that takes no abbreviations: a misspelt option is a mistake."""
        return super().init_parser(
            **{"allow_abbrev": False, "dump_header": [f"lenet=={__version__}"], **kwargs}
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the seed, whose help by Lightning is not what it does, and the number of threads."""
        said = "Random seed. false: no seed; true: PL_GLOBAL_SEED, or 0 if unset."
        parser.add_argument("--seed_everything", type=bool | int, default=0, help=said)
        said = (
            "Number of threads that PyTorch computes with on the CPU. By default a few steps are "
            "timed and the fastest number is taken; the run's config records it."
        )
        parser.add_argument("--num_threads", type=int | None, default=None, help=said)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the callbacks that are always there, the defaults, and what data tells the model."""
        self.command_parser = parser
        for group in ("checkpoint", "early_stopping", "predictions", "pictures"):
            parser.add_lightning_class_args(cast(Any, GROUPS[group]), group)
        parser.set_defaults({"model": {"class_path": "LeNet"}, "data": {"class_path": "MNIST"}})
        for name in checkpoint_defaults.LINKED:
            agreed = checkpoint_defaults.agreement(name, self.trained)
            agreed = construction.let_through(agreed)
            target = f"model.init_args.{name}"
            parser.link_arguments(f"data.{name}", target, agreed, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, with the checkpoint's model and data as defaults where one is meant."""
        verb = self.verb
        missing, named = None, {}
        if verb is not None:
            args = configs_first(args, verb)
            seen, evaluates = Glance.at(verb, args), verb not in ("fit", "run")
            named = seen.classes
            subparser = self.command_parser
            if evaluates:
                subparser.set_defaults({"ckpt_path": "best"})
            if seen.ckpt_path or evaluates:
                try:
                    self.checkpoint_path = runs.find_checkpoint(
                        seen.ckpt_path or "best",
                        seen.root or ROOT,
                        in_folder="best" if evaluates else "last",
                    )
                    self._take_defaults(subparser, self.checkpoint_path, seen, not evaluates)
                except UserError as e:
                    if seen.typed:
                        raise
                    missing = e  # --help and --print_config need no checkpoint
        self.config = parse(parser, args, verb or "", named)
        if verb is None:
            raise UserError(f"no command typed. There are {', '.join(COMMANDS)}.")
        if missing is not None:
            raise missing
        if self.checkpoint_path is not None:
            # Not yet the file: Lightning would let its hyperparameters override the options.
            self.config[verb]["ckpt_path"] = None
            _say(f"Checkpoint: {runs.short_path(self.checkpoint_path)}", file=sys.stderr)
        check_seed(self.config[verb]["seed_everything"])
        for group, cls in GROUPS.items():
            check_nulls(group, self.config[verb][group], cls)
        complete(verb, self.config[verb]["model"], self.config[verb]["data"])

    def _take_defaults(
        self, parser: LightningArgumentParser, path: Path, seen: Glance, trains: bool
    ) -> None:
        """Let a checkpoint's model and data be what is meant where nothing else is said.

        Where training goes on in its run, so do the run's other options, from its config.
        """
        self.checkpoint = checkpoints.read(path)
        self.trained |= {"path": path, **checkpoints.trained_sizes(self.checkpoint)}
        specs = checkpoints.class_specs(self.checkpoint, seen.classes)
        for name, spec in specs.items():
            trusted_names.check_names({name: spec}, path, seen.named)
            for linked in checkpoint_defaults.LINKED if name == "model" else ():
                spec["init_args"].pop(linked, None)
            parser.set_defaults({name: spec})
        if trains and runs.resumes_in_place(path):
            config = runs.folder_of(path) / runs.CONFIG
            said_by_it = ("model", "data", "ckpt_path")
            said = runs.read_config(config, str(config))
            options = {name: value for name, value in said.items() if name not in said_by_it}
            allowed = trusted_names.ALLOWED_IN_RUNS
            trusted_names.check_names(options, config, seen.named, allowed, GROUPS)
            for name, value in flatten_groups(options).items():
                try:
                    parser.set_defaults({name: value})
                except KeyError as e:
                    known = nearest(name, [action.dest for action in parser._actions])
                    raise UserError(f"{config}: {name}: no such option.{known}") from e

    def before_instantiate_classes(self) -> None:
        """Name the checkpoint, and let errors of the trainer's options through as they are."""
        if self.checkpoint_path is not None:
            self.config[str(self.verb)]["ckpt_path"] = str(self.checkpoint_path)
        for base in construction.OPTIONS.values():
            self.parser.add_instantiator(construction.construct, base, subclasses=True)

    def instantiate_classes(self) -> None:
        """Make model, data and trainer."""
        construction.as_raised(super().instantiate_classes)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer, and the folder that the run's files go to."""
        verb = str(self.subcommand)
        checkpoint_defaults.check_sizes(self.config[verb]["model"]["init_args"], self.datamodule)
        if self.checkpoint is not None and self.checkpoint_path is not None:
            checkpoints.check_fits(self.checkpoint, self.model, self.checkpoint_path)
            for warning in checkpoint_defaults.other_splits(self.checkpoint, self.datamodule, verb):
                _say(warning, file=sys.stderr)
            self.other_data = checkpoint_defaults.other_data(self.checkpoint, self.datamodule, verb)
            self.checkpoint = None  # not needed any more, and mapped into memory
        parser = self.command_parser
        options, trains = self.config_init[verb], verb in ("fit", "run")
        given = options["trainer"]
        bare = given["barebones"]
        keeps = trains and not bare and given["enable_checkpointing"] is not False
        if not keeps:
            kwargs["enable_checkpointing"] = None if bare else False
        works = {"checkpoint": keeps, "early_stopping": trains and not bare}
        works["predictions"] = verb in ("predict", "run")
        parser.callback_keys = [key for key in parser.callback_keys if works.get(key, True)]
        own = given["callbacks"] or []
        own = own if isinstance(own, list) else [own]
        early_stopping = [options["early_stopping"]] if works["early_stopping"] else []
        construction.check_callbacks([*early_stopping, *own])
        # The first of all: what the others do takes the threads as well.
        threads = training.Threads(options["num_threads"])
        if verb in ("export", "demo") and options["num_threads"] is not None:
            torch.set_num_threads(options["num_threads"])  # no loop, and no callback that does
        kwargs["callbacks"] = [threads, *own, *([] if verb == "fit" else [training.ResultFile()])]
        has_summary = any(isinstance(callback, ModelSummary) for callback in own)
        if given["enable_model_summary"] is not False and not bare and not has_summary:
            kwargs["enable_model_summary"] = False  # Lightning's own, which is one level deep
            kwargs["callbacks"].append(training.ModelSummary())
        has_bar = any(isinstance(callback, ProgressBar) for callback in own)
        if given["enable_progress_bar"] is not False and not bare and not has_bar:
            kwargs["callbacks"].append(training.ProgressBar())
        logs = trains and given["logger"] in (None, True) and not bare
        if given["logger"] in (None, True) and not bare:
            kwargs["logger"] = False  # until there is a folder, and an evaluation needs none
        defaults = {name: parser.get_default(f"trainer.{name}") for name in vars(given)}
        with construction.naming(vars(given), defaults):
            trainer = cast(Trainer, super().instantiate_trainer(**kwargs))
        if getattr(trainer, "fast_dev_run", False):
            return trainer
        trainer.use_folder(self._run_dir(trainer, trains), trains and not bare, keeps, logs)
        return trainer

    def _run_dir(self, trainer: Trainer, trains: bool) -> str | None:
        path = self.checkpoint_path
        if path is not None and (not trains or runs.resumes_in_place(path)):
            folder = runs.folder_of(path)
            if self.other_data is not None:
                folder /= self.other_data
                others = "images" if self.verb == "validate" else "data"
                _say(
                    f"These are other {others} than the training's. Results go to "
                    f"{runs.short_path(folder)}",
                    file=sys.stderr,
                )
            return str(folder)
        if getattr(rank_zero_only, "rank", 0) > 0:
            return None  # the first process tells its own
        name = f"{type(self.model).__name__}-{type(self.datamodule).__name__}"
        return str(runs.create(trainer.default_root_dir, name))

    def after_fit(self) -> None:
        """Say what came of the training, where it is, and what to type next."""
        trainer = cast(Trainer, self.trainer)
        best, folder = trainer.best, trainer.run_dir
        if folder is None:
            return
        if best is None or not best.best_model_path:
            return _say(f"No best weights were kept. The files are in {runs.short_path(folder)}.")
        _say(f"{best.verdict}, with the weights in")
        _say(f"  {runs.short_path(best.best_model_path)}")
        options = runs.command_options(folder, self.model, self.datamodule)
        own = f"predict {options} --data.predict_path YOUR_IMAGES"
        _say(f"Next:\n  lenet {own if self.subcommand == 'run' else f'test {options}'}")

    def after_run(self) -> None:
        """Say what came of the training, and where it is."""
        self.after_fit()
        self.after_predict()

    def after_predict(self) -> None:
        """Let the exit code say that some of one's own images could not be predicted."""
        if self.datamodule.user_images is not None and self.datamodule.user_images.left_out:
            raise SystemExit(1)


@rank_zero_only
def _say(text: str, **kwargs: Any) -> None:
    print(text, flush=True, **kwargs)
