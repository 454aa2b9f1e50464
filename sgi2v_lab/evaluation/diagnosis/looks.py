"""How an object's appearance changes: its content, cut out along its track, compared with the first frame.

Cut-outs follow the thing, so motion plays no part. They are as large as the box and grow and shrink as the box was
asked to; pixels count by how surely they belong to the thing and not to what is behind it.
"""

import itertools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from sgi2v_lab.errors import needs
from sgi2v_lab.evaluation.trackers.template import changed
from sgi2v_lab.shapes import Boxes, Video

with needs("evaluation"):
    import cv2

__all__ = ["FAINT", "Cutouts", "color_distance", "cut_out", "detail_kept", "fine_power", "softened"]

SIDE = 16, 96  # fewest and most samples along a cut-out's longer side; one per pixel between these
SIGMA = 0.6  # of the Gaussian over the box, in half sides: as the tracker's
COARSE = 1 / 24  # standard deviation of what counts as coarse, in box sides
PICTURE_COARSE = 1 / 80  # the same for whole pictures, in shorter sides: much that of a box of a third
FAINT = 2e-5  # variance of fine detail, for values 0..1, below which there is none to lose


@dataclass(frozen=True)
class Cutouts:
    """A thing's content in every frame (frames, 3, h, w), 0..1, the weights of its pixels (h, w), and where it counts.

    `whole` (frames, h, w) is 1 inside the picture and clear of other things' boxes.
    """

    pictures: Video
    weight: Float[Tensor, "h w"]
    whole: Float[Tensor, "frames h w"]


def cut_out(
    video: Video, box: Float[Tensor, "frames 4"], centers: Float[Tensor, "frames 2"], others: Boxes | None = None
) -> Cutouts:
    """Cut a thing out of every frame.

    Args:
        video: (frames, 3, height, width) in 0..1.
        box: its box as asked for, in pixels: the cut-outs have its size.
        centers: where it was found.
        others: boxes (boxes, frames, 4) of other things, behind which it may be hidden.
    """
    size = box[:, 2:] - box[:, :2]
    longest = size[0].max().item()
    scale = min(max(longest, SIDE[0]), SIDE[1]) / max(longest, 1e-6)
    columns, rows = (max(3, round(side * scale)) for side in size[0].tolist())
    axes = [(torch.arange(n) + 0.5) / n - 0.5 for n in (columns, rows)]
    local = torch.stack(torch.meshgrid(*axes, indexing="xy"), dim=-1)  # (rows, columns, 2), -0.5..0.5
    points = centers[:, None, None] + local * size[:, None, None]
    pictures = _sampled(video, points)
    at_start = _sampled(video, points[:1].expand(len(video), -1, -1, -1))
    gaussian = torch.exp(-0.5 * (local / (SIGMA / 2)).square().sum(dim=-1))
    height, width = video.shape[-2:]
    whole = ((points >= 0) & (points <= torch.tensor([width, height]))).all(dim=-1).float()
    for other in others if others is not None else ():
        low, high = other[:, None, None, :2], other[:, None, None, 2:]
        whole = whole * ~((points > low) & (points < high)).all(dim=-1)
    return Cutouts(pictures, gaussian * changed(at_start, gaussian), whole)


def _sampled(video: Video, points: Tensor) -> Tensor:
    """The video's values at points (frames, h, w, 2) in pixels."""
    size = torch.tensor([video.shape[-1], video.shape[-2]])
    return F.grid_sample(video, 2 * points / size - 1, mode="bilinear", padding_mode="border", align_corners=False)


def color_distance(cut: Cutouts) -> Float[Tensor, "frames"]:
    """How far each frame's colours are from the first frame's: mean CIE76 distance in CIELAB of coarse colours.

    2 is just noticeable side by side; 100 is black to white. NaN where too little of the thing can be seen.
    """
    with needs("evaluation"):
        from skimage.color import rgb2lab  # takes long to import

    coarse = _coarse(cut.pictures).clamp(0, 1)
    lab = torch.from_numpy(rgb2lab(coarse.numpy(), channel_axis=1)).float()
    weight = _common(cut)
    distance = (lab - lab[:1]).norm(dim=1)
    return _nan_where_hidden((distance * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp(min=1e-9), cut)


def detail_kept(cut: Cutouts) -> Float[Tensor, "frames"]:
    """The share of the first frame's fine detail that each frame shows in its place; 1 is all, 0 none.

    The coefficient of regression of the fine part (the picture less its coarse part) on the first frame's, after the
    colours of the first were mapped to the frame's by the affine map that fits the coarse parts best: neither light nor
    colour matters, and what is behind the thing, which is not correlated, does not either. The best of shifts by half
    a sample counts. NaN where the first frame has no fine detail, or too little of the thing can be seen.
    """
    weight = _common(cut)
    coarse = _coarse(cut.pictures)
    first, coarse_first = cut.pictures[:1], coarse[:1]
    variance = (weight[0] * (first - coarse_first)[0].square().sum(dim=0)).sum() / weight[0].sum().clamp(min=1e-9)
    if variance < FAINT:
        return torch.full((len(cut.pictures),), math.nan)
    kept = []
    for t in range(len(cut.pictures)):
        matrix = _color_map(coarse_first[0], coarse[t], weight[t])
        fine = torch.einsum("ij,jhw->ihw", matrix, (first - coarse_first)[0])
        power = (weight[t] * fine.square()).sum().clamp(min=1e-9)
        rest = cut.pictures[t] - coarse[t]
        found = [
            ((weight[t] * fine * _shifted(rest, dx, dy)).sum() / power).item()
            for dx, dy in itertools.product((-0.5, 0.0, 0.5), repeat=2)
        ]
        kept.append(max(found))
    return _nan_where_hidden(torch.tensor(kept), cut)


def fine_power(video: Video, where: Bool[Tensor, "height width"]) -> Float[Tensor, "frames"]:
    """The variance of each frame's fine detail over some of its pixels, for values 0..1."""
    fine = (video - softened(video))[..., where]
    return fine.flatten(1).var(dim=1, unbiased=False)


def softened(video: Video) -> Video:
    """The video without its fine detail, and without noise."""
    return _coarse(video, PICTURE_COARSE * min(video.shape[-2:]))


def _color_map(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """The linear part (3, 3) of the affine map of colours a (3, h, w) that fits b best; the identity where in doubt."""
    rows = torch.cat([a.flatten(1), torch.ones(1, a[0].numel())]).T.double()
    root = weight.flatten().double().sqrt()[:, None]
    # drawn towards the identity, so that colours that hardly vary are not blown up
    ridge = 0.02 * root.square().sum().sqrt() * torch.eye(4, dtype=torch.float64)
    ridge[3, 3] = 0
    wanted = torch.cat([root * b.flatten(1).T.double(), ridge[:, :3]])
    return torch.linalg.lstsq(torch.cat([root * rows, ridge]), wanted).solution[:3].T.float()


def _coarse(pictures: Tensor, sigma: float | None = None) -> Tensor:
    """The pictures without their fine part: blurred, by default by what is coarse in a cut-out."""
    sigma = max(0.8, COARSE * max(pictures.shape[-2:])) if sigma is None else sigma
    frames = (frame.permute(1, 2, 0).contiguous().numpy() for frame in pictures)
    return torch.stack([torch.from_numpy(cv2.GaussianBlur(f, (0, 0), sigma)) for f in frames]).permute(0, 3, 1, 2)


def _shifted(picture: Tensor, dx: float, dy: float) -> Tensor:
    if dx == dy == 0:
        return picture
    h, w = picture.shape[-2:]
    theta = torch.tensor([[[1, 0, 2 * dx / w], [0, 1, 2 * dy / h]]])
    grid = F.affine_grid(theta, [1, 3, h, w], align_corners=False)
    return F.grid_sample(picture[None], grid, padding_mode="border", align_corners=False)[0]


def _common(cut: Cutouts) -> Tensor:
    """Weights (frames, h, w) of what can be seen in the first frame and in this one."""
    return cut.weight * cut.whole * cut.whole[:1]


def _nan_where_hidden(values: Tensor, cut: Cutouts) -> Tensor:
    return values.masked_fill(~_enough(cut), math.nan)


def _enough(cut: Cutouts) -> Bool[Tensor, "frames"]:
    return _common(cut).sum(dim=(1, 2)) > 0.35 * cut.weight.sum()
