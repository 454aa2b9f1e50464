"""A log of finished tasks, one line each. It shows which results were deleted, and how much time is left.

The log decides nothing; the records say what is finished. Lines that cannot be written or read are skipped.
"""

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["TaskLog"]

RECENT = 50  # tasks that the pace is averaged over


@dataclass(frozen=True)
class TaskLog:
    """A file of JSON lines: {"at": seconds since 1970, "start": true} or {"at", "key", "finished"}."""

    path: Path

    def begin(self, keys: Iterable[str] = ()) -> None:
        """Log that a run starts, and finished tasks that have no line, as after a kill."""
        now = time.time()
        self._write([{"at": now, "key": key, "finished": True} for key in sorted(keys)] + [{"at": now, "start": True}])

    def add(self, key: str, finished: bool) -> None:
        """Log that a task was done just now, and whether it has a result."""
        self._write([{"at": time.time(), "key": key, "finished": finished}])

    def finished(self) -> set[str]:
        """The keys of all tasks that ever had a result."""
        return {line["key"] for line in self._lines() if line.get("finished")}

    def pace(self) -> float | None:
        """Seconds per task, over the latest tasks since the latest start; None for fewer than two."""
        times: list[float] = []
        for line in self._lines():
            times = [line["at"]] if line.get("start") else [*times, line["at"]]
        times = times[-RECENT - 1 :]
        return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 2 else None

    def _write(self, lines: list[dict]) -> None:
        # one write in append mode: lines of two runs do not mix; the first line break ends one that was cut off
        with suppress(OSError), self.path.open("a", encoding="utf-8") as file:
            file.write("".join("\n" + json.dumps(line) for line in lines))

    def _lines(self) -> list[dict]:
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        found = []
        for line in text.splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict) and isinstance(line.get("at"), int | float)]
