"""Figures of what the network sees: PCA of its features, similarity to a point, latents."""

from collections.abc import Mapping

from jaxtyping import Float
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.plots.boxes import draw_boxes_at
from sgi2v_lab.plots.style import (
    array,
    bare,
    checked,
    checked_video,
    chosen_frames,
    color_bar,
    heat_rows,
    name_frames,
    picture_grid,
    show_picture,
    styled,
)
from sgi2v_lab.shapes import Boxes, Latents, Video

__all__ = ["plot_latents", "plot_pca_strip", "plot_similarity"]


def plot_pca_strip(
    rows: Mapping[str, Float[Tensor, "frames 3 _ _"]],
    video: Video | None = None,
    boxes: Boxes | None = None,
    every: int | None = None,
) -> Figure:
    """Feature maps as colours, one row per label and one column per frame; the same colour means a similar feature.

    Args:
        rows: per label ("self-attention", "aligned", or a layer), (frames, 3, h, w) in 0..1; sizes may differ.
        video: (frames, 3, height, width) in 0..1, shown on top; None leaves it out.
        boxes: (boxes, frames, 4), drawn in every row; in pixels of the video (without one, of the first row).
        every: show every n-th frame; None shows at most eight, spread evenly from the first to the last.

    Raises:
        InputError: no rows, wrong shapes, or rows with different numbers of frames.
    """
    if not rows:
        raise InputError("There are no feature maps to show; give at least one row, such as {'aligned': colours}.")
    shown = rows if video is None else {"video": video, **rows}
    count, _, height, width = checked_video(next(iter(shown.values()))).shape
    for label, row in shown.items():
        checked(row, f"the row {label!r}", f"{count} 3 h w")
    if boxes is not None:
        checked(boxes, "the boxes", f"boxes {count} 4")
    frames = chosen_frames(count, every)
    with styled():
        figure, axes = picture_grid(len(shown), len(frames), height, width)
        for line, (label, row) in zip(axes, shown.items(), strict=True):
            line[0].set_ylabel(label)
            for one, frame in zip(line, frames, strict=True):
                show_picture(one, row[frame], size=(height, width))
                if boxes is not None:
                    draw_boxes_at(one, boxes, frame)
        name_frames(axes[0], frames)
    return figure


def plot_similarity(
    video: Video,
    maps: Mapping[str, Float[Tensor, "frames _ _"]],
    point: tuple[float | int, float | int] | None = None,
    frame: int = 0,
    every: int | None = None,
) -> Figure:
    """How similar every place in every frame is to one point's feature: heat over the faded video, one row per label.

    The colour bar runs from 0 to 1, or from -1 to 1 if any similarity is negative.

    Args:
        video: (frames, 3, height, width), 0..1.
        maps: per label, cosine similarities (frames, h, w) in -1..1; sizes may differ from the video's.
        point: the query point (x, y) in pixels of the video, marked in its frame; None marks none.
        frame: the frame that the point lies in, always shown.
        every: show every n-th frame; None shows at most eight, spread evenly from the first to the last.

    Raises:
        InputError: no maps, wrong shapes, or no such frame.
    """
    count = len(checked_video(video))
    if not maps:
        raise InputError("There are no similarity maps to show; give at least one, such as {'aligned': maps}.")
    for label, one in maps.items():
        checked(one, f"the map {label!r}", f"{count} h w")
    if not 0 <= frame < count:
        raise InputError(f"frame is {frame}; expected 0 to {count - 1}, the frames of this video.")
    frames = sorted({*chosen_frames(count, every), frame})
    signed = min(one.min().item() for one in maps.values()) < 0
    colors = {"cmap": "RdBu_r" if signed else "magma", "norm": Normalize(-1 if signed else 0, 1)}
    with styled():
        figure, axes, heat = heat_rows(video, maps, frames, alpha=0.7, **colors)
        for one in axes[:, frames.index(frame)] if point is not None else ():
            for ring, thickness in (("white", 3.2), ("#111111", 1.4)):
                one.plot(*point, "o", ms=9, mfc="none", mec=ring, mew=thickness)
        bar = color_bar(figure, axes, heat, "cosine similarity")
        bar.set_ticks((-1, -0.5, 0, 0.5, 1) if signed else (0, 0.5, 1))
    return figure


def plot_latents(latents: Latents, every: int | None = None) -> Figure:
    """The latents, one row per channel and one column per frame, on one scale that is symmetric about 0.

    Args:
        latents: (frames, channels, h, w).
        every: show every n-th frame; None shows at most eight, spread evenly from the first to the last.

    Raises:
        InputError: wrong shape, or `every` below 1.
    """
    count, channels, height, width = checked(latents, "the latents", "frames channels h w").shape
    frames = chosen_frames(count, every)
    limit = latents.detach().abs().max().item() or 1.0
    with styled():
        figure, axes = picture_grid(channels, len(frames), height, width)
        for c, line in enumerate(axes):
            line[0].set_ylabel(f"channel {c}")
            for one, frame in zip(line, frames, strict=True):
                extent = (0, width, height, 0)
                heat = one.imshow(array(latents[frame, c]), extent=extent, cmap="RdBu_r", norm=Normalize(-limit, limit))
                bare(one, height, width)
        name_frames(axes[0], frames)
        color_bar(figure, axes, heat, "value")
    return figure
