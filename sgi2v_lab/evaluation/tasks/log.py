"""When which task was done: a line each, so that a deleted result is noticed and the time left can be told.

The log decides nothing: what is finished is what the records say. A line that cannot be written is left out, and a
line that is cut off is passed over.
"""

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["TaskLog"]

RECENT = 50  # tasks whose pace is taken


@dataclass(frozen=True)
class TaskLog:
    """A file of JSON lines: {"at": seconds since 1970, "start": true} or {"at", "key", "finished"}."""

    path: Path

    def begin(self, keys: Iterable[str] = ()) -> None:
        """Note that a run starts, and tasks that are finished without a line, as after a kill."""
        now = time.time()
        self._write([{"at": now, "key": key, "finished": True} for key in sorted(keys)] + [{"at": now, "start": True}])

    def add(self, key: str, finished: bool) -> None:
        """Note that a task was done just now, and whether it has a result."""
        self._write([{"at": time.time(), "key": key, "finished": finished}])

    def finished(self) -> set[str]:
        """The keys of all tasks that ever had a result."""
        return {line["key"] for line in self._lines() if line.get("finished")}

    def pace(self) -> float | None:
        """Seconds per task, of the latest tasks since the latest start; None where there are fewer than two."""
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
