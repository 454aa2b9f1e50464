"""Folders and lists as data sets come with them, and what to say where one is missing."""

import csv
from collections.abc import Sequence
from pathlib import Path

from sgi2v_lab.errors import InputError

__all__ = ["check_listed", "existing_folder", "first_folder", "read_list", "read_rows"]


def existing_folder(folder: Path, what: str) -> Path:
    """The folder, or an InputError that says what it should have held."""
    if not folder.exists():
        raise InputError(f"there is no folder {folder}: expected {what} there, so check the path or download it")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file: expected the folder of {what}")
    return folder


def first_folder(folder: Path, names: tuple[str, ...], what: str) -> Path:
    """The first of several subfolders that exists, or an InputError that says what it should have held."""
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    wanted = " or ".join(f"{name}/" for name in names)
    raise InputError(f"{folder} has no {wanted}: expected {what} there, so check the path and the download")


def read_list(path: Path, what: str) -> list[str]:
    """The lines of a list, without empty ones and without repetitions.

    Raises:
        InputError: the list is missing, is no text, or is empty.
    """
    lines = list(dict.fromkeys(line.strip() for line in _text(path, what).splitlines() if line.strip()))
    if not lines:
        raise InputError(f"the list {path} is empty: expected {what}, one a line")
    return lines


def read_rows(path: Path, what: str) -> list[tuple[str, list[str]]]:
    """The rows of a .csv, each with its place for messages; InputError as `read_list`."""
    reader = csv.reader(_text(path, what).splitlines())
    rows = [(f"line {reader.line_num} of {path}", row) for row in reader if row]
    if not rows:
        raise InputError(f"the list {path} is empty: expected {what}")
    return rows


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"there is no list {path}: expected {what}, one a line") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the list {path} cannot be read ({error}): expected {what}, one a line") from None


def check_listed(names: Sequence[str], folder: Path, source: Path) -> None:
    """Raise InputError if a list names videos that are not in the folder that it belongs to."""
    unknown = [name for name in names if not (folder / name).is_dir()]
    if unknown:
        raise InputError(
            f"the list {source} names {unknown[0]!r}, which {folder} does not have ({len(unknown)} of {len(names)} are "
            "missing): expected all, so unpack the whole archive or shorten the list"
        )
