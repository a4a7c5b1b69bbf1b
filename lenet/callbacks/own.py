"""What ``predict`` leaves of images of one's own: what was given beside what the network saw."""

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from lenet.data.own import OwnImages, shown

__all__ = ["say_predictions", "write_pairs"]

GIVEN_SIZE = 240  # pixels of the longer side of a picture in the sheet
SAID = 10  # predictions that are printed
PAIRS_A_ROW = 4


def write_pairs(path: Path, files: list[str], seen: Tensor, titles: list[str]) -> None:
    """Draw each file beside the image ``(C, H, W)`` in 0..255 that the network saw of it."""
    if not files:
        return
    from matplotlib.figure import Figure

    columns = min(PAIRS_A_ROW, len(files))
    rows = -(-len(files) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.3 * rows + 0.1), layout="constrained")
    cells = figure.subfigures(rows, columns, squeeze=False).flatten()
    for cell, file, image, title in zip(cells, files, seen, titles, strict=False):
        left, right = cell.subplots(1, 2)
        left.imshow(_thumbnail(file))
        right.imshow(image.permute(1, 2, 0).squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=255)
        for axis in (left, right):
            axis.set_axis_off()
        name = shown(Path(file).name)
        name = name if len(name) <= 22 else f"{name[:10]}...{name[-9:]}"
        left.set_title(name, fontsize=10, color="dimgray", parse_math=False)
        right.set_title(title, fontsize=11, parse_math=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # of a name in another script
        figure.savefig(path, dpi=110)


def _thumbnail(file: str) -> Image.Image:
    """Make a small picture of a file, as it was given; what is transparent is chequered."""
    try:
        with Image.open(file) as image:
            image.draft("RGB", (2 * GIVEN_SIZE, 2 * GIVEN_SIZE))
            small = ImageOps.exif_transpose(image)
        if small.mode == "F" or small.mode.startswith("I"):
            values = torch.from_numpy(np.array(small.convert("F"))).nan_to_num(0, 0, 0)
            low, high = values.min(), values.max()
            bytes_ = ((values - low) / (high - low).clamp(min=1e-9) * 255).byte()
            small = Image.frombytes("L", small.size, bytes_.numpy().tobytes())
        small = small.convert("RGBA")
        small.thumbnail((GIVEN_SIZE, GIVEN_SIZE), reducing_gap=2.0)
    except Exception:  # it was there when it was predicted
        return Image.new("RGB", (GIVEN_SIZE, GIVEN_SIZE), "silver")
    if max(small.size) < GIVEN_SIZE:
        factor = GIVEN_SIZE // max(small.size)
        small = small.resize([factor * side for side in small.size], Image.Resampling.NEAREST)
    small = ImageOps.expand(small, 1, "silver")
    squares = torch.arange(small.height)[:, None] // 12 + torch.arange(small.width) // 12
    grey = (200 - 60 * (squares % 2)).byte().numpy()
    chequered = Image.fromarray(grey).convert("RGBA")
    picture = Image.alpha_composite(chequered, small).convert("RGB")
    return ImageOps.pad(picture, (GIVEN_SIZE, GIVEN_SIZE), color="white")


def say_predictions(own: OwnImages, said: list[str]) -> None:
    """Print the first predictions, and on standard error what was left out, with its reason."""
    print(f"Predicted {len(own):,} of {len(own) + len(own.left_out):,} images:")
    for file, text in list(zip(own.paths, said, strict=True))[:SAID]:
        print(f"  {shown(file)}: {text}")
    if len(own) > SAID:
        print(f"  and {len(own) - SAID:,} more")
    for file, reason in own.left_out:
        print(f"lenet: {shown(file)}: left out: {reason}", file=sys.stderr)
