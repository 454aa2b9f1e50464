"""Claims: differences of means that should be in favour of one side, each judged by its interval."""

from collections.abc import Iterable
from statistics import fmean

from sgi2v_lab.evaluation.experiments.plan import PlannedClaim
from sgi2v_lab.evaluation.metrics.intervals import Interval, difference_of_means
from sgi2v_lab.evaluation.report.study import TAKEN, Study, by_sample
from sgi2v_lab.evaluation.report.wording import between, count, listed, number, within

__all__ = ["Claim", "claims_of", "judge"]


class Claim(PlannedClaim):
    """A claim, and what was found.

    The gain is the difference of the two sides' means over the samples that both have, positive where the claimed side
    is the better one. Its 95% interval decides: above 0, the claim holds ("yes"); below 0, it fails ("no"); if it
    contains 0, the claim is "undecided".
    """

    gain: Interval | None  # None where no sample has both sides

    @property
    def holds(self) -> str:
        """Yes, no, undecided or not measured."""
        if self.gain is None:
            return "not measured"
        if self.gain.low is None or self.gain.low <= 0 <= self.gain.high:
            return "undecided"
        return "yes" if self.gain.low > 0 else "no"

    @property
    def finding(self) -> str:
        """What was found, in words."""
        sides = f"{listed(self.better)} against {listed(self.worse)}"
        if self.gain is None:
            return f"{sides}: no sample has this measure, {self.measure}, on both sides."
        gain, side = self.gain, "better"
        if gain.value < 0:
            gain, side = Interval(-gain.value, gain.high and -gain.high, gain.low and -gain.low, gain.scenes), "worse"
        ends = between(gain, TAKEN[self.measure].digits) or "none for one sample"
        but = ", which contains 0" if self.holds == "undecided" and gain.low is not None else ""
        over = f"on average over {count(gain.scenes, 'sample')} (95% CI {ends}{but})"
        return f"{sides}: {within(self.measure)} is {number(gain.value, self.measure)} {side} {over}."


def claims_of(study: Study) -> list[Claim]:
    """The claims of all questions, each on its question's samples."""
    questions = study.plan.questions
    return [judge(study.part(each.arms, each.categories), claim) for each in questions for claim in each.claims]


def judge(study: Study, claim: PlannedClaim) -> Claim:
    """Judge a claim on a study's samples. A side's value for a sample is the mean over its arms, if all have one."""
    better, worse = (_side(study, labels, claim.measure) for labels in (claim.better, claim.worse))
    common, gain = [sample for sample in better if sample in worse], None
    if common:
        pairs = [[side[sample] for sample in common] for side in (better, worse)]
        gain = difference_of_means(*(pairs if TAKEN[claim.measure].better == "higher" else pairs[::-1]))
    return Claim(**claim.model_dump(), gain=gain)


def _side(study: Study, labels: Iterable[str], measure: str) -> dict[str, float]:
    first, *others = (by_sample(study.of(label), measure) for label in labels)
    common = [sample for sample in first if all(sample in arm for arm in others)]
    return {sample: fmean(arm[sample] for arm in (first, *others)) for sample in common}
