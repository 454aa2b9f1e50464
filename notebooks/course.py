"""The course for a class: student versions without solutions, grades and feedback, by nbgrader; the chapters' claims.

    python notebooks/course.py student    # build/student: what students get; build/course: nbgrader's own folders
    python notebooks/course.py student 04 08   # the same for chapters 4 and 8 alone
    python notebooks/course.py outputs    # run the quickstart, and keep its outputs in its .ipynb
    python notebooks/course.py grade      # build/course/submitted/NAME/CHAPTER/CHAPTER.ipynb -> grades.csv, feedback/
    python notebooks/course.py claims --seeds 817 1 2 3 --chapters 04 08   # check claims, into notebooks/claims.md

`make student`, `make outputs` and `make grade` do the same as the first three. Each chapter is one assignment of the
course folder, so nbgrader's own programs (formgrader, export) work there too. [learner.py](learner.py) is for those who
learn alone.
"""

import argparse
import codecs
import contextlib
import csv
import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import nbformat
from feedback import Exercise, exercises_of, feedback_page
from learner import CHAPTERS, HERE, for_students, moved_down
from nbclient import NotebookClient
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from sqlalchemy.exc import SAWarning
from traitlets.config import Config

from sgi2v_lab.files import in_order, is_litter, print_anywhere, write_text

__all__ = ["CHAPTERS", "claims_of", "claims_table", "grade", "keep_outputs", "student_versions"]

BUILD = HERE.parent / "build"
LONGEST_CELL = 600  # seconds
WIDGET = "application/vnd.jupyter.widget-view+json"
CLAIMS = HERE / "claims.md"
MAY_FAIL = 1  # of the seeds, for a claim to count as true


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
    assignment into its gradebook. Claims and discussions are left out: they would give answers away.
    """
    released = []
    for chapter in chapters:
        name = chapter.stem
        source = course / "source" / name
        source.mkdir(parents=True, exist_ok=True)
        nbformat.write(for_students(nbformat.read(chapter, as_version=4)), source / chapter.name)
        _succeed(_nbgrader(course).generate_assignment(name, force=True, create=True), f"make an assignment of {name}")
        released.append(course / "release" / name / chapter.name)
    return released


def grade(
    course: Path, chapters: Iterable[Path] = CHAPTERS, graded: Callable[[dict[str, object]], None] | None = None
) -> list[dict[str, object]]:
    """Run what was submitted and score it: one row for each student and chapter; also into grades.csv.

    `graded` is told each row as soon as it is known.

    points.csv has a row for each exercise, and feedback/NAME/CHAPTER.html says it to the student. Whatever cannot be
    graded gets a row without a score, and a sentence that says why; all others are graded.
    """
    rows, points = [], []
    texts = {chapter.stem: chapter for chapter in chapters}
    try:
        for folder in in_order(course.glob("submitted/*/*")):
            if not is_litter(folder.relative_to(course)):
                row, exercises = _graded(course, folder, texts)
                rows.append(row)
                if graded:
                    graded(row)
                who = {"student": row["student"], "chapter": row["chapter"]}
                points += [who | exercise.row() for exercise in exercises]
    finally:  # also after Ctrl-C: grading a class takes hours
        for name, table, columns in (
            ("grades.csv", rows, ["student", "chapter", "score", "out of", "open task", "problem"]),
            ("points.csv", points, ["student", "chapter", "exercise", "points", "out of", "said"]),
        ):
            table.sort(key=lambda row: (row["student"], row["chapter"]))  # exercises stay in their order
            with (course / name).open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(table)
    return rows


def _graded(course: Path, folder: Path, texts: dict[str, Path]) -> tuple[dict[str, object], list[Exercise]]:
    """The row of one student's chapter, and its exercises; the student's page is written."""
    student, name = folder.parent.name, folder.name
    row = {"student": student, "chapter": name, "score": None, "out of": None, "open task": None}
    row["problem"] = _problem(course, folder)
    if not row["problem"]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # of nbgrader's own use of its database
            result = _nbgrader(course).autograde(name, student, force=True, create=True)
        row["problem"] = "" if result["success"] else _why(result)
    exercises: list[Exercise] = []
    if not row["problem"]:
        with Gradebook(_gradebook(course)) as book:
            (notebook,) = book.find_submission(name, student).notebooks
            marks = {mark.name: (mark.score, mark.max_score, mark.needs_manual_grade) for mark in notebook.grades}
            remarks = {remark.name: remark.comment for remark in notebook.comments if remark.comment}
        returned = nbformat.read(course / "autograded" / student / name / f"{name}.ipynb", as_version=4)
        chapter = nbformat.read(texts[name], as_version=4) if name in texts else returned
        exercises = exercises_of(chapter, returned, marks, remarks)
        checked = [exercise for exercise in exercises if not exercise.open]
        row["score"] = sum(exercise.points for exercise in checked)
        row["out of"] = sum(exercise.out_of for exercise in checked)
        marked = [exercise.points for exercise in exercises if exercise.open and exercise.points is not None]
        row["open task"] = sum(marked) if marked else None
    try:
        page = course / "feedback" / student / f"{name}.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        write_text(page, feedback_page(student, name, exercises, row["problem"]))
    except Exception as error:  # a page that cannot be written, or a notebook that cannot be shown, stops no class
        row["problem"] = (
            row["problem"] or f"graded, but no feedback page was written: {' '.join(str(error).split())[:200]}"
        )
    return row, exercises


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
        cells = nbformat.reads(content.decode(), as_version=4).cells
    except Exception:  # of JSON, of notebooks' own format, of UTF-8: their words, such as a piece of JSON, help nobody
        return f"{notebook.name} is no notebook, or only a part of one: open it in JupyterLab, and save it there"
    names = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in cells]
    twice = next((cell for k, cell in enumerate(cells) if names[k] and names[k] in names[:k]), None)
    if twice is not None:
        begins = (twice.source.strip().splitlines() or [""])[0][:60]
        return f"a cell of the exercises is there twice, the one that begins with {begins!r}: delete one of them"
    return ""


# what nbgrader's log says -> what happened, and what to do
REASONS = {
    "Kernel died": "Python ended while it ran, for want of memory or by a cell of its own: run all cells from the top",
    r"Schema\w+Error|ValidationError|metadata\.nbgrader": "its marks for grading are damaged: put the answers into a "
    "fresh copy of the chapter",
}


def _why(result: dict) -> str:
    """Why nbgrader could not grade a submission, in one line: in plain words if the reason is known."""
    said = "\n".join(result.get(key) or "" for key in ("log", "error"))
    for sign, reason in REASONS.items():
        if re.search(sign, said):
            return reason
    complaints = re.findall(r"^ *[\w.]*(?:Error|Found): .+$", said, re.MULTILINE)
    return "nbgrader cannot grade it: " + " ".join((complaints or ["no reason given"])[-1].split())[:300]


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


def claims_of(chapter: Path, **parameters: object) -> list[dict[str, object]]:
    """Run a chapter's code, as far as its last claim, with other parameters; its claims, whether they hold or not."""
    cells = [cell for cell in nbformat.read(chapter, as_version=4).cells if cell.cell_type == "code"]
    tags = [cell.metadata.get("tags", []) for cell in cells]
    last = max((k for k, of_cell in enumerate(tags) if "claim" in of_cell), default=-1)
    with tempfile.TemporaryDirectory() as folder:
        record, work = Path(folder) / "claims.jsonl", Path(folder) / "notebooks"
        work.mkdir()
        os.environ["SGI2V_CLAIMS"] = str(record)
        namespace: dict[str, object] = {"__name__": "__main__"}
        try:
            with contextlib.chdir(work):
                for k, cell in enumerate(cells[: last + 1]):
                    if cell.metadata.get("nbgrader", {}).get("grade"):
                        continue  # checks of exercises, whose solutions are the notebook's own
                    source = cell.source
                    for name, value in parameters.items() if "parameters" in tags[k] else ():
                        source = re.sub(rf"^{name} = [^#\n]*", f"{name} = {value!r}  ", source, flags=re.MULTILINE)
                    with contextlib.redirect_stdout(None):
                        exec(compile(source, f"{chapter.stem}, code cell {k}", "exec"), namespace)
        finally:
            del os.environ["SGI2V_CLAIMS"]
        lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    return [json.loads(line) for line in lines]


def claims_table(by_seed: dict[int, list[dict[str, object]]]) -> tuple[str, list[str]]:
    """A chapter's claims as a Markdown table; and the sentences that fail for more seeds than `MAY_FAIL`."""
    head = ["sentence", "quantity", *(f"seed {seed}" for seed in by_seed)]
    rows, false = [head, ["---"] * len(head)], []
    for same in zip(*by_seed.values(), strict=True):
        first = same[0]
        values = [
            f"{one['value']:.3g} {one['relation']} {one['bound']:.3g}" + ("" if one["holds"] else " ✗") for one in same
        ]
        rows.append([str(first["sentence"]), str(first["quantity"]), *values])
        if sum(not one["holds"] for one in same) > MAY_FAIL:
            false.append(str(first["sentence"]))
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows), false


def check_claims(seeds: Sequence[int], chosen: Sequence[str] = ()) -> list[str]:
    """Check the claims of the chapters whose names begin with one of `chosen` (of all, if none is given).

    Their sections of claims.md are written anew. Returns the sentences that do not hold.
    """
    tables, false = {}, []
    for chapter in CHAPTERS:
        if not chosen or chapter.name.startswith(tuple(chosen)):
            tables[chapter.stem], wrong = claims_table({seed: claims_of(chapter, seed=seed) for seed in seeds})
            false += [f"{chapter.stem}: {sentence}" for sentence in wrong]
            print(f"## {chapter.stem}\n\n{tables[chapter.stem]}\n", flush=True)
    parts = CLAIMS.read_text(encoding="utf-8").split("\n## ")[1:] if CLAIMS.exists() else []
    tables = {part.split("\n", 1)[0]: part.split("\n", 1)[1].strip() for part in parts} | tables
    body = "".join(f"\n## {name}\n\n{tables[name]}\n" for name in sorted(tables))
    write_text(CLAIMS, CLAIMS_HEAD + body)
    return false


CLAIMS_HEAD = """# The course's claims

What the chapters say of their own pictures and numbers, each as a number that a run can refute. `python
notebooks/course.py claims --seeds 817 1 2 3` writes this page. A claim must hold (no ✗) for at least three of four seeds
of the bundled toy. With the shipped seed, 817, `make test` checks all of them.
"""


def _print_row(row: dict[str, object]) -> None:
    score = row["problem"] if row["score"] is None else f"{row['score']:g} of {row['out of']:g} {row['problem']}"
    print(f"{row['student']:24} {row['chapter']:36} {score}", flush=True)  # now: the next one may take a minute


def main(arguments: list[str]) -> None:
    """Do what the first argument says."""
    print_anywhere()
    course = BUILD / "course"
    match arguments:
        case ["student", *chosen]:
            chapters = [chapter for chapter in CHAPTERS if not chosen or chapter.name.startswith(tuple(chosen))]
            if unknown := [name for name in chosen if not any(one.name.startswith(name) for one in chapters)]:
                raise SystemExit(f"there is no chapter {', '.join(unknown)}: name chapters by number, such as 04")
            target = BUILD / "student"
            target.mkdir(parents=True, exist_ok=True)
            for version in student_versions(course, chapters):
                moved = moved_down(nbformat.read(version, as_version=4))
                write_text(target / version.name, nbformat.writes(moved) + "\n")
            print(f"{len(chapters)} chapters without solutions: {target}")
        case ["outputs"]:
            keep_outputs(CHAPTERS[0])
            print(CHAPTERS[0])
        case ["grade"]:
            rows = grade(course, graded=_print_row)
            failed = sum(row["score"] is None for row in rows)
            ungraded = f", {failed} of them not graded" if failed else ""
            print(f"{len(rows)} submissions{ungraded}: {course / 'grades.csv'}; a page for each: {course / 'feedback'}")
        case ["claims", *rest]:
            parser = argparse.ArgumentParser(prog="course.py claims")
            parser.add_argument("--seeds", type=int, nargs="+", default=[817, 1, 2, 3])
            parser.add_argument("--chapters", nargs="+", default=[], help="how their names begin, such as 04")
            asked = parser.parse_args(rest)
            if false := check_claims(asked.seeds, asked.chapters):
                raise SystemExit("\n".join(["These claims do not hold:", *false]))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
