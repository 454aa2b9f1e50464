"""Folders, lists and pictures of data sets, with a clear message where one is missing or damaged.

Hidden files are skipped everywhere; macOS leaves a hidden ._NAME beside many files.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from sgi2v_lab.errors import InputError
from sgi2v_lab.files import in_order

__all__ = ["ANIMATIONS", "VIDEOS", "entries", "first_folder", "list_pictures", "read_lines", "read_rows"]

PICTURES = (".jpg", ".jpeg", ".png")
ANIMATIONS = (".gif", ".webp")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")


def entries(folder: Path, pattern: str = "*") -> list[Path]:
    """What a folder holds, without hidden files, in the order of the numbers in the names: 9.jpg before 10.jpg."""
    return in_order(path for path in folder.glob(pattern) if not path.name.startswith("."))


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in order; empty if it holds none."""
    return [path for path in entries(folder) if path.suffix.lower() in PICTURES]


def first_folder(folder: Path, names: tuple[str, ...], what: str) -> Path:
    """The first of several subfolders that exists. InputError if none does."""
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    wanted = " or ".join(f"{name}/" for name in names)
    raise InputError(f"{folder} has no {wanted}: expected {what} there, so check the path and the download")


def read_lines(path: Path, what: str) -> list[str]:
    """The lines of a list, empty ones included. InputError if the list is missing, not text, or empty."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except FileNotFoundError:
        raise InputError(f"there is no list {path}: expected {what}, so check the download") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the list {path} cannot be read ({error}): expected {what}, as text in UTF-8") from None
    if not any(lines):
        raise InputError(f"the list {path} is empty: expected {what}")
    return lines


def read_rows(path: Path, what: str) -> Iterator[tuple[str, list[str]]]:
    """The rows of a .csv, each after a phrase that says where it stands. InputError as for `read_lines`."""
    reader = csv.reader(read_lines(path, what))
    for row in reader:
        if row:
            yield f"line {reader.line_num} of {path}", row
