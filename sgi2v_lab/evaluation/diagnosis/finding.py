"""One thing that went wrong: what, how severe, the evidence, and advice."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from matplotlib.figure import Figure, FigureBase

from sgi2v_lab.plots.style import new_figure, styled

__all__ = ["SEVERITIES", "Drawing", "Finding", "Unjudged", "severity_of"]

SEVERITIES = ("severe", "moderate", "hint")  # worst first; a hint is not seen in the video, but may be why
FAR = 2.0  # this many times beyond its threshold a value is severe
SIZE = (4.6, 1.9)  # inches of an evidence's picture

Drawing = Callable[[FigureBase], None]  # draws evidence into a figure, or into a part of one


@dataclass(frozen=True)
class Finding:
    """One thing that went wrong.

    Attributes:
        kind: which check found it, such as "smear"; see `checks.CHECKS`.
        severity: one of `SEVERITIES`.
        sentence: what is wrong, with the object's name where one is meant.
        value: what was measured, in `unit`.
        threshold: the value from which on it is said.
        unit: of both, such as "px" or "of the path".
        advice: what to try.
        index: of the box that is meant; None for the whole video.
        drawing: puts the evidence into a figure; nothing is drawn before `plot` is called.
    """

    kind: str
    severity: str
    sentence: str
    value: float
    threshold: float
    unit: str
    advice: str
    index: int | None = None
    drawing: Drawing | None = field(default=None, repr=False, compare=False)

    @property
    def number(self) -> str:
        """The value beside its threshold, as a person reads it: "0.83 of the path (limit 0.5)"."""
        value, limit = (f"{x:.3g}" if math.isfinite(x) else "not a number" for x in (self.value, self.threshold))
        return f"{value} {self.unit} (limit {limit})".replace("  ", " ")

    def plot(self) -> Figure:
        """The evidence, as a small figure; empty where there is nothing to show but the number."""
        with styled():
            figure = new_figure(SIZE[1], width=SIZE[0], layout="compressed")
            if self.drawing is not None:
                self.drawing(figure)
        return figure

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON, without the picture; a number that JSON cannot say is None."""
        finite = {
            name: value if math.isfinite(value) else None
            for name, value in (("value", self.value), ("threshold", self.threshold))
        }
        words = {name: getattr(self, name) for name in ("kind", "severity", "sentence", "number", "unit", "advice")}
        return {**words, **finite, "index": self.index}


@dataclass(frozen=True)
class Unjudged:
    """What a check could not judge, and why."""

    kind: str
    reason: str


def severity_of(value: float, threshold: float, lower_is_worse: bool = False) -> str:
    """The severity of a value beyond its threshold: "severe" where it is so by far, else "moderate"."""
    far = value <= threshold / FAR if lower_is_worse else value >= threshold * FAR
    return "severe" if far or not math.isfinite(value) else "moderate"
