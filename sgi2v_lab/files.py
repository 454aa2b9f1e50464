"""Files (and folders) that are there whole or not at all, however their writing ends."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sgi2v_lab.errors import InputError

__all__ = ["whole_file", "write_text"]


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Lend a temporary name beside `path`, with its suffix; on success it becomes `path`, on any failure it is removed.

    Missing parent folders are made.

    Raises:
        InputError: the file cannot be written (no permission, no space, a folder of that name).
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"Cannot write {str(path)!r} ({reason}); choose a place you may write to.") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        elif temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file in UTF-8, as a whole, and return its path; InputError as `whole_file`."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)
