"""What a student gets back for a chapter: points for each exercise, what its check said, a solution and why."""

import re
from dataclasses import dataclass

import nbformat
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from learner import blank, without_marks

__all__ = ["Exercise", "exercises_of", "feedback_page"]

LONGEST = 400  # letters of an error's own words
RUBRIC = "the teacher's, by the rubric"
NUMBER = re.compile(r"^### (\d+\. .+)$", re.MULTILINE)


@dataclass
class Exercise:
    """One exercise of a chapter, and what a student made of it."""

    title: str
    points: float | None  # None: not marked yet
    out_of: float
    said: str  # by the check
    open: bool = False  # marked by hand, with a rubric
    written: str = ""  # the student's cell
    solution: str = ""
    discussion: str = ""

    def row(self) -> dict[str, object]:
        """The line of points.csv."""
        return {"exercise": self.title, "points": self.points, "out of": self.out_of, "said": self.said}


def exercises_of(
    chapter: NotebookNode,
    returned: NotebookNode,
    given: dict[str, tuple[float, float, bool]],
    remarks: dict[str, str],
) -> list[Exercise]:
    """The exercises of a chapter in their order.

    Args:
        chapter: the author's version, with solutions and discussions.
        returned: the student's, after it was run.
        given: points, points that can be had, and whether a person has still to mark it, by nbgrader's names of cells.
        remarks: what the teacher wrote below a cell in formgrader.
    """
    theirs = {_marks(cell).get("grade_id"): cell for cell in returned.cells if _marks(cell)}
    found: list[Exercise] = []
    title, solution, empty, written, answer = "", "", "", "", None
    for cell in chapter.cells:
        marks = _marks(cell)
        name = marks.get("grade_id")
        if cell.cell_type == "markdown" and (named := NUMBER.findall(cell.source)):
            title = named[-1]
        if "discussion" in cell.metadata.get("tags", []) and found:
            found[-1].discussion = cell.source
        elif marks.get("solution"):
            solution, empty, answer = without_marks(cell.source), blank(cell.source), theirs.get(name)
            written = answer.source if answer else ""
        elif name in given and (marks.get("grade") or marks.get("task")):
            points, out_of, unmarked = given[name]
            if marks.get("task"):
                said = remarks.get(name, RUBRIC)
                found.append(Exercise(title, None if unmarked else points, out_of, said, open=True))
            else:
                untouched = bool(written) and written.strip() == empty.strip()
                said = _said(theirs.get(name), answer, untouched)
                said = said or ("right" if points == out_of else "no points, and no reason given")
                found.append(Exercise(title or name, points, out_of, said, False, written, solution))
    return found


def _marks(cell: NotebookNode) -> dict:
    return cell.metadata.get("nbgrader", {})


def _said(check: NotebookNode | None, answer: NotebookNode | None, untouched: bool) -> str:
    """Why a check gave no points, in plain words; nothing if it raised no error."""
    if check is None:
        return "the cell that checks it is missing: take it from a fresh copy of the chapter"
    refusal = _error(check)
    if refusal is None:
        return ""
    stopped = _error(answer) if answer else None
    if untouched:
        return "not attempted yet: the blank is still there"
    if "NotImplementedError" in (refusal.ename, stopped and stopped.ename):
        return "not finished: the blank's line `raise NotImplementedError()` still runs; remove it where your answer is"
    if stopped:
        return f"the answer's own cell stops with {_told(stopped)}; run it, and mend that first"
    if refusal.ename != "AssertionError":
        return f"the check stops with {_told(refusal)}; run it below your answer to see where"
    return " ".join(refusal.evalue.split())[:LONGEST] or "the check refuses it, and gives no reason"


def _error(cell: NotebookNode) -> NotebookNode | None:
    return next((output for output in cell.get("outputs", []) if output.output_type == "error"), None)


def _told(error: NotebookNode) -> str:
    """Such as "NameError (name 'x' is not defined)"."""
    text = "it took too long" if error.ename == "KeyboardInterrupt" else " ".join(error.evalue.split())[:LONGEST]
    text = re.sub(r" \((?:<.*>|\d+\.py), line (\d+)\)$", r" in line \1", text)  # of a SyntaxError: a cell has no file
    return f"{error.ename} ({text})" if text else error.ename


def feedback_page(student: str, name: str, exercises: list[Exercise], problem: object = "") -> str:
    """A page of HTML, readable without a kernel. `problem` says why there are no points, if there are none."""
    new = nbformat.v4
    cells = [new.new_markdown_cell(f"# {_cell(name.replace('_', ' '))}\n\nFeedback for **{_cell(student)}**")]
    if problem and not exercises:
        text = "Please mend it and hand it in again; nothing was counted."
        cells.append(new.new_markdown_cell(f"This could not be graded: {_cell(str(problem))}.\n\n{text}"))
    else:
        cells.append(new.new_markdown_cell(_table(exercises)))
    for one in exercises:
        if not one.open:
            cells.append(new.new_markdown_cell(f"## {one.title}\n\n**{_score(one)}** · {_cell(one.said)}"))
            for label, code in (("You wrote", one.written), ("A solution", one.solution)):
                if code.strip():
                    cells += [new.new_markdown_cell(f"*{label}:*"), new.new_code_cell(code)]
            if one.discussion:
                cells.append(new.new_markdown_cell(one.discussion))
    exporter = HTMLExporter(exclude_input_prompt=True, exclude_output_prompt=True)
    return exporter.from_notebook_node(new.new_notebook(cells=cells), resources={"metadata": {"name": name}})[0]


def _table(exercises: list[Exercise]) -> str:
    lines = ["| exercise | points | what the check or the teacher said |", "|---|---|---|"]
    lines += [f"| {one.title} | {_score(one)} | {_cell(one.said)} |" for one in exercises]
    checked = [one for one in exercises if not one.open]
    total = f"{sum(one.points for one in checked):g} of {sum(one.out_of for one in checked):g}"
    return "\n".join([*lines, "", f"**{total} points** for the exercises that are checked automatically."])


def _score(one: Exercise) -> str:
    return f"not marked yet, out of {one.out_of:g}" if one.points is None else f"{one.points:g} of {one.out_of:g}"


def _cell(text: str) -> str:
    """Text that stays one cell of a Markdown table, and is no HTML."""
    return re.sub(r"([|\\`*_$<>\[\]])", r"\\\1", text)
