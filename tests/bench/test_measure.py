import mmap
import sys
import threading
import time
from types import SimpleNamespace

import pytest
import torch

from sgi2v_lab.bench import measure
from sgi2v_lab.bench.measure import count_flops, matmul_rate, measure_peak, once

MEBI = 2**20


def fresh(mebibytes: int) -> mmap.mmap:
    """So much memory straight from the system, every page of it touched.

    A tensor may lie on pages that the process had been given before, and then it takes nothing new.
    """
    block = mmap.mmap(-1, mebibytes * MEBI)
    for page in range(0, len(block), mmap.PAGESIZE):
        block[page] = 1
    return block


def hold(mebibytes: int) -> None:
    """Take that much memory twice, one after the other, and give it back."""
    for _ in range(2):
        with fresh(mebibytes):
            time.sleep(0.05)  # long enough to be seen


@pytest.fixture(params=["as it is", "sampled"])
def meter(request, monkeypatch):
    """With the kernel's own peak where there is one, and without."""
    if request.param == "sampled":
        monkeypatch.setattr(measure, "_kernel_can_begin_again", lambda: False)
        assert_how = "sampled"
    else:
        assert_how = "kernel" if measure._kernel_can_begin_again() else "sampled"
    return assert_how


# Between half and half as much again: while a test runs, the system may take back pages of files that it can read
# again, and other threads of the process may take some.


@pytest.mark.slow
def test_the_peak_is_what_was_held_at_once(meter):
    for size in (64, 128, 32):  # also a smaller one after a larger one
        with measure_peak("cpu") as peak:
            hold(size)
        assert peak.how == meter
        assert size / 2 * MEBI <= peak.bytes < 1.5 * size * MEBI
        assert peak.before > 10 * MEBI
    with measure_peak("cpu") as peak:
        pass
    assert peak.bytes < 10 * MEBI


def test_a_failure_inside_is_measured_and_passed_on(meter):
    threads = threading.active_count()
    with pytest.raises(ZeroDivisionError), measure_peak("cpu") as peak:
        hold(32)
        raise ZeroDivisionError
    assert 16 * MEBI <= peak.bytes < 48 * MEBI
    assert threading.active_count() <= threads


@pytest.mark.skipif(sys.platform != "linux", reason="only the GNU C library can be asked to give memory back")
def test_memory_that_was_freed_before_counts_again(meter):
    def tensors(count: int) -> list[torch.Tensor]:
        return [torch.ones(64 * 256) for _ in range(count)]  # 64 KiB each

    some = tensors(32 * 16)
    between = some[::16]  # what lies between these stays with the process, not at the end of its heap
    del some
    with measure_peak("cpu") as peak:
        again = tensors(24 * 16)
        time.sleep(0.05)
    del again, between
    assert peak.bytes >= 12 * MEBI


def test_a_device_is_waited_for(monkeypatch):
    calls, now = [], [100.0]
    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: calls.append(device.type))

    def takes_time():
        calls.append("work")
        now[0] += 2

    assert once(takes_time, "cuda") == 2
    assert calls == ["cuda", "work", "cuda"]


def test_the_peak_of_a_gpu_is_its_allocators(monkeypatch):
    for name in ("synchronize", "empty_cache", "reset_peak_memory_stats"):
        assert callable(getattr(torch.cuda, name))
        monkeypatch.setattr(torch.cuda, name, lambda *_: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 3 * MEBI)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 10 * MEBI)
    with measure_peak("cuda") as peak:
        pass
    assert (peak.bytes, peak.before, peak.how) == (7 * MEBI, 3 * MEBI, "allocator")


def test_operations_are_counted_forwards_backwards_and_without_computing():
    a, b = torch.ones(3, 5, requires_grad=True), torch.ones(5, 7)
    assert count_flops(lambda: a @ b) == 2 * 3 * 5 * 7
    assert count_flops(lambda: (a @ b).sum().backward()) == 2 * 2 * 3 * 5 * 7  # b gets no gradient
    big = torch.empty(10**6, 10**6, device="meta")
    assert count_flops(lambda: big @ big) == 2 * 10**18


def test_the_rate_of_matrix_products(monkeypatch):
    assert 0 < matmul_rate("cpu", torch.float32) < 1e15
    seconds = iter([9.0, 9.0, 0.5, 0.5, 4.0, 0.5, 0.5])  # the first ones are to warm up, another is disturbed
    monkeypatch.setattr(measure, "once", lambda _product, _device: next(seconds))
    assert matmul_rate("cpu", torch.float32) == 2 * 1024**3 / 0.5
