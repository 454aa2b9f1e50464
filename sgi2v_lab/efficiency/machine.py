"""What this machine is and has: versions, device, memory."""

import importlib.metadata
import platform
import sys
from contextlib import suppress

import psutil
import torch

from sgi2v_lab.models.load import pick_device

__all__ = ["describe_machine", "peak_memory", "total_memory", "versions"]

LIBRARIES = ("sgi2v_lab", "torch", "diffusers", "transformers", "numpy", "av", "opencv-python-headless")


def versions() -> dict[str, str]:
    """Of Python and of the libraries that a result depends on; "not installed" where that is so."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def describe_machine(device: str | None = None) -> dict[str, object]:
    """Versions, platform, threads, and the device (None: the best there is), as plain values for JSON."""
    chosen = pick_device(device)
    name = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else platform.processor() or platform.machine()
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "device": str(chosen),
        "device_name": name,
        "threads": torch.get_num_threads(),
    }


def peak_memory() -> dict[str, float]:
    """The most memory that this process has held so far, in MiB: of the computer ("host") and of each CUDA device."""
    peak = {}
    with suppress(ImportError):  # Windows does not have it
        import resource

        # Linux counts in KiB, macOS in bytes
        unit = 2**20 if sys.platform == "darwin" else 2**10
        peak["host_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
    for index in range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0):
        peak[f"cuda:{index}_mib"] = round(torch.cuda.max_memory_allocated(index) / 2**20, 1)
    return peak


def total_memory(device: str | None = None) -> dict[str, int]:
    """Bytes of memory that there are: of the computer, and of the device if it has its own."""
    found = {"this computer": psutil.virtual_memory().total}
    chosen = pick_device(device)
    if chosen.type == "cuda":
        found[str(chosen)] = torch.cuda.get_device_properties(chosen).total_memory
    return found
