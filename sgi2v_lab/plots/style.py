"""What all figures share: the style sheet, figures without global state, pictures on axes, saving."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import cycle, islice
from pathlib import Path

import matplotlib
import matplotlib.style
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.files import whole_file
from sgi2v_lab.shapes import Image, Mask, Video
from sgi2v_lab.video import PALETTE

__all__ = ["STYLE", "WIDTH", "new_figure", "save_figure", "styled"]

STYLE = Path(__file__).with_name("sgi2v.mplstyle")
WIDTH = 9.0  # inches: 900 px at the style's 100 dots per inch
FORMATS = (".png", ".pdf", ".svg")


class NotebookFigure(Figure):
    """A figure that a notebook shows by itself as a cell's last value, whether or not pyplot was ever imported."""

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        with styled():
            self.savefig(buffer, format="png", dpi=self.dpi)
        return buffer.getvalue()


@contextmanager
def styled() -> Iterator[None]:
    """The package's style sheet on matplotlib's own defaults, for the length of a `with` block."""
    with matplotlib.style.context(["default", str(STYLE)]):
        yield


def new_figure(height: float | int, width: float | int = WIDTH, layout: str = "constrained") -> Figure:
    """An empty figure in inches that belongs to nobody; `layout="compressed"` packs a grid of pictures."""
    return NotebookFigure(figsize=(width, height), layout=layout)


def save_figure(figure: Figure, path: str | Path, dpi: float | int = 150) -> Path:
    """Write a figure as .png, .pdf or .svg; the same figure gives the same bytes.

    Args:
        figure: any matplotlib figure.
        path: where to; missing parent folders are made, a file of that name is replaced.
        dpi: dots per inch of a .png.

    Returns:
        The path written.

    Raises:
        InputError: another suffix, a dpi that is not positive, or a place that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"cannot save a figure as {path.name!r}; choose a name that ends in {', '.join(FORMATS)}")
    if not dpi > 0:
        raise InputError(f"dpi is {dpi}: expected a positive number such as 150")
    undated = {".png": {}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}[path.suffix.lower()]
    with whole_file(path) as temporary, styled():
        figure.savefig(temporary, dpi=dpi, metadata=undated)
    return path


# --- shared by the figures -------------------------------------------------------------------------------------------


def array(tensor: Tensor) -> np.ndarray:
    """Any tensor as a plain array of float32 (flags as booleans)."""
    tensor = tensor.detach().cpu()
    return tensor.numpy() if tensor.dtype == torch.bool else tensor.float().numpy()


def checked(tensor: Tensor, name: str, shape: str) -> Tensor:
    """The tensor, if its shape fits, e.g. "frames 3 height width"; a number must match, a word is any positive size."""
    axes = shape.split()
    fits = tensor.ndim == len(axes) and all(
        size == int(axis) if axis.isdigit() else size > 0 or axis == "boxes"
        for size, axis in zip(tensor.shape, axes, strict=False)
    )
    if not fits:
        raise InputError(f"the shape of {name} is {tuple(tensor.shape)}: expected ({', '.join(axes)})")
    return tensor


def checked_any(things: object, what: str, example: str) -> None:
    """InputError if there is none of what a figure shows, with an example of it."""
    if not things:
        raise InputError(f"there are no {what} to draw; give at least one, such as {example}")


def checked_names(names: Sequence[str] | None, default: Sequence[str]) -> Sequence[str]:
    """The names, if there is one for each box; the default ones for None."""
    if names is not None and len(names) != len(default):
        raise InputError(f"there are {len(names)} names for {len(default)} boxes: expected one for each, or None")
    return default if names is None else names


def color_each(count: int) -> list[str]:
    """One #RRGGBB of the palette for each box."""
    return list(islice(cycle(PALETTE), count))


def chosen_frames(num_frames: int, every: int | None = None, most: int = 8) -> list[int]:
    """Every `every`-th frame; None takes at most `most`, spread evenly, the first and the last among them."""
    if every is None:
        return sorted({round(i) for i in np.linspace(0, num_frames - 1, min(most, num_frames)).tolist()})
    if every < 1:
        raise InputError(f"every is {every}: expected 1 for all frames, 2 for every second one, and so on")
    return list(range(0, num_frames, every))


def show_picture(axes: Axes, image: Image | Mask, size: tuple[int, int] | None = None, **colors: object) -> AxesImage:
    """Put a picture on axes in its own pixels (or stretched to `size`, height and width): corner at 0, 0, y down.

    A map (h, w) is drawn as heat; `colors` go to `imshow`: opacity, colour map and norm.
    """
    height, width = size or image.shape[-2:]
    pixels = array(image) if image.ndim == 2 else array(image.clamp(0, 1)).transpose(1, 2, 0)
    shown = axes.imshow(pixels, extent=(0, width, height, 0), **colors if image.ndim == 2 else {})
    bare(axes, height, width)
    return shown


def bare(axes: Axes, height: int, width: int) -> None:
    """Fix the view to the picture and take ticks and frame away; whatever lies outside is cut off."""
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_visible(False)


def picture_grid(
    rows: int, columns: int, height: int, width: int, title: str | None = None
) -> tuple[Figure, np.ndarray]:
    """A figure with axes (rows, columns) for pictures of one shape, as tall as they need."""
    cell = min((WIDTH - 0.5) / columns, 4.0)
    tall = rows * (cell * height / width + 0.06) + 0.3 + (0.3 if title else 0)
    figure = new_figure(tall, width=columns * cell + 0.5, layout="compressed")
    axes = figure.subplots(rows, columns, squeeze=False)
    if title:
        figure.suptitle(title)
    return figure, axes


def color_bar(figure: Figure, axes: np.ndarray, image: AxesImage, label: str) -> Colorbar:
    """A colour bar to the right of a grid of pictures, as thin whatever the number of its rows."""
    bar = figure.colorbar(image, ax=axes, label=label, fraction=0.03, aspect=18 * len(axes), pad=0.01)
    bar.outline.set_visible(False)
    return bar


def mark_place(axes: Axes, place: float | int, name: str) -> None:
    """A dashed upright line at a place on x, with its name at the top."""
    axes.axvline(place, color="#777777", linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.annotate(
        name,
        (place, 0.97),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        va="top",
        fontsize=8,
        color="#555555",
    )


def mark_level(axes: Axes, level: float, name: str) -> None:
    """A dashed level line at a value on y, with its name at the right end."""
    axes.axhline(level, color="#777777", linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.annotate(
        name,
        (1, level),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 2),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color="#555555",
    )


def name_frames(axes: Iterable[Axes], frames: Sequence[int], column: str = "frame") -> None:
    """Number the pictures of a row by their frame, or whatever a column is, counted from 0."""
    for i, (one, frame) in enumerate(zip(axes, frames, strict=False)):
        one.set_title(f"{column} {frame}" if i == 0 else f"{frame}", fontsize=8)


def checked_video(video: Video, name: str = "the video") -> Video:
    """The video, checked."""
    return checked(video, name, "frames 3 height width")
