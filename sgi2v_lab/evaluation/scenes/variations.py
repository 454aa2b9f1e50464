"""Categories of scenes that are no part of the benchmark's score: for single questions, and to search settings on.

Curved and uneven paths are asked of scenes with one object, so their true videos, which are straight or bent as they
were drawn, do not show what is asked.
"""

import math
from dataclasses import replace
from functools import cache

import torch

from sgi2v_lab.shapes import Boxes
from sgi2v_lab.toy.training.data import HELD_OUT
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import Scene, true_boxes

__all__ = ["MANY", "PATHS", "TRAINING", "VARIATIONS", "crowd", "vary_path"]

MANY = 4  # objects in a crowd
PATHS = {
    "straight": "one object, asked to move evenly along a straight line",
    "curved": "the same picture and end, along a half circle",
    "uneven": "the same picture and line, waiting for half of the time",
    "return": "the same picture, half-way there and back",
}
VARIATIONS = {
    **{f"objects-{n}": f"{MANY} objects in the picture, {n} of them asked to move" for n in range(1, MANY + 1)},
    **PATHS,
    "training": "one object, two, and one of two pinned, in turn; scenes that the toy may have been trained on",
}
# The first seeds from 0 on that are as the benchmark's "single", "two" and "pinned", in turn.
TRAINING = (20, 2849, 697, 93, 3287, 2786, 124, 3328, 7188, 128, 10462, 7850)
TRAINING += (141, 10588, 8570, 152, 17149, 9337, 237, 18277, 10537, 253, 21416, 11090)
FIRST = HELD_OUT + 10_000_000  # far from the benchmark's seeds
SMALLER = 0.62  # size of a crowd's objects: four of the usual size hardly fit
LEAST_MOVE = 0.2  # picture sides that each object of a crowd travels
APART = 0.02  # least gap between their boxes, in picture sides
TRIES = 200


@cache
def crowd(seed: int, num_frames: int) -> Scene:
    """A scene of `MANY` objects that travel without touching, before a still background."""
    base = sample_scene(FIRST + seed * TRIES, num_frames, simple=True)
    sprites: tuple = ()
    for k in range(TRIES):
        (other,) = sample_scene(FIRST + seed * TRIES + k, num_frames, simple=True).sprites
        scene = replace(base, sprites=(*sprites, replace(other, radius=SMALLER * other.radius)))
        if _fits(true_boxes(scene, 1)):
            sprites = scene.sprites
        if len(sprites) == MANY:
            return scene
    return crowd(seed + 100_000, num_frames)  # rare: no four of these go together


def _fits(boxes: Boxes) -> bool:
    """Whether the last object lies in the picture, travels, and keeps away from the others."""
    own, others = boxes[-1], boxes[:-1]
    inside = bool(((own >= 0) & (own <= 1)).all())
    moves = (own[-1] - own[0])[:2].norm() >= LEAST_MOVE
    gaps = torch.maximum(others[..., :2] - own[:, 2:], own[:, :2] - others[..., 2:])  # below 0 where they overlap
    return inside and bool(moves) and bool((gaps.amax(dim=-1) >= APART).all())


def vary_path(kind: str, boxes: Boxes) -> Boxes:
    """Boxes (1, frames, 4) of the first one's size, in picture sides, on another one of `PATHS` to the same end."""
    frames = boxes.shape[1]
    half = (boxes[:, :1, 2:] - boxes[:, :1, :2]) / 2
    start, end = ((boxes[:, k, :2] + boxes[:, k, 2:]) / 2 for k in (0, -1))
    t = torch.linspace(0, 1, frames)[None, :, None]
    if kind == "uneven":
        t = (2 * t - 1).clamp(min=0)
    if kind == "return":
        t = 0.5 - (t - 0.5).abs()
    way = start[:, None] + t * (end - start)[:, None]
    if kind == "curved":
        way = _half_circle(start, end, half, t)
    return torch.cat([way - half, way + half], dim=-1)


def _half_circle(start: torch.Tensor, end: torch.Tensor, half: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The side of the line is the one on which the boxes stay further inside the picture."""
    middle, arm = (start + end)[:, None] / 2, (start - end)[:, None] / 2
    across = torch.stack([-arm[..., 1], arm[..., 0]], dim=-1)
    ways = [middle + (math.pi * t).cos() * arm + side * (math.pi * t).sin() * across for side in (-1, 1)]
    inside = [torch.minimum(way - half, 1 - way - half).amin() for way in ways]
    return ways[int(inside[1] > inside[0])]
