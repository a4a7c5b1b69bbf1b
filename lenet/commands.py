"""The trainer with all commands: also those that need more than training, export and demo."""

from pathlib import Path

from lenet import runs, training
from lenet.data import ImageDataModule
from lenet.models import ImageClassifier
from lenet.runs import checkpoints, explains_ckpt_path

__all__ = ["COMMANDS", "Trainer"]

# Each command, and those of its arguments that are no options.
_EVALUATION = {"model", "dataloaders", "datamodule", "verbose", "return_predictions"}
COMMANDS = {
    "fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule"},
    "validate": _EVALUATION,
    "test": _EVALUATION,
    "predict": _EVALUATION,
    "run": {"model", "datamodule"},
    "export": {"model", "datamodule"},
    "demo": {"model", "datamodule"},
}


class Trainer(training.Trainer):
    """Lightning's trainer, whose methods are the commands, and that reads only safe checkpoints.

    Adds ``export`` and ``demo`` to :class:`lenet.training.Trainer`.

    Args:
        **kwargs: Passed on to :class:`lenet.training.Trainer`.
    """

    @explains_ckpt_path
    def export(
        self,
        model: ImageClassifier,
        datamodule: ImageDataModule,
        output: str | None = None,
        ckpt_path: str | None = None,
    ) -> Path:
        """Write the network as a program that runs without lenet, or its weights to give away.

        ONNX and PyTorch's own .pt2 are programs: pixels in [0, 1] of the data set's own size go
        in, probabilities come out. A program is run and compared with the model before the file is
        put in place.

        Args:
            model: Model to export.
            datamodule: Data module that it was trained on. Its images are not needed.
            output: File to write: .onnx, .pt2, or .safetensors for the weights alone, which
                --ckpt_path takes. An existing file is replaced. By default the checkpoint's name
                with .onnx, in its run.
            ckpt_path: Checkpoint to export: {evaluated}.
        """
        from lenet.export import export

        path = self.find_checkpoint(ckpt_path)
        if output is None:
            output = str(runs.folder_of(path) / f"{path.stem}.onnx") if path else "lenet.onnx"
        if path is not None:
            checkpoints.load_weights(model, checkpoints.read(path), path)
        said = path.relative_to(runs.folder_of(path).parent).as_posix() if path else ""
        return export(model, datamodule, output, said)

    @explains_ckpt_path
    def demo(
        self,
        model: ImageClassifier,
        datamodule: ImageDataModule,
        ckpt_path: str | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        open_browser: bool = True,
    ) -> None:
        """Open a page in the browser to draw on, and see what the network makes of it.

        Args:
            model: Model to show.
            datamodule: Data module that it was trained on. Its images need not be there.
            ckpt_path: Checkpoint to show: {evaluated}.
            host: Address to listen on. 0.0.0.0 lets whoever can reach this machine open the page.
            port: Port to listen on, 0 for any. By default the first free one from 7860 on.
            open_browser: Whether to open the page in a browser, where there is one.
        """
        from lenet.demo import serve

        path = self.find_checkpoint(ckpt_path)
        if path is not None:
            checkpoints.load_weights(model, checkpoints.read(path), path)
        once = bool(getattr(self, "fast_dev_run", False))  # only to see whether it works
        serve(model, datamodule, path, host, port, open_browser, once)
