"""The weights of the first layer as images: its kernels, or the weights of its units."""

from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor, nn

from lenet.pictures.drawing import draw, layer_name, mosaic, show_image

__all__ = ["draw_filters", "first_filters"]

MAX_FILTERS = 64


def first_filters(
    network: nn.Module, in_channels: int, image_size: int
) -> tuple[str, str, Tensor] | None:
    """Find the weights of the first layer that receives the image.

    Args:
        network: The network.
        in_channels: Channels C of an image.
        image_size: Its height and width.

    Returns:
        The layer's name, either ``kernels`` or ``units``, and their weights ``(N, C, H, W)``; or
        None if the layer's weights cannot be shown as images.
    """
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            weights = layer.weight.detach()
            seen = weights.shape[1] == in_channels and weights[0, 0].numel() > 1
            return (layer_name(name), "kernels", weights) if seen else None
        if isinstance(layer, nn.Linear):
            weights = layer.weight.detach()
            sizes = (in_channels, image_size, image_size)
            seen = weights.shape[1] == in_channels * image_size**2
            return (layer_name(name), "units", weights.unflatten(1, sizes)) if seen else None
    return None


def draw_filters(path: Path, name: str, kind: str, weights: Tensor, title: str) -> Path:
    """Draw weights ``(N, C, H, W)``: colored by sign for gray images, in RGB for color images."""
    count, channels, height, width = weights.shape
    # Shows only the strongest of many, since some units may have learned nothing.
    order = weights.flatten(1).norm(dim=1).argsort(descending=True)[:MAX_FILTERS].sort().values
    weights = weights[order].float().cpu()
    limit = float(weights.abs().flatten().quantile(0.998)) if weights.numel() < 1e7 else 1.0
    limit = limit or 1.0
    columns = _columns(len(weights))
    rows = -(-len(weights) // columns)
    tile = 1.1 if columns <= 8 else 8.8 / columns
    what = f"{count} {kind} of {height}x{width}"
    shown = f", the {len(weights)} strongest" if count > len(weights) else ""

    def picture(figure: Figure) -> None:
        figure.suptitle(f"{title}\n{name}: {what}{shown}")
        axis = figure.subplots()
        gap = max(1, height // 8)
        if channels == 3:
            colors = (0.5 + weights / (2 * limit)).clamp(0, 1).permute(0, 2, 3, 1)
            show_image(axis, mosaic(colors, columns, gap, fill=1.0))
            return
        flat = mosaic(weights.mean(dim=1), columns, gap)
        shades = show_image(axis, flat, cmap="RdBu_r", vmin=-limit, vmax=limit)
        bar = figure.colorbar(shades, ax=axis, shrink=0.8, aspect=24, pad=0.02)
        bar.outline.set_visible(False)  # type: ignore[attr-defined]
        bar.set_label("weight", fontsize=8)
        bar.ax.tick_params(labelsize=7)

    return draw(path, (max(5.0, tile * columns + 1.2), tile * rows + 0.9), picture)


def _columns(count: int) -> int:
    """Return the number of columns that fills all rows, if possible."""
    fit = [columns for columns in range(4, 13) if count % columns == 0]
    return min(fit, key=lambda columns: abs(columns - (1.5 * count) ** 0.5), default=min(count, 8))
