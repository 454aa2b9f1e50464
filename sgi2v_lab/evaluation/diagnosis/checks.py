"""All checks, one after the other: `diagnose` a run, or `judge` a video."""

import base64
import html
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure

from sgi2v_lab.evaluation.diagnosis import checks_settings
from sgi2v_lab.evaluation.diagnosis.checks_background import background
from sgi2v_lab.evaluation.diagnosis.checks_motion import follow, tracking
from sgi2v_lab.evaluation.diagnosis.checks_object import appearance, smear, split
from sgi2v_lab.evaluation.diagnosis.checks_picture import burnt, detail, first_frame, flicker
from sgi2v_lab.evaluation.diagnosis.finding import SEVERITIES, SIZE, Finding, Unjudged
from sgi2v_lab.evaluation.diagnosis.judged import JudgedVideo
from sgi2v_lab.models.model import Model
from sgi2v_lab.pipeline import Run
from sgi2v_lab.plots.style import new_figure, styled
from sgi2v_lab.trajectories.boxes import Trajectories

__all__ = ["CHECKS", "DEPENDENT", "Diagnosis", "diagnose", "judge"]

Found = Iterator[Finding | Unjudged]
# what can be seen in the video, and then what depends on what was seen, such as what may be why
CHECKS: tuple[Callable[[JudgedVideo], Found], ...] = (
    *(tracking, follow, split, smear, background),
    *(first_frame, detail, burnt, flicker),
)
DEPENDENT: tuple[Callable[[JudgedVideo, Sequence[Finding]], Found], ...] = (
    appearance,
    *(checks_settings.loss, checks_settings.control, checks_settings.layers, checks_settings.paths),
)
MARKS = {"severe": "●", "moderate": "◐", "hint": "○"}


@dataclass(frozen=True)
class Diagnosis:
    """What went wrong, worst first, and what could not be judged. A notebook shows it as a list with pictures."""

    findings: tuple[Finding, ...]
    unjudged: tuple[Unjudged, ...] = ()

    def __len__(self) -> int:
        """How many things went wrong."""
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        """The findings, the worst first."""
        return iter(self.findings)

    @property
    def kinds(self) -> set[str]:
        """The kinds of what was found."""
        return {finding.kind for finding in self.findings}

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON, without pictures."""
        return {
            "findings": [finding.to_dict() for finding in self.findings],
            "unjudged": [vars(one).copy() for one in self.unjudged],
        }

    def plot(self) -> Figure:
        """Each finding's sentence over its evidence, one below the other."""
        shown = [finding for finding in self.findings if finding.drawing is not None]
        with styled():
            figure = new_figure(max(1, len(shown)) * (SIZE[1] + 0.5), width=SIZE[0] + 2.4)
            if not shown:
                figure.text(0.5, 0.5, "No findings to show.", ha="center", va="center")
                return figure
            for part, finding in zip(figure.subfigures(len(shown), 1, squeeze=False)[:, 0], shown, strict=True):
                words = textwrap.fill(f"{MARKS[finding.severity]} {finding.sentence}", 105)
                part.suptitle(words, fontsize=8.5, x=0.01, ha="left")
                finding.drawing(part)
        return figure

    def __str__(self) -> str:
        """The findings as lines of text."""
        lines = [f"{MARKS[f.severity]} {f.sentence} [{f.number}] {f.advice}" for f in self.findings]
        lines = lines or ["No problem was found."]
        return "\n".join([*lines, *(f"– not judged: {one.reason}" for one in self.unjudged)])

    def _repr_html_(self) -> str:
        rows = []
        for finding in self.findings:
            picture = ""
            if finding.drawing is not None:
                data = base64.b64encode(finding.plot()._repr_png_()).decode("ascii")
                picture = f'<img alt="the evidence" style="max-width: 460px" src="data:image/png;base64,{data}">'
            sentence, number, advice = map(html.escape, (finding.sentence, finding.number, finding.advice))
            rows.append(
                f"<li style='margin-bottom: 1em'><b>{sentence}</b> <small>{finding.severity}, {number}</small>"
                f"<br>{picture}<br><i>Try:</i> {advice}</li>"
            )
        found = f"<ul>{''.join(rows)}</ul>" if rows else "<p>No problem was found.</p>"
        reasons = "".join(f"<li>{html.escape(one.reason)}</li>" for one in self.unjudged)
        return found + (f"<details><summary>Not judged</summary><ul>{reasons}</ul></details>" if reasons else "")


def judge(judged: JudgedVideo) -> Diagnosis:
    """Find what went wrong in a video, with evidence and advice.

    Everything but the video may be unknown; `Diagnosis.unjudged` says what could not be judged without it.
    Thresholds are validated on the toy's world (`tests/evaluation/test_diagnosis.py`): its true clips give no findings,
    and each corruption gives its own. Lengths are judged by the picture's shorter side.

    Args:
        judged: the video and what is known of it.
    """
    if not torch.isfinite(judged.video).all():
        share = (~torch.isfinite(judged.video)).float().mean().item()
        sentence = f"The video is broken: {share:.0%} of its values are not numbers."
        advice = "Lower the learning rate; on a GPU, try fp32, since fp16 overflows."
        broken = Finding("broken", "severe", sentence, share, 0.0, "of the values", advice)
        return Diagnosis((broken,), (Unjudged("all others", "a broken video cannot be looked at"),))
    found: list[Finding] = []
    unjudged: list[Unjudged] = []
    for check in CHECKS:
        _sort(check(judged), found, unjudged)
    for check in DEPENDENT:
        _sort(check(judged, tuple(found)), found, unjudged)
    ordered = sorted(found, key=lambda one: (SEVERITIES.index(one.severity), -_excess(one)))
    return Diagnosis(tuple(ordered), tuple(unjudged))


def diagnose(
    run: Run,
    uncontrolled: Run | None = None,
    *,
    trajectories: Trajectories | None = None,
    model: Model | None = None,
) -> Diagnosis:
    """Find what went wrong in a run.

    Args:
        run: from `generate`.
        uncontrolled: the same without control, which tells what control did from what the model does anyway.
        trajectories: as drawn; they hold the objects' names and which boxes belong to the camera.
        model: that made the run, to judge its layers.

    Raises:
        InputError: another run's trajectories or video.
    """
    return judge(JudgedVideo.of_run(run, uncontrolled, trajectories=trajectories, model=model))


def _sort(results: Iterable[Finding | Unjudged], found: list[Finding], unjudged: list[Unjudged]) -> None:
    for one in results:
        (found if isinstance(one, Finding) else unjudged).append(one)


def _excess(finding: Finding) -> float:
    """How far beyond its threshold a value is, as a factor, whichever way is worse."""
    if not math.isfinite(finding.value):
        return math.inf
    a, b = abs(finding.value), abs(finding.threshold)
    return max(a, b) / max(min(a, b), 1e-6)
