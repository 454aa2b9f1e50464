"""A folder of finished tasks: one record each, KEY.json, and perhaps its video as a film strip, KEY.png.

The key is a hash of all that the result depends on. A record is written last, under a temporary name, and renamed: it
is whole or absent, and a task with a record is complete. Later damage is detected.

A process that works on a task holds a lock on KEY.lock, which the system releases when the process ends, however it
ends. Locks only avoid double work: without them, two processes that do the same task write the same record.
"""

import errno
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from sgi2v_lab.errors import InputError, needs
from sgi2v_lab.files import as_path, whole_file, write_text

with needs("evaluation"):
    from filelock import FileLock, Timeout

__all__ = ["VERSION", "Found", "Record", "RecordFolder", "State", "task_key"]

VERSION = 4  # of what tasks do; raise it when that changes, so that old results are not used
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


class State(StrEnum):
    """The state of a task."""

    FINISHED = "finished"
    FAILED = "failed"  # the record says why; the next start tries again
    DAMAGED = "damaged"  # the record or the film strip is not whole
    ABSENT = "absent"


class Record(BaseModel, frozen=True):
    """What became of a task: a result, or an error."""

    key: str
    version: int = VERSION
    task: dict[str, Any]  # the task's identity
    weights: str  # the model's fingerprint
    seconds: float | None = None
    strip: str | None = None  # the film strip's file name
    strip_bytes: int | None = None
    result: dict[str, Any] | None = None
    error: str | None = None


@dataclass(frozen=True)
class Found:
    """What a folder holds for a task."""

    state: State
    record: Record | None = None  # of a finished or failed one
    why: str | None = None  # why it is damaged
    stamp: int | None = None  # the record's modification time in ns; None without a record


def task_key(identity: Mapping[str, object], weights: str) -> str:
    """20 hexadecimal digits for a task's identity and the model's fingerprint."""
    text = json.dumps({"version": VERSION, "model": weights, **identity}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@dataclass(frozen=True)
class RecordFolder:
    """Records by key. The path is absolute, because workers may have another working directory."""

    path: Path

    @classmethod
    def at(cls, path: str | Path) -> "RecordFolder":
        """The folder of that name, which is made when it is needed."""
        return cls(as_path(path, "a folder of records").absolute())

    def look(self, key: str) -> Found:
        """The state of a task, from its files alone."""
        path = self.path / f"{key}.json"
        try:
            stamp = path.stat().st_mtime_ns
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Found(State.ABSENT)
        except (OSError, UnicodeDecodeError) as error:
            return Found(State.DAMAGED, why=f"{path.name} cannot be read ({error})")
        try:
            record = Record.model_validate_json(text)
        except ValidationError:
            return Found(State.DAMAGED, why=f"{path.name} is cut off or is no record", stamp=stamp)
        if record.result is None:
            return Found(State.FAILED, record, stamp=stamp)
        if record.strip is not None and (why := self._strip_damage(record.strip, record.strip_bytes)):
            return Found(State.DAMAGED, why=why, stamp=stamp)
        return Found(State.FINISHED, record, stamp=stamp)

    def _strip_damage(self, name: str, size: int | None) -> str | None:
        try:
            there = (self.path / name).stat().st_size
        except OSError:
            return f"{name} is gone"
        return None if size in (None, there) else f"{name} has {there} bytes instead of {size}"

    def keep(self, record: Record, strip: bytes | None = None) -> None:
        """Write a record, and before it its film strip, a PNG file, if there is one.

        InputError: there is no space, or no permission. Then nothing is half written.
        """
        if strip is not None:
            record = record.model_copy(update={"strip": f"{record.key}.png", "strip_bytes": len(strip)})
            with whole_file(self.path / record.strip) as temporary:
                temporary.write_bytes(strip)
        write_text(self.path / f"{record.key}.json", record.model_dump_json(indent=1, exclude_none=True))

    @contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Claim a task for the block, and remove what a killed process left of it; False if somebody else has it."""
        lock = FileLock(self.path / f"{key}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        except (NotImplementedError, OSError) as error:
            if getattr(error, "errno", errno.ENOSYS) not in NO_LOCKS:
                raise InputError(f"cannot write to {self.path} ({error.strerror or error})") from error
        try:
            for litter in self.path.glob(f".{key}.*") if lock.is_locked else ():
                litter.unlink(missing_ok=True)
            yield True
        finally:
            if lock.is_locked:
                with suppress(OSError):  # while it is still held, so that nobody else's is removed
                    (self.path / f"{key}.lock").unlink()
                lock.release()

    def claimed(self, key: str) -> bool:
        """Whether a process works on the task now."""
        if not (self.path / f"{key}.lock").exists():
            return False
        with self.claim(key) as free:
            return not free

    def tidy(self) -> None:
        """Remove what killed processes left behind."""
        for lock in self.path.glob("*.lock"):
            self.claimed(lock.stem)
