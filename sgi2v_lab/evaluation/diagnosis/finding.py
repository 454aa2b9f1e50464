"""One problem of a video: what it is, how severe, the evidence, and advice."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from jaxtyping import Float
from matplotlib.figure import Figure, FigureBase
from torch import Tensor

from sgi2v_lab.plots.boxes import draw_box, draw_path
from sgi2v_lab.plots.style import array, new_figure, show_picture, styled
from sgi2v_lab.shapes import Image

__all__ = ["ASKED", "FOUND", "SEVERITIES", "Drawing", "Finding", "Found", "Shown", "Unjudged", "curve", "pictures"]

SEVERITIES = ("severe", "moderate", "hint")  # worst first
FAR = 1.75  # times its threshold, a value is severe
ASKED, FOUND = "#111111", "#D55E00"  # colours of what was asked for, and of what was found
SIZE = (4.6, 1.9)  # of the evidence, in inches

Drawing = Callable[[FigureBase], None]  # draws evidence into a figure, or into a part of one


@dataclass(frozen=True)
class Finding:
    """One problem of a video.

    Attributes:
        kind: The check that found it, such as "smear".
        sentence: What is wrong; it names the object, if there is one.
        value: What was measured, in `unit`.
        threshold: The limit that `value` exceeds, or falls below.
        unit: Of both, such as "px" or "of the frames".
        advice: What to try.
        index: Of the object's box; None for the whole video.
        drawing: Draws the evidence; it runs only when `plot` is called.
        hint: Whether this is not seen in the video, but may explain what is.
    """

    kind: str
    sentence: str
    value: float
    threshold: float
    unit: str
    advice: str
    index: int | None = None
    drawing: Drawing | None = field(default=None, repr=False, compare=False)
    hint: bool = False

    @property
    def excess(self) -> float:
        """How many times the value is beyond its threshold, on either side; infinite if it is not a number."""
        low, high = sorted((abs(self.value), abs(self.threshold)))
        return high / low if low > 0 and math.isfinite(high) else math.inf

    @property
    def severity(self) -> str:
        """One of `SEVERITIES`: "severe" from `FAR` times the threshold on."""
        return "hint" if self.hint else "severe" if self.excess >= FAR else "moderate"

    @property
    def number(self) -> str:
        """The value with its threshold, such as "0.83 of the frames (limit 0.5)"."""
        value, limit = (f"{x:.3g}" if math.isfinite(x) else "not a number" for x in (self.value, self.threshold))
        return f"{value} {self.unit} (limit {limit})"

    def plot(self) -> Figure:
        """The evidence as a small figure, empty if there is none."""
        with styled():
            figure = new_figure(SIZE[1], width=SIZE[0], layout="compressed")
            if self.drawing is not None:
                self.drawing(figure)
        return figure

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON, without the picture; a number that is not finite becomes None."""
        names = ("kind", "severity", "sentence", "number", "unit", "advice", "index", "value", "threshold")
        found = {name: getattr(self, name) for name in names}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in found.items()}


@dataclass(frozen=True)
class Unjudged:
    """A check that could not be made, and why."""

    kind: str
    reason: str


Found = Iterator[Finding | Unjudged]  # what a check yields


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
