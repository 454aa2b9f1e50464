"""The course's claims: each is about a sentence of its chapter, holds for most seeds, and can be refuted."""

import ast
import json
import re

import jupytext
import nbformat
import pytest
import torch
from nbformat import NotebookNode

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.course_claims import Claims
from tests.test_notebooks import FOLDER, TEXTS, each_notebook, the_course

SHIPPED = 817


def words(text: str) -> str:
    return " ".join(text.split())


def is_claim(cell: NotebookNode) -> bool:
    return "claim" in cell.metadata.get("tags", [])


def calls(source: str) -> list[ast.Call]:
    """The calls of `claim` in a cell, in order."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [node for node in found if getattr(node.func, "id", "") == "claim"]


# --- the helper -------------------------------------------------------------------------------------------------------


def test_a_claim_that_does_not_hold_raises_or_warns(monkeypatch, tmp_path):
    Claims()("A line falls.", "last / first", 0.5, "<", 1)
    with pytest.raises(AssertionError, match=r"'A line falls.' does not hold: last / first is 2, expected < 1"):
        Claims()("A line falls.", "last / first", torch.tensor(2.0), "<", 1)
    with pytest.raises(AssertionError):
        Claims()("A line falls.", "last / first", float("nan"), "<", 1)
    with pytest.warns(UserWarning, match="with this model and seed"):
        Claims(strict=False)("A line falls.", "last / first", 2, "<", 1)
    with pytest.raises(InputError, match="unknown relation '=>'"):
        Claims()("A line falls.", "last / first", 2, "=>", 1)
    monkeypatch.setenv("SGI2V_CLAIMS", str(tmp_path / "claims.jsonl"))
    Claims()("A line falls.", "last / first", 2, "<", 1)
    Claims()("A line falls.", "last / first", 0.5, "<", 1)
    told = [json.loads(line)["holds"] for line in (tmp_path / "claims.jsonl").read_text().splitlines()]
    assert told == [False, True]


# --- what can be seen without running ---------------------------------------------------------------------------------


@each_notebook
def test_every_claim_quotes_the_text_above_it(text):
    above = ""
    for cell in jupytext.read(text).cells:
        above += " " + words(cell.source) if cell.cell_type == "markdown" else ""
        for call in calls(cell.source) if is_claim(cell) else ():
            assert words(call.args[0].value) in above, call.args[0].value
            assert len(call.args) == 5


@each_notebook
def test_what_is_looked_at_is_claimed(text):
    """After "*Look at*", a cell of claims comes before the next picture or heading."""
    cells = jupytext.read(text).cells
    for k, cell in enumerate(cells):
        if cell.cell_type == "markdown" and "*Look at*" in cell.source:
            after = cells[k + 1 : k + 6]
            heading = next((i for i, c in enumerate(after) if c.cell_type == "markdown" and "## " in c.source), 5)
            assert any(is_claim(c) for c in after[:heading]), cell.source[:200]


@each_notebook
def test_claims_are_not_needed_by_what_students_get(text):
    """Claim cells are left out of student versions: no other cell may use a name that only they define."""
    cells = [cell for cell in jupytext.read(text).cells if cell.cell_type == "code"]

    def names(cell: NotebookNode, kind: type) -> set[str]:
        nodes = list(ast.walk(ast.parse(cell.source)))
        found = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, kind)}
        if kind is ast.Store:
            found |= {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
            found |= {a.asname or a.name for n in nodes if isinstance(n, ast.ImportFrom | ast.Import) for a in n.names}
            found |= {n.arg for n in nodes if isinstance(n, ast.arg)}
        return found

    made = set().union(*(names(cell, ast.Store) for cell in cells if not is_claim(cell)))
    only_claims = set().union(*(names(cell, ast.Store) for cell in cells if is_claim(cell)), set()) - made
    for cell in cells:
        if not is_claim(cell):
            assert not names(cell, ast.Load) & only_claims, names(cell, ast.Load) & only_claims


def test_claims_do_not_change_what_the_chapter_goes_on_with():
    """A claim cell runs or not: it must not give another value to a name that later cells read."""
    for text in TEXTS:
        cells = [cell for cell in jupytext.read(text).cells if cell.cell_type == "code"]
        made: set[str] = set()
        for cell in cells:
            top = ast.parse(cell.source).body
            stored = {
                n.id
                for s in top
                if not isinstance(s, ast.FunctionDef)
                for n in ast.walk(s)
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            }
            inner = {
                n.id
                for s in top
                for c in ast.walk(s)
                if isinstance(c, ast.comprehension)
                for n in ast.walk(c.target)
                if isinstance(n, ast.Name)
            }
            if is_claim(cell):
                later = cells[cells.index(cell) + 1 :]
                for name in (stored - inner) & made:
                    readers = [c for c in later if not is_claim(c)]
                    used = next((c for c in readers if re.search(rf"\b{name}\b", c.source)), None)
                    assert used is None or re.search(
                        rf"^\s*(for )?[^=\n]*\b{name}\b[^=\n]*( = | in )", used.source, re.M
                    ), f"{text.stem}: {name}"
            else:
                made |= stored - inner


def sections() -> dict[str, list[list[str]]]:
    """The tables of claims.md by chapter, without their heads: rows of cells."""
    parts = (FOLDER / "claims.md").read_text(encoding="utf-8").split("\n## ")[1:]
    rows = {part.split("\n", 1)[0]: re.findall(r"^\| (.+) \|$", part, re.MULTILINE)[2:] for part in parts}
    return {name: [re.split(r" (?<!\\)\| ", row) for row in of_one] for name, of_one in rows.items()}


@each_notebook
def test_the_page_has_every_claim_and_none_fails_for_two_seeds(text):
    claimed = [c.args[0].value for cell in jupytext.read(text).cells if is_claim(cell) for c in calls(cell.source)]
    table = sections()[text.stem]
    assert {row[0].replace("\\|", "|") for row in table} == set(claimed), "run: python notebooks/course.py claims"
    for row in table:
        assert len(row) == 2 + 4
        assert sum("✗" in cell for cell in row[2:]) <= 1, row[0]
        assert "✗" not in row[2], f"with the shipped seed: {row[0]}"


# --- falsified claims are caught --------------------------------------------------------------------------------------

ARROW = torch.arange(8.0)


def one_claim(chapter: str, sentence: str) -> str:
    """The source of one claim of a chapter."""
    (text,) = FOLDER.glob(f"{chapter}_*.py")
    found = [
        ast.unparse(call)
        for cell in jupytext.read(text).cells
        if is_claim(cell)
        for call in calls(cell.source)
        if sentence in call.args[0].value
    ]
    assert found, f"chapter {chapter} has no such claim: {sentence}"
    return found[0]


# chapter, sentence, names as they are, and as they are when something is wrong: what it is
FALSIFIED = [
    ("04", "Frame 0 asks itself", dict(gaps=ARROW), dict(gaps=ARROW.flip(0)), "frames in reverse"),
    ("04", "the ball keeps its colour", dict(changed={"aligned": 0.1}), dict(changed={"aligned": 0.6}), "rows swapped"),
    ("04", "the warmest cell is on the ball", dict(ours=12, radius=20), dict(ours=67, radius=20), "rows swapped"),
    (
        "04",
        "the moved ball is hardly warmer than the clouds",
        dict(lead={"self-attention": 0.03}),
        dict(lead={"self-attention": 0.8}),
        "rows swapped",
    ),
    (
        "04",
        "At the highest noise level they lie close together",
        dict(follows=[17], stayed=[18]),
        dict(follows=[6], stayed=[14]),
        "low noise",
    ),
    (
        "04",
        "the features are the same whether the ball moves",
        dict(apart=[0.001]),
        dict(apart=[1.7]),
        "low noise",
    ),
    ("06", "In frame 0 it is weak", dict(slope=ARROW), dict(slope=ARROW.flip(0) ** 3), "frames in reverse"),
    (
        "06",
        "The first line falls by more",
        dict(losses=[[3, 1], [2, 3]]),
        dict(losses=[[3, 4], [2, 1]]),
        "a line that rises",
    ),
    (
        "06",
        "The change is spread far more evenly",
        dict(contrast={"g": 6, "c": 1.1}),
        dict(contrast={"g": 6, "c": 6}),
        "sgd",
    ),
    ("06", "it is always far above", dict(medians=[3e-7]), dict(medians=[3e-9]), "a weak loss"),
    (
        "07",
        "to the right its line becomes nearly flat",
        dict(of_change=torch.tensor([9.0, 2.0, 1.9]), radii=torch.tensor([0.1, 0.5, 0.9]), cutoff=0.5),
        dict(of_change=torch.tensor([9.0, 2.0, 0.1]), radii=torch.tensor([0.1, 0.5, 0.9]), cutoff=0.5),
        "filtered already",
    ),
    (
        "07",
        "A picture has most of its power",
        dict(of_video=torch.tensor([99.0, 1.0])),
        dict(of_video=torch.ones(2)),
        "noise",
    ),
    ("08", "does so with fewer iterations", dict(fewer=18, count=25), dict(fewer=25, count=18), "recipes swapped"),
    (
        "02",
        '"ease-out" takes its largest step',
        dict(paces={"ease-out": ARROW.flip(0)}),
        dict(paces={"ease-out": ARROW}),
        "ease-in",
    ),
    (
        "14",
        "Every block after the first pays it more",
        dict(by_block={"latent 0": [0.2, 0.5, 0.6]}, latents=5),
        dict(by_block={"latent 0": [0.5, 0.6, 0.1]}, latents=5),
        "blocks in reverse",
    ),
    (
        "14",
        "Without positions the new place is much the warmer one",
        dict(was={"unplaced": 0.1}, now={"unplaced": 0.9}),
        dict(was={"unplaced": 0.9}, now={"unplaced": 0.1}),
        "places swapped",
    ),
    (
        "14",
        "Aligned features bring the ball much nearer",
        dict(off={"no control": 36, "aligned": 9}),
        dict(off={"no control": 36, "aligned": 35}),
        "no control",
    ),
    (
        "14",
        "As computed, the old place stays as warm as the new one",
        dict(was={"as computed": 0.5}, now={"as computed": 0.6}),
        dict(was={"as computed": 0.6}, now={"as computed": 0.1}),
        "a cold new place",
    ),
    (
        "14",
        "It is far smaller than without control",
        dict(off={"no control": 13, "self-attention": 3}),
        dict(off={"no control": 13, "self-attention": 13}),
        "no control",
    ),
]


@pytest.mark.parametrize(
    "chapter, sentence, true, false, why", FALSIFIED, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_falsified_claim_is_caught(chapter, sentence, true, false, why):
    source = compile(one_claim(chapter, sentence), sentence, "eval")
    eval(source, {"claim": Claims(), "torch": torch} | true)
    with pytest.raises(AssertionError, match="does not hold"):
        eval(source, {"claim": Claims(), "torch": torch} | false)


@pytest.mark.notebook
def test_claims_of_chapter_4_fail_on_a_layer_that_was_taught(tmp_path):
    sentences = {
        "the moved ball is hardly warmer than the clouds",
        "the warmest cell is on the ball in almost every frame",
    }
    (text,) = (text for text in TEXTS if text.name.startswith("04"))
    chapter = jupytext.read(text)
    told = [{call.args[0].value for call in calls(cell.source)} if is_claim(cell) else set() for cell in chapter.cells]
    (last,) = (k for k, of_cell in enumerate(told) if sentences <= of_cell)
    chapter.cells = chapter.cells[: last + 1]  # what follows takes longer
    nbformat.write(chapter, tmp_path / text.with_suffix(".ipynb").name)
    claims = the_course().claims_of(tmp_path / text.with_suffix(".ipynb").name, layer=(2, 1))
    assert sentences <= {claim["sentence"] for claim in claims if not claim["holds"]}
