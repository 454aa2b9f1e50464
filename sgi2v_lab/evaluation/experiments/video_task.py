"""One task of an evaluation: make a video of a sample by a method, and take all measurements of it.

All methods get the same picture, paths, settings and noise. They are measured by the video alone, in 8 bits as it is
saved, so no method is measured by what it optimises.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from sgi2v_lab.baselines import METHODS
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.evaluation.experiments.plan import TRUTH
from sgi2v_lab.evaluation.metrics.registry import METRICS, measure
from sgi2v_lab.models.model import Model
from sgi2v_lab.pipeline import generate
from sgi2v_lab.settings import CONTROL_FIELDS, Settings
from sgi2v_lab.shapes import Video
from sgi2v_lab.video import as_frames, as_video

__all__ = ["VideoResult", "VideoTask"]


class VideoResult(BaseModel):
    """What was measured of a video, with everything that the figures depend on."""

    model_config = ConfigDict(frozen=True)

    values: dict[str, float | None]  # by names in METRICS; None where a metric could not be taken
    reasons: dict[str, str]  # why not
    details: dict[str, dict[str, Any]]  # what a metric's value depends on, such as the tracker
    seconds: float | None  # of the generation; None for a true video
    resolution: tuple[int, int]  # width, height
    frames: int
    boxes: list[list[tuple[float, float, float, float]]]  # asked for, in pixels: boxes, frames


@dataclass(frozen=True)
class VideoTask:
    """A video of one sample by one method with one seed."""

    dataset: Dataset
    sample: str
    source: dict[str, object]  # the sample's identity
    method: str  # a name in METHODS, or TRUTH
    seed: int
    settings: Settings
    changed: tuple[str, ...] = ()  # settings that were asked for, and that the sample's own motion does not replace

    def identity(self) -> dict[str, object]:
        """The sample, the method with its options, the seed and the settings that play a part."""
        if self.method == TRUTH:
            return {"kind": TRUTH, **self.source}
        controlled = self.method != "none"
        values = self.settings.model_dump(mode="json")
        return {
            "kind": "video",
            **self.source,
            "method": self.method,
            "options": METHODS[self.method].options,
            "seed": self.seed,
            "settings": {name: value for name, value in values.items() if controlled or name not in CONTROL_FIELDS},
            "changed": sorted(self.changed),
        }

    def run(self, model: Model) -> tuple[dict[str, object], Video]:
        """Generate and measure."""
        sample = self.dataset.load(self.sample)
        seconds = None
        if self.method == TRUTH:
            if sample.clip is None:
                raise InputError(f"{self.sample} has no true video")
            video = sample.clip
        else:
            motion = {name: value for name, value in sample.motion.items() if name not in self.changed}
            settings = self.settings.replace(num_frames=self.dataset.num_frames, **motion)
            made = generate(
                model,
                sample.first_frame,
                sample.trajectories,
                settings,
                method=self.method,
                seed=self.seed,
                progress=False,
            )
            video, seconds = made.video, sum(made.seconds.values())
        video = as_video(as_frames(video))
        return _measured(video, sample, seconds).model_dump(mode="json"), video


def _measured(video: Video, sample: Sample, seconds: float | None) -> VideoResult:
    boxes = sample.trajectories.boxes(len(video))
    found = measure(
        video,
        list(METRICS),
        image=sample.first_frame,
        boxes=boxes,
        reference=sample.clip,
        objects=sample.objects,
        camera=None if sample.objects is None else boxes,  # in a pan the boxes lie on the background
    )
    return VideoResult(
        values={name: one.value for name, one in found.items()},
        reasons={name: one.reason for name, one in found.items() if one.reason},
        details={name: one.details for name, one in found.items() if one.details},
        seconds=seconds,
        resolution=(video.shape[-1], video.shape[-2]),
        frames=len(video),
        boxes=[[tuple(round(x, 2) for x in box) for box in path] for path in boxes.tolist()],
    )
