"""How accurate is a tracker? Clips whose motion is known, and the errors made on them.

Two kinds of square clips: the toy's scenes (sprites over backgrounds, a moving camera in a third of them) and
photographs with imposed motion: an oval piece of one moves over another, or a window pans over a photograph.
"""

from collections.abc import Iterable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from sgi2v_lab.evaluation.tracking import PointTracker, track_boxes
from sgi2v_lab.shapes import Boxes, Video
from sgi2v_lab.toy.random_scenes import sample_scene
from sgi2v_lab.toy.scenes import render, true_boxes

__all__ = ["photograph_clip", "validate_tracker"]

PHOTOGRAPHS = (("sklearn", "china"), ("sklearn", "flower"), ("skimage", "coffee"), ("skimage", "chelsea"))


def validate_tracker(tracker: str | PointTracker | None, seeds: Iterable[int], size: int = 128) -> dict[str, object]:
    """Errors of a tracker, in pixels of clips of size x size, over the later frames of clips with known motion.

    For each seed there is one toy scene and one photograph clip. Toy sprites are counted twice: all of them, and
    those that no other sprite covers at any time (`uncovered`), since the box of a covered object holds two things.

    Returns:
        {"tracker", "resolution", and for each of "uncovered", "all", "photographs": {"objects", "median", "p90",
        "mean", "visible"}}, where `visible` is the part of positions that the tracker reports as seen.
    """
    errors: dict[str, list[Tensor]] = {"uncovered": [], "all": [], "photographs": []}
    seen: dict[str, list[Tensor]] = {kind: [] for kind in errors}
    name = ""
    for seed in seeds:
        scene = sample_scene(seed)
        toy = (render(scene, size), true_boxes(scene, size))
        for kinds, (video, boxes) in (("all", toy), ("photographs", photograph_clip(seed, size))):
            tracks = track_boxes(video, boxes[:, 0], tracker)
            name = tracks.tracker
            error = (tracks.points - (boxes[..., :2] + boxes[..., 2:]) / 2).norm(dim=-1)[:, 1:]
            for k in range(len(boxes)):
                for kind in (kinds, "uncovered") if kinds == "all" and not _covered(boxes, k) else (kinds,):
                    errors[kind].append(error[k])
                    seen[kind].append(tracks.visible[k, 1:].float())
    figures = {kind: _summary(errors[kind], seen[kind]) for kind in errors}
    return {"tracker": name, "resolution": f"{size}x{size}", **figures}


def _summary(errors: list[Tensor], seen: list[Tensor]) -> dict[str, float]:
    if not errors:
        return {"objects": 0}
    e = torch.cat(errors)
    return {
        "objects": len(errors),
        "median": round(e.median().item(), 3),
        "p90": round(e.quantile(0.9).item(), 3),
        "mean": round(e.mean().item(), 3),
        "visible": round(torch.cat(seen).mean().item(), 3),
    }


def _covered(boxes: Boxes, k: int, tolerance: float = 0.02) -> bool:
    """Whether any later-drawn box ever overlaps more than a sliver of box k."""
    mine = boxes[k]
    area = (mine[:, 2:] - mine[:, :2]).prod(dim=-1)
    overlap = torch.minimum(mine[:, 2:], boxes[k + 1 :, :, 2:]) - torch.maximum(mine[:, :2], boxes[k + 1 :, :, :2])
    return bool((overlap.clamp(min=0).prod(dim=-1) > tolerance * area).any())


def photograph_clip(seed: int, size: int = 128, num_frames: int = 8) -> tuple[Video, Boxes]:
    """Photographs with imposed motion: a clip (frames, 3, size, size) and the true boxes (1, frames, 4) in pixels.

    Odd seeds: a window pans over a photograph (a box on the background). Even seeds: an oval piece of one photograph
    moves over another. The motion is even, up to 10 px per frame at 128 px, to fractions of a pixel.
    """
    generator = torch.Generator().manual_seed(seed)
    draw = lambda low, high: (low + (high - low) * torch.rand(2, generator=generator)) * size / 128  # noqa: E731
    pick = torch.randperm(len(PHOTOGRAPHS), generator=generator)
    half = draw(13, 22)
    t = torch.linspace(0, 1, num_frames)[:, None]
    if seed % 2:
        centre, move = draw(50, 78), draw(-30, 30)  # the box stays in the picture
        video = _window(pick[0], -t * move, size)
        path = centre + t * move
    else:
        start, end = draw(20, 108), draw(20, 108)
        path = start + t * ((end - start) * min(1.0, 70 / 128 * size / (end - start).norm().item()))
        piece = _window(pick[1], draw(-40, 40) - path, size)
        video = _window(pick[0], torch.zeros(num_frames, 2), size)
        axis = torch.arange(size) + 0.5
        away = (torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1) - path[:, None, None]) / half
        alpha = ((1 - away.norm(dim=-1)) * half.min() + 0.5).clamp(0, 1)[:, None]
        video = video + alpha * (piece - video)
    return video, torch.cat([path - half, path + half], dim=-1)[None]


def _window(which: Tensor, shift: Tensor, size: int) -> Video:
    """Windows (frames, 3, size, size) on a photograph, the middle one moved by shift (frames, 2) pixels."""
    photo = _photograph(int(which), round(1.6 * size))
    height, width = photo.shape[-2:]
    axis = torch.arange(size) + 0.5 - size / 2
    at = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1) + shift[:, None, None]
    at = at * 2 / torch.tensor([width, height])
    return F.grid_sample(photo.expand(len(at), -1, -1, -1), at, align_corners=False, padding_mode="reflection")


@cache
def _photograph(which: int, side: int) -> Tensor:
    """A photograph (1, 3, h, w) in 0..1 of the given short side."""
    source, name = PHOTOGRAPHS[which]
    if source == "sklearn":
        from sklearn.datasets import load_sample_image

        pixels = load_sample_image(f"{name}.jpg")
    else:
        import skimage.data

        pixels = getattr(skimage.data, name)()
    photo = torch.from_numpy(pixels[..., :3].copy()).permute(2, 0, 1)[None].float() / 255
    return F.interpolate(photo, scale_factor=side / min(photo.shape[-2:]), mode="bicubic", antialias=True).clamp(0, 1)
