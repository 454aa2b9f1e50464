import threading
import time

import pytest
import torch

from sgi2v_lab.bench import measure
from sgi2v_lab.bench.measure import count_flops, matmul_rate, measure_peak, seconds

MEBI = 2**20  # the kernel counts pages to within a quarter of one


def hold(mebibytes: int) -> None:
    """Take that much memory, touch it, give it back, and take a little more for the end."""
    kept = torch.ones(8 * MEBI // 4)
    big = torch.ones(mebibytes * MEBI // 4)
    assert big[-1] == kept[0]


@pytest.fixture(params=["as it is", "sampled"])
def meter(request, monkeypatch):
    """With the kernel's own peak where there is one, and without."""
    if request.param == "sampled":
        monkeypatch.setattr(measure, "_kernel_can_begin_again", lambda: False)
        assert_how = "sampled"
    else:
        assert_how = "kernel" if measure._kernel_can_begin_again() else "sampled"
    return assert_how


def test_the_peak_is_what_was_held_at_once(meter):
    for size in (64, 128, 32):  # also a smaller one after a larger one
        with measure_peak("cpu") as peak:
            hold(size)
            if meter == "sampled":
                kept = torch.ones(size * MEBI // 4)
                time.sleep(0.05)  # long enough to be seen
                del kept
        assert peak.how == meter
        assert (size - 1) * MEBI <= peak.bytes < (size + 64) * MEBI
        assert peak.before > 10 * MEBI
    with measure_peak("cpu") as peak:
        pass
    assert peak.bytes < 10 * MEBI


def test_a_failure_inside_is_measured_and_passed_on(meter):
    threads = threading.active_count()
    with pytest.raises(ZeroDivisionError), measure_peak("cpu") as peak:
        kept = torch.ones(32 * MEBI // 4)
        time.sleep(0.05)
        del kept
        raise ZeroDivisionError
    assert peak.bytes >= 31 * MEBI
    assert threading.active_count() <= threads


def test_seconds_are_the_median_of_calls_that_count():
    calls = []

    def sleeps():
        calls.append(None)
        time.sleep({1: 0.2, 3: 0.15}.get(len(calls), 0.01))  # the first is to warm up, one other is disturbed

    assert 0.01 <= seconds(sleeps, repeats=3) < 0.1
    assert len(calls) == 4


def test_operations_are_counted_forwards_backwards_and_without_computing():
    a, b = torch.ones(3, 5, requires_grad=True), torch.ones(5, 7)
    assert count_flops(lambda: a @ b) == 2 * 3 * 5 * 7
    assert count_flops(lambda: (a @ b).sum().backward()) == 2 * 2 * 3 * 5 * 7  # b gets no gradient
    big = torch.empty(10**6, 10**6, device="meta")
    assert count_flops(lambda: big @ big) == 2 * 10**18


def test_the_rate_of_matrix_products():
    assert 1e8 < matmul_rate("cpu", torch.float32, size=256, repeats=3) < 1e15
