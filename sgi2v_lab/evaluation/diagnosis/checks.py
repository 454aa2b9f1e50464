"""All checks in order: `diagnose` a run, or `judge` a video."""

import base64
import html
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import torch
from matplotlib.figure import Figure

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.diagnosis.finding import SEVERITIES, SIZE, Finding, Found, Unjudged
from sgi2v_lab.evaluation.diagnosis.judged import JudgedVideo, by_purpose
from sgi2v_lab.evaluation.diagnosis.objects import objects
from sgi2v_lab.evaluation.diagnosis.picture import background, burnt, detail, first_frame, flicker
from sgi2v_lab.evaluation.diagnosis.recipe import control, layers, loss, paths
from sgi2v_lab.models.model import Model
from sgi2v_lab.pipeline import Run
from sgi2v_lab.plots.style import new_figure, styled
from sgi2v_lab.trajectories.boxes import Trajectories

__all__ = ["CHECKS", "Diagnosis", "diagnose", "judge"]

# Each check is also given the earlier findings: some problems follow from others.
Check = Callable[[JudgedVideo, Sequence[Finding]], Found]
CHECKS: list[Check] = [first_frame, detail, burnt, flicker, background, objects, loss, control, layers, paths]
MARKS = {"severe": "●", "moderate": "◐", "hint": "○"}


@dataclass(frozen=True)
class Diagnosis:
    """The problems of a video, worst first, and what could not be judged. A notebook shows a list with pictures."""

    findings: tuple[Finding, ...]
    unjudged: tuple[Unjudged, ...] = ()

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    @property
    def kinds(self) -> set[str]:
        """The kinds of all findings."""
        return {finding.kind for finding in self.findings}

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON, without pictures."""
        return {
            "findings": [one.to_dict() for one in self.findings],
            "unjudged": [asdict(one) for one in self.unjudged],
        }

    def plot(self) -> Figure:
        """The evidence of all findings, each below its sentence."""
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
    """Find the problems of a video, with evidence and advice.

    Everything but the video may be unknown; `Diagnosis.unjudged` lists what could not be judged without it. Limits were
    set on the toy's world (`tests/evaluation/test_diagnosis.py`). On other videos they are a starting point.
    """
    broken = (~torch.isfinite(judged.video)).float().mean().item()
    if broken:
        sentence = f"The video is broken: {broken:.0%} of its values are not numbers."
        advice = "Lower the learning rate; on a GPU, try fp32, since fp16 overflows."
        finding = Finding("broken", sentence, broken, 0.0, "of the values", advice)
        return Diagnosis((finding,), (Unjudged("all others", "a broken video cannot be judged"),))
    found: list[Finding] = []
    unjudged: list[Unjudged] = []
    for check in CHECKS:
        for one in list(check(judged, found)):
            (found if isinstance(one, Finding) else unjudged).append(one)
    ordered = sorted(found, key=lambda one: (SEVERITIES.index(one.severity), -one.excess))
    return Diagnosis(tuple(ordered), tuple(unjudged))


def diagnose(
    run: Run, uncontrolled: Run | None = None, *, trajectories: Trajectories | None = None, model: Model | None = None
) -> Diagnosis:
    """Find the problems of a run.

    Args:
        run: From `generate`.
        uncontrolled: The same run without control, which shows what the model does by itself.
        trajectories: As drawn. They hold the objects' names and tell which boxes are the camera's.
        model: The model that made the run, to judge its layers.

    Raises:
        InputError: Trajectories or a video of another run.
    """
    known = {"boxes": run.boxes}
    if trajectories is not None and run.boxes is not None:
        if len(trajectories) != len(run.boxes):
            raise InputError(f"got {len(trajectories)} trajectories for a run with {len(run.boxes)}; give its own")
        known = by_purpose(trajectories, run.boxes)
    known |= {"image": run.image, "settings": run.settings, "losses": run.losses, "sigmas": run.sigmas, "model": model}
    return judge(JudgedVideo(run.video, uncontrolled=None if uncontrolled is None else uncontrolled.video, **known))
