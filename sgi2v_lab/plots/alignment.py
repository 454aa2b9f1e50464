"""Two kinds of features side by side: their colours, and where they find an object again."""

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
    name_frames,
    picture_grid,
    show_picture,
    styled,
)
from sgi2v_lab.shapes import Boxes, Video

__all__ = ["plot_alignment"]


def plot_alignment(
    video: Video,
    colors: Mapping[str, Float[Tensor, "frames 3 _ _"]],
    similarity: Mapping[str, Float[Tensor, "frames _ _"]],
    boxes: Boxes,
    every: int | None = None,
) -> Figure:
    """The video; then, for each kind of features, its PCA colours and its similarity to the first frame's box.

    Args:
        video: (frames, 3, height, width), 0..1.
        colors: kind ("self-attention", "aligned") -> colours (frames, 3, h, w) in 0..1.
        similarity: the same kinds -> cosine similarities (frames, h, w) in -1..1 to the first frame's box.
        boxes: (boxes, frames, 4) in pixels of the video, drawn everywhere.
        every: show every n-th frame; None shows at most eight, spread evenly from the first to the last.

    Raises:
        InputError: no kinds, other kinds in one mapping than in the other, or wrong shapes.
    """
    count, _, height, width = checked_video(video).shape
    if not colors or set(colors) != set(similarity):
        raise InputError(f"colours are of {list(colors)}, similarities of {list(similarity)}; give the same kinds")
    checked(boxes, "the boxes", f"boxes {count} 4")
    for kind in colors:
        checked(colors[kind], f"the colours {kind!r}", f"{count} 3 h w")
        checked(similarity[kind], f"the similarities {kind!r}", f"{count} h w")
    frames = chosen_frames(count, every)
    with styled():
        figure, axes = picture_grid(1 + 2 * len(colors), len(frames), height, width)
        axes[0][0].set_ylabel("clip")
        for one, frame in zip(axes[0], frames, strict=True):
            show_picture(one, video[frame])
        for k, kind in enumerate(colors):
            above, below = axes[1 + 2 * k], axes[2 + 2 * k]
            above[0].set_ylabel(f"{kind}\nPCA")
            below[0].set_ylabel(f"{kind}\nsimilarity")
            for one, other, frame in zip(above, below, frames, strict=True):
                show_picture(one, colors[kind][frame], size=(height, width))
                heat = other.imshow(
                    array(similarity[kind][frame]), extent=(0, width, height, 0), cmap="magma", norm=Normalize(0, 1)
                )
                bare(other, height, width)
        for line in axes:
            for one, frame in zip(line, frames, strict=True):
                draw_boxes_at(one, boxes, frame)
        name_frames(axes[0], frames)
        bar = figure.colorbar(
            heat, ax=axes, label="cosine similarity to the first frame's box", fraction=0.03, aspect=40, pad=0.01
        )
        bar.set_ticks((0, 0.5, 1))
        bar.outline.set_visible(False)
    return figure
