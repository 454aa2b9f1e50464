"""What the documents promise: links lead somewhere, commands and targets exist, the README's example runs."""

import os
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import typer
import yaml

import sgi2v_lab
from sgi2v_lab.cli.main import app
from sgi2v_lab.images.read import to_pil
from sgi2v_lab.settings import _RENAMED, Settings
from sgi2v_lab.trajectories.json_format import from_json
from sgi2v_lab.video import read_video
from tests.helpers import tiny

ROOT = Path(__file__).parents[1]
PLACES = ("*.md", "docs/*.md", "notebooks/*.md", "sgi2v_lab/**/*.md")
DOCUMENTS = sorted(path for place in PLACES for path in ROOT.glob(place))
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in DOCUMENTS}
TODAY = {name: text for name, text in TEXTS.items() if name != "CHANGELOG.md"}  # which names what is gone


def anchors(text: str) -> set[str]:
    """The headings as GitHub names them: "The paper's claims" -> "the-papers-claims"."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name):
    page = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file) if file else page
        assert found.exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in anchors(found.read_text(encoding="utf-8")), f"{name} links to {target}"


@pytest.mark.parametrize("name", TODAY)
def test_commands_exist(name):
    command = typer.main.get_command(app)
    for words, options in re.findall(r"\bsgi2v ([a-z][a-z-]+)((?: [^\n`|#]*)?)", TODAY[name]):
        assert words in command.commands, f"{name} names sgi2v {words}"
        known = {option for each in command.commands[words].params for option in each.opts + each.secondary_opts}
        for option in re.findall(r"(?<!\S)--[a-z-]+", options):
            assert option in known, f"{name} names sgi2v {words} {option}"


@pytest.mark.parametrize("name", TODAY)
def test_make_targets_exist(name):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for code in re.findall(r"`([^`\n]+)`|^    (.+)$", TODAY[name], re.MULTILINE):
        for target in re.findall(r"\bmake ([a-z-]+)", "".join(code)):
            assert target in targets, f"{name} names make {target}"


@pytest.mark.parametrize(("user", "allowed"), [(0, True), (1000, False)])
def test_make_lab_is_open_to_root(tmp_path, user, allowed):
    (tmp_path / "id").write_text(f"#!/bin/sh\necho {user}\n")
    (tmp_path / "id").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    told = subprocess.run(
        ["make", "-n", "lab"], cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
    ).stdout
    assert "jupyterlab" in told and ("--allow-root" in told) == allowed
    assert "notebooks/learner.py" in told and "/lab/tree/course/00_quickstart.ipynb" in told


def test_the_readme_is_short():
    text = TEXTS["README.md"]
    assert len(text.split()) <= 900
    assert len(text.splitlines()) <= 95
    assert text.count("![") == 1


@pytest.mark.parametrize("size", [(400, 300), (270, 480)], ids=["landscape", "portrait"])
def test_the_readme_example_runs_on_any_photograph(size, tmp_path, monkeypatch):
    (example,) = re.findall(r"```python\n(.*?)```", TEXTS["README.md"], re.DOTALL)
    to_pil(tiny.picture()).resize(size).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sgi2v_lab, "load_model", lambda name: tiny.tiny_model())
    exec(example, {})
    assert read_video("video.mp4").ndim == 4
    assert sgi2v_lab.load_trajectories("boxes.json", size).image_size == size


def test_the_readme_boxes_can_be_read():
    (text,) = re.findall(r"```json\n(.*?)```", TEXTS["README.md"], re.DOTALL)
    from_json(text).validate(8)


def test_the_stages_of_the_reading_order_run(tmp_path, monkeypatch, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", TEXTS["sgi2v_lab/README.md"], re.DOTALL)
    to_pil(tiny.picture()).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sgi2v_lab, "load_model", lambda name: tiny.tiny_model())
    exec(example, here := {})
    assert here["video"].shape == (tiny.FRAMES, 3, tiny.HEIGHT, tiny.WIDTH)
    assert len(capsys.readouterr().out.splitlines()) == tiny.SETTINGS.num_inference_steps


def test_the_release_note_has_every_renamed_setting():
    for old, new in _RENAMED.items():
        assert new in Settings.model_fields
        assert f"`{old}`" in TEXTS["CHANGELOG.md"] and f"`{new}`" in TEXTS["CHANGELOG.md"], old


def test_the_citation_has_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == sgi2v_lab.__version__
    assert citation["preferred-citation"]["title"] in TEXTS["README.md"]


def test_the_workflow_runs_what_make_check_runs():
    """Each command of `make check`, as Windows can run it, in the same order."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text(encoding="utf-8"))
    commands = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    recipes = dict(re.findall(r"^(check|style):.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    style = [line.removeprefix("$(BIN)/") for line in recipes["style"].split("\t")[1:]]
    wanted = [*(line.strip() for line in style), "python -m pytest"]
    places = [next(i for i, command in enumerate(commands) if command.startswith(line)) for line in wanted]
    assert all(a < b for a, b in pairwise(places))
    (marks,) = re.findall(r"-m '([^']+)'", recipes["check"])
    assert f'-m "{marks}"' in commands[places[-1]]
