"""What each category of the benchmark's drawn scenes asks of a scene, and the search that found its seeds."""

import math
from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor

from sgi2v_lab.evaluation.scenes.scenes import LOOK, STARTS, BenchmarkScene, _background_boxes
from sgi2v_lab.toy.world.scenes import Scene, render, true_boxes
from sgi2v_lab.trajectories.boxes import shared_area

MOMENTS = 57  # times at which a condition is checked: all frames of videos of 8, 15 and 29 frames, and between them
CONTRAST = 0.15  # least distance in colour, RGB in 0..1, between a sprite and what it covers, averaged over its box


def find_seeds(category: str, count: int, start: int | None = None) -> tuple[int, ...]:
    """The first `count` seeds, from `start` on, whose scenes satisfy a category's condition; minutes for rare ones.

    By default it starts at the category's own first seed, and finds `SEEDS[category]` again.
    """
    seed = STARTS[category] if start is None else start
    found: list[int] = []
    while len(found) < count:
        # eight frames are drawn faster, and rule most scenes out
        if fits(category, seed, 8) and fits(category, seed):
            found.append(seed)
        seed += 1
    return tuple(found)


def fits(category: str, seed: int, num_frames: int | None = None) -> bool:
    """Whether a seed's scene satisfies a category's condition, at so many evenly spread moments, by default many."""
    num_frames = num_frames or (8 if category == "hard" else MOMENTS)  # a hard scene draws when sprites meet
    return CONDITIONS[category](BenchmarkScene(category, seed).scene(num_frames))


def _moves(scene: Scene) -> Tensor:
    """How far each sprite goes on the screen from the first frame to the last, (sprites, 2)."""
    boxes = true_boxes(scene, 1)
    return (boxes[:, -1] - boxes[:, 0]).view(-1, 2, 2).mean(dim=1)


def _pans(scene: Scene) -> bool:
    return bool((scene.camera != scene.camera[0]).any())


def _in_view(scene: Scene, count: int) -> bool:
    """Whether there are so many sprites, in full view, never touching, under a camera that stands still."""
    if len(scene.sprites) != count or _pans(scene):
        return False
    boxes = true_boxes(scene, 1)
    apart = count == 1 or not shared_area(boxes[0], boxes[1]).any()
    return bool(((boxes >= 0) & (boxes <= 1)).all()) and bool(apart) and _told_from_background(scene)


def _told_from_background(scene: Scene) -> bool:
    """Whether every sprite differs from what it covers, all along its way."""
    some = slice(0, None, max(1, (scene.num_frames - 1) // 7))
    bare = render(replace(scene, sprites=()), LOOK, some)
    for sprite in scene.sprites:
        alone = replace(scene, sprites=(sprite,))
        changed = (render(alone, LOOK, some) - bare).norm(dim=1)
        boxes = true_boxes(alone, LOOK)[0, some].round().long().tolist()
        told = (frame[y0:y1, x0:x1].mean() for frame, (x0, y0, x1, y1) in zip(changed, boxes, strict=True))
        if min(told) < CONTRAST:
            return False
    return True


def _is_single(scene: Scene) -> bool:
    return _in_view(scene, 1) and _moves(scene).norm().item() >= 1 / 3


def _is_two(scene: Scene) -> bool:
    if not _in_view(scene, 2):
        return False
    moves = _moves(scene)
    return bool(moves.norm(dim=1).min() >= 0.25 and F.cosine_similarity(*moves, dim=0) <= math.cos(math.radians(60)))


def _is_pinned(scene: Scene) -> bool:
    if not _in_view(scene, 2):
        return False
    least, most = sorted(_moves(scene).norm(dim=1).tolist())
    return least < 1e-3 and most >= 1 / 3  # a path that stands still is exact to rounding only


def _is_pan(scene: Scene) -> bool:
    zooms = bool((scene.camera[:, 2] != 1).any())
    far = scene.camera[-1, :2].norm().item()
    seen = scene.background != "plain" and not zooms and 1 / 6 <= far <= 1 / 3
    return seen and len(_background_boxes(scene)) >= 2


def _is_hard(scene: Scene) -> bool:
    boxes = true_boxes(scene, 1)
    centres = boxes.view(*boxes.shape[:2], 2, 2).mean(dim=2)
    seen = bool(((boxes[:, 0] >= 0) & (boxes[:, 0] <= 1)).all() and ((centres >= 0) & (centres <= 1)).all())
    if not seen or _moves(scene).norm(dim=1).max().item() < 0.25:
        return False
    smaller = (boxes[:, 0, 2:] - boxes[:, 0, :2]).prod(dim=-1).min()
    return _pans(scene) or (len(boxes) == 2 and bool((shared_area(boxes[0], boxes[1]) > 0.3 * smaller).any()))


CONDITIONS = {"single": _is_single, "two": _is_two, "pinned": _is_pinned, "pan": _is_pan, "hard": _is_hard}
