"""Who wins, and why: sentences made from the figures, so that they change with them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sgi2v_lab.evaluation.report.claims import Claim
from sgi2v_lab.evaluation.report.statistics import ALPHA, Comparison, compare_all, smallest_p
from sgi2v_lab.evaluation.report.study import Study
from sgi2v_lab.evaluation.report.wording import count, listed, number, p_value, within

__all__ = ["MECHANISMS", "Reason", "Verdict", "verdict", "who_is_better"]

# What a method does to the object's position: a fact about the method, not about the figures.
MECHANISMS = {
    "none": "it does not know the path",
    "copy_paste": "it pastes the box's own pixels along the path; the rest is a still picture",
    "time_to_move": "it holds the object's own pixels on the path for the first steps; nothing has to be found",
    "freetraj": "it carries the noise of the first box along the path, which suggests the position",
    "drag": "it optimises each frame by itself at a single noise level",
    "sgi2v": "it optimises the latents at several steps until the features along the path match the first frame's",
}
CLAIMS = {"yes": "hold", "no": "fail", "undecided": "undecided", "not measured": "not measured"}


@dataclass(frozen=True)
class Reason:
    """Why an arm is ahead of the reference, and at what cost."""

    arm: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """Who wins on ObjMC; a caution if no difference can be significant; a reason for each arm that is ahead."""

    sentence: str
    caution: str | None = None
    reasons: Sequence[Reason] = ()


def verdict(study: Study, claims: Sequence[Claim] = ()) -> Verdict:
    """Say how many claims hold, which arm follows its path best, whether that is significant, and what it costs."""
    held = Counter(claim.holds for claim in claims)
    tally = listed([f"{held[name]} {word}" for name, word in CLAIMS.items() if held[name]] or ["none"])
    of_claims = f"Claims: {tally}. " if claims else ""
    families = {measure.name: compare_all(study, measure.name) for measure in study.measures}
    against = list(families.get("objmc", {}).values())
    if not against:
        return Verdict(f"{of_claims}Only {study.reference} has ObjMC values, so there is nothing to compare.")
    ahead = sorted((one for one in against if one.ahead), key=lambda one: one.difference.value)
    samples = max(one.samples for one in against)
    least, caution = smallest_p(samples, len(against)), None
    if least >= ALPHA:
        caution = (
            f"With {count(samples, 'sample')} no difference can be significant: even if all samples agreed, the "
            f"corrected p would be {p_value(least)}. Use more samples."
        )
    reasons = [Reason(one.arm, _why(study, one, families)) for one in ahead]
    return Verdict(of_claims + _first(study.reference, against, ahead), caution, reasons)


def who_is_better(one: Comparison) -> str:
    """One sentence on a paired comparison."""
    tally = f"in {one.better} of {count(one.samples, 'sample')}"
    if one.difference.value == 0 and one.effect == 0:
        return f"No difference: {one.arm} and {one.reference} are equal in {within(one.measure)}."
    if one.sure and one.ahead and one.effect > 0:
        return f"{one.arm} wins: it is better {tally}."
    if one.sure and not one.ahead and one.effect < 0:
        return f"{one.reference} wins: {one.arm} is better only {tally}."
    side = one.arm if one.ahead else one.reference
    return f"Undecided: {side} has the better mean, but not significantly; {one.arm} is better {tally}."


def _first(reference: str, against: Sequence[Comparison], ahead: Sequence[Comparison]) -> str:
    if tie := [one.arm for one in against if one.difference.value == 0 and not ahead]:
        return f"Nothing beats {reference} on ObjMC; exactly equal to it: {listed(tie)}."
    best = ahead[0] if ahead else min(against, key=lambda one: one.difference.value)
    ours, theirs = number(best.mean_reference, "objmc"), number(best.mean, "objmc")
    about = f"{count(best.samples, 'sample')}, Holm-corrected p = {p_value(best.p_holm)}".replace("= <", "<")
    about = about if best.sure else f"not significant: {about}"
    if not ahead:
        wins = "wins" if best.sure else "has the best mean"
        return (
            f"{reference} {wins} on ObjMC: {ours} from the path on average, against {theirs} of the next best, "
            f"{best.arm} ({about})."
        )
    sure, perhaps = ([one.arm for one in ahead if one.sure is sure] for sure in (True, False))
    parts = [f"significantly better: {listed(sure)}"] if sure else []
    parts += [f"better on average, but not significantly: {listed(perhaps)}"] if perhaps else []
    return (
        f"{reference} does not win on ObjMC; {'; '.join(parts)}. Best is {best.arm}, with {theirs} from the path on "
        f"average against {ours} of {reference} ({about})."
    )


def _why(study: Study, one: Comparison, families: Mapping[str, Mapping[str, Comparison]]) -> str:
    """Why an arm is ahead of the reference, as far as its method and the figures show."""
    method = study.arms[one.arm].method
    how = f": {MECHANISMS[method]}" if method != study.arms[one.reference].method else ""
    sure = "" if one.sure else ", not significantly"
    parts = [f"{_compared(one)}, better in {one.better} of {count(one.samples, 'sample')}{sure}{how}."]
    others = [found[one.arm] for name, found in families.items() if name != one.measure and one.arm in found]
    worse = [other for other in others if not other.ahead and other.difference.value]
    for clear, words in ((True, "Significantly worse"), (False, "Worse on average, but not significantly")):
        if found := [_compared(other) for other in worse if other.sure is clear]:
            parts.append(f"{words}: {'; '.join(found)}.")
    if better := [_compared(other) for other in others if other.ahead and other.sure]:
        parts.append(f"Significantly better, too: {'; '.join(better)}.")
    return " ".join(parts if worse else [*parts, "It is not worse in any measure, so these figures show no cost."])


def _compared(one: Comparison) -> str:
    return f"{within(one.measure)} {number(one.mean, one.measure)} against {number(one.mean_reference, one.measure)}"
