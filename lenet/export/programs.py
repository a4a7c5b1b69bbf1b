"""Taking a trained network elsewhere: as ONNX, or as a program of PyTorch's own.

What is written is more than the network. It takes pixels in [0, 1] of the data set's own size,
brings them to size and normalizes them as the data module does, and gives probabilities. A file is
put in place when it has been run, and has given what the model gives.
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

# The first whose Resize is antialiased, as the data modules' is. It came out at the end of 2022, so
# that all runtimes in use read it.
OPSET = 18
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


class Program(nn.Module):
    """A model with all that a data module does to its images before.

    Takes pixels ``(N, C, H, W)`` in [0, 1] and gives probabilities ``(N, K)``.

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
    """Refuse a file that cannot be written, before there is any work.

    Raises:
        UserError: With the reason.
    """
    path = Path(output).expanduser()
    option = f"--output {output}"
    if path.suffix not in (".onnx", ".pt2", ".safetensors"):
        raise UserError(f"{option}: must end in .onnx, .pt2 or .safetensors.")
    if path.is_dir():
        raise UserError(f"{option}: is a folder. Name a file in it.")
    if not path.parent.is_dir():
        raise UserError(f"{option}: there is no folder {path.parent}. Make it, or name another.")
    if path.exists() and not os.access(path, os.W_OK):
        raise UserError(f"{option}: is read-only. Name another file.")
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing and path.suffix == ".onnx":
        raise UserError(
            f"{option}: needs {', '.join(missing)}. Type pip install 'lenet[export]', or let the "
            "file end in .pt2, which needs nothing further."
        )
    return path.absolute()


def export(
    model: ImageClassifier, data: ImageDataModule, output: str | Path, checkpoint: str = ""
) -> Path:
    """Write a model to a file that runs without ``lenet``, or its weights, and check that file.

    Args:
        model: Trained model, on the CPU.
        data: Data module that it was trained on. Its images are not needed, but if there are test
            images, the file is checked on them as well.
        output: File, which ends in .onnx, .pt2 or .safetensors. An existing file is replaced.
        checkpoint: Run and file of the weights, to be written into the file.

    Returns:
        The file.

    Raises:
        UserError: If the file cannot be written, the model cannot be exported, or the file does not
            give what the model gives. Nothing is left behind then.
    """
    path = check_output(output)
    data.match_size(model)
    if path.suffix == ".safetensors":
        return _export_weights(model, data, path)
    size = data.native_size or data.image_size
    shape = (data.in_channels, size, size)
    channels = "gray" if data.in_channels == 1 else "red, green and blue"
    name = type(model).__name__
    metadata = {  # what the file says of itself
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
        raise UserError(f"--output {output}: {e.strerror}. Name a file elsewhere.") from e
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
        if not difference <= allowed:  # nor is a NaN
            raise UserError(
                f"--output {output}: not written, since its probabilities are up to "
                f"{difference:.2g} off those of {name}, where {allowed:.2g} is allowed."
            )
        os.replace(file, path)
    more = f", more than {TOLERANCE:g} by its own rounding" if difference > TOLERANCE else ""
    print(
        f"Exported {runs.short_path(path)}, {path.stat().st_size / 1000:,.0f} kB. Run on "
        f"{sum(map(len, images)):,} images, its probabilities are within {difference:.2g} of the "
        f"model's{more}."
        f"\n  in   {metadata['input']}\n  out  {metadata['output']}"
    )
    return path


def _export_weights(model: ImageClassifier, data: ImageDataModule, path: Path) -> Path:
    """Write the weights alone, for ``--ckpt_path`` and ``load`` of another machine."""
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
        f"{type(model).__name__}, to use with --ckpt_path {runs.short_path(path)}."
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
            f"{metadata['model']} cannot be exported as ONNX: {_reason(e)} As .pt2 it can."
        ) from e
    assert onnx_program is not None
    proto = onnx_program.model_proto
    # What it says of our source, paths on this machine included, is nobody's business.
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
    """Find the line of a long message that says what is wrong."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0] if lines else type(error).__name__
    return reason if reason.endswith((".", "!", "?")) else f"{reason}."
