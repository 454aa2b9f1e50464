"""Who wins, and why: sentences computed from the figures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sgi2v_lab.evaluation.report.claims import Claim
from sgi2v_lab.evaluation.report.statistics import ALPHA, Comparison, compare_all
from sgi2v_lab.evaluation.report.study import Study
from sgi2v_lab.evaluation.report.wording import count, listed, number, p_value, within

__all__ = ["MECHANISMS", "Verdict", "verdict"]

# What a method does to the object's position: a fact about the method, not about the figures.
MECHANISMS = {
    "none": "it does not know the path",
    "copy_paste": "it pastes the box's own pixels along the path; the rest is a still picture",
    "copy_features": "it puts the first frame's features on the path in some layers, not in the latents themselves",
    "time_to_move": "it holds the object's own pixels on the path for the first steps; nothing has to be found",
    "freetraj": "it carries the noise of the first box along the path, which suggests the position",
    "drag": "it optimises each frame by itself at a single noise level",
    "sgi2v": "it optimises the latents at several steps until the features along the path match the first frame's",
}


@dataclass(frozen=True)
class Verdict:
    """Who wins on ObjMC; a caution if no difference can be significant; a reason for each arm that is ahead."""

    sentence: str
    caution: str | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)  # by the arm's label


def verdict(study: Study, claims: Sequence[Claim] = ()) -> Verdict:
    """Say how many claims hold, which arm follows its path best, whether that is significant, and what it costs."""
    held = Counter(claim.holds for claim in claims)
    tally = [f"{held[name]} {name}" for name in ("yes", "no", "undecided", "not measured") if held[name]]
    of_claims = f"Do the claims hold? {', '.join(tally).capitalize()}. " if claims else ""
    if any(question.ask for question in study.plan.questions):  # whose arms are made on different samples
        return Verdict(of_claims or "Each question has its answer below.")
    families = {measure.name: compare_all(study, measure.name) for measure in study.measures}
    against = list(families.get("objmc", {}).values())
    if not against:
        return Verdict(f"{of_claims}Only {study.reference} has ObjMC values, so there is nothing to compare.")
    ahead = sorted((one for one in against if one.ahead), key=lambda one: one.difference.value)
    samples = max(one.samples for one in against)
    least = min(1.0, len(against) * 2.0 ** (1 - samples))  # the corrected p where all samples agree
    few = f"Use more samples: with {samples} no difference can be significant (p is at least {p_value(least)})."
    reasons = {one.arm: _why(study, one, families) for one in ahead}
    return Verdict(of_claims + _first(study.reference, against, ahead), few if least >= ALPHA else None, reasons)


def _first(reference: str, against: Sequence[Comparison], ahead: Sequence[Comparison]) -> str:
    if tie := [one.arm for one in against if one.difference.value == 0 and not ahead]:
        return f"Nothing beats {reference} on ObjMC; exactly equal to it: {listed(tie)}."
    best = ahead[0] if ahead else min(against, key=lambda one: one.difference.value)
    about = f"{count(best.samples, 'sample')}, Holm-corrected p = {p_value(best.p_holm)}".replace("= <", "<")
    about = about if best.sure else f"not significant: {about}"
    ours, theirs = number(best.mean_reference, "objmc"), f"{number(best.mean, 'objmc')} of {best.arm} ({about})"
    if not ahead:
        wins = "wins" if best.sure else "has the best mean"
        return f"{reference} {wins} on ObjMC: {ours} from the path on average, against {theirs}, the next best."
    sure, perhaps = ([one.arm for one in ahead if one.sure is sure] for sure in (True, False))
    parts = [f"significantly better: {listed(sure)}"] if sure else []
    parts += [f"better on average, but not significantly: {listed(perhaps)}"] if perhaps else []
    best_is = f"It is {ours} from the path on average, against {theirs}, the best."
    return f"{reference} does not win on ObjMC; {'; '.join(parts)}. {best_is}"


def _why(study: Study, one: Comparison, families: Mapping[str, Mapping[str, Comparison]]) -> str:
    """Why an arm is ahead of the reference, as far as its method and the significant differences show."""
    method = study.arms[one.arm].method
    tally = f"better in {one.better} of {count(one.samples, 'sample')}{'' if one.sure else ', not significantly'}"
    parts = [tally, MECHANISMS[method]] if method != study.arms[one.reference].method else [tally]
    others = [found[one.arm] for name, found in families.items() if name != one.measure and one.arm in found]
    for words, ahead in (("significantly worse", False), ("significantly better, too", True)):
        found = [_compared(other) for other in others if other.sure and other.ahead is ahead]
        parts += [f"{words}: {', '.join(found) or 'nothing'}"] if found or not ahead else []
    return f"{'; '.join(parts)}."


def _compared(one: Comparison) -> str:
    return f"{within(one.measure)} {number(one.mean, one.measure)} against {number(one.mean_reference, one.measure)}"
