"""Is each object preserved? Checks of smearing, splitting and colours."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.evaluation.diagnosis.checks_motion import is_tracked
from sgi2v_lab.evaluation.diagnosis.finding import Drawing, Finding, Unjudged, severity_of
from sgi2v_lab.evaluation.diagnosis.judged import JudgedVideo
from sgi2v_lab.evaluation.diagnosis.looks import color_distance, detail_kept
from sgi2v_lab.evaluation.diagnosis.pictures import ASKED, FOUND, Shown, between, pictures

__all__ = ["appearance", "smear", "split"]

KEPT = 0.7  # least share of its fine detail that a thing keeps: true clips keep 0.85 and more, smeared ones under 0.6
SHIFTED = 12.0  # CIELAB; true clips stay below 6 where nothing else goes wrong
TWIN = 0.65  # least similarity of a second copy: other content rarely reaches it
RISEN = 0.3  # by how much more similar it must be than anything else was in the first frame


def smear(judged: JudgedVideo) -> Iterator[Finding | Unjudged]:
    """Objects that smear: their fine detail goes, more than that of the whole picture does."""
    for k in _tracked(judged):
        kept = _detail(judged, k)
        if not kept.isfinite().any():
            yield Unjudged("smear", f"{judged.name(k)} is too plain, or too hidden, for its detail to be judged")
            continue
        value = kept.nanmedian().item()
        if value < KEPT:
            sentence = f"{judged.name(k)} smears: of the fine detail that it began with, {max(value, 0):.0%} is left."
            advice = (
                "Lower the learning rate or the cut-off, so that more of the model's own noise stays; try a slower "
                "path or more denoising steps."
            )
            yield Finding(
                *("smear", severity_of(value, KEPT, True), sentence, value, KEPT, "of its fine detail", advice, k),
                drawing=_strip(judged, k),
            )


def split(judged: JudgedVideo) -> Iterator[Finding | Unjudged]:
    """Objects that split: beside the one that was found there is a second place that looks just like it."""
    for k in _tracked(judged):
        match = judged.matches[k]
        near = 0.5 * (judged.boxes[k, :, 2:] - judged.boxes[k, :, :2])
        best, places = [], []
        for t in range(len(judged.video)):
            here = ((match.places - match.centers[t]).abs() < near[t]).all(dim=-1)
            score = match.similarity[t].masked_fill(here, -1)
            row, column = divmod(int(score.argmax()), score.shape[1])
            best.append(score[row, column].item())
            places.append(match.places[row, column])
        later = torch.tensor(best[1:])
        later = later[len(later) // 2 :]
        value = later.median().item()
        if value > TWIN and value - best[0] > RISEN:
            t = len(best) - len(later) + int(later.argmax())
            twin = torch.cat([places[t] - near[t], places[t] + near[t]])
            own = torch.cat([match.centers[t] - near[t], match.centers[t] + near[t]])
            shown = {
                "first frame": Shown(judged.video[0], boxes=[(judged.boxes[k, 0], ASKED)]),
                f"frame {t}": Shown(judged.video[t], boxes=[(own, ASKED), (twin, FOUND)]),
            }
            yield Finding(
                *("split", "severe", f"{judged.name(k)} is there twice: a second copy is seen beside it."),
                *(value, TWIN, "similarity"),
                "Use earlier control steps, when things find their places; pin a box where the copy is, or make the "
                "path shorter or slower.",
                k,
                drawing=pictures(shown, "black: found; orange: the second copy"),
            )


def appearance(judged: JudgedVideo, found: Sequence[Finding]) -> Iterator[Finding | Unjudged]:
    """Appearance drift: an object's colours leave those of the first frame.

    Not said of what smears, which mixes its colours with what is behind it, nor of a picture that burns, or blurs, as a
    whole.
    """
    if any(finding.kind in ("burnt", "lost detail") for finding in found):
        return
    for k in _tracked(judged):
        distance = color_distance(judged.cutouts[k])[1:]
        known = distance[distance.isfinite()]
        if not len(known):
            yield Unjudged("appearance", f"{judged.name(k)} is hidden in too many frames for its colours to be judged")
            continue
        if any(finding.kind == "smear" and finding.index == k for finding in found):
            continue
        value = known[-max(1, len(known) // 3) :].mean().item()  # it grows: the end says how far
        if value > SHIFTED:
            sentence = f"{judged.name(k)} changes its looks: by the end its colours are {value:.0f} CIELAB units off."
            advice = (
                "Lower the learning rate or the highest guidance scale; use fewer control steps; draw the box close "
                "around the object, so that the loss compares it and not what is behind it."
            )
            yield Finding(
                *("appearance", severity_of(value, SHIFTED), sentence, value, SHIFTED, "CIELAB units", advice, k),
                drawing=_strip(judged, k),
            )


def _tracked(judged: JudgedVideo) -> Iterator[int]:
    """The objects with a reliable track."""
    return (k for k in judged.objects if is_tracked(judged, k))


def _detail(judged: JudgedVideo, k: int) -> Float[Tensor, "frames"]:
    """The share of fine detail kept in each later frame, against what the whole picture keeps of its own."""
    return detail_kept(judged.cutouts[k])[1:] / judged.sharpness[1:].clamp(max=1)


def _strip(judged: JudgedVideo, k: int) -> Drawing:
    """The object, cut out along its track, in four frames."""
    cuts = judged.cutouts[k].pictures
    return pictures({f"frame {t}": Shown(cuts[t]) for t in between(len(cuts))}, "the object, wherever it was found")
