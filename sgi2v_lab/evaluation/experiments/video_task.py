"""One task of an evaluation: make a video of a sample by a method, and measure it.

All methods get the same picture, paths, settings and noise. They are measured by the video alone, in 8 bits as it is
saved, so no method is measured by what it optimises.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from sgi2v_lab.baselines import METHODS
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.evaluation.experiments.plan import TRUTH
from sgi2v_lab.evaluation.metrics.frechet import toy_features
from sgi2v_lab.evaluation.metrics.measured import MeasuredVideo
from sgi2v_lab.evaluation.metrics.motion_distance import motion_histograms
from sgi2v_lab.evaluation.metrics.registry import measure_all
from sgi2v_lab.evaluation.tasks.strips import strip_of
from sgi2v_lab.models.model import Model
from sgi2v_lab.pipeline import generate
from sgi2v_lab.settings import CONTROL_FIELDS, Settings
from sgi2v_lab.shapes import Video
from sgi2v_lab.video import as_frames, as_video

__all__ = ["VideoResult", "VideoTask"]


class VideoResult(BaseModel, frozen=True):
    """What was measured of a video, with everything that the figures depend on."""

    values: dict[str, float | None]  # by names in METRICS; None where a metric could not be taken
    reasons: dict[str, str]  # why not
    details: dict[str, dict[str, Any]]  # what a metric's value depends on, such as the tracker
    features: dict[str, list[float]] = {}  # by names in SET_METRICS: what distances of whole sets are computed from
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

    def run(self, model: Model) -> tuple[dict[str, object], bytes]:
        """Generate and measure: a `VideoResult` as plain values, and the film strip."""
        sample = self.dataset.load(self.sample)
        video, seconds = sample.clip, None
        if self.method != TRUTH:
            motion = {name: value for name, value in sample.motion.items() if name not in self.changed}
            settings = self.settings.replace(num_frames=self.dataset.num_frames, **motion)
            options = {"method": self.method, "seed": self.seed, "progress": False}
            made = generate(model, sample.first_frame, sample.trajectories, settings, **options)
            video, seconds = made.video, sum(made.seconds.values())
        video = as_video(as_frames(video))
        found = _measured(video, sample, seconds, toy=self.dataset.kind == "benchmark")
        return found.model_dump(mode="json"), strip_of(video)


def _measured(video: Video, sample: Sample, seconds: float | None, toy: bool) -> VideoResult:
    boxes = sample.trajectories.boxes(len(video))
    given = MeasuredVideo(
        video,
        image=sample.first_frame,
        boxes=boxes,
        reference=sample.clip,
        objects=sample.objects,
        camera=None if sample.objects is None else boxes,  # in a pan the boxes lie on the background
    )
    found, features = measure_all(given), {}
    if len(video) > 2:  # an acceleration takes three frames
        features["motion_distance"] = motion_histograms(given.grid_tracks.points, video.shape[-2])
    if toy:
        features["toy_frechet"] = toy_features([video])[0]
    return VideoResult(
        values={name: one.value for name, one in found.items()},
        reasons={name: one.reason for name, one in found.items() if one.reason},
        details={name: one.details for name, one in found.items() if one.details},
        features={name: [round(x, 6) for x in one.tolist()] for name, one in features.items()},
        seconds=seconds,
        resolution=(video.shape[-1], video.shape[-2]),
        frames=len(video),
        boxes=[[tuple(round(x, 2) for x in box) for box in path] for path in boxes.tolist()],
    )
