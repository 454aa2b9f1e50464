"""Grid files: what they say, what they leave out, and every way in which they can be wrong."""

import json
from pathlib import Path

import pytest

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.grid import BASE, grids, read_grid
from sgi2v_lab.models.load import MODELS
from sgi2v_lab.models.presets import read_presets
from sgi2v_lab.settings import Settings

OURS = "SG-I2V"
OWN = Settings(num_inference_steps=20, control_steps=(2, 7), learning_rate=0.03)


def written(tmp_path, text):
    path = tmp_path / "grid.toml"
    path.write_text(text)
    return path


def variants(tmp_path, text, own=OWN):
    return {v.label: v.changes for v in variants_of(read_grid(written(tmp_path, text)), own)}


def variants_of(grid, own=OWN):
    return [variant for question in grid.questions for variant in grid.arms(question, own)]


def test_one_thing_is_varied_at_a_time_and_the_base_comes_first(tmp_path):
    found = variants(
        tmp_path,
        """
        title = "So"
        [base]
        iterations = 3
        [vary]
        features = ["aligned", "self-attention"]
        cutoff = [0, 0.25]
        layers = [[[2, 1]], [[2, 1], [3, 0]]]
        """,
    )
    assert found == {
        OURS: {"iterations": 3},
        "features self-attention": {"iterations": 3, "features": "self-attention"},
        "cutoff 0": {"iterations": 3, "cutoff": 0.0},
        "cutoff 0.25": {"iterations": 3, "cutoff": 0.25},
        "layers 2,1": {"iterations": 3, "layers": ((2, 1),)},
        "layers 2,1 3,0": {"iterations": 3, "layers": ((2, 1), (3, 0))},
    }


def test_named_settings_and_short_forms(tmp_path):
    found = variants(
        tmp_path,
        """
        [vary]
        learning_rate = ["1x", "0.5x"]
        [[setting]]
        label = "late and even"
        control_steps = "50%-100%"
        gaussian_sigma = "none"
        [[setting]]
        num_inference_steps = 50
        control_steps = "10%-40%"
        """,
    )
    assert set(found) == {
        OURS,
        "learning_rate 0.5x",
        "late and even",
        "num_inference_steps 50, control_steps 10%-40%",
    }, "what is the base once more is left out"
    assert found["learning_rate 0.5x"] == {"learning_rate": 0.015}
    assert found["late and even"] == {"control_steps": (10, 19), "gaussian_sigma": None}
    assert found["num_inference_steps 50, control_steps 10%-40%"]["control_steps"] == (5, 20)


def test_the_papers_grid_is_at_hand_and_suits_every_model():
    assert "paper" in grids()
    grid = read_grid("paper")
    every = {"features", "layers", "control_steps", "iterations", "learning_rate", "gaussian_sigma", "cutoff"}
    assert grid.preset == "paper"
    own = Settings.load(Path(MODELS["toy"]) / "settings.json")
    toy = own.replace(**read_presets(Path(MODELS["toy"]) / "presets.json", own)["paper"])
    for own in (Settings(), toy):
        found = variants_of(grid, own)
        assert {variant.group for variant in found} == every | {"optimizer", BASE}
        assert len({json.dumps(own.replace(**v.changes).as_dict()) for v in found}) == len(found)
        assert all(own.replace(**v.changes).cutoff == own.cutoff for v in found if v.group != "cutoff")
    assert {v.changes["features"] for v in variants_of(grid, Settings()) if v.group == "features"} == {
        *("self-attention", "temporal", "block"),
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[vary]\ncutoff = [3]", r"grid.toml, 'cutoff 3': cutoff is 3.0, but must lie between 0 and 1"),
        ("[vary]\ncutoff = 0.5", r"grid.toml: vary.cutoff: Input should be a valid list; it is 0.5"),
        ("[vary]\ncutoff = []", r"vary.cutoff: List should have at least 1 item"),
        ("[vary]\ncut_off = [0.5]", r"vary: unknown setting 'cut_off'; the settings are .*cutoff"),
        ("[vary]\ncontrol_steps = [5, 20]", "control_steps is 5, but must be two whole numbers"),
        ("[vary]\ncontrol_steps = [[5, 20]]", "control_steps ends at 20, but there are only steps 0..19"),
        ("[vary]\nfeatures = ['alined']", "features is 'alined', but must be one of aligned, "),
        ("[base]\niterations = 'many'", "'base': iterations is 'many', but must be a whole number"),
        ("[varry]\ncutoff = [0]", "varry: Extra inputs are not permitted"),
        ("preset = 'quick'", "preset: unknown preset 'quick': expected one of own, fast, paper, best"),
        ("methods = ['magic']", "methods.0: unknown method 'magic': expected one of none, "),
        ("title = 3", "title: Input should be a valid string; it is 3"),
        ("[setting]\ncutoff = 0", "setting: Input should be a valid list"),
        ("setting = [3]", "setting.0: Input should be a valid dictionary; it is 3"),
        ("[[setting]]\nlabel = 'SG-I2V'\ncutoff = 0", "two settings are called 'SG-I2V'"),
        ("[[setting]]\nlabel = 'a'\n[[setting]]\nlabel = 'a'\ncutoff = 0", "two settings are called 'a'"),
        ("[base]\ngaussian_sigma = 'none'\n[vary]\ngaussian_sigma = ['2x']", "the base has none to multiply"),
        ("[[claim]]\ntext = 'so'\nbetter = {}", "claim.0.worse: Field required"),
        ("cutoff = [", "is no grid .*: expected TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, text, complaint):
    with pytest.raises(InputError, match=complaint):
        variants_of(read_grid(written(tmp_path, text)))


def test_files_that_are_no_grid(tmp_path):
    with pytest.raises(InputError, match="there is no grid .*nowhere.toml.*; give a file, or .*: .*paper"):
        read_grid(tmp_path / "nowhere.toml")
    with pytest.raises(InputError, match="is no grid"):
        read_grid(tmp_path)


def test_the_grids_of_the_package_can_be_read():
    for name in grids():
        grid = read_grid(name)
        assert grid.title != grid.name and all(variants_of(grid, Settings(num_inference_steps=50)))


def test_questions_have_settings_methods_and_claims_of_their_own(tmp_path):
    grid = read_grid(
        written(
            tmp_path,
            """
            [[question]]
            ask = "Which?"
            categories = ["two"]
            vary = { cutoff = [0, 1] }
            [[question.claim]]
            text = "More is better."
            better = { cutoff = 1 }
            worse = [{ cutoff = 0 }, {}]
            [[question]]
            ask = "Who?"
            methods = ["time_to_move"]
            setting = [{ method = "drag", label = "dragged" }, { dtype = "bf16" }]
            """,
        )
    )
    first, second = grid.questions
    assert [v.label for v in grid.arms(first, OWN)] == [OURS, "cutoff 0", "cutoff 1"]
    assert first.claim[0].worse == [{"cutoff": 0}, {}]
    assert [(v.label, v.method, v.dtype) for v in grid.arms(second, OWN)] == [
        (OURS, "sgi2v", None),
        ("dragged", "drag", None),
        ("dtype bf16", "sgi2v", "bf16"),
    ]
