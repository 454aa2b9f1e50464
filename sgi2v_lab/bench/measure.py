"""Measuring: peak memory, seconds, operations, and how fast a device multiplies matrices.

Memory is what is used *beyond what was there before*, so that ratios compare the work and not the Python interpreter:

* on CUDA and MPS, tensors, as PyTorch's allocator counts them;
* on a computer's own memory, resident pages of the whole process, and so also what libraries take for themselves. Linux
  keeps the exact peak in its kernel; elsewhere a thread looks every few milliseconds and may miss a short peak.
"""

import ctypes
import gc
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import psutil
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

__all__ = ["MemoryPeak", "count_flops", "matmul_rate", "measure_peak", "once"]

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
LOOK_EVERY = 0.002  # seconds, where no kernel keeps the peak


@dataclass
class MemoryPeak:
    """What `measure_peak` found."""

    bytes: int = 0  # at the highest moment, beyond what was in use at the beginning
    before: int = 0  # bytes in use at the beginning
    how: str = ""  # "allocator" of the device, "kernel" of the computer, or "sampled" every few milliseconds


@contextmanager
def measure_peak(device: torch.device | str = "cpu") -> Iterator[MemoryPeak]:
    """Measure the most memory that a `with` block uses at once: `peak.bytes`.

    The figures are there when the block has ended. Freed memory is given back to the system first, so that it counts
    again. Not to be nested: on most devices there is only one such counter.
    """
    device = torch.device(device)
    gc.collect()
    peak = MemoryPeak()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        peak.before, peak.how = torch.cuda.memory_allocated(device), "allocator"
        try:
            yield peak
        finally:
            torch.cuda.synchronize(device)
            peak.bytes = torch.cuda.max_memory_allocated(device) - peak.before
    elif device.type == "mps":
        with _sampled(peak, torch.mps.driver_allocated_memory):
            yield peak
    else:
        with suppress(OSError, AttributeError):  # only the GNU C library can be asked for it
            ctypes.CDLL(None).malloc_trim(0)
        if _kernel_can_begin_again():
            peak.before, peak.how = _kernel_bytes("VmRSS"), "kernel"
            try:
                yield peak
            finally:
                peak.bytes = max(0, _kernel_bytes("VmHWM") - peak.before)
        else:
            with _sampled(peak, lambda: psutil.Process().memory_info().rss):
                yield peak


def _kernel_can_begin_again() -> bool:
    try:
        RESET.write_text("5")  # forget the peak of resident pages (man 5 proc)
    except OSError:
        return False
    return True


def _kernel_bytes(name: str) -> int:
    return 1024 * int(re.search(rf"^{name}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)[1])


@contextmanager
def _sampled(peak: MemoryPeak, look: Callable[[], int]) -> Iterator[None]:
    """A thread samples the memory in use until the block ends."""
    peak.before, peak.how = look(), "sampled"
    done = threading.Event()
    highest = [peak.before]

    def watch() -> None:
        while not done.wait(LOOK_EVERY):
            highest[0] = max(highest[0], look())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        highest[0] = max(highest[0], look())
        done.set()
        thread.join()
        peak.bytes = highest[0] - peak.before


def once(function: Callable[[], object], device: torch.device | str = "cpu") -> float:
    """Seconds of one call, until the device is done with it."""
    device = torch.device(device)
    wait = (lambda: None) if device.type == "cpu" else partial(torch.accelerator.synchronize, device)
    wait()
    start = time.perf_counter()
    function()
    wait()
    return time.perf_counter() - start


def count_flops(function: Callable[[], object]) -> int:
    """Floating-point operations of matrix products, convolutions and attention; a multiplication and addition are two.

    Backward passes and recomputation inside the call count. On the `meta` device nothing is computed, only counted.
    """
    # as plain matrix products, since PyTorch's formulas leave out some fused kernels (all of the CPU's)
    with sdpa_kernel(SDPBackend.MATH), _OperationCounter() as counter:
        function()
    return counter.total


class _OperationCounter(TorchDispatchMode):
    """PyTorch's formulas without its `FlopCounterMode`, which also keeps counts by module, and takes twice as long."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, operation, _types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = operation(*args, **kwargs)
        if formula := flop_registry.get(operation._overloadpacket):
            self.total += formula(*args, **kwargs, out_val=result)
        return result


@torch.no_grad()
def matmul_rate(device: torch.device | str, dtype: torch.dtype) -> float:
    """Operations per second of a large square matrix product, which is as fast as a device gets."""
    size = 1024 if torch.device(device).type == "cpu" else 8192  # large enough that reading the matrices costs nothing
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    seconds = [once(lambda: torch.mm(a, b, out=out), device) for _ in range(7)]
    return 2 * size**3 / median(seconds[2:])  # the first ones are to warm up
