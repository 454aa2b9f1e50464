"""Is the picture preserved? The first frame, fine detail, tones, flicker, and the background's place."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.diagnosis.finding import Drawing, Finding, Found, Shown, Unjudged, curve, pictures
from sgi2v_lab.evaluation.diagnosis.judged import JudgedVideo
from sgi2v_lab.evaluation.diagnosis.looks import FAINT, fine_power
from sgi2v_lab.evaluation.metrics.drift import background_drift, background_tracks, camera_motion
from sgi2v_lab.evaluation.metrics.first_frame import first_frame_psnr
from sgi2v_lab.evaluation.metrics.flicker import warping_error
from sgi2v_lab.evaluation.metrics.registry import measure
from sgi2v_lab.shapes import Image

__all__ = ["background", "burnt", "detail", "detail_gained", "first_frame", "flicker"]

LEAST_PSNR = 20.0  # dB; the toy's autoencoder alone keeps 25 and more
LESS, MORE = -6.0, 4.0  # dB of fine detail, lost (half the amplitude) and added (a camera's pan may add 3)
MARGIN = 1 / 24  # of the shorter side: how far a blurred edge reaches beyond its box
WHITE, BLACK = 0.985, 0.015
CLIPPED = 0.06  # of the picture; true clips stay below 0.01
JUMP = 0.03  # of full scale
DRIFT = 3 / 128  # of the shorter side; true clips stay below 1 / 128
SEEN = 0.05  # share of positions that the tracker must see; fewer are chance hits
ALONG = 0.6  # cosine of two ways that go together


def first_frame(judged: JudgedVideo, found: Sequence[Finding]) -> Found:
    """A first frame that is not the picture it was given."""
    if judged.image is None:
        yield Unjudged("first frame", "the picture that the video was made from is not known")
        return
    value = first_frame_psnr(judged.video, judged.image)
    if value < LEAST_PSNR:
        sentence = f"The first frame is not the given picture: PSNR is {value:.1f} dB."
        advice = "Lower the learning rate or the cut-off; compare with the video without control."
        yield Finding("first frame", sentence, value, LEAST_PSNR, "dB", advice, drawing=_beside(judged, 0))


def detail(judged: JudgedVideo, found: Sequence[Finding]) -> Found:
    """A background that loses its fine detail, or gains noise or patterns."""
    value = detail_gained(judged)
    if value is None:
        yield Unjudged("detail", "the background is covered by boxes, or has no fine detail")
        return
    if LESS <= value <= MORE:
        return
    if value < 0:
        kind, limit, sentence = "lost detail", LESS, f"The background loses its fine detail: {-value:.1f} dB of it."
        advice = "Lower the learning rate or the cut-off, so that more of the original high frequencies stays."
    else:
        kind, limit, sentence = "noise", MORE, f"The background gains noise or a pattern: {value:.1f} dB of detail."
        advice = "Lower the learning rate or the cut-off, use fewer control steps or more denoising steps."
    yield Finding(kind, sentence, value, limit, "dB", advice, drawing=_beside(judged, -1))


def detail_gained(judged: JudgedVideo) -> float | None:
    """The fine detail of the background in the video's second half over the picture's, in dB; None if that has none.

    Only pixels outside all boxes in all frames count, since an object that comes or goes brings its own detail.
    """
    outside = _outside(judged)
    if outside.float().mean() < 0.05:  # too few pixels to tell
        return None
    before = fine_power(judged.picture[None], outside).item()
    after = fine_power(judged.video[len(judged.video) // 2 :], outside).median().item()
    value = 10 * math.log10(max(after, FAINT) / max(before, FAINT))
    return None if before < FAINT and value <= MORE else value


def burnt(judged: JudgedVideo, found: Sequence[Finding]) -> Found:
    """A picture that turns pure white, pure black or a pure colour."""
    before = _clipped(judged.picture).float().mean().item()
    shares = [_clipped(frame).float().mean().item() - before for frame in judged.video]
    value = torch.tensor(shares[1:] or shares).median().item()
    if value > CLIPPED:
        sentence = f"The picture burns out: {value:.0%} of it turns pure white, black or a pure colour."
        advice = "Lower the learning rate or the highest guidance scale, or use fewer control steps."
        drawing = _beside(judged, shares.index(max(shares)))
        yield Finding("burnt", sentence, value, CLIPPED, "of the picture", advice, drawing=drawing)


def flicker(judged: JudgedVideo, found: Sequence[Finding]) -> Found:
    """Frames that differ from both neighbours by more than these differ from each other.

    Differences are roots of the warping error (`metrics.flicker`), so motion does not count; noise and gradual changes
    do not either, since they part the neighbours, too.
    """
    if len(judged.video) < 3:
        yield Unjudged("flicker", "flicker needs three frames or more")
        return
    video, last = judged.video, len(judged.video) - 1
    near = [math.sqrt(warping_error(video[t : t + 2])) for t in range(last)]
    across = [math.sqrt(warping_error(video[[t - 1, t + 1]])) for t in range(1, last)]
    jumps = [max(0.0, min(near[t], near[t + 1]) - across[t]) for t in range(last - 1)]
    value = max(jumps)
    if value > JUMP:
        sentence = f"The picture flickers: frame {1 + jumps.index(value)} differs from both of its neighbours."
        advice = "Use more denoising steps or fewer control steps; decode more frames at a time (decode_chunk_size)."
        drawing = curve(jumps, "jump, of full scale", JUMP, range(1, last))
        yield Finding("flicker", sentence, value, JUMP, "of full scale", advice, drawing=drawing)


def background(judged: JudgedVideo, found: Sequence[Finding]) -> Found:
    """A background that moves by itself, or along with an object (`metrics.drift.background_drift`)."""
    try:
        value, details = background_drift(judged)
    except InputError as error:
        yield Unjudged("background", str(error))
        return
    if details["seen"] < SEEN:
        yield Unjudged("background", "the background is too plain, or changes too much, to be followed")
        return
    limit = DRIFT * judged.side
    if value <= limit:
        return
    points, paths, seen = background_tracks(judged)
    belongs = points[:, None] if judged.camera is None else camera_motion(judged.camera, points)
    ways = (paths - belongs) * seen[..., None]
    partner = _partner(judged, ways.mean(dim=0))
    what = "moves" if partner is None else f"is dragged along with {partner}"
    sentence = f"The background {what}: it is {value:.1f} px from where it belongs on average."
    advice = "Add camera boxes (camera_still) or pinned boxes that hold it; lower the cut-off."
    if judged.uncontrolled is not None and judged.camera is None:
        own = measure(judged.uncontrolled, ["background_drift"], boxes=judged.boxes)["background_drift"].value or 0.0
        if own > limit:
            sentence += f" Without control it moves {own:.1f} px, so the model moves its camera by itself."
            advice = "Add camera boxes that hold it (camera_still), or lower the motion bucket."
    arrows = torch.stack([belongs[:, -1], paths[:, -1]], dim=1)[seen[:, -1]]
    shown = {"first frame": Shown(judged.video[0]), "last frame": Shown(judged.video[-1], arrows=arrows)}
    drawing = pictures(shown, "from where it belongs to where it is")
    yield Finding("background", sentence, value, limit, "px", advice, drawing=drawing)


def _beside(judged: JudgedVideo, t: int) -> Drawing:
    """A frame beside the picture that the video was made from."""
    title = f"frame {t % len(judged.video)}"
    return pictures({"picture": Shown(judged.picture), title: Shown(judged.video[t])})


def _outside(judged: JudgedVideo) -> Bool[Tensor, "height width"]:
    """The pixels well outside every box in every frame."""
    height, width = judged.video.shape[-2:]
    x, y = torch.arange(width) + 0.5, (torch.arange(height) + 0.5)[:, None]
    outside = torch.ones(height, width, dtype=torch.bool)
    wide = MARGIN * judged.side
    for x0, y0, x1, y1 in [] if judged.boxes is None else judged.boxes.flatten(0, 1).tolist():
        outside &= (x < x0 - wide) | (x > x1 + wide) | (y < y0 - wide) | (y > y1 + wide)
    return outside


def _clipped(picture: Image) -> Bool[Tensor, "height width"]:
    """Pixels at the end of their range: pure white or black, or with a full channel beside an empty one."""
    high, low = picture > WHITE, picture < BLACK
    return high.all(dim=0) | low.all(dim=0) | (high.any(dim=0) & low.any(dim=0))


def _partner(judged: JudgedVideo, way: Float[Tensor, "frames 2"]) -> str | None:
    """The name of the object whose path goes most along a way; None if none does."""
    best, name = ALONG, None
    for k, path in enumerate(() if judged.boxes is None else judged.paths):
        asked = path - path[0]
        cosine = ((way * asked).sum() / (way.norm() * asked.norm()).clamp(min=1e-6)).item()
        if cosine > best:
            best, name = cosine, judged.name(k)
    return name
