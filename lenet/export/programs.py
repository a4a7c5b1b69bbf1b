"""Exporting a trained network to ONNX or to a PyTorch program.

The exported program includes the preprocessing: it takes pixels in [0, 1] at the published size of
the data set, resizes and normalizes them like the data module, and returns probabilities. A file is
written only after it has been run and returned the same probabilities as the model.
"""

import contextlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from lenet import __version__, runs
from lenet.data import ImageDataModule
from lenet.errors import UserError
from lenet.export.agreement import TOLERANCE, Classify, batches, classify, compare
from lenet.models import ImageClassifier
from lenet.noise import quiet
from lenet.runs.weights import read_weights, write_weights
from lenet.writing import atomic_write

__all__ = ["Program", "check_output", "export"]

# The first version whose Resize supports antialiasing, which the data modules use. It was released
# at the end of 2022, so current runtimes support it.
OPSET = 18
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


class Program(nn.Module):
    """A model with the preprocessing of its data module.

    Takes pixels ``(N, C, H, W)`` in [0, 1] and returns probabilities ``(N, K)``.

    Args:
        model: The model.
        data: The data module.
    """

    def __init__(self, model: ImageClassifier, data: ImageDataModule):
        super().__init__()
        self.model = model
        self.data = data

    def forward(self, images: Tensor) -> Tensor:
        """Map pixels ``(N, C, H, W)`` in [0, 1] to probabilities ``(N, K)``."""
        return classify(self.model, self.data, 255 * images)


def check_output(output: str | Path) -> Path:
    """Refuse a file that cannot be written, before any work is done.

    Raises:
        UserError: With the reason.
    """
    path = Path(output).expanduser()
    option = f"--output {output}"
    if path.suffix not in (".onnx", ".pt2", ".safetensors"):
        raise UserError(f"{option}: must end in .onnx, .pt2 or .safetensors.")
    if path.is_dir():
        raise UserError(f"{option}: is a folder. Give the path of a file.")
    if not path.parent.is_dir():
        raise UserError(f"{option}: there is no folder {path.parent}. Create it first.")
    if path.exists() and not os.access(path, os.W_OK):
        raise UserError(f"{option}: is read-only. Give a different path.")
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing and path.suffix == ".onnx":
        raise UserError(
            f"{option}: needs {', '.join(missing)}. Run pip install 'lenet[export]', or use a file "
            "that ends in .pt2, which needs no additional packages."
        )
    return path.absolute()


def export(
    model: ImageClassifier, data: ImageDataModule, output: str | Path, checkpoint: str = ""
) -> Path:
    """Export a model to a program that runs without ``lenet``, or to a weights file.

    Args:
        model: Trained model, on the CPU.
        data: Data module that it was trained on. Its images are optional: if the test images exist,
            the program is also checked on them.
        output: File that ends in .onnx, .pt2 or .safetensors. An existing file is replaced.
        checkpoint: Run and file of the weights, stored in the metadata.

    Returns:
        The path of the file.

    Raises:
        UserError: If the file cannot be written, the model cannot be exported, or the program and
            the model return different probabilities. In these cases no file is left behind.
    """
    path = check_output(output)
    data.match_size(model)
    if path.suffix == ".safetensors":
        return _export_weights(model, data, path)
    size = data.native_size or data.image_size
    shape = (data.in_channels, size, size)
    channels = "gray" if data.in_channels == 1 else "red, green and blue"
    name = type(model).__name__
    metadata = {
        "classes": list(data.classes),
        "model": name,
        "data": type(data).__name__,
        "checkpoint": checkpoint,
        "input": f"images: float32 (N, {', '.join(map(str, shape))}), {channels}, in [0, 1]",
        "output": f"probabilities: float32 (N, {data.num_classes})",
        "lenet": __version__,
    }
    write, load = (_write_onnx, _load_onnx) if path.suffix == ".onnx" else (_write_pt2, _load_pt2)
    try:
        folder = tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-")
    except OSError as e:
        raise UserError(f"--output {output}: {e.strerror}. Give a path in another folder.") from e
    with folder as temporary, _evaluating(model), torch.no_grad():
        file = Path(temporary) / path.name
        with quiet():
            try:
                program = torch.export.export(
                    Program(model, data).eval(),
                    (torch.rand(2, *shape),),
                    dynamic_shapes={"images": {0: Dim("N", min=1)}},
                )
            except Exception as e:
                raise UserError(
                    f"{name} cannot be exported: {_reason(e)} See docs/export.md."
                ) from e
            write(program, metadata, file)
            run = load(file)
        images = batches(data, shape)
        difference, allowed = compare(model, data, images, run)
        if not difference <= allowed:  # also refuses NaN
            raise UserError(
                f"--output {output}: not written, because its probabilities differ from those of "
                f"{name} by up to {difference:.2g}, more than the allowed {allowed:.2g}."
            )
        os.replace(file, path)
    more = f", above {TOLERANCE:g} due to its own rounding" if difference > TOLERANCE else ""
    print(
        f"Exported {runs.short_path(path)}, {path.stat().st_size / 1000:,.0f} kB. Checked on "
        f"{sum(map(len, images)):,} images: its probabilities differ from the model's by at most "
        f"{difference:.2g}{more}."
        f"\n  in   {metadata['input']}\n  out  {metadata['output']}"
    )
    return path


def _export_weights(model: ImageClassifier, data: ImageDataModule, path: Path) -> Path:
    """Write only the weights, for ``--ckpt_path`` and ``load`` on a different machine."""
    weights = model.state_dict()
    description = {
        "model": dict(model.hparams),
        "data": dict(data.hparams),
        "classes": list(data.classes),
        "version": __version__,
    }
    with atomic_write(path) as part:
        write_weights(part, weights, description)
        read = read_weights(part)["state_dict"]
        assert read.keys() == weights.keys()
        assert all(value.equal(weights[name].cpu()) for name, value in read.items())
    print(
        f"Exported {runs.short_path(path)}, {path.stat().st_size / 1000:,.0f} kB: the weights of "
        f"{type(model).__name__}. Use them with --ckpt_path {runs.short_path(path)}."
    )
    return path


def _write_onnx(program: ExportedProgram, metadata: dict[str, Any], file: Path) -> None:
    import onnx

    try:
        onnx_program = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["probabilities"],
        )
    except Exception as e:
        raise UserError(
            f"{metadata['model']} cannot be exported as ONNX: {_reason(e)} Use a file that ends in "
            ".pt2 instead."
        ) from e
    assert onnx_program is not None
    proto = onnx_program.model_proto
    # Remove debugging information, which includes paths on this machine.
    graph = proto.graph
    values = [*graph.input, *graph.output, *graph.value_info]
    for part in (proto, graph, *graph.node, *graph.initializer, *values, *proto.functions):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    [batch] = {graph.input[0].type.tensor_type.shape.dim[0].dim_param}
    for value in values:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == batch:
                dim.dim_param = "N"
    classes = json.dumps(metadata["classes"], ensure_ascii=False)
    onnx.helper.set_model_props(proto, {**metadata, "classes": classes})
    onnx.save(proto, file)


def _load_onnx(file: Path) -> Classify:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(
        session.run(["probabilities"], {"images": (images.float() / 255).numpy()})[0]
    )


def _write_pt2(program: ExportedProgram, metadata: dict[str, Any], file: Path) -> None:
    description = json.dumps(metadata, ensure_ascii=False)
    torch.export.save(program, file, extra_files={"metadata.json": description})


def _load_pt2(file: Path) -> Classify:
    program = torch.export.load(file).module()
    return lambda images: program(images.float() / 255)


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _reason(error: Any) -> str:
    """Return the first line of the message of the original error."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0] if lines else type(error).__name__
    return reason if reason.endswith((".", "!", "?")) else f"{reason}."
