"""Files and folders: their names, writing them whole, and the run.json that says how a result was made."""

import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path

from sgi2v_lab.errors import InputError

__all__ = [
    "as_path",
    "in_order",
    "is_litter",
    "print_anywhere",
    "result_folder",
    "whole_file",
    "write_record",
    "write_text",
]

RECORD = "run.json"
PROGRAM = "sgi2v"
# what file managers, macOS's archives and JupyterLab leave anywhere
LITTER = {".ds_store", "thumbs.db", "desktop.ini", ".directory", ".ipynb_checkpoints", "__macosx"}
URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/+")  # a drive's one letter is none


def as_path(path: object, what: str = "a file or folder") -> Path:
    """A user's path, with `~` as the home folder.

    Raises:
        InputError: it is no path, an address on the web, or cannot be reached: too long, or in a locked folder.
    """
    try:
        text = os.fsdecode(path)
    except TypeError:
        raise InputError(f"{path!r:.80} is a {type(path).__name__}: expected the path of {what}") from None
    if URL.match(text):
        raise InputError(f"{text} is an address on the web: expected the path of {what} here, so download it first")
    if not text or "\0" in text or len(text) > 4096:  # the longest that any system takes
        raise InputError(f"{text[:80]!r} ({len(text)} letters) is no path: expected the path of {what}")
    try:
        found = Path(text).expanduser()
        with suppress(FileNotFoundError, NotADirectoryError):
            found.stat()
    except RuntimeError:  # ~somebody whom this computer does not know
        raise InputError(f"{text!r} names a home folder that is not here: write the path of {what} in full") from None
    except OSError as error:
        raise InputError(f"{text!r:.80} cannot be reached ({error.strerror}): expected the path of {what}") from None
    return found


def is_litter(path: Path) -> bool:
    """Whether file managers, archives or editors put it there, and nobody would miss it."""
    return path.name.startswith("._") or any(part.lower() in LITTER for part in path.parts)


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Paths by their names, numbers by their value (frame_2 before frame_10), without litter."""

    def key(path: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]

    return sorted((path for path in paths if not is_litter(Path(path.name))), key=lambda path: (key(path), path.name))


def print_anywhere() -> None:
    """Let programs print anywhere: what the encoding lacks becomes a question mark, a closed stream the null device."""
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's or a test's stream takes everything
            stream.reconfigure(errors="replace")


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Lend a temporary name beside `path`, with its suffix; on success it becomes `path`, on any failure it is removed.

    Missing parent folders are made.

    Raises:
        InputError: the file cannot be written (no permission, no space, a folder of that name).
    """
    path = as_path(path)
    if not path.name:
        raise InputError(f"cannot write {str(path)!r}, which is a folder; give a file's name")
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.replace(temporary, path)
    finally:
        if os.path.isdir(temporary):  # also where a name is too long
            shutil.rmtree(temporary, ignore_errors=True)
        elif os.path.exists(temporary):
            temporary.unlink()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn the system's errors into a sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot write {str(path)!r} ({reason}); choose a writable place with room") from error


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file in UTF-8, as a whole, and return its path; InputError as `whole_file`."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return as_path(path)


@contextmanager
def result_folder(out: str | os.PathLike) -> Iterator[Path]:
    """Lend an empty folder beside `out`; on success it becomes `out`, on any failure or interruption it is removed.

    Everything that can be checked is checked before the block runs, so that long work is not lost. An earlier result
    at `out` stays until the new one is whole, and is then replaced as a whole.

    Raises:
        InputError: `out` cannot be written; or it holds anything that was not written by this program; or it is the
            current folder, one above it, or a mount point, none of which can be replaced.
    """
    out = as_path(out, "a folder")
    made = []
    try:
        with _writing(out):
            out = Path(os.path.realpath(out))
            _check_replaceable(out)
            made = list(takewhile(lambda parent: not parent.exists(), out.parents))  # innermost first
            out.parent.mkdir(parents=True, exist_ok=True)
            part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
            part.mkdir()
        try:
            yield part
            with _writing(out):
                _put_in_place(part, out)
            made = []
        finally:
            shutil.rmtree(part, ignore_errors=True)
    finally:
        for parent in made:
            with suppress(OSError):  # somebody else may have put something there
                parent.rmdir()


def _check_replaceable(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"{out} is a file; name a new folder, or one with an earlier result, with --out")
    here = Path.cwd()
    if out == here or out in here.parents or out.is_mount():
        raise InputError(f"{out} is in use as a folder and cannot be replaced; name a new folder within it with --out")
    present = (path.relative_to(out) for path in out.rglob("*") if not path.is_dir() or path.is_symlink())
    present = {path.as_posix() for path in present if not is_litter(path)}
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


def write_record(folder: Path, record: dict) -> None:
    """Write run.json: the record, and the names of all files in the folder, which is how it is known again later."""
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    text = json.dumps({"program": PROGRAM, **record, "files": [*files, RECORD]}, indent=2, ensure_ascii=False)
    with _writing(folder):
        (folder / RECORD).write_text(text + "\n", encoding="utf-8")
