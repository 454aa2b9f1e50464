"""Who wins, and why: sentences made from the figures, so that they change with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sgi2v_lab.evaluation.report.measures import MEASURES
from sgi2v_lab.evaluation.report.sets import SetFigures
from sgi2v_lab.evaluation.report.statistics import ALPHA, Comparison, compare_all, smallest_p
from sgi2v_lab.evaluation.report.study import Study
from sgi2v_lab.evaluation.report.wording import count, listed, number, p_value, plain_number

__all__ = ["MECHANISMS", "Reason", "Verdict", "verdict", "who_is_better"]

# What a method does to the object's position: a fact about the method, not about the figures.
MECHANISMS = {
    "none": "it does not know the path",
    "copy_paste": "the box's own pixels are pasted along the path and pass through the model's autoencoder, so the "
    "position is given instead of generated. The rest is a still picture, which measures of likeness and steadiness "
    "favour",
    "time_to_move": "it puts the object's own pixels along the path into the noisy latents and holds them there for "
    "the first steps, so the position is given instead of found by optimisation",
    "freetraj": "it carries the noise of the first box along the path, so the position is suggested by the noise",
    "drag": "it optimises each frame by itself at a single noise level, towards the features of that same frame",
    "sgi2v": "it optimises the noisy latents at several steps until the features along the path match the first "
    "frame's, so the position is found, and the model has the last word",
}
BESIDES = ("objmc", "seconds")  # not costs in quality; seconds are told separately


@dataclass(frozen=True)
class Reason:
    """Why an arm is ahead of the reference, and at what cost."""

    setting: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """Who wins on ObjMC; a caution if no difference can be significant; a reason for each arm that is ahead."""

    sentence: str
    caution: str | None = None
    reasons: Sequence[Reason] = ()


def verdict(study: Study, sets: SetFigures | None = None) -> Verdict:
    """Say which arm follows its path best, whether that is significant, and what it costs.

    Args:
        study: with ObjMC of some videos.
        sets: figures of whole sets, reported with the costs.
    """
    families = {measure.name: compare_all(study, measure.name) for measure in study.measures}
    against = list(families.get("objmc", {}).values())
    if not against:
        return Verdict(f"Only {study.reference} has ObjMC values, so there is nothing to compare.")
    ahead = sorted((one for one in against if one.ahead), key=lambda one: one.difference.value)
    scenes = max(one.scenes for one in against)
    least = smallest_p(scenes, len(against))
    caution = None
    if least >= ALPHA:
        caution = (
            f"With {count(scenes, 'scene')} no difference can be significant: even if all scenes agreed, the corrected "
            f"p would be {p_value(least)}. Use more scenes."
        )
    reasons = [Reason(one.setting, _why(study, one, families, sets)) for one in ahead]
    return Verdict(_first(study, against, ahead), caution, reasons)


def who_is_better(one: Comparison) -> str:
    """One sentence on a paired comparison."""
    measure = MEASURES[one.measure]
    tally = f"in {one.better} of {count(one.scenes, 'scene')}"
    if one.difference.value == 0 and one.better == one.worse:
        return f"No difference: {one.setting} and {one.reference} are equal in {measure.title}."
    if one.sure and one.ahead and one.effect > 0:
        return f"{one.setting} wins: it is better {tally}."
    if one.sure and not one.ahead and one.effect < 0:
        return f"{one.reference} wins: {one.setting} is better only {tally}."
    side = one.setting if one.ahead else one.reference
    return f"Undecided: {side} has the better mean, but not significantly; {one.setting} is better {tally}."


def _first(study: Study, against: Sequence[Comparison], ahead: Sequence[Comparison]) -> str:
    reference = study.reference
    if not ahead:
        nearest = min(against, key=lambda one: one.difference.value)
        tie = [one.setting for one in against if one.difference.value == 0]
        if tie:
            equal = "is exactly equal to it" if len(tie) == 1 else "are exactly equal to it"
            return f"Nothing beats {reference} on ObjMC; {listed(tie)} {equal}."
        return (
            f"{reference} wins on ObjMC: {number(nearest.mean_reference, 'objmc')} from the path on average, against "
            f"{number(nearest.mean, 'objmc')} of the next best, {nearest.setting} ({_certainty(nearest)})."
        )
    best = ahead[0]
    sure = [one.setting for one in ahead if one.sure]
    perhaps = [one.setting for one in ahead if not one.sure]
    figures = (
        f"Best is {best.setting}, with {number(best.mean, 'objmc')} from the path on average against "
        f"{number(best.mean_reference, 'objmc')} of {reference} ({_certainty(best)})."
    )
    if not sure:
        have = "has the better mean" if len(perhaps) == 1 else "have the better means"
        return f"{reference} does not win on ObjMC: {listed(perhaps)} {have}, but not significantly. {figures}"
    beat = "beats" if len(sure) == 1 else "beat"
    also = f" Better on average, but not significantly: {listed(perhaps)}." if perhaps else ""
    return f"{reference} does not win on ObjMC: {listed(sure)} {beat} it. {figures}{also}"


def _why(
    study: Study, one: Comparison, families: Mapping[str, Mapping[str, Comparison]], sets: SetFigures | None
) -> str:
    """Why an arm is ahead of the reference, as far as its method and the figures show."""
    arm, reference = one.setting, one.reference
    how = MECHANISMS.get(study.arms[arm].method) if study.kind == "methods" else None
    sure = "" if one.sure else ", not significantly"
    parts = [
        f"{number(one.mean, 'objmc')} against {number(one.mean_reference, 'objmc')}, better in {one.better} of "
        f"{count(one.scenes, 'scene')}{sure}" + (f": {how}." if how else ".")
    ]
    others = [family[arm] for name, family in families.items() if name not in BESIDES and arm in family]
    worse = [other for other in others if not other.ahead and other.difference.value]
    better = [other for other in others if other.ahead]
    surely, perhaps = ([other for other in worse if other.sure is sure] for sure in (True, False))
    if surely:
        parts.append(f"Significantly worse: {_compared(surely)}.")
    if perhaps:
        parts.append(f"Worse on average, but not significantly: {_compared(perhaps)}.")
    farther = False
    if sets and {arm, reference} <= set(sets.distances):
        ours, theirs = sets.distances[arm], sets.distances[reference]
        farther = ours > theirs
        parts.append(
            f"As a set its videos are {'farther from' if farther else 'no farther from'} the true clips (toy Fréchet "
            f"distance {plain_number(ours, 1)} against {plain_number(theirs, 1)})."
        )
    if not worse and not farther:
        parts.append("It is not worse in any measure, so these figures show no cost.")
    elif better:
        parts.append(
            f"Better on average as well: {listed([_within(MEASURES[other.measure].title) for other in better])}."
        )
    if seconds := families.get("seconds", {}).get(arm):
        ours, theirs = number(seconds.mean, "seconds"), number(seconds.mean_reference, "seconds")
        parts.append(f"One video takes {ours}, against {theirs} for {reference}.")
    return " ".join(parts)


def _certainty(one: Comparison) -> str:
    about = f"{count(one.scenes, 'scene')}, Holm-corrected p = {p_value(one.p_holm)}".replace("= <", "<")
    return about if one.sure else f"not significant: {about}"


def _compared(comparisons: Sequence[Comparison]) -> str:
    return "; ".join(
        f"{_within(MEASURES[one.measure].title)} {number(one.mean, one.measure)} against "
        f"{number(one.mean_reference, one.measure)}"
        for one in comparisons
    )


def _within(title: str) -> str:
    """A title within a sentence: abbreviations keep their capitals."""
    return title[0].lower() + title[1:] if title[1].islower() else title
