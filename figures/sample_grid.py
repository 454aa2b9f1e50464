"""Sample grids: a first frame with its target boxes, and videos as film strips beside it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.plots.boxes import draw_box, draw_path
from sgi2v_lab.plots.style import WIDTH, array, checked, chosen_frames, color_each, new_figure, styled
from sgi2v_lab.shapes import Boxes, Video

__all__ = ["Strips", "plot_sample_grid"]

GAP = 0.04  # between pictures, in picture widths
HEADING = 0.27  # inches above a scene, for its title
MARGIN = 0.5  # between the picture and the strips, in picture widths; their labels stand there


@dataclass(frozen=True)
class Strips:
    """One scene of a sample grid: its picture, large, and all videos as film strips."""

    title: str
    boxes: Boxes  # targets (boxes, frames, 4), in pixels of the videos
    videos: Mapping[str, Video]  # by label; all of one size, as many frames as the boxes
    picture: Float[Tensor, "3 _height _width"] | None = None  # None for the first video's first frame


def plot_sample_grid(scenes: Sequence[Strips], columns: int = 1, most: int = 8, width: float | int = WIDTH) -> Figure:
    """Scenes in a grid, each with its picture and paths on the left and its film strips on the right.

    Args:
        scenes: left to right, row by row; they may have different numbers of strips.
        columns: scenes in a row.
        most: frames of each strip, the first and the last among them.
        width: of the figure in inches.

    Raises:
        InputError: no scene at all, one without a video, videos of different sizes, or boxes that do not fit them.
    """
    if not scenes or not all(scene.videos for scene in scenes):
        raise InputError("there is nothing to show; give at least one scene, and each at least one video")
    shape = next(iter(scenes[0].videos.values())).shape
    for scene in scenes:
        checked(scene.boxes, "the boxes", f"boxes {shape[0]} 4")
        for label, video in scene.videos.items():
            checked(video, label, f"{shape[0]} 3 {shape[2]} {shape[3]}")
    frames = chosen_frames(shape[0], most=most)
    height, wide = shape[2:]
    strips = max(len(scene.videos) for scene in scenes)
    gap = GAP * wide
    # all in pixels of the videos: the large picture is as tall as all strips
    tall = strips * height + (strips - 1) * gap
    broad = tall * wide / height + MARGIN * wide + len(frames) * (wide + gap)
    inch = (width - 0.3 * columns) / columns / broad
    row = tall * inch + HEADING
    total = math.ceil(len(scenes) / columns) * row + 0.05
    with styled():
        figure = new_figure(total, width=width, layout="none")
        for number, scene in enumerate(scenes):
            below, left = total - 0.05 - (number // columns + 1) * row, 0.1 + number % columns * width / columns
            axes = figure.add_axes((left / width, below / total, broad * inch / width, tall * inch / total))
            _draw_scene(axes, scene, frames, tall, broad)
    return figure


def _draw_scene(axes: Axes, scene: Strips, frames: Sequence[int], tall: float, broad: float) -> None:
    first = next(iter(scene.videos.values()))[0]
    height, wide = first.shape[1:]
    axes.set(xlim=(0, broad), ylim=(tall, 0), xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_visible(False)
    axes.set_title(scene.title, fontsize=7.5, loc="left", pad=3)
    colors = color_each(len(scene.boxes))
    scale = tall / height  # of the large picture, per pixel
    _place(axes, first if scene.picture is None else scene.picture, 0, 0, (wide * scale, tall))
    for boxes, color in zip(scene.boxes.detach().cpu() * scale, colors, strict=True):
        inside = (0, 0, wide * scale, tall)
        draw_path(axes, (boxes[:, :2] + boxes[:, 2:]) / 2, color, dots=False, width=1.3)
        if not torch.equal(boxes[0], boxes[-1]):
            _thin_box(axes, boxes[-1], color, inside, linestyle=(0, (3, 2)))
        _thin_box(axes, boxes[0], color, inside)
    start = wide * scale + MARGIN * wide
    for k, (label, video) in enumerate(scene.videos.items()):
        y = k * (height + GAP * wide)
        axes.text(start - 0.1 * wide, y + height / 2, label, rotation=90, ha="right", va="center", fontsize=6.5)
        for i, frame in enumerate(frames):
            x = start + i * (1 + GAP) * wide
            _place(axes, video[frame], x, y, (wide, height))
            for box, color in zip(scene.boxes[:, frame].detach().cpu(), colors, strict=True):
                _thin_box(axes, box + torch.tensor([x, y, x, y]), color, (x, y, x + wide, y + height))


def _place(axes: Axes, picture: Tensor, x: float, y: float, size: tuple[float, float]) -> None:
    wide, height = size
    pixels = array(picture.clamp(0, 1)).transpose(1, 2, 0)
    axes.imshow(pixels, extent=(x, x + wide, y + height, y), aspect="auto", interpolation="antialiased")
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())


def _thin_box(axes: Axes, box: Tensor, color: str, inside: tuple[float, ...], linestyle: str | tuple = "-") -> None:
    """A thin box, cut off where the picture ends."""
    frame = Rectangle(inside[:2], inside[2] - inside[0], inside[3] - inside[1], transform=axes.transData)
    for patch in draw_box(axes, box, color, 0.9, linestyle, casing=0.8):
        patch.set_clip_path(frame)
