"""Find the content of a first-frame box again in every later frame, by normalised correlation.

A first-frame template cannot drift, and correlating colours needs neither texture nor small motion: it works where a
plain disc jumps ten pixels. The similarity of a template T and a patch I under weights w is the concordance correlation
(Lin 1989), summed over the colour channels,

    s = (2 cov(T, I) - |mean T - mean I|^2) / (var T + var I),    1 for equal patches, about 0 for unrelated ones,

which is normalised cross-correlation that also minds a wrong colour or contrast. It is evaluated at all integer shifts
at once with FFTs (only the part of the patch inside the picture counts), and its peak is refined by a parabola.

A box holds background too, which must not be what is found again. The weights are a Gaussian over the box, times
what `changed` says (content that stays in place while something moves is background), times, in a second pass, how
well each pixel of the template agreed with what was found in the first.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from sgi2v_lab.shapes import Video

__all__ = ["SEEN", "changed", "find_box"]

SIGMA = 0.6  # of the Gaussian, in half box sides
REACH = 24 / 128  # how far a match may lie from the last one, in picture sides
HASTE = 0.3  # score lost per picture side of departure from even motion
SEEN = 0.4  # least score of a match that counts as the object; smeared ones reach about 0.5, other content rarely
INSIDE = 0.4  # least part of the weight that must lie in the picture
FLOOR = 0.3  # what is left of the weight of a pixel that looks like background: its contrast still helps
CHANGE = 0.01  # squared colour difference at which content counts as changed
AGREE = 0.02  # squared colour difference that a pixel of the object may have to its match
WORKING_SIDE = 256  # larger videos are matched at this short side: sub-pixel peaks keep the accuracy


def find_box(video: Video, box: Float[Tensor, "4"]) -> tuple[Float[Tensor, "frames 2"], Bool[Tensor, "frames"]]:
    """Where the content of a first-frame box is found in every frame.

    `box` is x0, y0, x1, y1 in pixels; some of it must lie inside the first frame. Returns its centres in pixels, the
    last known one where it was not seen, and where it was seen.
    """
    scale = min(1.0, WORKING_SIDE / min(video.shape[-2:]))
    small = F.interpolate(video, scale_factor=scale, mode="bilinear", antialias=True) if scale < 1 else video
    ratio = torch.tensor([small.shape[-1] / video.shape[-1], small.shape[-2] / video.shape[-2]])
    x0, y0, x1, y1 = (box.cpu() * ratio.repeat(2)).tolist()
    height, width = small.shape[-2:]
    left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
    right, bottom = min(width, max(math.ceil(x1), left + 3)), min(height, max(math.ceil(y1), top + 3))

    clip = small.detach().float().cpu()
    template = clip[0, :, top:bottom, left:right]
    gaussian = torch.outer(
        _gaussian(torch.arange(top, bottom) + 0.5, y0, y1), _gaussian(torch.arange(left, right) + 0.5, x0, x1)
    )
    weight = gaussian * changed(clip[:, :, top:bottom, left:right], gaussian)
    reach = REACH * min(height, width)
    shifts, seen = _follow(clip, template, weight, (left, top), reach)
    if seen[1:].any():
        error = _errors(clip, template, (left, top), shifts)[seen][1:].median(dim=0).values
        shifts, seen = _follow(clip, template, weight * (0.02 + torch.exp(-error / AGREE)), (left, top), reach)
    center = torch.tensor([(x0 + x1) / 2, (y0 + y1) / 2])
    return (center + shifts) / ratio, seen


def _gaussian(at: Tensor, low: float, high: float) -> Tensor:
    return torch.exp(-0.5 * ((at - (low + high) / 2) / (SIGMA * max(high - low, 1.0) / 2)) ** 2)


def changed(patches: Float[Tensor, "frames 3 h w"], gaussian: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Weights (h, w), FLOOR where the box's place (frames, 3, h, w) keeps its first content, 1 where it changes.

    All ones where (nearly) nothing changes: then the object, too, stays in place.
    """
    difference = (patches[1:] - patches[0]).pow(2).sum(dim=1).median(dim=0).values
    share = difference / (difference + CHANGE)
    if (gaussian * share).sum() < 0.1 * gaussian.sum():
        return torch.ones_like(share)
    return FLOOR + (1 - FLOOR) * share


def _scores(clip: Tensor, template: Tensor, weight: Tensor, pad: int) -> Tensor:
    """Similarity (frames, h + 2 pad, w + 2 pad) of the template to the patch whose corner is at that padded pixel."""
    inside = F.pad(torch.ones(clip.shape[-2:]), (pad,) * 4)
    padded = F.pad(clip, (pad,) * 4)
    size = inside.shape
    to_inside, to_clip, to_squares = (torch.fft.rfft2(x) for x in (inside, padded, padded**2))

    def correlate(kernel: Tensor, spectrum: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(kernel, s=size).conj() * spectrum, s=size)

    mass = correlate(weight, to_inside)
    n = mass.clamp_min(1e-6)
    mean_t, mean_tt = correlate(weight * template, to_inside) / n, correlate(weight * template**2, to_inside) / n
    mean_i, mean_ii = correlate(weight, to_clip) / n, correlate(weight, to_squares) / n
    squared = mean_tt - 2 * correlate(weight * template, to_clip) / n + mean_ii
    variances = (mean_tt - mean_t**2).clamp_min(0) + (mean_ii - mean_i**2).clamp_min(0)
    score = 1 - squared.sum(dim=1) / (variances.sum(dim=1) + 0.01)  # the 0.01 tames noise in plain patches
    return score.masked_fill(mass < INSIDE * weight.sum(), -math.inf)


def _follow(clip, template, weight, corner: tuple[int, int], reach: float) -> tuple[Tensor, Tensor]:
    """Shifts (frames, 2) from the first frame, and whether the match was good enough to be the object."""
    pad = max(template.shape[-2:])
    scores = _scores(clip, template, weight, pad)
    axes = (torch.arange(n, dtype=torch.float32) - pad - at for n, at in zip(scores.shape[:0:-1], corner, strict=True))
    x, y = torch.meshgrid(*axes, indexing="xy")  # how far the template is shifted at each score
    last, step, missed = torch.zeros(2), torch.zeros(2), 0
    shifts, seen = [torch.zeros(2)], [True]
    for score in scores[1:]:
        even = last + step
        cost = HASTE * torch.hypot(x - even[0], y - even[1]) / min(clip.shape[-2:])
        near = torch.hypot(x - last[0], y - last[1]) <= reach * (1 + missed)
        row, column = divmod(int((score - cost).masked_fill(~near, -math.inf).argmax()), score.shape[1])
        seen.append(bool(score[row, column] >= SEEN))
        if seen[-1]:
            found = torch.stack([x[row, column], y[row, column]]) + _peak(score, row, column)
            last, step, missed = found, (found - last) / (1 + missed), 0
        else:
            step, missed = torch.zeros(2), missed + 1
        shifts.append(last)
    return torch.stack(shifts), torch.tensor(seen)


def _peak(score: Tensor, row: int, column: int) -> Tensor:
    """Sub-pixel offset (x, y), each within half a pixel, of the parabola through a peak and its neighbours."""
    offset = torch.zeros(2)
    for axis, line, k in ((0, score[row], column), (1, score[:, column], row)):
        if 0 < k < len(line) - 1:
            before, here, after = line[k - 1 : k + 2].tolist()
            bend = before - 2 * here + after
            if math.isfinite(bend) and bend < -1e-9:
                offset[axis] = min(0.5, max(-0.5, 0.5 * (before - after) / bend))
    return offset


def _errors(clip: Tensor, template: Tensor, corner: tuple[int, int], shifts: Tensor) -> Tensor:
    """Squared colour difference (frames, h, w) of the template to what was found at the shifts, to a whole pixel."""
    h, w = template.shape[-2:]
    rows = torch.arange(h)[None] + (corner[1] + shifts[:, 1:].round().long())
    columns = torch.arange(w)[None] + (corner[0] + shifts[:, :1].round().long())
    rows, columns = rows.clamp(0, clip.shape[-2] - 1), columns.clamp(0, clip.shape[-1] - 1)
    found = torch.stack([c[:, r][:, :, k] for c, r, k in zip(clip, rows, columns, strict=True)])
    return (found - template).pow(2).sum(dim=1)
