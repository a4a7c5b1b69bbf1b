"""The figures of the tutorial that no command draws. `make_figures.py` makes them."""

from itertools import product
from pathlib import Path

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from lenet import MNIST, load
from lenet.data.augmentation import Distortions
from lenet.models.rbf import BITMAPS
from lenet.pictures.drawing import INK, RED, draw, mosaic, show_image

GRAY = {"cmap": "gray", "vmin": 0, "vmax": 255}
# What each row of distortions.png shows, and the most that is done.
DISTORTIONS = {
    "rotation 10 (degrees)": Distortions(rotation=10),
    "scaling 0.1 (of the size)": Distortions(scaling=0.1),
    "shear 10 (degrees)": Distortions(shear=10),
    "translation 2 (pixels)": Distortions(translation=2),
    "elastic 0.8 (pixels)": Distortions(elastic=0.8),
    "all of them": Distortions(rotation=10, scaling=0.1, shear=10, translation=2, elastic=0.8),
}


def signed(numbers: Tensor) -> dict:
    """Give the colors of numbers: red above 0, blue below."""
    limit = float(numbers.abs().max())
    return {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}


def digits() -> Tensor:
    """Give the first test image of each digit ``(10, 1, 32, 32)``, in 0..255."""
    data = MNIST()
    images, labels = data.read(train=False)
    return data.to_size(images[[int((labels == i).nonzero()[0]) for i in range(10)]])


def first_layers(run: Path) -> tuple[Tensor, Tensor, list[Tensor], tuple[int, int]]:
    """Give a 7 as the network sees it, its kernels, and what its first three layers make of it.

    The last are the two kernels that are the most unlike each other.
    """
    model = load(run)
    layers = list(model.network.children())[:3]
    with torch.no_grad():
        pixels = MNIST().normalize(digits()[7:8], model.input_range)
        outputs = [nn.Sequential(*layers[: i + 1])(pixels)[0] for i in range(3)]
    kernels = next(layers[0].parameters()).detach()[:, 0]
    alike = torch.corrcoef(kernels.flatten(1))
    return pixels[0, 0], kernels, outputs, divmod(int(alike.argmin()), len(kernels))


def draw_patch(run: Path, path: Path) -> None:
    """Draw one number of a feature map: a patch of the image, times the kernel, added up."""
    pixels, kernels, (sums, *_), (chosen, _) = first_layers(run)
    row, column = divmod(int(sums[chosen].argmax()), sums.shape[2])
    patch, kernel = pixels[row : row + 5, column : column + 5], kernels[chosen]
    tables = {"patch": patch, "kernel": kernel, "products": patch * kernel}
    total, result = float((patch * kernel).sum()), float(sums[chosen, row, column])

    def picture(figure: Figure) -> None:
        first, *middle, last = figure.subplots(1, 5)
        show_image(first, digits()[7, 0], **GRAY)
        first.set_title("image")
        first.add_patch(Rectangle((column - 0.5, row - 0.5), 5, 5, fill=False, edgecolor=RED))
        for axis, (title, table) in zip(middle, tables.items(), strict=True):
            show_image(axis, table, **signed(table))
            axis.set_title(title)
            for y, x in product(range(5), repeat=2):
                color = "white" if table[y, x].abs() > 0.6 * table.abs().max() else INK
                number = f"{table[y, x]:.1f}".replace("-0.0", "0.0")
                axis.text(x, y, number, size=7, ha="center", va="center", color=color)
        show_image(last, sums[chosen], **signed(sums[chosen]))
        last.set_title(
            f"sum {total:.1f}, bias {result - total:.1f}:\n{result:.1f} in the feature map"
        )
        last.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=INK))

    draw(path, (9.6, 2.3), picture)


def draw_convolution(run: Path, path: Path) -> None:
    """Draw what two kernels of the first layer make of a test image: sums, activation, pooling."""
    _, kernels, (sums, kept, pooled), chosen = first_layers(run)

    def picture(figure: Figure) -> None:
        titles = ("image", "kernel", "convolution", "activation", "pooling")
        for row, axes in zip(chosen, figure.subplots(2, len(titles)), strict=True):
            maps = (digits()[7, 0], kernels[row], sums[row], kept[row], pooled[row])
            for axis, title, shown in zip(axes, titles, maps, strict=True):
                colors = signed((kernels if title == "kernel" else sums)[row])
                show_image(axis, shown, **(GRAY if title == "image" else colors))
                height, width = shown.shape
                axis.set_title(f"{title}\n{height}x{width}")

    draw(path, (8.2, 3.7), picture)


def draw_distortions(path: Path) -> None:
    """Draw one digit, and what each distortion makes of it, nine times over."""
    image = digits()[4:5].float()

    def picture(figure: Figure) -> None:
        for axis, (title, distortions) in zip(
            figure.subplots(len(DISTORTIONS), 1), DISTORTIONS.items(), strict=True
        ):
            made = distortions(image.repeat(9, 1, 1, 1), torch.Generator().manual_seed(0))
            show_image(axis, mosaic(torch.cat([image, made])[:, 0], 10, gap=2, fill=255), **GRAY)
            axis.set_title(title, loc="left")

    draw(path, (6.6, 5.4), picture)


def draw_codes(run: Path, path: Path) -> None:
    """Draw the ten codes of LeNet5's output, and what its layer F6 makes of ten test images."""
    model = load(run)
    with torch.no_grad():
        pixels = MNIST().normalize(digits(), model.input_range)
        drawn = nn.Sequential(*list(model.network.children())[:-1])(pixels)
    rows = {
        "test images": (digits()[:, 0], GRAY),
        "what F6 draws": (drawn.view(10, 12, 7), signed(torch.tensor(1.7))),
        "the ten drawings": (BITMAPS.view(10, 12, 7), signed(torch.tensor(1.7))),
    }

    def picture(figure: Figure) -> None:
        for axis, (title, (images, colors)) in zip(
            figure.subplots(len(rows), 1), rows.items(), strict=True
        ):
            show_image(axis, mosaic(images, 10, gap=images.shape[2] // 7), **colors)
            axis.set_title(title, loc="left")

    draw(path, (6.6, 4.2), picture)
