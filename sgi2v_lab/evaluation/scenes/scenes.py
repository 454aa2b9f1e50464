"""The benchmark's scenes: fixed, held out of all training, each with target boxes and, if drawn, its true video.

Drawn scenes are those of `sample_scene`, at seeds from `HELD_OUT` on, that satisfy their category's condition. `SEEDS`
lists these seeds, so that the benchmark never changes; the package's tests have the conditions and find them again.

Photographs show the real world and are in no training set. They have target boxes, but no true video.

The category "training" is not held out, so that settings can be searched without looking at the benchmark. Its scenes
satisfy the conditions of "single", "two" and "pinned" in turn.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.scenes.photographs import PHOTOGRAPHS
from sgi2v_lab.evaluation.scenes.variations import PATHS, TRAINING, VARIATIONS, crowd, vary_path
from sgi2v_lab.images.photographs import read_photograph
from sgi2v_lab.shapes import Boxes, Image, Video
from sgi2v_lab.toy.training.data import HELD_OUT
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import SPEED_AT_FULL_BUCKET, Scene, motion_bucket, render, true_boxes
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory, shared_area
from sgi2v_lab.trajectories.camera import COLOUR, camera_still

__all__ = ["CATEGORIES", "SCORED", "SEEDS", "BenchmarkScene", "benchmark_scenes", "stretched"]

CATEGORIES = {
    "single": "one object, moved by a third of the picture or more",
    "two": "two objects, each moved by a quarter or more, at least 60° apart in direction",
    "pinned": "one object moved by a third or more, another one pinned to its place",
    "pan": "boxes on the background, moved together by a sixth to a third: a camera pan",
    "hard": "things cut out of photographs, covering each other or under a moving camera, in changing light",
    "photo": "an object in a photograph, moved by a quarter",
}
SCORED = ("single", "two", "pinned", "pan")  # what the toy is made for; hard scenes and photographs are reported apart
CROWDS = 32  # scenes of many objects
PHOTO_FPS = 7  # SVD's own
LOOK = 64  # pixels of the picture in which the background is judged
CORNERS = 3e-5  # least smaller eigenvalue of a background box's structure tensor, in squared colours per pixel


@dataclass(frozen=True)
class BenchmarkScene:
    """One scene of the benchmark. Sizes are (width, height) of the model's videos; the drawn world is square."""

    category: str
    seed: int  # of `sample_scene`; of photographs their place in `PHOTOGRAPHS`

    @property
    def name(self) -> str:
        """The name in files and tables."""
        if self.category == "photo":
            return f"photo-{PHOTOGRAPHS[self.seed].name}"
        return f"{self.category}-{self.seed}"

    def scene(self, num_frames: int) -> Scene | None:
        """The drawn scene; None for photographs."""
        return None if self.category == "photo" else _scene(self.category, self.seed, num_frames)

    def clip(self, size: tuple[int, int], num_frames: int) -> Video | None:
        """The true video, (num_frames, 3, height, width) in 0..1; None for photographs and for invented paths."""
        scene = self.scene(num_frames)
        return None if scene is None or self.category in PATHS else stretched(render(scene, max(size)), size)

    def first_frame(self, size: tuple[int, int], num_frames: int) -> Image:
        """The picture that the video starts with, (3, height, width) in 0..1."""
        scene = self.scene(num_frames)
        if scene is not None:
            return stretched(render(scene, max(size), slice(0, 1)), size)[0]
        photograph = PHOTOGRAPHS[self.seed]
        x0, y0, x1, y1 = photograph.crop
        return stretched(read_photograph(photograph.name)[None, :, y0:y1, x0:x1], size)[0]

    def asked(self, size: tuple[int, int], num_frames: int) -> Trajectories:
        """The target boxes, in pixels of the video; for drawn scenes, those of the true video."""
        width, height = size
        if self.category != "photo":
            boxes = _asked(self.category, self.scene(num_frames)) * torch.tensor(size * 2)
            colour = COLOUR if self.category == "pan" else None
            return Trajectories(size, tuple(Trajectory.from_boxes(box, colour=colour) for box in boxes))
        photograph = PHOTOGRAPHS[self.seed]
        x0, y0, x1, y1 = photograph.crop
        box = (torch.tensor(photograph.box).float() - torch.tensor([x0, y0, x0, y0])).view(2, 2)
        box = (box / torch.tensor([x1 - x0, y1 - y0]) * torch.tensor([width, height])).flatten().tolist()
        by = photograph.by[0] * width, photograph.by[1] * height
        return Trajectories(size, (Trajectory.move(box, by=by, name=photograph.shows),))

    def motion(self, num_frames: int) -> dict[str, int]:
        """The settings `fps` and `motion_bucket_id` that say how fast things move."""
        scene = self.scene(num_frames)
        if scene is not None:
            return {"fps": scene.fps, "motion_bucket_id": motion_bucket(scene)}
        speed = math.hypot(*PHOTOGRAPHS[self.seed].by) / (num_frames - 1) * PHOTO_FPS
        return {"fps": PHOTO_FPS, "motion_bucket_id": round(255 * min(1.0, speed / SPEED_AT_FULL_BUCKET))}


def benchmark_scenes(categories: Iterable[str] | None = None, most: int | None = None) -> tuple[BenchmarkScene, ...]:
    """The scenes of some of `CATEGORIES` and `VARIATIONS`, by default the benchmark's; always the same in one order.

    There are at most `most` of each category; None for all. InputError: an unknown category, or `most` below 1.
    """
    wanted = tuple(CATEGORIES) if categories is None else tuple(categories)
    known = (*CATEGORIES, *VARIATIONS)
    if unknown := [name for name in wanted if name not in known]:
        raise InputError(f"unknown category {unknown[0]!r}; choose some of {', '.join(known)}")
    if most is not None and most < 1:
        raise InputError(f"the number of scenes of each category is {most}, but must be at least 1")
    seeds = {name: range(CROWDS) if _count(name) else SEEDS["single"] for name in VARIATIONS}
    seeds |= {**SEEDS, "training": TRAINING, "photo": range(len(PHOTOGRAPHS))}
    return tuple(BenchmarkScene(name, seed) for name in known if name in wanted for seed in list(seeds[name])[:most])


def stretched(
    video: Float[Tensor, "frames 3 _h _w"], size: tuple[int, int]
) -> Float[Tensor, "frames 3 _height _width"]:
    """A video (frames, 3, _, _) in 0..1 at another size (width, height); itself where it has that size."""
    width, height = size
    if tuple(video.shape[-2:]) == (height, width):
        return video
    return F.interpolate(video, (height, width), mode="bicubic", antialias=True).clamp(0, 1)


# --- which scenes ----------------------------------------------------------------------------------------------------


def _scene(category: str, seed: int, num_frames: int) -> Scene:
    return crowd(seed, num_frames) if _count(category) else sample_scene(seed, num_frames, hard=category == "hard")


def _count(category: str) -> int:
    """How many objects of a crowd are asked to move; 0 where there is no crowd."""
    return int(category.removeprefix("objects-")) if category.startswith("objects-") else 0


def _asked(category: str, scene: Scene) -> Boxes:
    """The boxes asked for (boxes, frames, 4), in sides of the picture."""
    if category == "pan":
        return _background_boxes(scene)
    boxes = true_boxes(scene, 1)
    if category in PATHS:
        return vary_path(category, boxes)
    return boxes[: _count(category) or None]


def _background_boxes(scene: Scene) -> Boxes:
    """Boxes that stay within the picture, and clear of all sprites, while the camera pans.

    Where the background is too plain for anybody to see that it moves, there is no box.
    """
    grid = torch.stack([each.boxes(1) for each in camera_still((1000, 1000))]) / 1000
    boxes = grid - scene.camera[None, :, :2].repeat(1, 1, 2)
    inside = ((boxes >= 0) & (boxes <= 1)).flatten(1).all(dim=1)
    sprites = true_boxes(scene, 1)
    touch = (shared_area(boxes[:, None], sprites[None]) > 0).flatten(1).any(dim=1)
    boxes = boxes[inside & ~touch]
    picture = render(scene, LOOK, slice(0, 1))[0]
    told = [_cornerness(picture, (box[0] * LOOK).round().long().tolist()) >= CORNERS for box in boxes]
    return boxes[torch.tensor(told, dtype=torch.bool)]


def _cornerness(picture: Image, box: list[int]) -> float:
    """How well the content of a box can be told from itself shifted, in any direction (Shi & Tomasi 1994)."""
    x0, y0, x1, y1 = box
    cut = picture[:, y0:y1, x0:x1]
    dx, dy = cut.diff(dim=2)[:, 1:].flatten(), cut.diff(dim=1)[:, :, 1:].flatten()
    tensor = torch.stack([dx @ dx, dx @ dy, dx @ dy, dy @ dy]).view(2, 2) / len(dx)
    return torch.linalg.eigvalsh(tensor)[0].item()


FOUND = {  # the seeds that satisfy a category's condition, counted from its first one
    "single": "4 37 44 83 109 114 115 136 138 152 153 169 178 194 207 223 231 232 360 373 379 476 482 483 517 "
    "524 550 558 581 588 589 595",
    "two": "401 1498 5193 11564 15367 15654 16715 19725 20004 26478 27348 27767",
    "pinned": "4370 5384 5392 8410 9064 17654 17987 21891 22632 22675 23504 24973",
    "pan": "19 29 50 121 122 212 248 277 341 356 405 411",
    "hard": "0 1 3 4 6 10 11 13 27 29 30 39",
}
STARTS = {name: HELD_OUT + 100_000 * (1 + k) for k, name in enumerate(FOUND)}
SEEDS = {name: tuple(STARTS[name] + int(offset) for offset in text.split()) for name, text in FOUND.items()}
