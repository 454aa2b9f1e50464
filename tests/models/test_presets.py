"""Presets: read from beside the weights, checked, and within reach from Python and the command line."""

import json

import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.grid import preset_grid
from sgi2v_lab.models.load import TOY, load_model
from sgi2v_lab.models.presets import PRESETS, SVD_PRESETS, fast_precision, read_presets
from sgi2v_lab.settings import CONTROL_FIELDS, Settings
from tests.helpers.tiny import tiny_model


def written(tmp_path, content):
    path = tmp_path / "presets.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_without_a_file_they_are_those_for_svd(tmp_path):
    assert read_presets(tmp_path / "presets.json", Settings()) is SVD_PRESETS
    assert tuple(SVD_PRESETS) == PRESETS
    for changes in SVD_PRESETS.values():
        Settings().replace(**changes)  # all can be used
    assert Settings().replace(**SVD_PRESETS["paper"]) == Settings()


def test_a_file_changes_the_models_own_settings(tmp_path):
    own = Settings(num_inference_steps=20, control_steps=(2, 7))
    found = read_presets(written(tmp_path, {"fast": {"num_inference_steps": 10}}), own)
    assert found == {"own": {}, "fast": {"num_inference_steps": 10}, "paper": {}, "best": {}}


@pytest.mark.parametrize(
    ("device", "able", "expected"),
    [
        ("cpu", {"avx512_bf16": True}, "bf16"),
        ("cpu", {"amx_bf16": True}, "bf16"),
        ("cpu", {"avx2": True}, "own"),
        ("cuda", {"avx512_bf16": True}, "own"),
    ],
)
def test_half_precision_where_the_cpu_has_it(tmp_path, monkeypatch, device, able, expected):
    """Emulated it would take twice the time, and be called fast."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    found = read_presets(written(tmp_path, {"fast": {"precision": "auto"}}), Settings(), device)
    assert found["fast"] == {"precision": expected}
    assert Settings().replace(**found["fast"]).precision == expected


def test_what_the_toys_fast_preset_computes_in_is_said():
    assert load_model("toy", "cpu").preset("fast").precision == fast_precision("cpu")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "no file of presets"),
        ("[1]", "does not hold an object"),
        ({"fast": 3}, "does not hold an object"),
        ({"quick": {}}, "unknown preset 'quick'; the presets are own, fast, paper, best"),
        ({"own": {"iterations": 3}}, "changes settings for 'own', which are those of settings.json"),
        ({"fast": {"speed": 2}}, "preset 'fast'.*unknown setting 'speed'"),
        ({"best": {"num_inference_steps": 3}}, "preset 'best'.*guided steps|control_steps ends at"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, content, complaint):
    with pytest.raises(InputError, match=complaint):
        read_presets(written(tmp_path, content), Settings())


def test_a_model_gives_its_presets():
    model = tiny_model()
    for name in PRESETS:
        if name != "fast":  # its steps are more than the tiny model makes
            assert model.preset(name) == model.settings.replace(**SVD_PRESETS[name])
    with pytest.raises(InputError, match="unknown preset 'slow'; the presets are own, fast, paper, best"):
        model.preset("slow")


def test_the_toys_fast_preset_computes_least():
    model = load_model("toy", "cpu")
    assert (TOY / "presets.json").is_file()
    assert model.preset("own") == model.settings

    def passes(settings: Settings) -> float:
        first, last = settings.control_steps
        denoising = sum(1 + settings.has_guidance(step) for step in range(settings.num_inference_steps))
        return denoising + 1.5 * (last - first + 1) * settings.iterations

    assert passes(model.preset("fast")) < passes(model.preset("paper")) / 2.5
    assert passes(model.preset("fast")) < passes(model.preset("best"))


def test_presets_are_a_grid_around_the_papers_recipe():
    own = Settings(num_inference_steps=6, control_steps=(1, 2), cutoff=1.0)
    presets = {"own": {}, "fast": {"iterations": 1}, "paper": {"num_inference_steps": 20, "cutoff": 0.5}, "best": {}}
    grid, paper = preset_grid(presets, own), own.replace(num_inference_steps=20, cutoff=0.5)
    assert grid.preset == "paper"
    found = {arm.label: paper.replace(**arm.changes) for arm in grid.arms(grid, paper)}
    assert found == {  # "best" is the same as "own"
        "paper": paper,
        "own": own,
        "fast": own.replace(iterations=1),
    }


def test_the_papers_own_steps_are_svds_default():
    """What plays no part without control is all that "best" changes, so that both share their uncontrolled videos."""
    assert set(SVD_PRESETS["best"]) <= set(CONTROL_FIELDS)
