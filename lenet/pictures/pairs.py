"""The output of ``predict`` for your images: each file next to the image that the network saw."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from lenet.data.images.files import open_image
from lenet.data.images.user_images import UserImages, display_path
from lenet.errors import printable
from lenet.pictures.drawing import GRAY, drawable_names
from lenet.pictures.sheet import Tile, draw_sheet

__all__ = ["SIDE", "draw_pairs", "print_left_out", "print_predictions"]

THUMBNAIL_SIZE = 240  # pixels: height and width
MAX_PRINTED = 10  # predictions on the screen
PAIRS_PER_ROW = 4
SIDE = 1.7  # inches


def draw_pairs(
    path: Path, files: Sequence[str], seen: Tensor, predictions: Sequence[str]
) -> Path | None:
    """Draw each file next to the image ``(C, H, W)`` in 0..255 that the network saw."""
    tiles = []
    for i, (file, image, prediction) in enumerate(zip(files, seen, predictions, strict=True)):
        [name] = drawable_names([display_path(Path(file).name)], f"no. {i}")
        name = name if len(name) <= 22 else f"{name[:10]}...{name[-9:]}"
        tiles += [Tile(_thumbnail(file), name, GRAY), Tile(image, prediction)]
    return draw_sheet(path, tiles, 2 * PAIRS_PER_ROW, SIDE, group=2)


def _thumbnail(file: str) -> Image.Image:
    """Return a small picture of a file. Transparent areas are checkered."""
    try:
        with open_image(file, 2 * THUMBNAIL_SIZE) as image:
            small = ImageOps.exif_transpose(image)
        if small.mode == "F" or small.mode.startswith("I"):
            values = torch.from_numpy(np.array(small.convert("F"))).nan_to_num(0, 0, 0)
            low, high = values.min(), values.max()
            bytes_ = ((values - low) / (high - low).clamp(min=1e-9) * 255).byte()
            small = Image.fromarray(bytes_.numpy())
        small = small.convert("RGBA")
        small.thumbnail((THUMBNAIL_SIZE, THUMBNAIL_SIZE), reducing_gap=2.0)
    except Exception:  # changed or deleted since it was predicted
        return Image.new("RGB", (THUMBNAIL_SIZE, THUMBNAIL_SIZE), "silver")
    if max(small.size) < THUMBNAIL_SIZE:
        factor = THUMBNAIL_SIZE // max(small.size)
        small = small.resize([factor * side for side in small.size], Image.Resampling.NEAREST)
    small = ImageOps.expand(small, 1, "silver")
    squares = torch.arange(small.height)[:, None] // 12 + torch.arange(small.width) // 12
    gray = (200 - 60 * (squares % 2)).byte().numpy()
    checkered = Image.fromarray(gray).convert("RGBA")
    picture = Image.alpha_composite(checkered, small).convert("RGB")
    return ImageOps.pad(picture, (THUMBNAIL_SIZE, THUMBNAIL_SIZE), color="white")


def print_predictions(user_images: UserImages, predictions: Sequence[str]) -> None:
    """Print the first predictions and the skipped images."""
    predicted = len(user_images)
    left_out = len(user_images.left_out)
    print(f"Predicted {predicted:,} of {predicted + left_out:,} images:")
    for file, prediction in list(zip(user_images.paths, predictions, strict=True))[:MAX_PRINTED]:
        print(printable(f"  {display_path(file)}: {prediction}"))
    if predicted > MAX_PRINTED:
        print(f"  and {predicted - MAX_PRINTED:,} more")
    print_left_out(user_images)


def print_left_out(user_images: UserImages) -> None:
    """Print the skipped images to standard error, each with the reason."""
    for file, reason in user_images.left_out:
        print(printable(f"lenet: {display_path(file)}: skipped: {reason}"), file=sys.stderr)
