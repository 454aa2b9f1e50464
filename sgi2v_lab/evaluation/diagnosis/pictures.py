"""The pictures that findings show as evidence, small enough to stand beside a sentence.

Each function returns a `Drawing`, which puts it into a figure, or into a part of one, when it is wanted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from matplotlib.figure import FigureBase
from torch import Tensor

from sgi2v_lab.evaluation.diagnosis.finding import Drawing
from sgi2v_lab.plots.boxes import draw_box, draw_path
from sgi2v_lab.plots.style import array, show_picture
from sgi2v_lab.shapes import Image

__all__ = ["ASKED", "FOUND", "Shown", "arrows", "between", "curves", "pictures"]

ASKED, FOUND = "#111111", "#D55E00"  # the paths and boxes asked for, and what was found
LIMIT = "#777777"


@dataclass(frozen=True)
class Shown:
    """A picture (3, h, w) with boxes (4,) and paths (frames, 2), each with a colour, and points (n, 2) in red."""

    picture: Image
    boxes: Sequence[tuple[Tensor, str]] = ()
    paths: Sequence[tuple[Tensor, str]] = ()
    marked: Float[Tensor, "n 2"] | None = field(default=None)


def pictures(shown: Mapping[str, Shown], note: str = "") -> Drawing:
    """Pictures side by side, each under its title; the note says what the colours mean."""

    def draw(figure: FigureBase) -> None:
        for axes, (title, one) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True):
            show_picture(axes, one.picture)
            axes.set_title(title, fontsize=8)
            for box, color in one.boxes:
                draw_box(axes, box, color)
            for path, color in one.paths:
                draw_path(axes, path, color)
            if one.marked is not None:
                axes.plot(*one.marked.T.tolist(), "s", ms=1.6, color="#e4002b", mew=0)
        _under(figure, note)

    return draw


def curves(
    series: Mapping[str, Sequence[float | int]],
    label: str,
    limit: float | None = None,
    x: Sequence[float | int] | None = None,
    x_label: str = "frame",
    limit_label: str = "limit",
) -> Drawing:
    """Numbers over frames (from 0), or over `x`, with the limit as a dashed line."""

    def draw(figure: FigureBase) -> None:
        axes = figure.subplots()
        for name, values in series.items():
            at = range(len(values)) if x is None else x
            axes.plot(at, values, marker="o" if len(values) < 30 else None, ms=3, label=name)
        if limit is not None:
            axes.axhline(limit, color=LIMIT, linestyle=(0, (4, 3)), linewidth=1, label=limit_label)
        if min(min(values) for values in series.values()) >= 0:
            axes.set_ylim(bottom=0)
        if x is None or all(float(at).is_integer() for at in x):
            axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel(x_label)
        axes.set_ylabel(label)
        axes.tick_params(labelsize=7.5)
        axes.legend(fontsize=7.5)

    return draw


def arrows(before: Image, after: Image, start: Float[Tensor, "n 2"], end: Float[Tensor, "n 2"], note: str) -> Drawing:
    """The first and the last frame; on the last one, arrows from where points belong to where they went."""

    def draw(figure: FigureBase) -> None:
        left, right = figure.subplots(1, 2)
        for axes, picture, title in ((left, before, "first frame"), (right, after, "last frame")):
            show_picture(axes, picture)
            axes.set_title(title, fontsize=8)
        options = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.008, "headwidth": 4}
        gone = (end - start).norm(dim=-1) > 0
        if gone.any():
            right.quiver(
                *array(start[gone]).T,
                *array((end - start)[gone]).T,
                color=FOUND,
                edgecolor="white",
                linewidth=0.4,
                **options,
            )
        _under(figure, note)

    return draw


def _under(figure: FigureBase, note: str) -> None:
    if note:
        figure.supxlabel(note, fontsize=7.5, color="#555555")


def between(frames: int, count: int = 4) -> list[int]:
    """At most `count` frames, spread evenly, the first and the last among them."""
    return sorted({round(i) for i in torch.linspace(0, frames - 1, min(count, frames)).tolist()})
