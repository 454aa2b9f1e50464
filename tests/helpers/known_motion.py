"""Clips of known motion, made of photographs, to try trackers and metrics on.

A window that shifts over a photograph gives a clip in which the path of every pixel is known. A piece of another
photograph that crosses it hides points for a known time.
"""

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from sgi2v_lab.images.photographs import read_photograph
from sgi2v_lab.shapes import Boxes, Points, Video

PHOTOGRAPHS = ("china", "flower", "coffee", "chelsea", "astronaut", "rocket")
BOXED = 4  # the first of them, which `photograph_clip` draws from
MARGIN = 0.3  # the photograph reaches this far over each rim of the window, in sides of it


@dataclass(frozen=True)
class KnownPoints:
    """A clip, where its points truly are, (points, frames, 2) in pixels, and whether they can be seen there."""

    video: Video
    points: Points
    visible: Bool[Tensor, "boxes frames"]


def photograph_clip(seed: int, size: int = 128, num_frames: int = 8) -> tuple[Video, Boxes]:
    """Photographs with imposed motion: a clip (frames, 3, size, size) and the true boxes (1, frames, 4) in pixels.

    Odd seeds: a window pans over a photograph (a box on the background). Even seeds: an oval piece of one photograph
    moves over another. The motion is even, up to 10 px per frame at 128 px, to fractions of a pixel.
    """
    generator = torch.Generator().manual_seed(seed)
    draw = lambda low, high: (low + (high - low) * torch.rand(2, generator=generator)) * size / 128  # noqa: E731
    pick = torch.randperm(BOXED, generator=generator)
    half = draw(13, 22)
    t = torch.linspace(0, 1, num_frames)[:, None]
    if seed % 2:
        center, move = draw(50, 78), draw(-30, 30)  # the box stays in the picture
        video = _window(pick[0], -t * move, size)
        path = center + t * move
    else:
        start, end = draw(20, 108), draw(20, 108)
        path = start + t * ((end - start) * min(1.0, 70 / 128 * size / (end - start).norm().item()))
        piece = _window(pick[1], draw(-40, 40) - path, size)
        video = _window(pick[0], torch.zeros(num_frames, 2), size)
        video = torch.lerp(video, piece, _oval(path, half, size))
    return video, torch.cat([path - half, path + half], dim=-1)[None]


def imposed_clip(seed: int, size: int = 128, num_frames: int = 8, per_side: int = 4) -> KnownPoints:
    """A photograph seen through a shifting window, with an even grid of points on it.

    The window moves along a curve, by up to about 0.04 of its side per frame and to fractions of a pixel, so that some
    points leave the picture. With even seeds a round piece of another photograph crosses it and hides some; a point is
    visible while it lies in the picture and less than half covered. All are visible in the first frame.
    """
    generator = torch.Generator().manual_seed(seed)
    seen = seed // 2 % len(PHOTOGRAPHS)
    turn, bend, along = (torch.rand(3, generator=generator) - 0.5).tolist()
    t = torch.linspace(0, 1, num_frames)
    angle = 2 * torch.pi * torch.tensor(turn) + 2 * bend * t
    path = t[:, None] * torch.stack([angle.cos(), angle.sin()], dim=-1)
    path = path * min(MARGIN, 0.03 * (num_frames - 1)) * size
    axis = (torch.arange(per_side) + 0.5) / per_side * size
    start = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).flatten(0, 1)
    points = start[:, None] + path
    video = _window(seen, -path, size)
    visible = ((points > 0) & (points < size)).all(dim=-1)
    if seed % 2 == 0:
        across = torch.stack([t * 1.5 - 0.25, torch.full_like(t, 0.5 + 0.6 * along)], dim=-1) * size
        half = torch.full((2,), 0.18 * size)
        cover = _oval(across, half, size)
        video = torch.lerp(video, _window((seen + 1) % len(PHOTOGRAPHS), -across, size), cover)
        depth = 1 - ((points - across) / half).norm(dim=-1)
        visible &= depth <= 0
    return KnownPoints(video, points, visible)


def _oval(center: Tensor, half: Tensor, size: int) -> Float[Tensor, "frames 1 size size"]:
    """How much an oval with a soft rim covers each pixel, 0..1."""
    axis = torch.arange(size) + 0.5
    away = (torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1) - center[:, None, None]) / half
    return ((1 - away.norm(dim=-1)) * half.min() + 0.5).clamp(0, 1)[:, None]


def _window(which: int | Tensor, shift: Tensor, size: int) -> Video:
    """Windows (frames, 3, size, size) on a photograph, the middle one moved by shift (frames, 2) pixels."""
    photo = _photograph(PHOTOGRAPHS[which], round((1 + 2 * MARGIN) * size))
    return _cut(photo.expand(len(shift), -1, -1, -1), -shift, size)


def _cut(frames: Tensor, shift: Tensor, size: int) -> Video:
    """The middle of each frame, (frames, 3, size, size), its content shifted by (frames, 2) pixels."""
    height, width = frames.shape[-2:]
    axis = torch.arange(size) + 0.5 - size / 2
    at = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1) - shift[:, None, None]
    at = at * 2 / torch.tensor([width, height])
    return F.grid_sample(frames, at, align_corners=False, padding_mode="reflection")


@cache
def _photograph(name: str, side: int) -> Tensor:
    """A photograph (1, 3, h, w) in 0..1 of the given short side."""
    photo = read_photograph(name)[None]
    return F.interpolate(photo, scale_factor=side / min(photo.shape[-2:]), mode="bicubic", antialias=True).clamp(0, 1)
