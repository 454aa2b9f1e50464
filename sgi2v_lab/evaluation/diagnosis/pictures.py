"""Evidence: small figures beside a finding's sentence. Each function returns a `Drawing`, which is run on demand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from matplotlib.figure import FigureBase
from torch import Tensor

from sgi2v_lab.evaluation.diagnosis.finding import Drawing
from sgi2v_lab.plots.boxes import draw_box, draw_path
from sgi2v_lab.plots.style import array, show_picture
from sgi2v_lab.shapes import Image

__all__ = ["ASKED", "FOUND", "Shown", "curve", "pictures"]

ASKED, FOUND = "#111111", "#D55E00"  # what was asked for, and what was found


@dataclass(frozen=True)
class Shown:
    """A picture (3, h, w) with boxes (4,) and paths (frames, 2), each with its colour, and arrows (starts and ends)."""

    picture: Image
    boxes: Sequence[tuple[Tensor, str]] = ()
    paths: Sequence[tuple[Tensor, str]] = ()
    arrows: Float[Tensor, "n 2 2"] | None = None


def pictures(shown: Mapping[str, Shown], note: str = "") -> Drawing:
    """Pictures side by side, each below its title, with a note on the colours below."""

    def draw(figure: FigureBase) -> None:
        for axes, (title, one) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True):
            show_picture(axes, one.picture)
            axes.set_title(title, fontsize=8)
            for box, color in one.boxes:
                draw_box(axes, box, color)
            for path, color in one.paths:
                draw_path(axes, path, color)
            if one.arrows is not None:
                start, way = array(one.arrows[:, 0]).T, array(one.arrows[:, 1] - one.arrows[:, 0]).T
                options = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.008, "headwidth": 4}
                axes.quiver(*start, *way, color=FOUND, edgecolor="white", linewidth=0.4, **options)
        figure.supxlabel(note, fontsize=7.5, color="#555555")

    return draw


def curve(values: Sequence[float], label: str, limit: float, x: Sequence[float], x_label: str = "frame") -> Drawing:
    """Numbers over `x`, with the limit as a dashed line."""

    def draw(figure: FigureBase) -> None:
        axes = figure.subplots()
        axes.plot(x, values, marker="o", ms=3)
        axes.axhline(limit, color="#777777", linestyle=(0, (4, 3)), linewidth=1)
        axes.set(xlabel=x_label, ylabel=label)
        axes.tick_params(labelsize=7.5)

    return draw
