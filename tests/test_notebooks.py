"""The course: every notebook runs, is the pair of its .py, looks like a chapter, and its exercises can be graded.

Executing all of them takes minutes: `pytest -m 'not notebook'` leaves that out. On a very slow or busy machine,
SGI2V_SLACK=30 allows each of them thirty times as long as it should take.
"""

import csv
import importlib.util
import json
import os
import re
import shutil
import symtable
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbformat import NotebookNode

pytest.importorskip("nbgrader")
from nbgrader.api import Gradebook
from nbgrader.preprocessors import ClearSolutions
from nbmake.nb_run import NotebookRun

FOLDER = Path(__file__).parents[1] / "notebooks"
TEXTS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
WITH_OUTPUTS = ("00_quickstart",)  # the one that people read before they run anything
LARGEST = 2_000_000  # bytes of a notebook with outputs
LONGEST = 90  # seconds for one notebook, on two quiet cores
SLACK = float(os.environ.get("SGI2V_SLACK", "6"))
GRADED = "05_trajectory_loss"  # the cheapest to run, for nbgrader's own grading

each_notebook = pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)


def read(text: Path) -> NotebookNode:
    return jupytext.read(text)


def marks(cell: NotebookNode) -> dict:
    return cell.metadata.get("nbgrader", {})


def exercises(notebook: NotebookNode) -> list[tuple[int, int]]:
    """Pairs of cells: the solution, and what checks it."""
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    return [
        (i, next(k for k in code if k > i and marks(notebook.cells[k]).get("grade")))
        for i in code
        if marks(notebook.cells[i]).get("solution")
    ]


def global_names(table: symtable.SymbolTable) -> set[str]:
    """Names that a module's code reads, in its functions and comprehensions, too."""
    top = table.get_type() == "module"
    own = {one.get_name() for one in table.get_symbols() if (one.is_referenced() if top else one.is_global())}
    return own.union(*map(global_names, table.get_children()))


# --- what can be seen without running ---------------------------------------------------------------------------------


def test_the_course_is_complete():
    assert [path.stem[:2] for path in TEXTS] == [f"{k:02}" for k in range(15)]


@each_notebook
def test_pair_is_in_sync(text):
    """Both halves hold the same cells; `make notebooks` writes the second one again."""
    pair = nbformat.read(text.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(pair)

    def content(notebook: NotebookNode) -> list:
        return [(c.cell_type, c.source, c.metadata.get("tags", []), marks(c)) for c in notebook.cells]

    assert content(pair) == content(read(text))


@each_notebook
def test_no_outputs_are_kept_but_the_quickstarts(text):
    pair = text.with_suffix(".ipynb")
    assert pair.stat().st_size < LARGEST
    notebook = nbformat.read(pair, as_version=4)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    if text.stem in WITH_OUTPUTS:
        assert sum("image/png" in output.get("data", {}) for c in code for output in c.outputs) >= 3
        assert not any(output.output_type == "error" for c in code for output in c.outputs)
        assert "widgets" not in notebook.metadata
    else:
        assert all(c.execution_count is None and not c.outputs for c in code)


@each_notebook
def test_reads_like_the_other_chapters(text):
    cells = read(text).cells
    first = cells[0].source
    assert re.match(rf"# {int(text.stem[:2])} · \w", first), first.splitlines()[0]
    for part in ("**You will learn**", "**Time**", "**In the paper**"):
        assert part in first, f"the first cell does not say {part}"
    assert 3 <= len(re.findall(r"^- ", first, re.MULTILINE)) <= 5
    parameters = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    assert len(parameters) == 1 and 'model_name = os.environ.get("SGI2V_MODEL", "toy")' in parameters[0].source
    headings = [line for c in cells if c.cell_type == "markdown" for line in re.findall(r"^## .*", c.source, re.M)]
    assert headings[-3:] == ["## Quick check", "## Exercises", "## Further"], headings
    check = next(i for i, c in enumerate(cells) if c.cell_type == "markdown" and "## Quick check" in c.source)
    assert cells[check + 1].source.count("assert") >= 2, "the quick check does not check"


@each_notebook
def test_exercises_can_be_graded(text):
    notebook = read(text)
    pairs = exercises(notebook)
    assert 2 <= len(pairs) <= 4
    names = [marks(cell)["grade_id"] for cell in notebook.cells if marks(cell)]
    assert len(set(names)) == len(names) == 2 * len(pairs) + 1, names  # one more: the open task
    for solution, check in pairs:
        cell, judge = notebook.cells[solution], notebook.cells[check]
        assert "### BEGIN SOLUTION" in cell.source and "### END SOLUTION" in cell.source
        assert marks(cell).items() >= {"grade": False, "solution": True, "locked": False, "schema_version": 3}.items()
        assert marks(judge).items() >= {"grade": True, "solution": False, "locked": True, "schema_version": 3}.items()
        assert marks(judge)["points"] > 0 and "assert" in judge.source
        assert "SOLUTION" not in judge.source


@each_notebook
def test_exercises_are_rated_hinted_and_discussed(text):
    cells, minutes = read(text).cells, 0
    for solution, check in exercises(read(text)):
        heading = max(k for k in range(solution) if re.search(r"^### \d\. ", cells[k].source, re.MULTILINE))
        told, points = cells[heading].source, marks(cells[check])["points"]
        told = told[told.index("### ") :]
        assert re.search(rf"^\*(★☆☆|★★☆|★★★) · about \d+ minutes · {points} points?\*$", told, re.MULTILINE), told
        hints = re.findall(
            r"^<details><summary>Hint (\d)</summary>\n\n(.+?)\n\n</details>$", told, re.MULTILINE | re.DOTALL
        )
        minutes += int(re.search(r"about (\d+) minutes", told)[1])
        assert [int(number) for number, _ in hints] == [*range(1, len(hints) + 1)] and len(hints) >= 2
        assert "Hint" not in re.sub(r"<details>.*?</details>", "", told, flags=re.DOTALL)
        discussion = next(cell for cell in cells[check + 1 :] if cell.metadata.get("tags") != ["prediction"])
        assert discussion.metadata.get("tags") == ["discussion"]
        assert len(re.findall(r"[.:](?=\s|$)", discussion.source)) >= 3
        assert 40 <= len(discussion.source.split()) <= 130
    assert f"and {minutes} for the exercises" in cells[0].source


@each_notebook
def test_one_task_is_open_and_has_a_rubric(text):
    cells = read(text).cells
    (task,) = [k for k, cell in enumerate(cells) if marks(cell).get("task")]
    assert marks(cells[task]).items() >= {"grade_id": "open-task", "grade": False, "solution": False}.items()
    points = marks(cells[task])["points"]
    rows = cells[task].source.split("|---|---|---|\n")[1].splitlines()
    assert 3 <= len(rows) <= 4 and points == 2 * len(rows) and f"· {points} points, by the rubric" in cells[task].source
    assert "## Further" in cells[task + 2].source


@each_notebook
def test_every_prediction_is_typed_and_set_beside_the_outcome(text):
    cells = read(text).cells
    above, asked, open_questions = "", 0, 0
    for cell in cells:
        if cell.cell_type == "markdown":
            above = cell.source
            open_questions += bool(
                re.search(r"\*(What do you|Predict|Where do you|Prediction|How large|Before you)", above)
            )
        elif cell.metadata.get("tags") == ["prediction"]:
            if "= predict(" in cell.source:
                assert re.match(r"# your prediction in place of the dots: .+\nprediction = predict\(", cell.source)
                assert re.search(r", \.\.\.\n?\)$", cell.source), cell.source
                assert "?" in above or "*Predict*" in above, above[:200]
                asked += 1
            else:
                assert "prediction.beside(" in cell.source
                asked -= 1
            assert asked in (0, 1), "the outcome of each prediction comes before the next one"
        else:
            assert "predict(" not in cell.source
    assert asked == 0 and open_questions > 0


@each_notebook
def test_claims_need_nothing_of_the_checks(text):
    """`course.py claims` runs a chapter without its checks, as far as its last claim."""
    code = [cell for cell in read(text).cells if cell.cell_type == "code"]
    last = max((k for k, cell in enumerate(code) if "claim" in cell.metadata.get("tags", [])), default=-1)
    set_by_checks, set_elsewhere, needed = set(), set(), set()
    for cell in code[: last + 1]:
        table = symtable.symtable(cell.source, text.name, "exec")
        bound = {one.get_name() for one in table.get_symbols() if one.is_assigned() or one.is_imported()}
        if marks(cell).get("grade"):
            set_by_checks |= bound
        else:
            set_elsewhere |= bound
            needed |= global_names(table)
    assert not (set_by_checks - set_elsewhere) & needed


@each_notebook
def test_a_chapter_imports_once_in_at_most_six_lines(text):
    cells = [cell for cell in read(text).cells if cell.cell_type == "code"]
    importing = {}
    for k, cell in enumerate(cells):
        if not {"claim", "parameters"} & {*cell.metadata.get("tags", [])} and not marks(cell).get("grade"):
            lines = re.findall(r"^(?:import|from) .*", cell.source, re.MULTILINE)
            importing |= {k: lines} if lines else {}
    (lines,) = importing.values()
    assert len(lines) <= 6 and all(len(line) <= 120 and "(" not in line for line in lines), lines


@each_notebook
def test_links_between_files_lead_somewhere(text):
    for cell in read(text).cells:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", cell.source) if cell.cell_type == "markdown" else []:
            assert target.startswith("http") or (FOLDER / target).exists(), target


@each_notebook
@pytest.mark.parametrize("folder, others", [("build/student", ""), ("course/solutions", "../")])
def test_links_of_handed_out_versions_lead_somewhere(text, folder, others):
    """They lie one level further down than the chapters do; course/ itself lies as deep as they."""
    for cell in the_course("learner").moved_down(read(text), others).cells:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", cell.source) if cell.cell_type == "markdown" else []:
            if not target.startswith("http"):
                there = Path(os.path.normpath(FOLDER.parent / folder / target))
                chapter = there.suffix == ".ipynb" and there.parent in (
                    FOLDER.parent / folder,
                    FOLDER.parent / "course",
                )
                assert (FOLDER / there.name if chapter else there).exists(), target


# --- running them -----------------------------------------------------------------------------------------------------

BLANK = """
try:
    exec(compile({blank!r}, "blank", "exec"), globals())
    exec(compile({check!r}, "check", "exec"), globals())
except Exception:
    pass
else:
    raise AssertionError("the check {name} is content with a blank")
"""


def with_blanks(notebook: NotebookNode) -> NotebookNode:
    """Before each solution its blank, as students get it, which the check that follows later must refuse."""
    cleared, _ = ClearSolutions().preprocess(nbformat.from_dict(json.loads(json.dumps(notebook))), {})
    tries = {}
    for solution, check in exercises(notebook):
        blank, judge = cleared.cells[solution].source, notebook.cells[check]
        assert blank != notebook.cells[solution].source
        source = BLANK.format(blank=blank, check=judge.source, name=marks(judge)["grade_id"])
        tries[solution] = nbformat.v4.new_code_cell(source)
    cells = [c for i, cell in enumerate(notebook.cells) for c in ([tries[i], cell] if i in tries else [cell])]
    return nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)


def execute(notebook: NotebookNode, path: Path) -> None:
    """Through nbmake, in a folder of its own."""
    nbformat.write(notebook, path)
    result = NotebookRun(path, default_timeout=round(LONGEST * SLACK)).execute()
    assert result.error is None, f"{path.name}, cell {result.error.failing_cell_index}\n{result.error.trace}"


@pytest.fixture
def kernels(kernels_path, monkeypatch):
    """Kernels that need not import the libraries, one after the other."""
    if kernels_path:
        monkeypatch.setenv("JUPYTER_PATH", str(kernels_path))


@pytest.mark.notebook
@pytest.mark.timeout(LONGEST * SLACK)
@pytest.mark.usefixtures("kernels")
@each_notebook
def test_runs_and_its_checks_accept_solutions_and_refuse_blanks(text, tmp_path):
    execute(with_blanks(read(text)), tmp_path / f"{text.stem}.ipynb")


def tiny_notebook(check: str) -> NotebookNode:
    """One exercise, whose solution is 2."""
    new, marked = nbformat.v4, {"schema_version": 3, "task": False}
    solution = new.new_code_cell("### BEGIN SOLUTION\nx = 2\n### END SOLUTION")
    solution.metadata["nbgrader"] = {**marked, "grade_id": "a", "solution": True, "grade": False, "locked": False}
    judge = new.new_code_cell(check)
    judge.metadata["nbgrader"] = {**marked, "grade_id": "b", "solution": False, "grade": True, "locked": True}
    return new.new_notebook(cells=[solution, judge])


@pytest.mark.slow
@pytest.mark.usefixtures("kernels")
def test_a_check_that_refuses_nothing_is_found(tmp_path):
    execute(with_blanks(tiny_notebook("assert x == 2")), tmp_path / "good.ipynb")
    with pytest.raises(AssertionError, match="content with a blank"):
        # the blank raises at its top level, so only a check that runs by itself can be too kind
        notebook = with_blanks(tiny_notebook("pass"))
        notebook.cells[0].source = notebook.cells[0].source.replace("raise NotImplementedError()", "pass")
        execute(notebook, tmp_path / "kind.ipynb")


def the_course(module="course"):
    sys.path[:] = [str(FOLDER), *(path for path in sys.path if path != str(FOLDER))]  # it imports its neighbours
    specification = importlib.util.spec_from_file_location(module, FOLDER / f"{module}.py")
    course = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(course)
    return course


@pytest.mark.slow
def test_student_versions_of_some_chapters_can_be_made(tmp_path, monkeypatch):
    course = the_course()
    monkeypatch.setattr(course, "BUILD", tmp_path)
    with pytest.raises(SystemExit, match="there is no chapter 99: name chapters by number"):
        course.main(["student", "04", "99"])
    course.main(["student", "04"])
    assert [path.name for path in (tmp_path / "student").iterdir()] == ["04_aligned_features.ipynb"]


@pytest.mark.notebook
@pytest.mark.timeout(2 * LONGEST * SLACK)
@pytest.mark.usefixtures("kernels")
def test_an_odd_submission_is_a_line_and_all_others_are_graded(tmp_path):
    course, name = the_course(), "42_tiny"
    whole = tiny_notebook("assert x == 2")
    whole.cells[1].metadata["nbgrader"]["points"] = 2
    whole.cells.append(nbformat.v4.new_markdown_cell("### 2. Open"))
    whole.cells[2].metadata["nbgrader"] = {
        "schema_version": 3,
        "grade_id": "open",
        "points": 6,
        "grade": False,
        "solution": False,
        "locked": True,
        "task": True,
    }
    whole.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(whole, tmp_path / f"{name}.ipynb")
    course.student_versions(tmp_path / "course", [tmp_path / f"{name}.ipynb"])
    text = (tmp_path / f"{name}.ipynb").read_text()
    copied = nbformat.from_dict(json.loads(text))
    copied.cells.append(copied.cells[1])
    looped = nbformat.from_dict(json.loads(text))
    looped.cells[0].source = "raise SystemExit"
    submitted = {
        "a whole": (text, None),
        "b half": (text[: len(text) // 2], "is no notebook, or only a part of one: open it"),
        "c empty": ("", "is empty"),
        "d BOM": ("\ufeff" + text, "byte order mark"),
        "e copied": (nbformat.writes(copied), "there twice, the one that begins with 'assert x == 2'"),
        "f 中文": (text, None),
        "g notes": ("my answers are on paper", "is no notebook, or only a part of one: open it"),
        "h list": ("[1, 2]", "is no notebook, or only a part of one: open it"),
        "i exits": (nbformat.writes(looped), None),
        "z whole": (text, None),
    }
    for student, (content, _) in submitted.items():
        folder = tmp_path / "course" / "submitted" / student / name
        folder.mkdir(parents=True)
        (folder / f"{name}.ipynb").write_text(content, encoding="utf-8")
        (folder / ".ipynb_checkpoints").mkdir()
    there = tmp_path / "course" / "submitted"
    (there / "a whole" / ".ipynb_checkpoints").mkdir()
    (there / ".DS_Store").write_bytes(b"")
    (there / "j again" / name).mkdir(parents=True)
    (there / "j again" / name / f"{name} (1).ipynb").write_text(text)
    (there / "k nothing" / name).mkdir(parents=True)
    (there / "l elsewhere" / "7_tiny").mkdir(parents=True)
    (there / "m loose").mkdir()
    (there / "m loose" / f"{name}.ipynb").write_text(text)
    problems = {student: told for student, (_, told) in submitted.items()} | {
        "j again": r"there is no 42_tiny.ipynb \(found 42_tiny \(1\).ipynb: rename it\)",
        "k nothing": "there is no 42_tiny.ipynb$",
        "l elsewhere": "there is no chapter '7_tiny'",
        "m loose": "no folder",
    }
    told: list[dict] = []
    rows = {row["student"]: row for row in course.grade(tmp_path / "course", [tmp_path / f"{name}.ipynb"], told.append)}
    assert {row["student"]: row for row in told} == rows
    assert list(rows) == sorted(problems)
    for student, told in problems.items():
        row = rows[student]
        page = (tmp_path / "course" / "feedback" / student / f"{row['chapter']}.html").read_text(encoding="utf-8")
        if told is None:
            points = 0 if student == "i exits" else row["out of"]
            assert not row["problem"] and row["score"] == points and row["out of"] == 2 and row["open task"] is None, (
                row
            )
            assert f"{points:g} of 2" in page and "not marked yet, out of 6" in page
        else:
            assert "could not be graded" in page
            assert re.search(told, row["problem"]) and "\n" not in row["problem"] and row["score"] is None, row
    with (tmp_path / "course" / "grades.csv").open(newline="", encoding="utf-8") as file:
        assert [row["student"] for row in csv.DictReader(file)] == sorted(problems)
    with (tmp_path / "course" / "points.csv").open(newline="", encoding="utf-8") as file:
        points = {(row["student"], row["exercise"]): row for row in csv.DictReader(file)}
    assert {student for student, _ in points} == {student for student, told in problems.items() if told is None}
    with Gradebook(course._gradebook(tmp_path / "course")) as book:  # as formgrader marks an open task
        mark, remark = (find("open", name, name, "a whole") for find in (book.find_grade, book.find_comment))
        mark.manual_score, mark.needs_manual_grade, remark.manual_comment = 5, False, "A clear test."
        book.db.commit()
    shutil.rmtree(there)
    (there / "a whole" / name).mkdir(parents=True)
    (there / "a whole" / name / f"{name}.ipynb").write_text(text)
    (again,) = course.grade(tmp_path / "course", [tmp_path / f"{name}.ipynb"])
    assert (again["score"], again["open task"]) == (2, 5)
    assert "A clear test." in (tmp_path / "course" / "feedback" / "a whole" / f"{name}.html").read_text(
        encoding="utf-8"
    )
    assert float(points["a whole", "b"]["points"]) == 2 and points["a whole", "b"]["said"] == "right"
    assert (
        float(points["i exits", "b"]["points"]) == 0
        and "own cell stops with SystemExit" in points["i exits", "b"]["said"]
    )


@pytest.mark.notebook
@pytest.mark.timeout(2 * LONGEST * SLACK)
@pytest.mark.usefixtures("kernels")
def test_nbgrader_itself_gives_no_points_to_a_chapters_blanks(tmp_path):
    """To a solution it gives them all, above; that each chapter's checks accept theirs is shown before."""
    course = the_course()
    chapter = FOLDER / f"{GRADED}.ipynb"
    (released,) = course.student_versions(tmp_path, [chapter])
    blank = nbformat.read(released, as_version=4)
    assert not any("SOLUTION" in cell.source for cell in blank.cells)
    assert not any("claim" in cell.metadata.get("tags", []) for cell in blank.cells)
    assert sum("raise NotImplementedError()" in cell.source for cell in blank.cells) == len(exercises(read(TEXTS[5])))
    folder = tmp_path / "submitted" / "bob" / GRADED
    folder.mkdir(parents=True)
    (folder / chapter.name).write_bytes(released.read_bytes())
    (bob,) = course.grade(tmp_path)
    assert (bob["score"], bob["out of"]) == (0, 7)
    assert (tmp_path / "grades.csv").read_text().count("\n") == 2
    with (tmp_path / "points.csv").open(newline="", encoding="utf-8") as file:
        of_bob = [*csv.DictReader(file)]
    assert [row["exercise"].split(".")[0] for row in of_bob] == ["1", "2", "3", "4"]
    assert of_bob[0]["exercise"] == "1. The Gaussian weight" and of_bob[0]["said"].startswith("not attempted yet")
    page = (tmp_path / "feedback" / "bob" / f"{GRADED}.html").read_text(encoding="utf-8")
    assert "0 of 7 points" in page and page.count("<strong>Discussion.</strong>") == 3 and ">exp<" in page
