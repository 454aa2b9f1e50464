"""A row of pictures, numbers over anything, lengths over a video, the landscape of a loss."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from sgi2v_lab.errors import InputError, whole_number
from sgi2v_lab.plots.boxes import draw_boxes_at, heat_rows
from sgi2v_lab.plots.style import (
    array,
    checked,
    checked_any,
    checked_video,
    chosen_frames,
    color_bar,
    mark_place,
    new_figure,
    picture_grid,
    show_picture,
    styled,
)
from sgi2v_lab.shapes import Boxes, Image, Video

__all__ = ["plot_gallery", "plot_landscape", "plot_magnitudes", "plot_series"]

LINES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))


def plot_gallery(
    pictures: Mapping[str, Image], boxes: Float[Tensor, "boxes 4"] | None = None, columns: int = 6
) -> Figure:
    """Pictures of one size next to each other, each under its label, at most `columns` to a row.

    Args:
        pictures: per label, (3, height, width), 0..1.
        boxes: (boxes, 4) in pixels, drawn on every picture, or None.
        columns: the most pictures in a row.

    Raises:
        InputError: no pictures, pictures of different sizes, or no columns.
    """
    checked_any(pictures, "pictures", "{'before': picture}")
    _, height, width = next(iter(pictures.values())).shape
    for name, one in pictures.items():
        checked(one, f"the picture {name!r}", f"3 {height} {width}")
    if boxes is not None:
        checked(boxes, "the boxes", "boxes 4")
    rows = -(-len(pictures) // whole_number(columns, "columns", 1))
    columns = -(-len(pictures) // rows)
    with styled():
        # room for a line of text above every row
        figure, axes = picture_grid(rows, max(columns, 3), height, width, title=" " if rows > 1 else None)
        for one in axes.flat:
            one.set_visible(False)
        for one, (name, picture) in zip(axes[:, :columns].flat, pictures.items(), strict=False):
            one.set_visible(True)
            show_picture(one, picture)
            one.set_title(name, fontsize=8)
            draw_boxes_at(one, None if boxes is None else boxes[:, None], 0)
    return figure


def plot_series(
    x: Sequence[float | int | str],
    series: Mapping[str, Sequence[float | int] | Float[Tensor, " _"]],
    xlabel: str,
    ylabel: str,
    marks: Mapping[str, float | int] | None = None,
    log: bool = False,
) -> Figure:
    """One line with dots per label, over numbers or over names.

    Args:
        x: where each value belongs; words are put at equal distances.
        series: per label, one value for each x.
        xlabel: what x is, with its unit.
        ylabel: what the values are, with their unit.
        marks: named places on x, drawn as upright dashed lines.
        log: a logarithmic axis for the values.

    Raises:
        InputError: no series, or one with another number of values than x.
    """
    checked_any(series, "series", "{'aligned': errors}")
    words = any(isinstance(place, str) for place in x)
    places = list(range(len(x))) if words else list(x)
    with styled():
        figure = new_figure(3.2, width=6.6)
        axes = figure.subplots()
        for i, (label, values) in enumerate(series.items()):
            values = array(values) if isinstance(values, Tensor) else np.asarray(values, dtype=float)
            if values.shape != (len(x),):
                raise InputError(
                    f"the series {label!r} has shape {values.shape}: expected one value for each of {len(x)}"
                )
            axes.plot(places, values, label=label, linestyle=LINES[i % len(LINES)], marker="o", markersize=3.5)
        for name, place in (marks or {}).items():
            mark_place(axes, place, name)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        if words:
            axes.set_xticks(places, labels=[str(place) for place in x])
        elif all(float(place).is_integer() for place in places):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if log:
            axes.set_yscale("log")
        elif min(np.nanmin(line.get_ydata()) for line in axes.get_lines() if len(line.get_ydata()) == len(x)) >= 0:
            axes.set_ylim(0, None)  # a length or a loss is judged from zero
        axes.grid(axis="y")
        if len(series) > 1:
            axes.legend()
    return figure


def plot_magnitudes(
    video: Video,
    maps: Mapping[str, Float[Tensor, "frames _ _"]],
    boxes: Boxes | None = None,
    label: str = "length",
    column: str = "frame",
) -> Figure:
    """How large something is at every place of every frame: heat over the faded video, one row per label, one scale.

    At most eight frames are shown, spread evenly from the first to the last.

    Args:
        video: (frames, 3, height, width), 0..1.
        maps: per label, values (frames, h, w) of zero or more; sizes may differ from the video's.
        boxes: (boxes, frames, 4) in pixels of the video, or None.
        label: what the values are, for the colour bar.
        column: what a column is called: "latent" where each picture stands for a latent.

    Raises:
        InputError: no maps, or wrong shapes.
    """
    count = len(checked_video(video))
    checked_any(maps, "maps", "{'gradient': lengths}")
    if boxes is not None:
        checked(boxes, "the boxes", f"boxes {count} 4")
    top = max(one.max().item() for one in maps.values()) or 1.0
    with styled():
        # the colours begin pale, so that what is small lets the picture through
        colors = {"alpha": 0.75, "cmap": "YlGnBu", "norm": Normalize(0, top)}
        figure, axes, heat = heat_rows(video, maps, boxes, chosen_frames(count), column, **colors)
        color_bar(figure, axes, heat, label).locator = MaxNLocator(3)
    return figure


def plot_landscape(
    values: Mapping[str, Float[Tensor, "rows columns"]],
    x: Sequence[float | int],
    y: Sequence[float | int],
    truth: tuple[float | int, float | int] | None = None,
) -> Figure:
    """A loss over two shifts, one panel per label, each on a scale of its own; the lowest place is marked.

    Args:
        values: per label, (rows, columns): the loss at every y and x.
        x: the columns' places, evenly spaced, rising.
        y: the rows' places, evenly spaced, rising; drawn downwards, as in pictures.
        truth: (x, y) that the lowest place should be near; None marks none.

    Raises:
        InputError: no values, or wrong shapes.
    """
    checked_any(values, "landscapes", "{'aligned': losses}")
    for name, one in values.items():
        checked(one, f"the landscape {name!r}", f"{len(y)} {len(x)}")
    half_x, half_y = (x[-1] - x[0]) / max(1, len(x) - 1) / 2, (y[-1] - y[0]) / max(1, len(y) - 1) / 2
    extent = (x[0] - half_x, x[-1] + half_x, y[-1] + half_y, y[0] - half_y)
    with styled():
        tall = 0.9 + 3.4 * min(1.2, (extent[2] - extent[3]) / (extent[1] - extent[0]))
        figure = new_figure(tall, width=1.2 + 3.4 * len(values), layout="compressed")
        axes = figure.subplots(1, len(values), squeeze=False, sharey=True)[0]
        for one, (name, loss) in zip(axes, values.items(), strict=True):
            shares = array(loss) / (float(loss.max()) or 1.0)
            heat = one.imshow(shares, extent=extent, vmin=0, vmax=1, cmap="viridis", aspect="equal")
            row, column = np.unravel_index(shares.argmin(), shares.shape)
            for color, width in (("#111111", 4.0), ("white", 2.0)):
                named = {"label": "lowest"} if color != "white" else {}  # on the legend's white
                one.plot(x[column], y[row], "x", ms=9, mew=width, color=color, linestyle="none", **named)
            if truth is not None:
                one.plot(*truth, "o", ms=12, mfc="none", mec="#D55E00", mew=2, linestyle="none", label="truth")
            one.set(title=name, xlabel="shift along x (px)", xlim=extent[:2], ylim=extent[2:])
            one.spines[:].set_visible(False)
        axes[0].set_ylabel("shift along y (px)")
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2)
        label = "loss, as a share of its largest value"
        bar = figure.colorbar(heat, ax=list(axes), label=label, fraction=0.04, pad=0.02, ticks=(0, 0.5, 1))
        bar.outline.set_visible(False)
    return figure
