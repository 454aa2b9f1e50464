"""How sure is a figure? Percentile bootstrap intervals (Efron & Tibshirani 1993, chapter 13), paired over scenes.

The scene is what is drawn again: all that was measured on it comes along, the controlled and the uncontrolled video
alike. A scene that is hard for both then does not make their comparison look less sure than it is. Several seeds of
one scene are averaged before, since they are no independent evidence of how other scenes fare.

The intervals speak of scenes like the benchmark's, not of the picture of somebody's own; and those of few scenes (below
about ten) are too narrow.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from sgi2v_lab.errors import InputError

__all__ = ["Interval", "bootstrap", "difference_of_means", "mean_of", "ratio_of_means"]

DRAWS = 4000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure, the ends of its interval, and on how many scenes it rests. The ends are None where there is but one."""

    value: float
    low: float | None
    high: float | None
    scenes: int

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain values for JSON."""
        return asdict(self)


def bootstrap(
    statistic: Callable[[np.ndarray], float | np.ndarray], count: int, *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """The interval of any figure of `count` scenes.

    Args:
        statistic: from the numbers of scenes (count,), in which one may occur more than once, to the figure. If it
            also takes many draws at once, (draws, count) to (draws,), it is called only twice.
        count: how many scenes there are.
        draws: how often scenes are drawn again.
        seed: of the draws, so that the same figures have the same interval.

    Raises:
        InputError: there is no scene.
    """
    if count < 1:
        raise InputError("a figure of no scenes has no interval; measure at least one scene")
    value = float(statistic(np.arange(count)))
    if count == 1:
        return Interval(value, None, None, 1)
    again = np.random.default_rng(seed).integers(0, count, (draws, count))
    found = np.asarray(statistic(again))
    if found.shape != (draws,):
        found = np.array([float(statistic(one)) for one in again])
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return Interval(value, low, high, count)


def mean_of(values: Sequence[float]) -> Interval:
    """The mean of one value per scene."""
    array = np.asarray(values, dtype=np.float64)
    return bootstrap(lambda i: array[i].mean(axis=-1), len(array))


def ratio_of_means(above: Sequence[float], below: Sequence[float]) -> Interval:
    """mean(above) / mean(below), of two values per scene. The ratio of means, since a mean of ratios is all outliers.

    Raises:
        InputError: not as many values above as below, or a mean of 0 below.
    """
    a, b = _paired(above, below)
    if len(b) and b.mean() == 0:
        raise InputError("the ratio's lower values are all 0; it is not defined")
    return bootstrap(lambda i: a[i].mean(axis=-1) / np.maximum(b[i].mean(axis=-1), 1e-12), len(a))


def difference_of_means(first: Sequence[float], second: Sequence[float]) -> Interval:
    """mean(first) - mean(second), of two values per scene."""
    a, b = _paired(first, second)
    return bootstrap(lambda i: (a[i] - b[i]).mean(axis=-1), len(a))


def _paired(first: Sequence[float], second: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    if len(first) != len(second):
        raise InputError(f"there are {len(first)} and {len(second)} values, but a pair for each scene is needed")
    return np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
