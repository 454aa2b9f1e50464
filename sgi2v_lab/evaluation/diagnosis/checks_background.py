"""Does the background stay, or go where the camera was asked to take it?"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.diagnosis.finding import Finding, Unjudged, severity_of
from sgi2v_lab.evaluation.diagnosis.judged import JudgedVideo
from sgi2v_lab.evaluation.diagnosis.looks import softened
from sgi2v_lab.evaluation.diagnosis.pictures import arrows
from sgi2v_lab.evaluation.metrics.drift import background_points, camera_motion
from sgi2v_lab.evaluation.trackers.track import dis
from sgi2v_lab.shapes import Points, Video

__all__ = ["background"]

DRIFT = 3 / 128  # of the shorter side: mean distance of the background from where it belongs; true pans reach 2
ALONG = 0.6  # cosine with an object's way from which on the background goes along with it
CHANGED = 0.04  # of full scale: root mean square change from which on a place looks otherwise
PATCH = 4 / 128  # of the shorter side: half-size of the patch that is compared
TEXTURE = 0.01  # of full scale: standard deviation of a patch that is not plain
SEEN = 0.3  # least share of positions that must be followed, of points that are not plain


def background(judged: JudgedVideo) -> Iterator[Finding | Unjudged]:
    """The background dragged along, or moving by itself.

    Background drift (`evaluation.metrics.drift`) followed by DIS flow. A point counts as moved only where its place
    looks otherwise than it did: flow in a plain area follows whatever passes nearby, and says nothing.
    """
    try:
        points = background_points(judged.video, judged.boxes)
    except InputError:
        yield Unjudged("background", "the boxes cover the whole picture, so there is no background to judge")
        return
    if len(judged.video) < 2:
        yield Unjudged("background", "one frame has no motion")
        return
    textured = _patches(judged.video[:1], points[:, None]).std(dim=-1).mean(dim=-1)[:, 0] > TEXTURE
    points = points[textured]
    if len(points) < 8:
        yield Unjudged("background", "the background is too plain for its motion to be seen")
        return
    belongs = points[:, None].expand(-1, len(judged.video), -1)
    if judged.camera is not None:
        belongs = camera_motion(judged.camera, points)
    value, ways, ends = _drift(judged.video, points, belongs)
    if value is None:
        yield Unjudged("background", "the background changes so much that most of it cannot be followed")
        return
    limit = DRIFT * judged.side
    if value <= limit:
        return
    along = _along(judged, ways)
    what = "moves" if along is None else f"is dragged along with {judged.name(along)}"
    sentence = f"The background {what}: it is {value:.1f} px from where it belongs on average."
    advice = "Add camera boxes that hold it (camera_still), or pin boxes on it; lower the cut-off."
    if judged.uncontrolled is not None:
        own, _, _ = _drift(judged.uncontrolled, points, points[:, None].expand(-1, len(judged.video), -1))
        if own is not None and own > limit and judged.camera is None:
            sentence += f" Without control it moves {own:.1f} px, so the model moves its camera by itself."
            advice = "Add camera boxes that hold it (camera_still), or lower the motion bucket."
    yield Finding(
        *("background", severity_of(value, limit), sentence, value, limit, "px", advice),
        drawing=arrows(
            judged.video[0], judged.video[-1], belongs[:, -1][::2], ends[::2], "from where it belongs to where it is"
        ),
    )


def _drift(video: Video, points: Tensor, belongs: Points) -> tuple[float | None, Points, Tensor]:
    """Mean distance in pixels, None where too little is followed; ways gone (n, frames, 2), and last places (n, 2)."""
    video = softened(video)  # noise is no motion, and has a check of its own
    tracks = dis(video, points)
    before = _patches(video[:1], points[:, None])
    otherwise = (_patches(video, belongs) - before).square().mean(dim=(-2, -1)).sqrt() > CHANGED
    ways = (tracks.points - belongs) * otherwise[..., None]
    seen = tracks.visible[:, 1:]
    if seen.float().mean() < SEEN:
        return None, ways, belongs[:, -1]
    value = ways.norm(dim=-1)[:, 1:][seen].mean().item()
    return value, ways * tracks.visible[..., None], belongs[:, -1] + ways[:, -1] * tracks.visible[:, -1:]


def _patches(video: Video, places: Points) -> Float[Tensor, "n frames rgb samples"]:
    """The values around places (n, frames, 2) in pixels, one set of 25 samples for each."""
    size = torch.tensor([video.shape[-1], video.shape[-2]])
    axis = torch.linspace(-1, 1, 5) * PATCH * min(size.tolist())
    around = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).flatten(0, 1)
    grid = 2 * (places.transpose(0, 1)[:, :, None] + around) / size - 1  # (frames, n, samples, 2)
    return F.grid_sample(video, grid, padding_mode="border", align_corners=False).permute(2, 0, 1, 3)


def _along(judged: JudgedVideo, ways: Points) -> int | None:
    """The object that the background goes along with; None if it goes its own way."""
    mean = ways.mean(dim=0)
    best = None
    for k in judged.objects:
        asked = judged.asked[k] - judged.asked[k, :1]
        cosine = ((mean * asked).sum() / (mean.norm() * asked.norm()).clamp(min=1e-6)).item()
        if cosine > ALONG and (best is None or cosine > best[0]):
            best = cosine, k
    return None if best is None else best[1]
