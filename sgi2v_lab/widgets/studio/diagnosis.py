"""What the Studio says of a run under its video: what went wrong, and what to try."""

from io import BytesIO

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.diagnosis import Diagnosis, diagnose
from sgi2v_lab.evaluation.diagnosis.finding import Unjudged
from sgi2v_lab.pipeline import Run
from sgi2v_lab.plots.style import styled
from sgi2v_lab.widgets.studio.job import Job

__all__ = ["diagnosed", "evidence"]

DPI = 110


def diagnosed(job: Job, controlled: Run | None, uncontrolled: Run | None) -> Diagnosis:
    """Judge what a job made: the video with control beside the one without; or that one, if it is alone."""
    try:
        if controlled is None:
            return diagnose(uncontrolled, model=job.model)
        return diagnose(controlled, uncontrolled, trajectories=job.trajectories, model=job.model)
    except InputError as error:  # a video is worth keeping even where it cannot be judged
        return Diagnosis((), (Unjudged("all", str(error)),))


def evidence(diagnosis: Diagnosis) -> dict[str, bytes]:
    """The findings' pictures as PNG files, by name: "finding-0.png" belongs to the first finding."""
    files = {}
    for index, finding in enumerate(diagnosis):
        if finding.drawing is None:
            continue
        content = BytesIO()
        with styled():
            finding.plot().savefig(content, format="png", dpi=DPI)
        files[f"finding-{index}.png"] = content.getvalue()
    return files
