"""Is the picture preserved? Checks of the first frame, detail, tones and flicker."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from sgi2v_lab.errors import needs
from sgi2v_lab.evaluation.diagnosis.finding import Finding, Unjudged, severity_of
from sgi2v_lab.evaluation.diagnosis.judged import JudgedVideo
from sgi2v_lab.evaluation.diagnosis.looks import FAINT, fine_power
from sgi2v_lab.evaluation.diagnosis.pictures import Shown, curves, pictures
from sgi2v_lab.evaluation.metrics.first_frame import first_frame_psnr
from sgi2v_lab.evaluation.metrics.flicker import carried_back, seen_in_both
from sgi2v_lab.evaluation.metrics.spectrum import decibels
from sgi2v_lab.shapes import Image, Video

with needs("evaluation"):
    import cv2

__all__ = ["burnt", "detail", "first_frame", "flicker"]

LEAST_PSNR = 20.0  # dB of the first frame to the picture: the toy's autoencoder alone keeps 25 and more
RINGS = 16
LESS = 6.0  # dB of fine detail that may be lost: half the amplitude
MORE = 4.0  # dB of fine detail that may be added, by noise and patterns; a camera's pan may add 3
WHITE, BLACK = 0.985, 0.015
CLIPPED = 0.06  # of the background that may become pure white, pure black or a pure colour
JUMP = 0.03  # of full scale: a step back and forth of that size is seen as flicker
SOFT = 3 / 128  # of the shorter side: standard deviation of the blur that takes noise out of flicker


def first_frame(judged: JudgedVideo) -> Iterator[Finding | Unjudged]:
    """A first frame that is not the picture that was given."""
    if judged.image is None:
        yield Unjudged("first frame", "the picture that the video was made from is not known")
        return
    value = first_frame_psnr(judged.video, judged.image)
    if value < LEAST_PSNR:
        shown = {"the picture": Shown(judged.image), "the first frame": Shown(judged.video[0])}
        yield Finding(
            *("first frame", severity_of(value, LEAST_PSNR, True)),
            f"The first frame is not the picture that was given: {value:.1f} dB PSNR.",
            *(value, LEAST_PSNR, "dB"),
            "Lower the learning rate or the cut-off; compare the video without control.",
            drawing=pictures(shown),
        )


def detail(judged: JudgedVideo) -> Iterator[Finding | Unjudged]:
    """Lost high frequencies, and noise: less or more fine detail in the background than the picture has there.

    Only what no box ever covers counts, since a thing that comes or goes brings its own detail with it. With the video
    without control beside it, the sentence says whether the model does the same by itself.
    """
    reference = judged.video[:1] if judged.image is None else judged.image[None]
    if judged.background.sum() < 0.05 * judged.background.numel():
        yield Unjudged("detail", "the boxes cover the picture, so its detail cannot be told from theirs")
        return
    before = fine_power(reference, judged.background).item()
    value = _decibels_gained(judged.video, judged, before)
    limit = -LESS if value < 0 else MORE
    if before < FAINT and value < MORE:
        yield Unjudged("detail", "the background has no fine detail that could be lost")
        return
    if abs(value) <= abs(limit):
        return
    later = judged.video[len(judged.video) // 2 :]
    series = {"the picture": decibels(reference, RINGS).tolist(), "the video": decibels(later, RINGS).tolist()}
    own = False
    if judged.uncontrolled is not None:
        series["without control"] = decibels(judged.uncontrolled[len(judged.video) // 2 :], RINGS).tolist()
        plain = _decibels_gained(judged.uncontrolled, judged, before)
        own = plain * value > 0 and abs(plain) > 0.7 * abs(value)
    if value < 0:
        kind, what = "lost detail", f"The background has lost its fine detail: {-value:.1f} dB less power."
        advice = "Lower the cut-off, so that more of the unoptimised high frequencies stay, or the learning rate."
    else:
        kind, what = "noise", f"The video has noise, or a pattern, that the picture has not: {value:.1f} dB more power."
        advice = "Lower the learning rate or the cut-off, use fewer control steps or more denoising steps."
    if own:
        advice = "The video without control has it too, so it is the model, not the control: take more denoising steps."
    x = [(i + 0.5) / RINGS for i in range(RINGS)]
    yield Finding(
        *(kind, severity_of(abs(value), abs(limit)), what, value, limit, "dB", advice),
        drawing=curves(series, "power, dB", x=x, x_label="radial frequency (1: waves of two pixels)"),
    )


def _decibels_gained(video: Video, judged: JudgedVideo, before: float) -> float:
    """By how many dB the fine detail of a video's second half is more than `before`; what is faint counts as FAINT."""
    after = fine_power(video[len(video) // 2 :], judged.background).median().item()
    return 10 * math.log10(max(after, FAINT) / max(before, FAINT))


def burnt(judged: JudgedVideo) -> Iterator[Finding | Unjudged]:
    """Burnt pictures: background that turns pure white, pure black or a pure colour."""
    reference = judged.video[0] if judged.image is None else judged.image
    outside = judged.background
    if outside.sum() < 0.05 * outside.numel():
        yield Unjudged("burnt", "the boxes cover the picture, so its tones cannot be told from theirs")
        return
    before = _clipped(reference)[outside].float().mean().item()
    shares = [_clipped(frame)[outside].float().mean().item() - before for frame in judged.video]
    later = torch.tensor(shares[1:] or shares)
    value = later.median().item()
    if value > CLIPPED:
        t = len(shares) - len(later) + int(later.argmax())
        marked = (_clipped(judged.video[t]) & outside).nonzero()[:, [1, 0]].float() + 0.5
        marked = marked[:: max(1, len(marked) // 1500)]
        shown = {f"frame {t}": Shown(judged.video[t]), "pure tones": Shown(judged.video[t], marked=marked)}
        yield Finding(
            *("burnt", severity_of(value, CLIPPED)),
            f"The picture burns out: {value:.0%} more of the background than at first is pure white, black or colour.",
            *(value, CLIPPED, "of the background"),
            "Lower the learning rate and the highest guidance scale; use fewer control steps.",
            drawing=pictures(shown),
        )


def flicker(judged: JudgedVideo) -> Iterator[Finding | Unjudged]:
    """Flicker: frames that jump away from both of their neighbours, motion taken out."""
    if len(judged.video) < 3:
        yield Unjudged("flicker", "flicker needs three frames or more")
        return
    jumps = _jumps(judged.video)
    value = max(jumps)
    if value > JUMP:
        yield Finding(
            *("flicker", severity_of(value, JUMP)),
            f"The picture flickers: frame {1 + jumps.index(value)} differs from both of its neighbours.",
            *(value, JUMP, "of full scale"),
            "Use more denoising steps or fewer control steps; decode more frames at a time (decode_chunk_size).",
            drawing=curves({"jump": jumps}, "of full scale", JUMP, x=range(1, len(jumps) + 1)),
        )


def _clipped(picture: Image) -> Tensor:
    """Pixels (h, w) at the end of their range: pure white or black, or a channel that is full beside an empty one."""
    high, low = picture > WHITE, picture < BLACK
    return high.all(dim=0) | low.all(dim=0) | (high.any(dim=0) & low.any(dim=0))


def _jumps(video: Video) -> list[float]:
    """How far each frame but the first and last lies from the middle of its neighbours, carried to it by DIS flow.

    Both neighbours on the same side is flicker; one on either side is a change that goes on, such as light that fades.
    Noise is blurred away first: it has a check of its own. Root mean square over what is seen in all three.
    """
    frames = video.permute(0, 2, 3, 1).contiguous().numpy()
    gray = [cv2.cvtColor((frame * 255).round().astype(np.uint8), cv2.COLOR_RGB2GRAY) for frame in frames]
    soft = [cv2.GaussianBlur(frame, (0, 0), SOFT * min(gray[0].shape)) for frame in frames]
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if min(gray[0].shape) <= 256:
        flow.setFinestScale(0)
    found = []
    for t in range(1, len(frames) - 1):
        apart, seen = [], np.ones(gray[0].shape, dtype=bool)
        for other in (t - 1, t + 1):
            forth, back = flow.calc(gray[t], gray[other], None), flow.calc(gray[other], gray[t], None)
            seen &= seen_in_both(forth, carried_back(back, forth))
            apart.append(carried_back(soft[other], forth) - soft[t])
        jump = np.where(apart[0] * apart[1] > 0, np.minimum(np.abs(apart[0]), np.abs(apart[1])), 0.0)
        found.append(float(np.sqrt(np.square(jump)[seen].mean())) if seen.mean() > 0.1 else 0.0)
    return found
