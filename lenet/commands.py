"""The trainer with all commands, including export and demo."""

from pathlib import Path

from lenet import runs, training
from lenet.data import ImageDataModule
from lenet.models import ImageClassifier
from lenet.runs import checkpoints, explains_ckpt_path

__all__ = ["COMMANDS", "Trainer"]

# Each command, and its arguments that are not options.
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
    """Lightning's trainer with a method for each command, and safe loading of checkpoints.

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
        """Export the network to a program that runs without lenet, or to a weights file.

        ONNX (.onnx) and PyTorch (.pt2) files are programs: they take pixels in [0, 1] at the
        published size of the data set and return probabilities. A program is run and compared with
        the model before the file is written.

        Args:
            model: Model to export.
            datamodule: Data module that it was trained on. Its images are not needed.
            output: File to write: .onnx, .pt2, or .safetensors for only the weights, which
                --ckpt_path accepts. An existing file is replaced. By default the checkpoint's name
                with .onnx, in the folder of its run.
            ckpt_path: Checkpoint to export: {evaluated}.
        """
        from lenet.export import export

        path = self.find_checkpoint(ckpt_path)
        if output is None:
            output = str(runs.folder_of(path) / f"{path.stem}.onnx") if path else "lenet.onnx"
        if path is not None:
            checkpoints.load_weights(model, checkpoints.read(path), path)
        origin = path.relative_to(runs.folder_of(path).parent).as_posix() if path else ""
        return export(model, datamodule, output, origin)

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
        """Open a web page to draw on, and show the predictions of the network.

        Args:
            model: Model to show.
            datamodule: Data module that it was trained on. Its images are not needed.
            ckpt_path: Checkpoint to show: {evaluated}.
            host: Address to listen on. 0.0.0.0 serves the page to the network.
            port: Port to listen on. 0 means any free port. By default the first free port from
                7860.
            open_browser: Whether to open the page in a browser, if there is one.
        """
        from lenet.demo import serve

        path = self.find_checkpoint(ckpt_path)
        if path is not None:
            checkpoints.load_weights(model, checkpoints.read(path), path)
        once = bool(getattr(self, "fast_dev_run", False))  # stop as soon as it works
        serve(model, datamodule, path, host, port, open_browser, once)
