"""Bootstrap intervals: paired over scenes, repeatable, honest where there is one scene."""

import numpy as np
import pytest

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.intervals import Interval, difference_of_means, mean_of, ratio_of_means


def test_the_ratio_of_means_and_its_interval():
    rng = np.random.default_rng(1)
    below = rng.uniform(5, 30, 40)
    above = 0.4 * below + rng.normal(0, 1, 40)
    found = ratio_of_means(above.tolist(), below.tolist())
    assert found.value == pytest.approx(above.mean() / below.mean()) and found.scenes == 40
    assert found.low < found.value < found.high
    # scenes that are hard for both leave their ratio sure: drawn apart they would not
    apart = np.std([rng.choice(above, 40).mean() / rng.choice(below, 40).mean() for _ in range(500)])
    assert found.high - found.low < 2 * apart


def test_an_interval_covers_what_resampled_means_cover():
    rng, values = np.random.default_rng(2), np.random.default_rng(2).gamma(2.0, size=30)
    means = [rng.choice(values, 30).mean() for _ in range(4000)]
    found = mean_of(values.tolist())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.05 * values.std())
    assert mean_of(values.tolist()) == found, "the same values have the same interval"


def test_exact_proportion_has_no_spread_and_one_scene_no_interval():
    exact = ratio_of_means([1.0, 2.0, 5.0], [2.0, 4.0, 10.0])
    assert (exact.low, exact.value, exact.high) == pytest.approx((0.5, 0.5, 0.5))
    assert difference_of_means([3.0, 4.0], [1.0, 2.0]) == Interval(2, 2, 2, 2)
    assert mean_of([3.0]).low is None
    with pytest.raises(InputError, match="no scenes"):
        mean_of([])
    with pytest.raises(InputError, match="2 and 1 values"):
        ratio_of_means([1.0, 2.0], [1.0])
