"""What the figures say: means with intervals, ratios to no control, and paired tests against a reference.

The scene is the unit throughout: seeds are averaged before, and only scenes that both sides have are compared. The test
is Wilcoxon's signed-rank test (1945), two-sided, which asks of no distribution but that differences lie evenly about
their middle; with it goes the matched-pairs rank-biserial correlation (Kerby 2014) as effect size. All tests of one
measure are one family, corrected by Holm's step-down procedure (1979).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sgi2v_lab.errors import needs
from sgi2v_lab.evaluation.metrics.intervals import Interval, difference_of_means, mean_of, ratio_of_means
from sgi2v_lab.evaluation.report.measures import MEASURES
from sgi2v_lab.evaluation.report.study import Study, by_scene

with needs("evaluation"):
    from scipy.stats import rankdata, wilcoxon

__all__ = ["ALPHA", "Comparison", "compare", "compare_all", "holm", "means", "ratio_to_plain", "smallest_p"]

ALPHA = 0.05


@dataclass(frozen=True)
class Comparison:
    """One arm against the reference, in one measure, over the scenes that both have."""

    setting: str
    reference: str
    measure: str
    mean: float  # of the arm, over these scenes
    mean_reference: float
    difference: Interval  # mean of the arm minus mean of the reference
    better: int  # scenes in which the arm is better
    worse: int
    effect: float  # rank-biserial, -1..1: 1 where the arm is better in every scene, 0 where neither is
    p: float
    p_holm: float  # corrected for all comparisons of the measure

    @property
    def scenes(self) -> int:
        """How many scenes both have."""
        return self.difference.scenes

    @property
    def ahead(self) -> bool:
        """Whether the arm's mean is the better one."""
        return MEASURES[self.measure].improves(self.mean, self.mean_reference)

    @property
    def sure(self) -> bool:
        """Whether the difference is significant after correction."""
        return self.p_holm < ALPHA


def means(study: Study, setting: str, category: str | None = None) -> dict[str, Interval]:
    """The mean of each measure over scenes, with its interval; measures that were not taken are left out."""
    rows = study.of(setting, category)
    found = {measure.name: list(by_scene(rows, measure.name).values()) for measure in study.measures}
    return {name: mean_of(values) for name, values in found.items() if values}


def ratio_to_plain(study: Study, setting: str, category: str | None = None, measure: str = "objmc") -> Interval | None:
    """Mean of an arm divided by that of its videos without control, over the scenes that have both; None without."""
    plain = study.arms[setting].plain
    if plain is None:
        return None
    above, below = _both(study, setting, plain, measure, category)
    return ratio_of_means(above, below) if above and any(below) else None


def compare(study: Study, setting: str, reference: str, measure: str, category: str | None = None) -> Comparison | None:
    """One arm against another; None where no scene has both. `p_holm` is that of a family of one."""
    ours, theirs = _both(study, setting, reference, measure, category)
    if not ours:
        return None
    gain = np.subtract(ours, theirs) * (-1 if MEASURES[measure].better == "lower" else 1)
    p, effect = _signed_ranks(gain)
    return Comparison(
        setting=setting,
        reference=reference,
        measure=measure,
        mean=float(np.mean(ours)),
        mean_reference=float(np.mean(theirs)),
        difference=difference_of_means(ours, theirs),
        better=int((gain > 0).sum()),
        worse=int((gain < 0).sum()),
        effect=effect,
        p=p,
        p_holm=p,
    )


def compare_all(study: Study, measure: str, category: str | None = None) -> dict[str, Comparison]:
    """Every other arm against the study's reference, by label, corrected by Holm."""
    found = [
        compare(study, setting, study.reference, measure, category)
        for setting in study.arms
        if setting != study.reference
    ]
    known = [one for one in found if one is not None]
    corrected = holm([one.p for one in known])
    return {one.setting: replace(one, p_holm=p) for one, p in zip(known, corrected, strict=True)}


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's corrected p values, in the order given: the k-th smallest of m times m - k + 1, never falling, up to 1."""
    order = np.argsort(ps, kind="stable")
    corrected = np.empty(len(ps))
    worst = 0.0
    for place, index in enumerate(order):
        worst = max(worst, min(1.0, (len(ps) - place) * ps[index]))
        corrected[index] = worst
    return corrected.tolist()


def smallest_p(scenes: int, family: int) -> float:
    """The smallest corrected p value that so many scenes can give, where all of them agree."""
    return min(1.0, family * 2.0 ** (1 - scenes))


def _both(study: Study, one: str, other: str, measure: str, category: str | None) -> tuple[list[float], list[float]]:
    sides: list[Mapping[str, float]] = [by_scene(study.of(name, category), measure) for name in (one, other)]
    common = [scene for scene in sides[0] if scene in sides[1]]
    return [sides[0][scene] for scene in common], [sides[1][scene] for scene in common]


def _signed_ranks(gain: np.ndarray) -> tuple[float, float]:
    """The two-sided p value and the rank-biserial correlation of paired gains; scenes without a difference drop out."""
    moved = gain[gain != 0]
    if not len(moved):
        return 1.0, 0.0
    ranks = rankdata(np.abs(moved))
    effect = float((ranks * np.sign(moved)).sum() / ranks.sum())
    return float(wilcoxon(moved).pvalue), effect
