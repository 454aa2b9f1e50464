"""The benchmark's tasks: generate and measure a video of a held-out scene, without control or with it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics import ObjMC, first_frame_psnr, objmc
from sgi2v_lab.evaluation.scenes.scenes import BenchmarkScene
from sgi2v_lab.models.model import Model
from sgi2v_lab.pipeline import generate
from sgi2v_lab.settings import CONTROL_FIELDS, Settings
from sgi2v_lab.shapes import Video
from sgi2v_lab.video import as_frames, as_video

__all__ = [
    "TruthTask",
    "VideoTask",
    "planned",
    "scene_identity",
    "settings_identity",
    "truth_tasks",
    "video_tasks",
]

FIRST_SEED = 1


@dataclass(frozen=True)
class VideoTask:
    """Generate one video of a scene and measure it.

    The result: `objmc` in pixels of the video, and `per_object`; `visible`, the part of positions in which the tracker
    saw its object; `psnr` of the first frame in dB; `seconds` of the generation; `tracker`, `resolution` (width,
    height) and `frames`. What is measured is the video in 8 bits, as it is kept.
    """

    scene: BenchmarkScene
    seed: int
    settings: Settings
    controlled: bool
    num_frames: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the video."""
        return self.settings.width, self.settings.height

    def identity(self) -> dict[str, object]:
        """Scene, seed, variant and the settings that play a part."""
        return {
            "kind": "video",
            **scene_identity(self.scene),
            "seed": self.seed,
            "variant": "controlled" if self.controlled else "uncontrolled",
            "frames": self.num_frames,
            "settings": settings_identity(self.settings, self.controlled),
        }

    def run(self, model: Model) -> tuple[dict[str, object], Video]:
        """Generate and measure."""
        picture = self.scene.first_frame(self.size, self.num_frames)
        asked = self.scene.asked(self.size, self.num_frames)
        settings = self.settings.replace(num_frames=self.num_frames)
        made = generate(model, picture, asked if self.controlled else None, settings, seed=self.seed, progress=False)
        video, boxes = as_video(as_frames(made.video)), asked.boxes(self.num_frames)
        measured = objmc(video, boxes)
        more = {"psnr": first_frame_psnr(video, picture), "seconds": sum(made.seconds.values())}
        return _as_result(measured) | more, video


@dataclass(frozen=True)
class TruthTask:
    """Measure the true clip of a drawn scene: its `objmc` is what the tracker errs, a floor for any video's."""

    scene: BenchmarkScene
    size: tuple[int, int]
    num_frames: int

    def identity(self) -> dict[str, object]:
        """Scene and size."""
        return {
            "kind": "truth",
            **scene_identity(self.scene),
            "resolution": list(self.size),
            "frames": self.num_frames,
        }

    def run(self, model: Model) -> tuple[dict[str, object], Video]:
        """Render and measure; the model plays no part."""
        video = as_video(as_frames(self.scene.clip(self.size, self.num_frames)))
        return _as_result(objmc(video, self.scene.asked(self.size, self.num_frames).boxes(self.num_frames))), video


def _as_result(measured: ObjMC) -> dict[str, object]:
    return {name: value for name, value in measured.as_dict().items() if name not in ("per_frame", "tracks")}


def scene_identity(scene: BenchmarkScene) -> dict[str, object]:
    """What of a scene a task's result depends on."""
    return {"scene": scene.name, "category": scene.category, "scene_seed": scene.seed}


def settings_identity(settings: Settings, controlled: bool) -> dict[str, object]:
    """The settings that play a part: without control those of the control do not."""
    return {name: value for name, value in settings.as_dict().items() if controlled or name not in CONTROL_FIELDS}


def planned(
    model: Model, scenes: Iterable[BenchmarkScene], seeds: int = 1, changes: Mapping[str, object] | None = None
) -> list[tuple[BenchmarkScene, int, Settings, int]]:
    """Each scene with each seed (1, 2, ...), the model's own settings with the scene's motion, and how many frames.

    `changes` are made to the settings last. InputError for settings that the model cannot use, or no seed.
    """
    if seeds < 1:
        raise InputError(f"the number of seeds is {seeds}, but must be at least 1")
    changes = dict(changes or {})
    base = model.settings.replace(**changes)
    frames = model.latent_shape(base)[0]
    model.check_layers(base.layers)
    return [
        (scene, seed, base.replace(**scene.motion(frames) | changes), frames)
        for scene in scenes
        for seed in range(FIRST_SEED, FIRST_SEED + seeds)
    ]


def video_tasks(
    model: Model,
    scenes: Iterable[BenchmarkScene],
    seeds: int = 1,
    changes: Mapping[str, object] | None = None,
    variants: Sequence[bool] = (False, True),
) -> list[VideoTask]:
    """A task for each scene, seed and variant; arguments and errors as in `planned`."""
    return [
        VideoTask(scene, seed, settings, controlled, frames)
        for scene, seed, settings, frames in planned(model, scenes, seeds, changes)
        for controlled in variants
    ]


def truth_tasks(
    model: Model, scenes: Iterable[BenchmarkScene], changes: dict[str, object] | None = None
) -> list[TruthTask]:
    """A task for each drawn scene; photographs have no true clip."""
    settings = model.settings.replace(**changes or {})
    frames = model.latent_shape(settings)[0]
    size = (settings.width, settings.height)
    return [TruthTask(scene, size, frames) for scene in scenes if scene.category != "photo"]
