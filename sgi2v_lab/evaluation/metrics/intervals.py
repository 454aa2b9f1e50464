"""How sure is a figure? Percentile bootstrap intervals (Efron & Tibshirani 1993, chapter 13), paired over scenes.

The bootstrap resamples scenes. All measurements of a scene stay together, with and without control alike, so a scene
that is hard for both does not widen the interval of their comparison. Average the seeds of a scene first: they say
nothing about other scenes. With fewer than about ten scenes the intervals are too narrow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sgi2v_lab.errors import InputError

__all__ = ["LEVEL", "Interval", "difference_of_means", "mean_of", "ratio_of_means"]

DRAWS = 4000
LEVEL = 0.95
SEED = 0  # so that the same values have the same interval


@dataclass(frozen=True)
class Interval:
    """A figure, the ends of its interval, and the number of scenes. One scene has no interval: its ends are None."""

    value: float
    low: float | None
    high: float | None
    scenes: int


def mean_of(values: Sequence[float]) -> Interval:
    """The mean of one value per scene; InputError for no scene."""
    return _bootstrap(lambda a, axis: a.mean(axis), values)


def ratio_of_means(above: Sequence[float], below: Sequence[float]) -> Interval:
    """mean(above) / mean(below), of two values per scene. A mean of ratios would be all outliers.

    InputError: no scene, not as many values above as below, or a mean of 0 below.
    """
    if len(below) and not np.mean(below):
        raise InputError("the ratio's lower values are all 0; it is not defined")
    return _bootstrap(lambda a, b, axis: a.mean(axis) / np.maximum(b.mean(axis), 1e-12), above, below)


def difference_of_means(first: Sequence[float], second: Sequence[float]) -> Interval:
    """mean(first) - mean(second), of two values per scene; InputError for no scene, or unequal numbers of values."""
    return _bootstrap(lambda a, b, axis: (a - b).mean(axis), first, second)


def _bootstrap(statistic: Callable[..., np.ndarray], *values: Sequence[float]) -> Interval:
    """The interval of a statistic of arrays (..., scenes) along an axis."""
    from scipy.stats import bootstrap  # takes half a second to import

    counts = [len(each) for each in values]
    if len(set(counts)) > 1:
        raise InputError(f"there are {counts[0]} and {counts[1]} values, but a pair for each scene is needed")
    if not counts[0]:
        raise InputError("a figure of no scenes has no interval; measure at least one scene")
    arrays = [np.asarray(each, dtype=np.float64) for each in values]
    value = float(statistic(*arrays, axis=-1))
    if counts[0] == 1:
        return Interval(value, None, None, 1)
    options = {"n_resamples": DRAWS, "confidence_level": LEVEL, "rng": SEED, "method": "percentile"}
    ends = bootstrap(arrays, statistic, paired=True, vectorized=True, **options).confidence_interval
    return Interval(value, float(ends.low), float(ends.high), counts[0])
