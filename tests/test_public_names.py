"""The public names: `sgi2v_lab/__init__.pyi` lists them, Python imports them, and editors complete them."""

import ast
import importlib
from pathlib import Path

import jedi
import pytest

import sgi2v_lab

STUB = Path(sgi2v_lab.__file__).with_suffix(".pyi")
LISTED = {
    alias.name: node.module
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}


def complete(text: str) -> list[jedi.api.classes.Completion]:
    return jedi.Script(text, path="example.py", project=jedi.Project(STUB.parents[1])).complete()


def test_the_stub_and_the_package_agree():
    assert set(sgi2v_lab.__all__) == set(LISTED) <= set(dir(sgi2v_lab))


@pytest.mark.parametrize("name", LISTED)
def test_every_name_can_be_imported(name):
    assert getattr(sgi2v_lab, name) is getattr(importlib.import_module(f"sgi2v_lab.{LISTED[name]}"), name)


def test_editors_complete_the_names():
    assert [found.name for found in complete("from sgi2v_lab import gen")] == ["generate", "generate_steps"]
    assert {found.name for found in complete("import sgi2v_lab\nsgi2v_lab.")} >= set(LISTED)


def test_editors_show_signature_and_docstring():
    script = jedi.Script(
        "import sgi2v_lab\nsgi2v_lab.generate(", path="example.py", project=jedi.Project(STUB.parents[1])
    )
    (signature,) = script.get_signatures()
    assert [each.name for each in signature.params][:4] == ["model", "image", "trajectories", "settings"]
    assert "starts with a picture" in signature.docstring()


@pytest.mark.slow
def test_a_models_attributes_are_completed():
    found = {each.name for each in complete("from sgi2v_lab import load_model\nload_model('toy').")}
    assert {"settings", "layers", "preset"} <= found
