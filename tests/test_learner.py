"""The learner's copy: blanks as nbgrader makes them, never overwritten once it is edited; solutions when asked for."""

import json

import nbformat
import pytest
from nbformat import NotebookNode

pytest.importorskip("nbgrader")
from nbgrader.preprocessors import ClearSolutions

from tests.test_notebooks import FOLDER, TEXTS, marks, read, the_course

learner = the_course("learner")
CHAPTER = FOLDER / "04_aligned_features.ipynb"


def chapter() -> NotebookNode:
    return nbformat.read(CHAPTER, as_version=4)


def small(text: str) -> NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text, id="one")])


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_blanks_are_nbgraders(text):
    notebook = read(text)
    blank = learner.with_blanks(notebook)
    cleared, _ = ClearSolutions().preprocess(learner.for_students(notebook), {})
    assert [cell.source for cell in blank.cells] == [cell.source for cell in cleared.cells]
    asked = [cell for cell in blank.cells if marks(cell).get("solution")]
    assert asked and all("raise NotImplementedError()" in cell.source for cell in asked)


def test_nothing_that_gives_answers_away_is_handed_out():
    notebook = chapter()
    before = nbformat.writes(notebook)
    blank, solved = learner.with_blanks(notebook), learner.with_solutions(notebook)
    assert nbformat.writes(notebook) == before
    tags = [{tag for cell in one.cells for tag in cell.metadata.get("tags", [])} for one in (notebook, blank, solved)]
    assert {"claim", "discussion"} <= tags[0] and not tags[1] & {"claim", "discussion"}
    assert "discussion" in tags[2] and "claim" not in tags[2]
    assert not any("SOLUTION" in cell.source for one in (blank, solved) for cell in one.cells)
    hidden = [cell for cell in solved.cells if cell.metadata.get("jupyter", {}).get("source_hidden")]
    assert len(hidden) == 3 and "weights @ v" in hidden[0].source
    for one in (blank, solved):
        nbformat.validate(one)


def test_what_a_learner_changed_is_never_touched_again(tmp_path):
    told = learner.hand_out({"00.ipynb": small("a"), "01.ipynb": small("a")}, tmp_path)
    assert told.new == ["00.ipynb", "01.ipynb"] and str(told) == "2 new"
    edited = (tmp_path / "00.ipynb").read_text().replace('"a"', '"a, and what I think"')
    (tmp_path / "00.ipynb").write_text(edited)
    told = learner.hand_out({"00.ipynb": small("a"), "01.ipynb": small("a")}, tmp_path)
    assert (told.as_before, told.kept, told.outdated) == (["01.ipynb"], ["00.ipynb"], [])
    newer = {name: small("b") for name in ("00.ipynb", "01.ipynb", "02.ipynb")}
    for _ in range(2):  # the second time it is still not overwritten
        told = learner.hand_out(newer, tmp_path)
        assert told.kept == told.outdated == ["00.ipynb"]
        assert (tmp_path / "00.ipynb").read_text() == edited
    assert '"b"' in (tmp_path / "01.ipynb").read_text() and (tmp_path / "02.ipynb").exists()
    assert "kept as you left them: 00.ipynb\nnewer versions exist of 00.ipynb: to get one, rename yours" in str(told)
    (tmp_path / "00.ipynb").rename(tmp_path / "mine.ipynb")
    assert learner.hand_out(newer, tmp_path).new == ["00.ipynb"]


@pytest.mark.parametrize("record", ["", "{", "[]", None])
def test_without_a_record_all_that_is_there_is_the_learners(tmp_path, record):
    learner.hand_out({"00.ipynb": small("a")}, tmp_path)
    if record is None:
        (tmp_path / learner.RECORD).unlink()
    else:
        (tmp_path / learner.RECORD).write_text(record)
    assert learner.hand_out({"00.ipynb": small("b")}, tmp_path).kept == ["00.ipynb"]
    assert '"a"' in (tmp_path / "00.ipynb").read_text()


def test_the_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(learner, "COURSE", tmp_path / "course")
    monkeypatch.setattr(learner, "CHAPTERS", (CHAPTER,))
    learner.main([])
    assert "1 new" in capsys.readouterr().out
    for which in ("4", "04", "04_aligned"):
        learner.main(["solution", which])
    told = capsys.readouterr().out
    solved = nbformat.read(tmp_path / "course" / "solutions" / CHAPTER.name, as_version=4)
    assert CHAPTER.name in told and "weights @ v" in "".join(cell.source for cell in solved.cells)
    assert not any("](../sgi2v_lab" in cell.source or "](05_" in cell.source for cell in solved.cells)
    mine = nbformat.read(tmp_path / "course" / CHAPTER.name, as_version=4)
    assert sum("`make solution CHAPTER=04`" in cell.source for cell in mine.cells) == 1
    assert json.loads((tmp_path / "course" / learner.RECORD).read_text()).keys() == {CHAPTER.name}
    for wrong in (["solution", "44"], ["solution", " "], ["solve"]):
        with pytest.raises(SystemExit):
            learner.main(wrong)
