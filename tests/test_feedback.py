"""What a student gets back: the points of each exercise, what its check said, and no code of anybody's that runs."""

import re

import nbformat
import pytest
from nbformat import NotebookNode

pytest.importorskip("nbgrader")
from tests.test_notebooks import the_course

feedback = the_course("feedback")
NEW = nbformat.v4


def marked(cell: NotebookNode, name: str, **kind: bool) -> NotebookNode:
    cell.metadata["nbgrader"] = {"grade_id": name, "solution": False, "grade": False, "task": False, **kind}
    return cell


def chapter() -> NotebookNode:
    cells = []
    for number, name in enumerate("abc", 1):
        cells += [
            NEW.new_markdown_cell(f"### {number}. Exercise {name}"),
            marked(NEW.new_code_cell(f"### BEGIN SOLUTION\n{name} = {number}\n### END SOLUTION"), name, solution=True),
            marked(NEW.new_code_cell(f"assert {name} == {number}"), f"{name}-check", grade=True),
            NEW.new_markdown_cell(f"Because of {name}.", metadata={"tags": ["discussion"]}),
        ]
    task = marked(NEW.new_markdown_cell("### 4. Open: a task"), "open-task", task=True)
    return NEW.new_notebook(cells=[*cells, task])


def returned() -> NotebookNode:
    """The first is right, the second raised something that is no plain text, the third one's check is gone."""
    theirs = chapter()
    theirs.cells[5].source = "b = '<script>alert(2)</script>'"
    wrong = NEW.new_output("error", ename="AssertionError", evalue="b is <script>alert(1)</script> | `x`\nnot 2")
    theirs.cells[6].outputs = [wrong]
    del theirs.cells[10]
    return theirs


GIVEN = {"a-check": (2, 2, False), "b-check": (0, 3, False), "c-check": (0, 1, False), "open-task": (0, 6, True)}


def test_each_exercise_says_what_its_check_said():
    a, b, c, task = feedback.exercises_of(chapter(), returned(), GIVEN, {})
    assert [one.title for one in (a, b, c, task)] == [
        "1. Exercise a",
        "2. Exercise b",
        "3. Exercise c",
        "4. Open: a task",
    ]
    assert (a.points, a.out_of, a.said, a.solution, a.discussion) == (2, 2, "right", "a = 1", "Because of a.")
    assert b.said == "b is <script>alert(1)</script> | `x` not 2" and b.written.startswith("b = '<script>")
    assert c.said == "the cell that checks it is missing: take it from a fresh copy of the chapter"
    assert task.open and task.points is None and task.row()["points"] is None
    marks = GIVEN | {"open-task": (4.5, 6, False)}
    *_, task = feedback.exercises_of(chapter(), returned(), marks, {"open-task": "Clear, and one case too few."})
    assert (task.points, task.said) == (4.5, "Clear, and one case too few.")


BLANK = "# YOUR CODE HERE\nraise NotImplementedError()"


@pytest.mark.parametrize(
    "written, stopped, refusal, said",
    [
        (BLANK, "NotImplementedError", "NameError", "not attempted yet: the blank is still there"),
        (f"x = 1\n{BLANK}", "NotImplementedError", "NameError", "not finished: .* remove it where your answer is"),
        ("def f(): raise NotImplementedError", None, "NotImplementedError", "not finished: .* remove it"),
        ("b = (", "SyntaxError: '(' was never closed (2916230681.py, line 3)", "NameError", r"closed in line 3\)"),
        ("b = y", "NameError", "NameError", r"the answer's own cell stops with NameError \(why\); run it"),
        ("while True: pass", "KeyboardInterrupt", "NameError", r"KeyboardInterrupt \(it took too long\)"),
        ("b = None", None, "TypeError", r"the check stops with TypeError \(why\)"),
        ("b = 1", None, "AssertionError", "why$"),
    ],
)
def test_what_happened_is_said_in_plain_words(written, stopped, refusal, said):
    theirs = chapter()
    theirs.cells[5].source = written
    name, _, why = (stopped or "").partition(": ")
    theirs.cells[5].outputs = [NEW.new_output("error", ename=name, evalue=why or "why")] if stopped else []
    theirs.cells[6].outputs = [NEW.new_output("error", ename=refusal, evalue="why")]
    _, b, *_ = feedback.exercises_of(chapter(), theirs, GIVEN, {})
    assert re.match(".*" + said, b.said), b.said
    nameless = NEW.new_output("error", ename=refusal, evalue="")
    theirs.cells[6].outputs = [nameless]
    _, b, *_ = feedback.exercises_of(chapter(), theirs, GIVEN, {})
    assert b.said and not b.said.endswith((": ", "()"))


def test_the_page_has_it_all_and_nothing_of_it_runs():
    page = feedback.feedback_page("<b>eve</b>", "02_boxes", feedback.exercises_of(chapter(), returned(), GIVEN, {}))
    assert "2 of 6 points" in page and "not marked yet, out of 6" in page and "Because of b." in page
    assert "alert(1)" in page and "<script>alert" not in page and "<b>eve" not in page
    page = feedback.feedback_page("bob", "02_boxes", [], "the notebook is <i>empty</i>")
    assert "could not be graded" in page and "<i>empty" not in page
