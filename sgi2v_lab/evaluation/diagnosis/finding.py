"""One problem of a video: what it is, how severe, the evidence, and advice."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from matplotlib.figure import Figure, FigureBase

from sgi2v_lab.plots.style import new_figure, styled

__all__ = ["SEVERITIES", "Drawing", "Finding", "Found", "Unjudged"]

SEVERITIES = ("severe", "moderate", "hint")  # worst first
FAR = 1.75  # times its threshold, a value is severe
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
