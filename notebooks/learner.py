"""The course for one who learns alone: a copy with blanks in course/, and solutions when they are asked for.

    python notebooks/learner.py                # course/: the chapters, their solutions replaced by blanks
    python notebooks/learner.py solution 04    # course/solutions: chapter 4 with solutions, each with a discussion

`make lab` does the first and opens JupyterLab; `make solution CHAPTER=04` does the second.
"""

import hashlib
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from sgi2v_lab.files import print_anywhere, write_text

__all__ = [
    "CHAPTERS",
    "HandedOut",
    "blank",
    "for_learner",
    "for_students",
    "hand_out",
    "moved_down",
    "with_blanks",
    "with_solutions",
    "without_marks",
]

HERE = Path(__file__).parent
CHAPTERS = tuple(sorted(HERE.glob("[0-9][0-9]_*.ipynb")))
COURSE = HERE.parent / "course"
RECORD = ".handed_out.json"  # what each file was when it was handed out
AUTHORS_CELLS = {"claim", "discussion"}  # tags of cells that would give answers away
STUB = "# YOUR CODE HERE\nraise NotImplementedError()"  # nbgrader's own words
SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION$", re.MULTILINE | re.DOTALL)


def for_students(notebook: NotebookNode) -> NotebookNode:
    """A chapter without the cells that would give answers away, and without outputs; solutions are still in it."""
    cells = [cell for cell in notebook.cells if not AUTHORS_CELLS & {*cell.metadata.get("tags", [])}]
    copy = nbformat.from_dict({**notebook, "cells": [nbformat.from_dict(dict(cell)) for cell in cells]})
    return _without_outputs(copy)


def with_blanks(notebook: NotebookNode) -> NotebookNode:
    """A chapter as a learner gets it: each solution is a line that raises NotImplementedError."""
    copy = for_students(notebook)
    for cell in copy.cells:
        cell.source = blank(cell.source)
    return copy


def blank(source: str) -> str:
    """A cell with nbgrader's blank where its solution was."""
    return SOLUTION.sub(lambda found: re.sub("^", found[1], STUB, flags=re.MULTILINE), source)


def with_solutions(notebook: NotebookNode) -> NotebookNode:
    """A chapter with solutions and discussions; each solution is collapsed until it is clicked."""
    cells = [cell for cell in notebook.cells if "claim" not in cell.metadata.get("tags", [])]
    copy = nbformat.from_dict({**notebook, "cells": [nbformat.from_dict(dict(cell)) for cell in cells]})
    for cell in copy.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.metadata["jupyter"] = {"source_hidden": True}
            cell.source = without_marks(cell.source)
    return _without_outputs(copy)


def without_marks(source: str) -> str:
    """A solution's cell without the lines that mark the solution."""
    return re.sub(r"^[ \t]*### (BEGIN|END) SOLUTION\n?", "", source, flags=re.MULTILINE).strip()


def for_learner(chapter: Path) -> NotebookNode:
    """A chapter as `make lab` hands it out: with blanks, and with a line that says how to see the solutions."""
    copy = with_blanks(nbformat.read(chapter, as_version=4))
    line = f"Solutions, with a discussion of each: `make solution CHAPTER={chapter.name[:2]}` in a terminal."
    for cell in copy.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"^## Exercises\n", f"## Exercises\n\n{line}\n", cell.source, flags=re.MULTILINE)
    return copy


def _without_outputs(notebook: NotebookNode) -> NotebookNode:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def moved_down(notebook: NotebookNode, others: str = "") -> NotebookNode:
    """A chapter for a folder one level further down: its links lead where they led; `others` leads to the chapters."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("](../", "](../../")
            cell.source = re.sub(r"\]\((\d\d_\w+\.ipynb)", rf"]({others}\1", cell.source)
    return notebook


@dataclass
class HandedOut:
    """Names of the files of a folder: new ones, updated ones, those as before, and those that a learner changed."""

    new: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    as_before: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)  # those of `kept` of which there is a newer version

    def __str__(self) -> str:
        told = {"new": self.new, "updated": self.updated, "as before": self.as_before}
        lines = [", ".join(f"{len(names)} {what}" for what, names in told.items() if names) or "nothing new"]
        if self.kept:
            lines.append(f"kept as you left them: {', '.join(self.kept)}")
        if self.outdated:
            lines.append(
                f"newer versions exist of {', '.join(self.outdated)}: to get one, rename yours and repeat this"
            )
        return "\n".join(lines)


def hand_out(notebooks: dict[str, NotebookNode], folder: Path) -> HandedOut:
    """Write notebooks into a folder; a file that was changed since it was handed out is never touched again."""
    record = folder / RECORD
    try:
        known = dict(json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # none yet, or a broken one: then whatever is there counts as changed
        known = {}
    told = HandedOut()
    for name, notebook in notebooks.items():
        target, text = folder / name, nbformat.writes(notebook) + "\n"
        there = _fingerprint(target.read_text(encoding="utf-8", errors="replace")) if target.exists() else None
        if there is None:
            told.new.append(name)
        elif there == _fingerprint(text):
            told.as_before.append(name)
        elif there == known.get(name):
            told.updated.append(name)
        else:
            told.kept.append(name)
            if known.get(name) != _fingerprint(text):
                told.outdated.append(name)
            continue
        if there != _fingerprint(text):
            folder.mkdir(parents=True, exist_ok=True)
            write_text(target, text)
        known[name] = _fingerprint(text)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(record, json.dumps(known, indent=1) + "\n")
    return told


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main(arguments: list[str]) -> None:
    """Do what the arguments say."""
    print_anywhere()
    match arguments:
        case []:
            told = hand_out({chapter.name: for_learner(chapter) for chapter in CHAPTERS}, COURSE)
            print(f"{COURSE}: {told}")
        case ["solution", which]:
            chosen = [c for c in CHAPTERS if which.strip() and c.name.startswith(which.strip().zfill(2))]
            if not chosen:
                raise SystemExit(f"no chapter {which!r}: expected a number from 00 to {CHAPTERS[-1].name[:2]}")
            (chapter, *_), folder = chosen, COURSE / "solutions"
            solved = moved_down(with_solutions(nbformat.read(chapter, as_version=4)), "../")
            told = hand_out({chapter.name: solved}, folder)
            print(f"{folder / chapter.name}: {told}\nThe exercises are at its end; click a collapsed cell to open it.")
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
