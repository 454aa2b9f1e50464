"""Figures of what the network sees: PCA of its features, similarity to a point, latents."""

from collections.abc import Mapping

from jaxtyping import Float
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.plots.boxes import frame_rows, heat_rows
from sgi2v_lab.plots.style import checked, checked_any, checked_video, chosen_frames, color_bar, styled
from sgi2v_lab.shapes import Boxes, Latents, Video

__all__ = ["plot_latents", "plot_pca_strip", "plot_similarity"]


def plot_pca_strip(
    rows: Mapping[str, Float[Tensor, "frames 3 _ _"]], video: Video | None = None, boxes: Boxes | None = None
) -> Figure:
    """Feature maps as colours, one row per label and one column per frame; the same colour means a similar feature.

    At most eight frames are shown, spread evenly from the first to the last.

    Args:
        rows: per label ("self-attention", "aligned", or a layer), (frames, 3, h, w) in 0..1; sizes may differ.
        video: (frames, 3, height, width) in 0..1, shown on top; None leaves it out.
        boxes: (boxes, frames, 4), drawn in every row; in pixels of the video (without one, of the first row).

    Raises:
        InputError: no rows, wrong shapes, or rows with different numbers of frames.
    """
    checked_any(rows, "feature maps", "{'aligned': colours}")
    with styled():
        return frame_rows(rows if video is None else {"video": video, **rows}, boxes)[0]


def plot_similarity(
    video: Video,
    maps: Mapping[str, Float[Tensor, "frames _ _"]],
    point: tuple[float | int, float | int] | None = None,
    frame: int = 0,
    column: str = "frame",
) -> Figure:
    """How similar every place in every frame is to one point's feature: heat over the faded video, one row per label.

    At most eight frames are shown, spread evenly from the first to the last, and `frame` among them. The colour bar
    runs from 0 to 1, or from -1 to 1 if any similarity is negative.

    Args:
        video: (frames, 3, height, width), 0..1.
        maps: per label, cosine similarities (frames, h, w) in -1..1; sizes may differ from the video's.
        point: the query point (x, y) in pixels of the video, marked in its frame; None marks none.
        frame: the frame that the point lies in.
        column: what a column is called: "latent" where each picture stands for a latent.

    Raises:
        InputError: no maps, wrong shapes, or no such frame.
    """
    count = len(checked_video(video))
    checked_any(maps, "similarity maps", "{'aligned': maps}")
    if not 0 <= frame < count:
        raise InputError(f"frame is {frame}: expected 0 to {count - 1}, the frames of this video")
    frames = sorted({*chosen_frames(count), frame})
    signed = min(one.min().item() for one in maps.values()) < 0
    colors = {"cmap": "RdBu_r" if signed else "magma", "norm": Normalize(-1 if signed else 0, 1)}
    with styled():
        figure, axes, heat = heat_rows(video, maps, None, frames, column, alpha=0.7, **colors)
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
    checked(latents, "the latents", "frames channels h w")
    frames, limit = chosen_frames(len(latents), every), latents.detach().abs().max().item() or 1.0
    rows = {f"channel {c}": channel for c, channel in enumerate(latents.unbind(dim=1))}
    with styled():
        figure, axes, heat = frame_rows(rows, frames=frames, cmap="RdBu_r", norm=Normalize(-limit, limit))
        color_bar(figure, axes, heat, "value")
    return figure
