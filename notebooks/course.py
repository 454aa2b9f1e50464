"""The course for a class: student versions without solutions, and grades, both by nbgrader.

    python notebooks/course.py student    # build/student: what students get; build/course: nbgrader's own folders
    python notebooks/course.py outputs    # run the quickstart, and keep its outputs in its .ipynb
    python notebooks/course.py grade      # build/course/submitted/NAME/CHAPTER/CHAPTER.ipynb -> build/course/grades.csv

`make student`, `make outputs` and `make grade` do the same. Each chapter is one assignment of the course folder, so
nbgrader's own programs (formgrader, feedback, export) work there too.
"""

import codecs
import csv
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from sqlalchemy.exc import SAWarning
from traitlets.config import Config

from sgi2v_lab.files import in_order, is_litter, print_anywhere, write_text

__all__ = ["CHAPTERS", "grade", "keep_outputs", "student_versions"]

HERE = Path(__file__).parent
BUILD = HERE.parent / "build"
CHAPTERS = tuple(sorted(HERE.glob("[0-9][0-9]_*.ipynb")))
LONGEST_CELL = 600  # seconds
WIDGET = "application/vnd.jupyter.widget-view+json"


def _nbgrader(course: Path) -> NbGraderAPI:
    course.mkdir(parents=True, exist_ok=True)
    # nbgrader calls alembic, its database's tool, by name: let it find the one beside this Python
    beside = str(Path(sys.executable).parent)
    if beside not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = beside + os.pathsep + os.environ.get("PATH", "")
    config = Config()
    config.CourseDirectory.root = str(course.resolve())
    config.CourseDirectory.db_url = _gradebook(course)
    config.ExecutePreprocessor.timeout = LONGEST_CELL
    return NbGraderAPI(config=config)


def _gradebook(course: Path) -> str:
    return f"sqlite:///{course.resolve() / 'gradebook.db'}"


def _succeed(result: dict, what: str) -> None:
    if not result["success"]:
        said = "\n".join(result[key] for key in ("log", "error") if key in result)
        raise SystemExit(f"nbgrader could not {what}:\n{said}")


def student_versions(course: Path, chapters: Iterable[Path] = CHAPTERS) -> list[Path]:
    """Make each chapter an assignment of a course folder; return its student versions, without solutions and outputs.

    nbgrader puts `raise NotImplementedError()` where a solution was, locks the cells that check it, and enters the
    assignment into its gradebook.
    """
    released = []
    for chapter in chapters:
        name = chapter.stem
        source = course / "source" / name
        source.mkdir(parents=True, exist_ok=True)
        shutil.copy(chapter, source)
        _succeed(_nbgrader(course).generate_assignment(name, force=True, create=True), f"make an assignment of {name}")
        released.append(course / "release" / name / chapter.name)
    return released


def grade(course: Path) -> list[dict[str, object]]:
    """Run what was submitted and score it: one row for each student and chapter; also into grades.csv.

    Whatever cannot be graded gets a row without a score, and a sentence that says why; all others are graded.
    """
    rows = []
    try:
        for folder in in_order(course.glob("submitted/*/*")):
            if not is_litter(folder.relative_to(course)):
                rows.append(_graded(course, folder))
    finally:  # also after Ctrl-C: grading a class takes hours
        rows.sort(key=lambda row: (row["student"], row["chapter"]))
        with (course / "grades.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, ["student", "chapter", "score", "out of", "problem"])
            table.writeheader()
            table.writerows(rows)
    return rows


def _graded(course: Path, folder: Path) -> dict[str, object]:
    """The row of one student's chapter."""
    student, name = folder.parent.name, folder.name
    row = {"student": student, "chapter": name, "score": None, "out of": None, "problem": _problem(course, folder)}
    if row["problem"]:
        return row
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # of nbgrader's own use of its database
        result = _nbgrader(course).autograde(name, student, force=True, create=True)
    if not result["success"]:
        return row | {"problem": _why(result)}
    with Gradebook(_gradebook(course)) as book:
        done = book.find_submission(name, student)
        return row | {"score": done.score, "out of": done.max_score}


def _problem(course: Path, folder: Path) -> str:
    """What is wrong with a submission before it is run; nothing if it can be."""
    name = folder.name
    if not folder.is_dir():
        return f"this is no folder: put the notebook into {folder.parent.name}/CHAPTER/CHAPTER.ipynb"
    if not (course / "release" / name).is_dir():
        return f"there is no chapter {name!r}: rename the folder, or run make student first"
    notebook = folder / f"{name}.ipynb"
    if not notebook.is_file():
        others = ", ".join(path.name for path in in_order(folder.glob("*.ipynb")))
        return f"there is no {notebook.name} (found {others}: rename it)" if others else f"there is no {notebook.name}"
    content = notebook.read_bytes()
    if not content.strip():
        return f"{notebook.name} is empty"
    if content.startswith(codecs.BOM_UTF8) or b"\0" in content[:4]:
        return f"{notebook.name} begins with a byte order mark: save it as UTF-8 without one"
    try:
        nbformat.reads(content.decode(), as_version=4)
    except Exception as error:  # of JSON, of notebooks' own format, of UTF-8: each says what it found
        return f"{notebook.name} is no whole notebook ({' '.join(str(error).split())[:200]})"
    return ""


def _why(result: dict) -> str:
    """What nbgrader says of a submission that it cannot grade, in one line."""
    said = [line for key in ("log", "error") for line in (result.get(key) or "").splitlines() if line.strip()]
    complaints = [line for line in said if re.match(r"\[(ERROR|CRITICAL)|[\w.]+(Error|Exception|Found): ", line)]
    return "nbgrader cannot grade it: " + " ".join((complaints or said or ["no reason given"])[-1].split())[:300]


def keep_outputs(chapter: Path) -> None:
    """Run a chapter and keep its pictures and texts in it; widgets are left out, since nothing answers them later."""
    notebook = nbformat.read(chapter, as_version=4)
    NotebookClient(notebook, timeout=LONGEST_CELL, resources={"metadata": {"path": str(chapter.parent)}}).execute()
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    write_text(chapter, nbformat.writes(notebook) + "\n")


def main(arguments: list[str]) -> None:
    """Do what the first argument says."""
    print_anywhere()
    course = BUILD / "course"
    match arguments:
        case ["student"]:
            target = BUILD / "student"
            target.mkdir(parents=True, exist_ok=True)
            for version in student_versions(course):
                shutil.copy(version, target)
            print(f"{len(CHAPTERS)} chapters without solutions: {target}")
        case ["outputs"]:
            keep_outputs(CHAPTERS[0])
            print(CHAPTERS[0])
        case ["grade"]:
            rows = grade(course)
            for row in rows:
                score = row["problem"] or f"{row['score']:g} of {row['out of']:g}"
                print(f"{row['student']:24} {row['chapter']:36} {score}")
            failed = sum(bool(row["problem"]) for row in rows)
            ungraded = f", {failed} of them not graded" if failed else ""
            print(f"{len(rows)} submissions{ungraded}: {course / 'grades.csv'}")
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
