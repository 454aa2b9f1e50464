"""Does the object keep its looks on its way, and does it leave its first place?

Both compare crops, read at fractions of a pixel by bicubic interpolation. A box that changes its size is resampled to
its first size.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError, needs
from sgi2v_lab.evaluation.metrics.first_frame import psnr, ssim
from sgi2v_lab.evaluation.metrics.measured import Found, MeasuredVideo
from sgi2v_lab.shapes import Image, Video
from sgi2v_lab.trajectories.boxes import shared_area
from sgi2v_lab.video import as_frames

__all__ = ["copies_left", "crops", "fidelity", "fidelity_ssim"]

GONE = 0.1  # share of an object's first place that boxes may cover for it to count as left
PLAIN = 1e-3  # mean squared difference to its background below which an object cannot be told from it
SIGMA = 0.6  # of the Gaussian weights, in half box sides: boxes hold background in their corners


def fidelity(given: MeasuredVideo) -> Found:
    """PSNR in dB of the object where it was asked to be, to the object in the picture; higher is better.

    The crop in the first box is compared with the crop in the box asked for, in every later frame in which that box
    lies wholly inside the picture:

        fidelity = -10 log10 mean_kf |crop_kf - crop_k1|^2        for values in 0..1

    The mean is of squared errors, not of dB: one intact frame, infinitely good in dB, would hide all others. The box's
    corners show background, so a true clip does not reach the infinity of a perfect copy: compare with its value.
    InputError: no box lies wholly inside the picture both at first and later.
    """
    errors = [10 ** (-psnr(later, first.expand_as(later)) / 10) for first, later in _object_crops(given)]
    return -10 * torch.cat(errors).mean().log10().item(), {"crops": sum(len(one) for one in errors)}


def fidelity_ssim(given: MeasuredVideo) -> Found:
    """SSIM, -1..1, of the crops of `fidelity`, mean over objects and frames; higher is better.

    InputError: as `fidelity`, or a box with a side below 11 pixels.
    """
    values = [ssim(later, first.expand_as(later)) for first, later in _object_crops(given)]
    return torch.cat(values).mean().item(), {"crops": sum(len(one) for one in values)}


def copies_left(given: MeasuredVideo) -> Found:
    """How much of an object stays at its first place after it should have left, 0..1; lower is better.

    At an object's first place let T be what the picture shows, B the background that should be there later, and I what
    the video shows. The mixture a T + (1 - a) B that is nearest to I has

        a = sum w (I - B)(T - B) / sum w (T - B)^2,     clamped to 0..1

    with Gaussian weights w over the box: 0 where the object is gone, 1 where an intact copy is left, and in between for
    a ghost. The value is the mean over objects, and over frames in which no box asked for covers more than a tenth of
    the place. B comes from the true clip where it is known. Else it is painted in from around the box (Telea 2004), and
    a textured background that is rightly uncovered can reach some tenths. InputError: no box leaves its first place, or
    the objects look like their background.
    """
    boxes, values = given.asked, [torch.zeros(0)]
    for first in boxes[:, 0]:
        low, high = first[:2].clamp(min=0), torch.minimum(first[2:], torch.tensor(given.size))
        place = torch.cat([low, high])[None]
        left = shared_area(boxes, place).amax(dim=0) < GONE * (high - low).clamp(min=0).prod()
        if not left.any():
            continue
        size, count = _size(place[0]), int(left.sum())
        before = crops(given.picture[None], place, size)
        now = crops(given.video[left], place.expand(count, 4), size)
        if given.reference is None:
            behind = crops(_painted_over(given.picture, place[0])[None], place, size)
        else:
            behind = crops(given.reference[left], place.expand(count, 4), size)
        weights = torch.outer(*(torch.exp(-0.5 * (torch.linspace(-1, 1, n) / SIGMA) ** 2) for n in size))
        contrast = (weights * (before - behind).square()).mean(dim=(1, 2, 3)).expand(count)
        share = (weights * (now - behind) * (before - behind)).mean(dim=(1, 2, 3)) / contrast.clamp(min=PLAIN)
        values.append(share[contrast > PLAIN].clamp(0, 1))
    found = torch.cat(values)
    if not len(found):
        raise InputError("no box leaves its first place, or the objects look like what is behind them")
    return found.mean().item(), {"background": "inpainted" if given.reference is None else "true clip"}


def crops(video: Video, boxes: Float[Tensor, "frames 4"], size: tuple[int, int]) -> Float[Tensor, "frames 3 rows cols"]:
    """What each frame shows in its box (x0, y0, x1, y1 in pixels), resampled to size (height, width), in 0..1."""
    steps = [(torch.arange(n) + 0.5) / n for n in size]
    unit = torch.stack(torch.meshgrid(*steps, indexing="ij")[::-1], dim=-1)
    at = boxes[:, None, None, :2] + unit * (boxes[:, None, None, 2:] - boxes[:, None, None, :2])
    at = at * 2 / torch.tensor([video.shape[-1], video.shape[-2]]) - 1
    options = {"mode": "bicubic", "padding_mode": "border", "align_corners": False}
    return F.grid_sample(video.detach().float().cpu(), at, **options).clamp(0, 1)


def _size(box: Float[Tensor, "4"]) -> tuple[int, int]:
    width, height = (box[2:] - box[:2]).round().clamp(min=1).int().tolist()
    return height, width


def _object_crops(given: MeasuredVideo) -> list[tuple[Tensor, Tensor]]:
    """For each object its crop from the picture (1, 3, h, w), and those from later frames."""
    found = []
    for box in given.asked:
        inside = ((box[:, :2] > -1e-3) & (box[:, 2:] < torch.tensor(given.size) + 1e-3)).all(dim=-1)
        later = inside & (torch.arange(len(box)) > 0)
        if inside[0] and later.any():
            size = _size(box[0])
            found.append((crops(given.picture[None], box[:1], size), crops(given.video[later], box[later], size)))
    if not found:
        raise InputError("no box lies wholly inside the picture both at first and later, so nothing compares")
    return found


def _painted_over(picture: Image, box: Float[Tensor, "4"]) -> Image:
    """The picture with the box filled in from around it."""
    with needs("evaluation"):
        import cv2
    x0, y0, x1, y1 = box.round().int().tolist()
    mask = torch.zeros(picture.shape[-2:], dtype=torch.uint8)
    mask[y0:y1, x0:x1] = 1
    pixels = as_frames(picture[None])[0].numpy()
    return torch.from_numpy(cv2.inpaint(pixels, mask.numpy(), 3, cv2.INPAINT_TELEA)).permute(2, 0, 1).float() / 255
