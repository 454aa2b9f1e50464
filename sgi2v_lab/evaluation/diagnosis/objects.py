"""Does each object follow its path and keep its looks? Can its track be trusted?"""

import math
from collections.abc import Sequence

import torch

from sgi2v_lab.evaluation.diagnosis.finding import ASKED, FOUND, Drawing, Finding, Found, Shown, Unjudged, pictures
from sgi2v_lab.evaluation.diagnosis.judged import JudgedVideo
from sgi2v_lab.evaluation.diagnosis.looks import color_distance, cut_out, detail_kept
from sgi2v_lab.evaluation.diagnosis.picture import detail_gained
from sgi2v_lab.evaluation.metrics.registry import measure
from sgi2v_lab.shapes import Video

__all__ = ["both_paths", "objects"]

LOST = 0.25  # of the frames in sight; true clips lose none
STANDS = 3 / 128  # of the shorter side; a path that leaves its start by less is that of a box that should stay
STRAYS = 5 / 128  # of the shorter side: mean distance of what should stay
UNFOLLOWED = 0.5  # of the path's mean distance from its start, which is what a still video scores
BACKWARDS = -0.3  # cosine between the way gone and the way asked for
COPIED = 0.75  # of a copy; true clips stay below 0.7
CLEAR = 0.9  # share of a box that must be in sight for its looks to be compared
KEPT = 0.61  # of the fine detail; true clips keep 0.63 and more, nearly all of them 0.7
SHIFTED = 12.0  # CIELAB units


def objects(judged: JudgedVideo, found: Sequence[Finding]) -> Found:
    """All checks of each object, in an order in which a problem explains the next ones away."""
    if judged.boxes is None:
        for kind in ("tracking", "follow"):
            yield Unjudged(kind, "no object's box is known")
        return
    for k in range(len(judged.boxes)):
        own = list(_motion(judged, k))
        yield from own
        if not any(one.kind in ("tracking", "follow") for one in own):
            yield from _copies(judged, k)
        if not any(one.kind == "tracking" for one in own):
            yield from _looks(judged, k, {one.kind for one in found})


def _motion(judged: JudgedVideo, k: int) -> Found:
    """Objects that the tracker loses, that do not follow their path, or that should stay and do not."""
    name, path, tracks = judged.name(k), judged.paths[k], judged.box_tracks
    in_sight = judged.in_sight[k] > 0.5
    if in_sight.float().mean() < 0.5:
        yield Unjudged("tracking", f"{name} is hidden or out of the picture in most frames, so it cannot be tracked")
        return
    within = ((tracks.points[k] > judged.boxes[..., :2]) & (tracks.points[k] < judged.boxes[..., 2:])).all(dim=-1)
    elsewhere = within.any(dim=0) & ~within[k]  # the tracker has gone over to another object
    lost = ((~tracks.visible[k] | elsewhere) & in_sight)[1:].sum().item() / max(1, int(in_sight[1:].sum()))
    if lost > LOST:
        sentence = f"The tracker loses {name} in {lost:.0%} of the frames, so its ObjMC is a guess."
        advice = "Look at the video before you trust its ObjMC; draw the box close around a clear outline."
        yield Finding("tracking", sentence, lost, LOST, "of the frames", advice, k, both_paths(judged, k))
        return
    where = in_sight & tracks.visible[k]
    gone, asked = (tracks.points[k] - tracks.points[k, 0])[where], (path - path[0])[where]
    off = (tracks.points[k] - path)[where].norm(dim=-1).mean().item()
    still = asked.norm(dim=-1).mean().item()  # what a still video would be off by
    stands, strays = STANDS * judged.side, STRAYS * judged.side
    if still < stands and off > strays:
        sentence = f"{name} should stay, but is {off:.1f} px from its place on average."
        advice = "Use more control steps or iterations, or add camera boxes that hold the background (camera_still)."
        yield Finding("follow", sentence, off, strays, "px", advice, k, both_paths(judged, k))
    elif still >= stands and off > UNFOLLOWED * still:
        along = (gone * asked).sum() / (gone.norm() * asked.norm()).clamp(min=1e-6)
        does = "goes the wrong way" if along < BACKWARDS and gone.norm(dim=-1).max() > stands else "does not follow"
        sentence = f"{name} {does}: it is {off:.1f} px from its path on average; standing still would be {still:.1f}."
        advice = "Use more or earlier control steps, more iterations or a higher learning rate; shorten the path."
        unit = "of what a still video scores"
        yield Finding("follow", sentence, off / still, UNFOLLOWED, unit, advice, k, both_paths(judged, k))


def _copies(judged: JudgedVideo, k: int) -> Found:
    """Objects that leave a copy at their first place (`metrics.fidelity.copies_left`)."""
    known = {"image": judged.image, "boxes": judged.boxes[k : k + 1]}
    value = measure(judged.video, ["copies_left"], **known)["copies_left"].value or 0.0  # no value if it stays in place
    if value > COPIED:
        sentence = f"{judged.name(k)} is there twice: it leaves a copy at its first place."
        advice = "Use earlier control steps, which decide where things are, or shorten the path."
        yield Finding("split", sentence, value, COPIED, "of a copy", advice, k, both_paths(judged, k))


def _looks(judged: JudgedVideo, k: int, kinds: set[str]) -> Found:
    """Objects that smear, which is a loss of fine detail beyond the picture's own, or that change their colours.

    Smearing mixes an object's colours with its background's, and a burnt or blurred picture changes all colours, so
    colours are compared only without these.
    """
    name = judged.name(k)
    tracks, clear = judged.box_tracks, (judged.in_sight[k] > CLEAR) & judged.box_tracks.visible[k]
    if not clear[0] or not clear[1:].any():
        yield Unjudged("appearance", f"{name} is partly hidden in too many frames for its looks to be compared")
        return
    cuts, weight = cut_out(judged.video, judged.boxes[k], tracks.points[k])
    drawing = _strip(cuts)
    whole = 10 ** (min(0.0, detail_gained(judged) or 0.0) / 20)
    kept = detail_kept(cuts, weight)[1:][clear[1:]].median().item() / whole
    if math.isnan(kept):
        yield Unjudged("smear", f"{name} has no fine detail that could smear")
    elif kept < KEPT:
        sentence = f"{name} smears: it keeps {max(kept, 0):.0%} of its fine detail."
        advice = "Lower the learning rate or the cut-off, draw a slower path, or use more denoising steps."
        yield Finding("smear", sentence, max(kept, 0), KEPT, "of its fine detail", advice, k, drawing)
        return
    distance = color_distance(cuts, weight)[1:][clear[1:]]
    value = distance[-max(1, len(distance) // 3) :].mean().item()  # colours drift: the end shows how far
    if value > SHIFTED and not kinds & {"burnt", "lost detail"}:
        sentence = f"{name} changes its looks: its colours end {value:.0f} CIELAB units from those of the first frame."
        advice = "Lower the learning rate or the highest guidance scale; draw the box close around the object."
        yield Finding("appearance", sentence, value, SHIFTED, "CIELAB units", advice, k, drawing)


def both_paths(judged: JudgedVideo, k: int) -> Drawing:
    """The path asked for and the track, on the first and the last frame."""
    paths = [(judged.paths[k], ASKED), (judged.box_tracks.points[k], FOUND)]
    frames = {"first frame": 0, "last frame": -1}
    shown = {title: Shown(judged.video[t], [(judged.boxes[k, t], ASKED)], paths) for title, t in frames.items()}
    return pictures(shown, "black: asked for; orange: found")


def _strip(cuts: Video) -> Drawing:
    """The object as cut out of four frames."""
    frames = sorted({round(t) for t in torch.linspace(0, len(cuts) - 1, 4).tolist()})
    return pictures({f"frame {t}": Shown(cuts[t]) for t in frames}, "the object, cut out along its track")
