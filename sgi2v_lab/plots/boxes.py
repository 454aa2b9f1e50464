"""Figures of boxes and paths on pictures: what was asked, the frames that came, the paths that were found."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import Normal, Stroke
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.plots.style import (
    array,
    checked,
    checked_any,
    checked_names,
    checked_video,
    chosen_frames,
    color_each,
    name_frames,
    new_figure,
    picture_grid,
    show_picture,
    styled,
)
from sgi2v_lab.shapes import Boxes, Image, Points, Video

__all__ = ["plot_comparison", "plot_film_strip", "plot_tracks", "plot_trajectories"]

GRAY = "#444444"


def plot_trajectories(image: Image, boxes: Boxes, names: Sequence[str] | None = None) -> Figure:
    """The picture with each box where it starts (solid) and ends (dashed), and the path of its centre.

    Args:
        image: (3, height, width), 0..1.
        boxes: (boxes, frames, 4) as x0, y0, x1, y1 in pixels of the image.
        names: one for each box, written at its first corner; None writes none.

    Raises:
        InputError: wrong shapes, or not one name for each box.
    """
    checked(image, "the image", "3 height width")
    checked(boxes, "the boxes", "boxes frames 4")
    labels = checked_names(names, [""] * len(boxes))
    height, width = image.shape[1:]
    with styled():
        side = min(6.0, 9.0 * width / max(width, height))
        figure = new_figure(side * height / width + 0.4, width=side, layout="compressed")
        axes = figure.subplots()
        show_picture(axes, image)
        for box, color, label in zip(boxes.detach().cpu(), color_each(len(boxes)), labels, strict=True):
            draw_path(axes, (box[:, :2] + box[:, 2:]) / 2, color)
            if len(box) > 1 and not torch.equal(box[0], box[-1]):
                draw_box(axes, box[-1], color, linestyle=(0, (4, 2.5)))
            draw_box(axes, box[0], color)
            if label:
                x, y = box[0, 0].clamp(0, width).item(), box[0, 1].clamp(0, height).item()
                room = y > 0.06 * height  # else the name goes inside the box
                axes.annotate(
                    label,
                    (x, y),
                    xytext=(0, 3 if room else -3),
                    textcoords="offset points",
                    va="bottom" if room else "top",
                    color="white",
                    fontsize=8.5,
                    bbox={"boxstyle": "square,pad=0.2", "facecolor": color, "edgecolor": "none"},
                )
        figure.legend(
            handles=[
                Line2D([], [], color=GRAY, label="first frame"),
                Line2D([], [], color=GRAY, linestyle=(0, (3, 2)), label="last frame"),
                Line2D([], [], color=GRAY, marker="o", linewidth=1.8, label="centre, frame by frame"),
            ],
            loc="outside lower center",
            ncols=3,
        )
    return figure


def plot_film_strip(
    video: Video, boxes: Boxes | None = None, every: int | None = 1, title: str | None = None
) -> Figure:
    """The frames of a video in order, at most eight to a row, each with its own boxes.

    Args:
        video: (frames, 3, height, width), 0..1.
        boxes: (boxes, frames, 4) in pixels of the video, or None.
        every: show every n-th frame; None shows at most eight, spread evenly from the first to the last.
        title: a line above.

    Raises:
        InputError: wrong shapes, or `every` below 1.
    """
    frames = chosen_frames(len(checked_video(video)), every)
    if boxes is not None:
        checked(boxes, "the boxes", f"boxes {len(video)} 4")
    # of five to eight columns, those that leave the fewest holes in the last row
    columns = len(frames) if len(frames) <= 8 else min((8, 7, 6, 5), key=lambda c: -len(frames) % c)
    rows = -(-len(frames) // columns)
    with styled():
        figure, axes = picture_grid(rows, columns, *video.shape[2:], title=title)
        for one in axes.flat[len(frames) :]:
            one.remove()
        for one, frame in zip(axes.flat, frames, strict=False):
            show_picture(one, video[frame])
            draw_boxes_at(one, boxes, frame)
        for row in range(rows):
            name_frames(axes[row], frames[row * columns : (row + 1) * columns])
    return figure


def plot_comparison(uncontrolled: Video, controlled: Video, boxes: Boxes | None = None) -> Figure:
    """Two videos from the same picture as aligned film strips of at most eight frames, with the same boxes on both.

    Args:
        uncontrolled: (frames, 3, height, width), 0..1: what the model does by itself.
        controlled: the same shape: what it does along the boxes.
        boxes: (boxes, frames, 4) in pixels of the videos, or None.

    Raises:
        InputError: wrong shapes, or videos of different shapes.
    """
    checked_video(uncontrolled, "the uncontrolled video")
    if controlled.shape != uncontrolled.shape:
        shapes = f"{tuple(uncontrolled.shape)} and {tuple(controlled.shape)}"
        raise InputError(f"the videos have shapes {shapes}: expected equal ones, so generate both with one setting")
    with styled():
        return frame_rows({"uncontrolled": uncontrolled, "controlled": controlled}, boxes)[0]


def plot_tracks(
    video: Video, asked: Points, found: Mapping[str, Points], visible: Bool[Tensor, "boxes frames"] | None = None
) -> Figure:
    """The paths asked for against the paths found by a tracker, on the first and the last frame.

    Args:
        video: (frames, 3, height, width), 0..1.
        asked: (boxes, frames, 2): the paths asked for, in pixels of the video.
        found: per label, the paths that were found, of the same shape.
        visible: (boxes, frames), False where the tracker lost its point; drawn hollow there.

    Raises:
        InputError: wrong shapes, or no found paths.
    """
    checked(asked, "the asked paths", f"boxes {len(checked_video(video))} 2")
    checked_any(found, "found paths", "{'controlled': points}")
    for label, points in found.items():
        checked(points, f"the path {label!r}", f"{len(asked)} {len(video)} 2")
    seen = torch.ones(asked.shape[:2], dtype=torch.bool) if visible is None else visible.detach().cpu()
    checked(seen, "visible", f"{len(asked)} {len(video)}")
    colors = dict(zip(found, color_each(len(found)), strict=True))
    with styled():
        figure, axes = picture_grid(1, 2, *video.shape[2:])
        for one, frame in zip(axes[0], (0, len(video) - 1), strict=True):
            show_picture(one, video[frame])
            one.set_title(f"frame {frame}", fontsize=8)
            for path in asked:
                draw_path(one, path, "#111111", dots=False, width=2.4)
            for label, points in found.items():
                for path, dots in zip(array(points), seen, strict=True):
                    fills = [colors[label] if dot else "white" for dot in dots]
                    one.plot(*path.T, color=colors[label], linewidth=1.2, path_effects=_casing(1.2), zorder=3)
                    one.scatter(*path.T, s=14, c=fills, edgecolors=colors[label], linewidths=1, zorder=4)
        handles = [Line2D([], [], color="#111111", linewidth=2.4, label="asked")]
        handles += [Line2D([], [], color=c, marker="o", linewidth=1.2, label=label) for label, c in colors.items()]
        if not seen.all():
            hollow = {"marker": "o", "markerfacecolor": "white", "linestyle": "none"}
            handles.append(Line2D([], [], color=GRAY, label="out of the tracker's sight", **hollow))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


# --- drawing ---------------------------------------------------------------------------------------------------------


def draw_box(
    axes: Axes, box: Tensor, color: str, width: float = 1.6, linestyle: str | tuple = "-", casing: float = 1.4
) -> list[Patch]:
    """One box (4,) in the axes' pixels, on a pale casing that shows on any picture."""
    x0, y0, x1, y1 = box.tolist()
    # the casing of a dashed line must be solid: two dash patterns of different widths do not line up
    lines = (((1, 1, 1, 0.7), width + casing, "-"), (color, width, linestyle))
    return [
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=c, linewidth=w, linestyle=style))
        for c, w, style in lines
    ]


def draw_path(axes: Axes, centers: Tensor, color: str, dots: bool = True, width: float = 1.8) -> None:
    """A path (frames, 2) with a dot per frame and an arrow head at its end; a path that stands still is one dot."""
    centers = centers.detach().cpu().float()
    still = (centers - centers[0]).abs().max() < 0.5
    if not still:
        axes.plot(*centers.T.tolist(), color=color, linewidth=width, path_effects=_casing(width), zorder=3)
        far = (centers[-1] - centers).norm(dim=1)
        # aim the head from a point well behind the end: the last step of an eased path is too short to show a direction
        dx, dy = (centers[-1] - centers[far > 0.25 * far.max()][-1]).tolist()
        head = (3, 0, math.degrees(math.atan2(-dy, dx)) - 90)  # a triangle turned from pointing up
        axes.plot(*centers[-1].tolist(), marker=head, ms=9, color=color, mec="white", mew=0.8, zorder=5)
    if dots or still:
        shown = centers[:1] if still else centers[:-1]
        size = 34 if still else 20
        axes.scatter(*shown.T.tolist(), s=size, c=color, edgecolors="white", linewidths=0.6, zorder=4)


def _casing(width: float) -> list:
    return [Stroke(linewidth=width + 1.4, foreground=(1, 1, 1, 0.7)), Normal()]


def draw_boxes_at(axes: Axes, boxes: Boxes | None, frame: int) -> None:
    """All boxes of one frame, each in its colour; what lies outside the picture on the axes is cut off."""
    if boxes is not None:
        view = axes.get_xlim(), axes.get_ylim()
        for box, color in zip(boxes[:, frame], color_each(len(boxes)), strict=True):
            draw_box(axes, box, color)
        axes.set(xlim=view[0], ylim=view[1])


def frame_rows(
    rows: Mapping[str, Tensor],
    boxes: Boxes | None = None,
    frames: Sequence[int] | None = None,
    column: str = "frame",
    **colors: object,
) -> tuple[Figure, np.ndarray, AxesImage]:
    """A row for each label and a column for each frame; every row is stretched to the size of the first.

    Args:
        rows: videos (frames, 3, h, w), 0..1, or maps (frames, h, w), which are drawn as heat.
        boxes: (boxes, frames, 4) in pixels of the first row, drawn on every row, or None.
        frames: those to show; None shows at most eight, spread evenly from the first to the last.
        column: what a column is called.
        colors: of heat, for `imshow`.

    Returns:
        The figure, its axes (rows, columns), and the last image, to which a colour bar may belong.

    Raises:
        InputError: wrong shapes, or rows with different numbers of frames.
    """
    first = next(iter(rows.values()))
    count, size = len(first), tuple(first.shape[-2:])
    for label, row in rows.items():
        checked(row, f"the row {label!r}", f"{count} h w" if row.ndim == 3 else f"{count} 3 h w")
    if boxes is not None:
        checked(boxes, "the boxes", f"boxes {count} 4")
    frames = chosen_frames(count) if frames is None else frames
    figure, axes = picture_grid(len(rows), len(frames), *size)
    for line, (label, row) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(label)
        for one, frame in zip(line, frames, strict=True):
            image = show_picture(one, row[frame], size, **colors)
            draw_boxes_at(one, boxes, frame)
    name_frames(axes[0], frames, column)
    return figure, axes, image


def heat_rows(
    video: Video,
    maps: Mapping[str, Tensor],
    boxes: Boxes | None,
    frames: Sequence[int],
    column: str = "frame",
    **colors: object,
) -> tuple[Figure, np.ndarray, AxesImage]:
    """As `frame_rows`, with maps (frames, h, w) as heat over the faded video."""
    for label, one in maps.items():
        checked(one, f"the map {label!r}", f"{len(video)} h w")
    faded = 0.5 + 0.5 * video.detach().mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    figure, axes, _ = frame_rows(dict.fromkeys(maps, faded), frames=frames, column=column)
    for line, row in zip(axes, maps.values(), strict=True):
        for one, frame in zip(line, frames, strict=True):
            heat = show_picture(one, row[frame], video.shape[-2:], **colors)
            draw_boxes_at(one, boxes, frame)
    return figure, axes, heat
