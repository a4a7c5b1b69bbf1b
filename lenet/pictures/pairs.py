"""What ``predict`` leaves of images of one's own: what was given beside what the network saw."""

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from lenet.data.images.files import open_image
from lenet.data.images.user_images import UserImages, display_path
from lenet.errors import printable
from lenet.writing import atomic_write

__all__ = ["say_left_out", "say_predictions", "write_pairs"]

GIVEN_SIZE = 240  # pixels of the longer side of a picture in the sheet
SAID = 10  # predictions that are printed
PAIRS_A_ROW = 4
WIDE, HIGH = 3.9, 2.15  # inches of a pair
MOST = 1000  # pairs in a sheet: an image of matplotlib's has no more than 65,536 rows


def write_pairs(path: Path, files: list[str], seen: Tensor, titles: list[str]) -> None:
    """Draw each file beside the image ``(C, H, W)`` in 0..255 that the network saw of it."""
    if not files:
        return
    from matplotlib.figure import Figure

    from lenet.pictures.drawing import drawable_names

    files = files[:MOST]
    columns = min(PAIRS_A_ROW, len(files))
    rows = -(-len(files) // columns)
    # Placed by hand: matplotlib's own layout of many pairs takes minutes, or ends the program.
    figure = Figure(figsize=(WIDE * columns, HIGH * rows))
    for i, (file, image, title) in enumerate(zip(files, seen, titles, strict=False)):
        row, column = divmod(i, columns)
        bottom = (rows - 1 - row + 0.03) / rows
        [name] = drawable_names([display_path(Path(file).name)], f"no. {i}")
        for half, (picture, text, color) in enumerate(
            (
                (
                    _thumbnail(file),
                    name if len(name) <= 22 else f"{name[:10]}...{name[-9:]}",
                    "gray",
                ),
                (image.permute(1, 2, 0).squeeze(-1).numpy(), title, "black"),
            )
        ):
            left = (column + 0.05 + 0.46 * half) / columns
            axis = figure.add_axes((left, bottom, 0.44 / columns, 0.8 / rows))
            axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
            axis.set_title(text, fontsize=10, color=color, parse_math=False)
            axis.set_axis_off()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # of a name in another script
        with atomic_write(path) as part:
            figure.savefig(part, dpi=110, format="png")


def _thumbnail(file: str) -> Image.Image:
    """Make a small picture of a file, as it was given; what is transparent is chequered."""
    try:
        with open_image(file, 2 * GIVEN_SIZE) as image:
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
    gray = (200 - 60 * (squares % 2)).byte().numpy()
    chequered = Image.fromarray(gray).convert("RGBA")
    picture = Image.alpha_composite(chequered, small).convert("RGB")
    return ImageOps.pad(picture, (GIVEN_SIZE, GIVEN_SIZE), color="white")


def say_predictions(own: UserImages, said: list[str]) -> None:
    """Print the first predictions, and what was left out."""
    print(f"Predicted {len(own):,} of {len(own) + len(own.left_out):,} images:")
    for file, text in list(zip(own.paths, said, strict=True))[:SAID]:
        print(printable(f"  {display_path(file)}: {text}"))
    if len(own) > SAID:
        print(f"  and {len(own) - SAID:,} more")
    say_left_out(own)


def say_left_out(own: UserImages) -> None:
    """Print on standard error what was left out, with its reason."""
    for file, reason in own.left_out:
        print(printable(f"lenet: {display_path(file)}: left out: {reason}"), file=sys.stderr)
