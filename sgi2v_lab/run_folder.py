"""A result's folder: there whole or not at all, with a run.json that says how it was made."""

import importlib.metadata
import json
import os
import platform
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from sgi2v_lab.errors import InputError

__all__ = ["describe_machine", "memory", "peak_memory", "result_folder", "versions", "write_record"]

RECORD = "run.json"
PROGRAM = "sgi2v"
LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}  # file managers leave these anywhere
LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "av", "opencv-python-headless")


@contextmanager
def result_folder(out: str | os.PathLike) -> Iterator[Path]:
    """Lend an empty folder beside `out`; on success it becomes `out`, on any failure or interruption it is removed.

    Everything that can be checked is checked before the block runs, so that long work is not lost. An earlier result
    at `out` stays until the new one is whole, and is then replaced as a whole.

    Raises:
        InputError: `out` cannot be written; or it holds anything that was not written by this program; or it is the
            current folder, one above it, or a mount point, none of which can be replaced.
    """
    out = Path(out).expanduser()
    try:
        out = out.resolve()
        _check_replaceable(out)
        made = _make_parents(out.parent)
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name with a zero byte
        raise _unwritable(out, error) from error
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            part.mkdir()
        except OSError as error:
            raise _unwritable(out, error) from error
        yield part
        try:
            _put_in_place(part, out)
        except OSError as error:
            raise _unwritable(out, error) from error
        made = []
    finally:
        shutil.rmtree(part, ignore_errors=True)
        for parent in reversed(made):
            with suppress(OSError):  # somebody else may have put something there
                parent.rmdir()


def _unwritable(out: Path, error: Exception) -> InputError:
    if isinstance(error, InputError):
        return error
    reason = getattr(error, "strerror", None) or error
    return InputError(f"cannot write the folder {out} ({reason}); choose a place that you may write to with --out")


def _check_replaceable(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"{out} is a file; name a new folder, or one with an earlier result, with --out")
    here = Path.cwd()
    if out == here or out in here.parents or out.is_mount():
        raise InputError(f"{out} is in use as a folder and cannot be replaced; name a new folder within it with --out")
    present = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir() or path.is_symlink()}
    present = {name for name in present if name.rsplit("/", 1)[-1] not in LITTER}
    foreign = sorted(present - _recorded_files(out))
    if foreign:
        raise InputError(
            f"{out} holds {foreign[0]!r}, which {PROGRAM} did not write, and replacing the folder would delete it; "
            "name a new folder with --out"
        )


def _recorded_files(out: Path) -> set[str]:
    """What an earlier run says that it wrote, run.json included; nothing where there was none."""
    with suppress(OSError, ValueError, AttributeError, KeyError, TypeError):
        record = json.loads((out / RECORD).read_text(encoding="utf-8"))
        if record.get("program") == PROGRAM:
            return set(record["files"])
    return set()


def _make_parents(parent: Path) -> list[Path]:
    """Make missing folders, outermost first, and say which; those made are removed again if one cannot be made."""
    missing = []
    while not parent.exists():
        missing.append(parent)
        parent = parent.parent
    made = []
    try:
        for folder in reversed(missing):
            folder.mkdir()
            made.append(folder)
    except OSError:
        for folder in reversed(made):
            folder.rmdir()
        raise
    return made


def _put_in_place(part: Path, out: Path) -> None:
    if not out.exists():
        os.replace(part, out)
        return
    old = part.with_suffix(".old")
    os.replace(out, old)
    try:
        os.replace(part, out)
    except BaseException:
        os.replace(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)


# --- run.json --------------------------------------------------------------------------------------------------------


def write_record(folder: Path, record: dict) -> None:
    """Write run.json: the record, and the names of all files in the folder, which is how it is known again later."""
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    text = json.dumps({"program": PROGRAM, **record, "files": [*files, RECORD]}, indent=2, ensure_ascii=False)
    try:
        (folder / RECORD).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise _unwritable(folder, error) from error


def versions() -> dict[str, str]:
    """Of Python and of the libraries that a result depends on; "not installed" where that is so."""
    found = {"python": platform.python_version(), __package__: import_module(__package__).__version__}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def describe_machine(device: str | None = None) -> dict[str, object]:
    """Versions, platform, threads, and the device (None: the best there is), as plain values for JSON."""
    import torch

    from sgi2v_lab.models import pick_device

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
    import torch

    peak = {}
    with suppress(ImportError):  # Windows does not have it
        import resource

        # Linux counts in KiB, macOS in bytes
        unit = 2**20 if sys.platform == "darwin" else 2**10
        peak["host_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
    for index in range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0):
        peak[f"cuda:{index}_mib"] = round(torch.cuda.max_memory_allocated(index) / 2**20, 1)
    return peak


def memory(device: str | None = None) -> dict[str, int]:
    """Bytes of memory that there are: of the computer, and of the device if it has its own."""
    import torch

    from sgi2v_lab.models import pick_device

    found = {}
    with suppress(AttributeError, ValueError, OSError):  # Windows cannot be asked this way
        found["this computer"] = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    chosen = pick_device(device)
    if chosen.type == "cuda":
        found[str(chosen)] = torch.cuda.get_device_properties(chosen).total_memory
    return found
