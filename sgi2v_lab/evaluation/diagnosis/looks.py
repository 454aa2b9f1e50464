"""How an object's appearance changes. It is cut out along its track and compared with the first frame."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sgi2v_lab.errors import needs
from sgi2v_lab.evaluation.metrics.fidelity import SIGMA, crops
from sgi2v_lab.evaluation.trackers.template import changed
from sgi2v_lab.shapes import Video

__all__ = ["FAINT", "color_distance", "cut_out", "detail_kept", "fine_power"]

COARSE = 1 / 24  # standard deviation of the blur that leaves coarse detail of a cut-out, in longer sides
PICTURE_COARSE = 1 / 80  # the same for whole pictures, in shorter sides
FAINT = 2e-5  # variance of values in 0..1; fine detail with less cannot be seen


def cut_out(
    video: Video, box: Float[Tensor, "frames 4"], centers: Float[Tensor, "frames 2"]
) -> tuple[Float[Tensor, "frames 3 h w"], Float[Tensor, "h w"]]:
    """Cut an object out of every frame where it was found (x, y), in the size of the box asked for, all in pixels.

    Returns the cut-outs, and the weight of each pixel: high where it shows the object, low where it shows what is
    behind.
    """
    half = (box[:, 2:] - box[:, :2]) / 2
    columns, rows = (2 * half[0]).round().clamp(min=3).int().tolist()
    places = torch.cat([centers - half, centers + half], dim=-1)
    at_start = crops(video, places[:1].expand(len(video), 4), (rows, columns))
    gaussian = torch.outer(*(torch.exp(-0.5 * (torch.linspace(-1, 1, n) / SIGMA) ** 2) for n in (rows, columns)))
    return crops(video, places, (rows, columns)), gaussian * changed(at_start, gaussian)


def color_distance(pictures: Float[Tensor, "frames 3 h w"], weight: Float[Tensor, "h w"]) -> Float[Tensor, "frames"]:
    """Mean CIE76 distance of each cut-out's coarse colours to the first one's, in CIELAB units.

    2 is just noticeable side by side; 100 is black to white.
    """
    with needs("evaluation"):
        from skimage.color import rgb2lab  # takes long to import

    lab = torch.from_numpy(rgb2lab(_coarse(pictures).clamp(0, 1).numpy(), channel_axis=1)).float()
    return ((lab - lab[:1]).norm(dim=1) * weight).sum(dim=(1, 2)) / weight.sum()


def detail_kept(pictures: Float[Tensor, "frames 3 h w"], weight: Float[Tensor, "h w"]) -> Float[Tensor, "frames"]:
    """The share of the first cut-out's fine detail that each cut-out keeps in place: 1 is all, 0 none.

    With the fine detail d (the cut-out minus its blurred self) and the colour map A that fits the coarse colours best,

        kept_f = sum w (A d_1) d_f / sum w (A d_1)^2

    So changes of light and colour do not count, nor does a background that moves past. NaN if the first cut-out has no
    fine detail.
    """
    coarse = _coarse(pictures)
    fine = pictures - coarse
    if (weight * fine[0].square().sum(dim=0)).sum() / weight.sum() < FAINT:
        return torch.full((len(pictures),), math.nan)
    mapped = torch.stack([torch.einsum("ij,jhw->ihw", _color_map(coarse[0], one, weight), fine[0]) for one in coarse])
    return (weight * mapped * fine).sum(dim=(1, 2, 3)) / (weight * mapped.square()).sum(dim=(1, 2, 3)).clamp(min=1e-9)


def fine_power(video: Video, where: Bool[Tensor, "height width"]) -> Float[Tensor, "frames"]:
    """The variance of each frame's fine detail over some of its pixels, for values in 0..1."""
    fine = (video - _coarse(video, PICTURE_COARSE * min(video.shape[-2:])))[..., where]
    return fine.flatten(1).var(dim=1, unbiased=False)


def _color_map(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """The linear part (3, 3) of the affine map of colours a (3, h, w) that fits b best.

    A ridge draws it to the identity: colours that hardly vary do not determine it.
    """
    root = weight.flatten().double().sqrt()[:, None]
    rows = root * torch.cat([a.flatten(1), torch.ones(1, a[0].numel())]).T.double()
    ridge = 0.02 * weight.sum().double().sqrt() * torch.eye(4, dtype=torch.float64)[:3]
    wanted = torch.cat([root * b.flatten(1).T.double(), ridge[:, :3]])
    return torch.linalg.lstsq(torch.cat([rows, ridge]), wanted).solution[:3].T.float()


def _coarse(pictures: Tensor, sigma: float | None = None) -> Tensor:
    """Blurred pictures, by default as suits cut-outs."""
    with needs("evaluation"):
        import cv2
    sigma = max(0.8, COARSE * max(pictures.shape[-2:])) if sigma is None else sigma
    frames = (frame.permute(1, 2, 0).contiguous().numpy() for frame in pictures)
    return torch.stack([torch.from_numpy(cv2.GaussianBlur(f, (0, 0), sigma)) for f in frames]).permute(0, 3, 1, 2)
