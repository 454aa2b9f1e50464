"""One video of a benchmark scene by any method of `baselines`, and all measurements of it.

All methods get the same pictures, paths, settings and noise. They are measured by the video alone, in 8 bits as it is
saved, so no method is measured by what it optimises.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from sgi2v_lab.baselines import METHODS
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.video_task import planned, scene_identity, settings_identity
from sgi2v_lab.evaluation.metrics import measure
from sgi2v_lab.evaluation.scenes.scenes import BenchmarkScene
from sgi2v_lab.models.model import Model
from sgi2v_lab.pipeline import generate
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Boxes, Video
from sgi2v_lab.toy.world.scenes import true_boxes
from sgi2v_lab.video import as_frames, as_video

__all__ = ["TAKEN", "MethodTask", "method_tasks"]

# as a result calls it: the metric's name in METRICS
TAKEN = {
    "objmc": "objmc",
    "box_iou": "box_iou",
    "background_drift": "background_drift",
    "psnr": "first_frame_psnr",
    "ssim": "first_frame_ssim",
    "temporal_flickering": "temporal_flickering",
    "warping_error": "warping_error",
    "spectrum_distance": "spectrum_distance",
}
MOST_PSNR = 60.0  # dB; what 8 bits can tell ends at 59, and equal pictures, infinitely good, would have no mean


@dataclass(frozen=True)
class MethodTask:
    """Generate one video of a scene by one method and measure it.

    The result holds `objmc` in pixels of the video, `box_iou`, `background_drift` in pixels, `psnr` (at most 60 dB) and
    `ssim` of the first frame, `temporal_flickering`, `warping_error`, `spectrum_distance` in dB, `seconds` of the
    generation; `tracker` and `drift_tracker`, `resolution` (width, height) and `frames`. A metric that could not be
    taken is None, and `reasons` says why.
    """

    method: str  # a name in METHODS
    scene: BenchmarkScene
    seed: int
    settings: Settings
    num_frames: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the video."""
        return self.settings.width, self.settings.height

    def identity(self) -> dict[str, object]:
        """Scene, seed, method, its own options, and the settings that play a part."""
        return {
            "kind": "method",
            "method": self.method,
            "options": METHODS[self.method].options,
            **scene_identity(self.scene),
            "seed": self.seed,
            "frames": self.num_frames,
            "settings": settings_identity(self.settings, self.method != "none"),
        }

    def run(self, model: Model) -> tuple[dict[str, object], Video]:
        """Generate and measure."""
        picture = self.scene.first_frame(self.size, self.num_frames)
        asked = self.scene.asked(self.size, self.num_frames)
        settings = self.settings.replace(num_frames=self.num_frames)
        made = generate(model, picture, asked, settings, method=self.method, seed=self.seed, progress=False)
        video = as_video(as_frames(made.video))
        result = self._measured(video, picture, asked.boxes(self.num_frames))
        return result | {"seconds": sum(made.seconds.values())}, video

    def _measured(self, video: Video, picture: torch.Tensor, boxes: Boxes) -> dict[str, object]:
        names = [name for name in TAKEN.values() if name != "background_drift"]
        clip = self.scene.clip(self.size, self.num_frames)
        found = measure(video, names, image=picture, boxes=boxes, reference=clip)
        found |= measure(video, ["background_drift"], **self._still(boxes))
        taken = {name: found[metric] for name, metric in TAKEN.items()}
        values = {name: _finite(name, one["value"]) for name, one in taken.items()}
        return values | {
            "visible": found["objmc"]["visible"],
            "tracker": found["objmc"]["tracker"],
            "drift_tracker": found["background_drift"].get("tracker"),
            "spectrum_to": found["spectrum_distance"].get("to"),
            "resolution": list(self.size),
            "frames": self.num_frames,
            "reasons": {name: one["reason"] for name, one in taken.items() if "reason" in one},
        }

    def _still(self, boxes: Boxes) -> dict[str, torch.Tensor]:
        """What of the picture is no background, and where the camera should go.

        In a pan the boxes asked for lie on the background, and the sprites, of which nothing is asked, do not.
        """
        if self.scene.category != "pan":
            return {"boxes": boxes}
        width, height = self.size
        sprites = true_boxes(self.scene.scene(self.num_frames), 1) * torch.tensor([width, height, width, height])
        return {"boxes": sprites, "camera": boxes}


def _finite(name: str, value: float | None) -> float | None:
    if value is None or math.isnan(value):
        return None
    return min(value, MOST_PSNR) if name == "psnr" else value


def method_tasks(
    model: Model,
    methods: Iterable[str],
    scenes: Sequence[BenchmarkScene],
    seeds: int = 1,
    changes: Mapping[str, object] | None = None,
) -> list[MethodTask]:
    """A task for each scene, seed (1, 2, ...) and method, with the model's own settings and the scene's motion.

    Scenes come one after the other, each by all methods, so that a run that is stopped early has whole scenes.

    Args:
        model: whose settings are taken.
        methods: names in `METHODS`.
        scenes: from `benchmark_scenes`.
        seeds: of each scene and method.
        changes: to the model's own settings, made last.

    Raises:
        InputError: an unknown method, no method, no seed, or settings that the model cannot use.
    """
    methods = list(dict.fromkeys(methods))
    if unknown := [name for name in methods if name not in METHODS]:
        raise InputError(f"unknown method {unknown[0]!r}; choose some of {', '.join(METHODS)}")
    if not methods:
        raise InputError(f"there is no method to compare; choose some of {', '.join(METHODS)}")
    return [MethodTask(method, *one) for one in planned(model, scenes, seeds, changes) for method in methods]
