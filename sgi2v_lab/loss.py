"""The trajectory loss: along its path, what is in a box should look to the UNet as it did in the first frame.

For every box and later frame, the features inside the box are compared with those inside the first frame's box, which
carry no gradient. Equation 2 of the paper, with its Gaussian weight.

Where to look depends on the boxes alone: `sample_boxes` works it out once for all iterations, and `compare_samples` is
then a few operations on all cells of all boxes and frames at once, which a GPU does without asking back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.shapes import Features, Mask

__all__ = [
    "BoxSamples",
    "LossTerms",
    "compare_samples",
    "gaussian_weight",
    "join_samples",
    "sample_boxes",
    "trajectory_loss",
]


def gaussian_weight(h: int, w: int, sigma: float | None = 0.4) -> Mask:
    """Weight of each cell of a box (h, w): a Gaussian around its middle, its peak 1.

    `sigma` is in half-sizes of the box, per direction; None gives ones. A box of one cell weighs 1. InputError for a
    sigma of zero or less.
    """
    if sigma is None:
        return torch.ones(h, w)
    if not sigma > 0:
        raise InputError(f"the Gaussian's sigma is {sigma}, but must be above 0, or None for equal weights")
    y, x = ((2 * torch.arange(n).double() + 1) / n - 1 for n in (h, w))  # the cells' middles; the box spans -1..1
    squared = y[:, None] ** 2 + x[None, :] ** 2
    # counted from the nearest cell, which makes the peak 1 even where a small sigma would leave nothing but zeros
    return torch.exp(-((squared - squared.min()).sqrt() / sigma).pow(2) / 2).float()


@dataclass(frozen=True)
class LossTerms:
    """The loss and what it is made of."""

    total: Float[Tensor, ""]  # sum of `terms` over the sum of `weights`
    terms: Float[Tensor, "boxes frames"]  # weighted squared error; zero in frame 0 and where a box is out of sight
    weights: Float[Tensor, "boxes frames"]  # the sum of the weights behind each term
    per_video: Float[Tensor, " videos"] | None = None  # of several videos, each one's own loss, detached

    @property
    def per_box_and_frame(self) -> Float[Tensor, "boxes frames"]:
        """Each box's own mean error in each frame, detached; NaN where it does not count."""
        return (self.terms / self.weights).detach()


def trajectory_loss(features: Features, cells: Int[Tensor, "boxes _frames 4"], sigma: float | None = 0.4) -> LossTerms:
    """Compare every box in every later frame with the same box in the first frame.

    Args:
        features: maps at latent resolution (frames, channels, h, w), from `assemble`.
        cells: boxes in latent cells (boxes, frames, 4), from `latent_cells`: half-open, may reach beyond the map.
        sigma: of the Gaussian weight, in half-sizes; None for equal weights.

    Returns:
        The squared error averaged over channels, weighted over the box's cells, summed over boxes and frames and
        divided by the sum of the weights. Cells outside the map, of the box or of the first frame's, do not count; a
        box wholly outside in some frame is skipped there; a target of another size is resized bilinearly.

    Raises:
        InputError: if the frames do not match, or no box is to be seen in any later frame.
    """
    frames, _, h, w = features.shape
    return compare_samples(features, sample_boxes(cells, (frames, h, w), sigma, features.device, features.dtype))


@dataclass(frozen=True)
class BoxSamples:
    """Every cell of every box and later frame that counts, one after the other, and what it is compared with."""

    frame: Int[Tensor, " cells"]
    first: Int[Tensor, " cells"]  # the first frame of the same video
    place: Int[Tensor, " cells"]  # in the map, row * w + column
    sources: Int[Tensor, "corners cells"]  # places in the first frame; four where a target was resized, else one
    shares: Float[Tensor, "corners cells"]  # of each source in the target; they sum to one
    weight: Float[Tensor, " cells"]
    box: Int[Tensor, " cells"]
    weights: Float[Tensor, "boxes frames"]  # summed by box and frame
    whole: Float[Tensor, " videos"]  # summed over all boxes and frames of each video
    video: Int[Tensor, " boxes"]  # which each box belongs to

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "BoxSamples":
        """The same on a device, with the weights in the features' precision."""
        kinds = {name: dtype if value.is_floating_point() else value.dtype for name, value in vars(self).items()}
        return BoxSamples(**{name: value.to(device, kinds[name]) for name, value in vars(self).items()})


def sample_boxes(
    cells: Int[Tensor, "boxes _frames 4"],
    shape: tuple[int, int, int],
    sigma: float | None = 0.4,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> BoxSamples:
    """Where `trajectory_loss` looks in features of `shape` (frames, h, w); arguments and errors as there.

    Worked out on the CPU and sent to the device at once.
    """
    frames, h, w = shape
    if cells.shape[1] != frames:
        raise InputError(f"the boxes have {cells.shape[1]} frames, but the features have {frames}")
    if not len(cells):
        raise InputError("there are no boxes, but at least one is needed to follow; draw or load one")
    parts = []
    for n, box in enumerate(cells.tolist()):
        x0, y0, x1, y1 = box[0]
        if x1 <= 0 or y1 <= 0 or x0 >= w or y0 >= h:
            raise InputError(
                f"a box is at cells {tuple(box[0])} in the first frame, outside the {w} x {h} grid; move it inside"
            )
        for f in range(1, frames):
            parts.append(_sample_box(n, f, box[0], box[f], (h, w), sigma))
    frame, place, sources, shares, weight, numbers = (torch.cat(part, dim=-1) for part in zip(*parts, strict=True))
    weights = torch.zeros(len(cells), frames, dtype=torch.double).index_put((numbers, frame), weight, accumulate=True)
    if not weights.sum() > 0:
        raise InputError("no box is inside the picture in any frame after the first, so there is nothing to follow")
    if (shares[0] == 1).all():  # every target is made of whole cells
        sources, shares = sources[:1], shares[:1]
    first, video = torch.zeros_like(frame), torch.zeros(len(cells), dtype=torch.long)
    whole = weights.sum()[None]
    return BoxSamples(frame, first, place, sources, shares, weight, numbers, weights, whole, video).to(device, dtype)


def join_samples(samples: Sequence[BoxSamples]) -> BoxSamples:
    """Those of several videos of as many frames each, whose features lie one after the other."""
    corners = max(len(each.sources) for each in samples)
    parts, boxes = [], 0
    for number, each in enumerate(samples):
        start, missing = number * each.weights.shape[1], corners - len(each.sources)
        moved = {"frame": each.frame + start, "first": each.first + start, "box": each.box + boxes}
        moved["video"] = each.video + number
        if missing:  # a target of whole cells, beside another video's resized ones
            moved["sources"] = torch.cat([each.sources, each.sources.new_zeros(missing, each.sources.shape[1])])
            moved["shares"] = torch.cat([each.shares, each.shares.new_zeros(missing, each.shares.shape[1])])
        parts.append(vars(each) | moved)
        boxes += len(each.weights)
    along = {"sources": 1, "shares": 1}
    return BoxSamples(**{name: torch.cat([p[name] for p in parts], along.get(name, 0)) for name in parts[0]})


def compare_samples(features: Features, samples: BoxSamples) -> LossTerms:
    """The loss of `trajectory_loss` at places from `sample_boxes`; nothing in it waits for a GPU."""
    maps = features.flatten(2).transpose(0, 1)  # (channels, frames, places)
    first = maps.detach()
    target = first[:, samples.first, samples.sources[0]]
    if len(samples.sources) > 1:
        target = samples.shares[0] * target
        for source, share in zip(samples.sources[1:], samples.shares[1:], strict=True):
            target = target + share * first[:, samples.first, source]
    # plain indexing, since its backward pass adds up in the same order every time, on a GPU too
    error = samples.weight * (maps[:, samples.frame, samples.place] - target).square().mean(dim=0)
    terms = torch.zeros_like(samples.weights).index_put(
        (samples.box, samples.frame - samples.first), error, accumulate=True
    )
    if len(samples.whole) == 1:
        return LossTerms(error.sum() / samples.whole[0], terms, samples.weights)
    each = torch.zeros_like(samples.whole).index_put((samples.video,), terms.sum(dim=1), accumulate=True)
    each = each / samples.whole
    return LossTerms(each.sum(), terms, samples.weights, each.detach())


def _sample_box(
    n: int, f: int, first: list[int], box: list[int], size: tuple[int, int], sigma: float | None
) -> tuple[Tensor, ...]:
    """Frame, place, sources, shares, weight and number of box `n`, for each of its cells in frame `f`; doubles."""
    (h, w), (x0, y0, x1, y1) = size, box
    rows, row_sources, row_shares = _sample_axis((first[1], first[3]), (y0, y1), h)
    columns, column_sources, column_shares = _sample_axis((first[0], first[2]), (x0, x1), w)
    weight = gaussian_weight(y1 - y0, x1 - x0, sigma).double()[rows - y0][:, columns - x0].flatten()
    sources = row_sources[:, None, :, None] * w + column_sources[None, :, None, :]  # (2, 2, rows, columns)
    shares = row_shares[:, None, :, None] * column_shares[None, :, None, :]
    place = (rows[:, None] * w + columns).flatten()
    numbers = [torch.full_like(place, number) for number in (f, n)]
    return numbers[0], place, sources.reshape(4, -1), shares.reshape(4, -1), weight, numbers[1]


def _sample_axis(first: tuple[int, int], box: tuple[int, int], length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Along one axis: the cells of a box (low, high) that count, and their two neighbours in the first frame's box.

    Bilinear as in `F.interpolate(..., align_corners=False)`: positions are those of the cells' middles. Cells of the
    first frame's box beyond the map have the value of the nearest cell in it, but what stems from them does not count.

    Returns:
        Cells (n), their sources (2, n), and the sources' shares (2, n).
    """
    (low, high), wanted = box, first[1] - first[0]
    cells = torch.arange(low, high)
    nearest = first[0] + (cells - low) * wanted // (high - low)
    cells = cells[(cells >= 0) & (cells < length) & (nearest >= 0) & (nearest < length)]
    position = ((cells - low + 0.5).double() * wanted / (high - low) - 0.5).clamp(min=0)
    before = position.long()
    after = (before + 1).clamp(max=wanted - 1)
    share = position - before
    sources = (first[0] + torch.stack([before, after])).clamp(0, length - 1)
    return cells, sources, torch.stack([1 - share, share])
