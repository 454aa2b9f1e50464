"""What the figures say: means with intervals, ratios to no control, and paired tests against a reference.

The sample is the unit throughout: seeds are averaged before, and only samples that both sides have are compared. The
test is Wilcoxon's signed-rank test (1945), two-sided, with the matched-pairs rank-biserial correlation (Kerby 2014) as
effect size. All tests of one measure are one family, corrected by Holm's step-down procedure (1979).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from sgi2v_lab.errors import needs
from sgi2v_lab.evaluation.metrics.intervals import Interval, difference_of_means, mean_of, ratio_of_means
from sgi2v_lab.evaluation.report.study import TAKEN, Study, by_sample

with needs("evaluation"):
    from scipy.stats import rankdata, wilcoxon

__all__ = ["ALPHA", "Comparison", "compare", "compare_all", "holm", "mean", "ratio_to_plain"]

ALPHA = 0.05


@dataclass(frozen=True)
class Comparison:
    """One arm against the reference, in one measure, over the samples that both have."""

    arm: str
    reference: str
    measure: str
    mean: float  # of the arm, over these samples
    mean_reference: float
    difference: Interval  # mean of the arm minus mean of the reference
    better: int  # samples in which the arm is better
    effect: float  # rank-biserial, -1..1: 1 where the arm is better in every sample, 0 where neither is
    p: float
    p_holm: float  # corrected for all comparisons of the measure

    @property
    def samples(self) -> int:
        """How many samples both have."""
        return self.difference.scenes

    @property
    def ahead(self) -> bool:
        """Whether the arm's mean is the better one."""
        return TAKEN[self.measure].improves(self.mean, self.mean_reference)

    @property
    def sure(self) -> bool:
        """Whether the difference is significant after correction."""
        return self.p_holm < ALPHA


def mean(study: Study, arm: str | None, measure: str, category: str | None = None) -> Interval | None:
    """The mean of a measure over samples, with its interval; None where it was not taken."""
    values = by_sample(study.of(arm, category), measure).values()
    return mean_of(list(values)) if values else None


def ratio_to_plain(study: Study, arm: str, category: str | None = None) -> Interval | None:
    """Mean ObjMC of an arm divided by that of its videos without control, over the samples that have both."""
    plain = study.arms[arm].plain
    above, below = _both(study, arm, plain, "objmc", category) if plain else ([], [])
    return ratio_of_means(above, below) if any(below) else None


def compare(study: Study, arm: str, reference: str, measure: str) -> Comparison | None:
    """One arm against another; None where no sample has both. `p_holm` is that of a family of one."""
    ours, theirs = _both(study, arm, reference, measure)
    if not ours:
        return None
    gain = np.subtract(ours, theirs) * (-1 if TAKEN[measure].better == "lower" else 1)
    p, effect = _signed_ranks(gain)
    difference, better = difference_of_means(ours, theirs), int((gain > 0).sum())
    return Comparison(arm, reference, measure, fmean(ours), fmean(theirs), difference, better, effect, p, p)


def compare_all(study: Study, measure: str) -> dict[str, Comparison]:
    """Every other arm against the study's reference, by label, corrected by Holm."""
    others = [arm for arm in study.arms if arm != study.reference]
    found = [one for arm in others if (one := compare(study, arm, study.reference, measure))]
    corrected = holm([one.p for one in found])
    return {one.arm: replace(one, p_holm=p) for one, p in zip(found, corrected, strict=True)}


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's corrected p values, in the order given: the k-th smallest of m times m - k + 1, never falling, up to 1."""
    order = np.argsort(ps, kind="stable")
    corrected = np.empty(len(ps))
    corrected[order] = np.maximum.accumulate(np.arange(len(ps), 0, -1) * np.asarray(ps)[order]).clip(max=1)
    return corrected.tolist()


def _both(study: Study, one: str, other: str, measure: str, category: str | None = None) -> tuple[list, list]:
    ours, theirs = (by_sample(study.of(name, category), measure) for name in (one, other))
    common = [sample for sample in ours if sample in theirs]
    return [ours[sample] for sample in common], [theirs[sample] for sample in common]


def _signed_ranks(gain: np.ndarray) -> tuple[float, float]:
    """The two-sided p value and the rank-biserial correlation of paired gains; equal pairs drop out."""
    moved = gain[gain != 0]
    if not len(moved):
        return 1.0, 0.0
    ranks = rankdata(np.abs(moved))
    return float(wilcoxon(moved).pvalue), float(ranks @ np.sign(moved) / ranks.sum())
