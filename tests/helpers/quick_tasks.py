"""Tasks that take no time and no model, and a program that runs them, for tests of what happens around tasks.

It imports as little as it can, since it is started, killed and started again many times.
"""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.tasks.records import RecordFolder, task_key
from sgi2v_lab.evaluation.tasks.run import run_tasks

WEIGHTS = "none"


def model() -> int:
    """In place of a model."""
    return 1000


def no_model() -> int:
    """In place of weights that cannot be loaded."""
    raise InputError("no such weights")


@dataclass(frozen=True)
class Quick:
    """Squares a number, and notes in a file beside the folder of results that it was begun."""

    number: int
    log: str | None = None
    seconds: float = 0.0

    @property
    def key(self) -> str:
        return task_key(self.identity(), WEIGHTS)

    def identity(self):
        return {"kind": "quick", "number": self.number}

    def run(self, model):
        if self.log:
            with open(self.log, "a") as file:
                file.write(f"{self.number}\n")
        time.sleep(self.seconds)
        return {"square": self.number**2 + model, "text": "x" * 500}, None


@dataclass(frozen=True)
class Faulty(Quick):
    """Fails each time."""

    def run(self, model):
        raise RuntimeError("the lamp\nwent out")


@dataclass(frozen=True)
class Deadly(Quick):
    """Kills its worker, each time or, with a log, the first time."""

    def run(self, model):
        if self.log and Path(self.log).exists():
            return super().run(model)
        if self.log:
            Path(self.log).touch()
        time.sleep(self.seconds)
        os.kill(os.getpid(), signal.SIGKILL)


def finish(tasks, folder, **options):
    """The tasks' records, without the time that they took."""
    records = run_tasks(tasks, RecordFolder.at(folder), WEIGHTS, model, **options)
    return [record.model_copy(update={"seconds": None}) for record in records]


def main() -> None:
    """Work as the command line says: FOLDER COUNT SECONDS WORKERS."""
    work(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))


def work(folder: Path, count: int, seconds: float, workers: int) -> None:
    """Run so many quick tasks."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [Quick(number, str(folder / "log"), seconds) for number in range(count)]
    finish(tasks, folder / "tasks", workers=workers)
