"""Did the objects go where they were asked to, and can their tracks be believed?"""

from collections.abc import Iterator

import torch

from sgi2v_lab.evaluation.diagnosis.finding import Drawing, Finding, Unjudged, severity_of
from sgi2v_lab.evaluation.diagnosis.judged import JudgedVideo
from sgi2v_lab.evaluation.diagnosis.pictures import ASKED, FOUND, Shown, pictures
from sgi2v_lab.evaluation.trackers.template import find_box

__all__ = ["LOST", "RETURN", "follow", "is_tracked", "tracking"]

LOST = 0.25  # of the frames in which an object may be lost before its track says little: true clips lose none
RETURN = 5 / 128  # of the shorter side: how far a track followed back to frame 0 may end from where it began
STANDS = 3 / 128  # of the shorter side: a path that leaves its start by less is a box that should stay
STRAYS = 5 / 128  # of the shorter side: how far what should stay may be away, on average
UNFOLLOWED = 0.5  # of the path's mean distance from its start, which a still video would score
BACKWARDS = -0.3  # cosine between the ways gone and asked


def tracking(judged: JudgedVideo) -> Iterator[Finding | Unjudged]:
    """Poor tracking: the object is lost, or its track, followed back from its end, does not lead to where it began.

    The forward-backward check of Kalal et al. 2010. Where it fails, ObjMC is a guess.
    """
    if judged.boxes is None:
        yield Unjudged("tracking", "no object's box is known, so there is nothing to track")
        return
    for k in judged.objects:
        lost, name = judged.lost[k].item(), judged.name(k)
        if not is_visible(judged, k):
            reason = f"{name} is hidden, or out of the picture, in most frames, so it cannot be tracked"
            yield Unjudged("tracking", reason)
            continue
        advice = (
            "Look at the video before you believe its ObjMC; draw the box close around something with an outline and "
            "colours of its own, or measure with another tracker (objmc(..., tracker='dis'))."
        )
        if lost > LOST:
            sentence = f"{name} is lost by the tracker in {lost:.0%} of the frames: its ObjMC is a guess."
            yield Finding(
                *("tracking", severity_of(lost, LOST), sentence, lost, LOST, "of the frames", advice, k),
                drawing=_tracks(judged, k),
            )
            continue
        error, limit = _round_trip(judged, k), RETURN * judged.side
        if error is not None and error > limit:
            sentence = f"{name}'s track, followed back from its end, misses its start: its ObjMC may be a guess."
            yield Finding(
                *("tracking", severity_of(error, limit), sentence, error, limit, "px", advice, k),
                drawing=_tracks(judged, k),
            )


def is_tracked(judged: JudgedVideo, k: int) -> bool:
    """Whether an object was found often enough for its track to be judged."""
    return is_visible(judged, k) and judged.lost[k].item() <= LOST


def is_visible(judged: JudgedVideo, k: int) -> bool:
    """Whether an object should be in sight, and in front, in at least half of the frames."""
    return judged.in_sight[k].float().mean().item() >= 0.5


def _round_trip(judged: JudgedVideo, k: int) -> float | None:
    """Pixels between where a track began and where following it back leads; None where its end is not in sight."""
    match, size = judged.matches[k], judged.boxes[k, :, 2:] - judged.boxes[k, :, :2]
    last = int(match.seen.nonzero()[-1])
    center, picture = match.centers[last], torch.tensor(judged.size)
    if last == 0 or not ((center - size[last] / 4 > 0) & (center + size[last] / 4 < picture)).all():
        return None  # what has half left the picture is a poor template for the way back
    end = torch.cat([center - size[last] / 2, center + size[last] / 2])
    back = find_box(judged.video[: last + 1].flip(0), end)
    if not back.seen[-1]:
        return None  # the end looks unlike the beginning: other checks say how
    return (back.centers[-1] - judged.asked[k, 0]).norm().item()


def follow(judged: JudgedVideo) -> Iterator[Finding | Unjudged]:
    """Whether each object follows its path, against the score of a still video; whether what is pinned stays."""
    if judged.boxes is None:
        yield Unjudged("follow", "no object's box is known, so there is no path to follow")
        return
    for k in judged.objects:
        name, asked = judged.name(k), judged.asked[k]
        if not is_tracked(judged, k):
            yield Unjudged("follow", f"{name} cannot be tracked, so whether it follows cannot be told")
            continue
        where = judged.in_sight[k] & judged.matches[k].seen
        found = judged.matches[k].centers
        off = (found - asked).norm(dim=-1)[where].mean().item()
        way = (asked - asked[:1]).norm(dim=-1)[where].mean().item()  # what a still video would be off by
        if way < STANDS * judged.side:
            limit = STRAYS * judged.side
            if off > limit:
                sentence = f"{name} should stay, but is {off:.1f} px from its place on average."
                advice = (
                    "Use more control steps or iterations, or add camera boxes that hold the background (camera_still)."
                )
                yield Finding(
                    *("follow", severity_of(off, limit), sentence, off, limit, "px", advice, k),
                    drawing=_tracks(judged, k),
                )
            continue
        share = off / way
        if share <= UNFOLLOWED:
            continue
        gone = (found - found[:1])[where]
        along = (
            (gone * (asked - asked[:1])[where]).sum()
            / (gone.norm() * (asked - asked[:1])[where].norm()).clamp(min=1e-6)
        ).item()
        backwards = along < BACKWARDS and gone.norm(dim=-1).max() > STANDS * judged.side
        does = "goes the wrong way" if backwards else "does not follow its path"
        sentence = f"{name} {does}: it is {off:.1f} px from it on average, where standing still would be {way:.1f} px."
        advice = (
            "Use more control steps, or earlier ones; raise the learning rate or the iterations; check that the "
            "layers suit the model; ask for a shorter path."
        )
        yield Finding(
            *("follow", "severe" if backwards or share > 0.8 else "moderate", sentence, share, UNFOLLOWED),
            *("of what a still video scores", advice, k),
            drawing=_tracks(judged, k),
        )


def _tracks(judged: JudgedVideo, k: int) -> Drawing:
    """The path asked for and the one found, on the first and the last frame."""
    paths = [(judged.asked[k], ASKED), (judged.matches[k].centers, FOUND)]
    first = Shown(judged.video[0], boxes=[(judged.boxes[k, 0], ASKED)], paths=paths)
    last = Shown(judged.video[-1], boxes=[(judged.boxes[k, -1], ASKED)], paths=paths)
    return pictures({"first frame": first, "last frame": last}, "black: asked for; orange: found")
