import json
import math

import numpy as np
import pytest

from sgi2v_lab.errors import InputError
from sgi2v_lab.features import KINDS
from sgi2v_lab.optimize import OPTIMIZERS
from sgi2v_lab.settings import CONTROL_FIELDS, FEATURE_KINDS, OPTIMIZER_NAMES, Settings, renamed_settings


def test_the_defaults_are_the_papers():
    paper = Settings()
    assert (paper.width, paper.height, paper.num_inference_steps) == (1024, 576, 50)
    first, last = paper.control_steps  # the paper counts down, from 50 at the first step to 1 at the last: 45 to 30
    assert [50 - step for step in range(first, last + 1)] == list(range(45, 29, -1))
    assert (last - first + 1) * paper.iterations == 80
    assert (paper.learning_rate, paper.optimizer, paper.weight_decay) == (0.21, "adamw", 0.01)
    assert paper.scale_lr_by_sigma is False
    assert paper.features == "aligned"
    assert paper.layers == ((2, 1), (2, 2))
    assert paper.gaussian_sigma == 0.4
    assert (paper.cutoff, paper.butterworth_order) == (0.5, 4)
    assert (paper.min_guidance_scale, paper.max_guidance_scale) == (1.0, 3.0)
    assert (paper.fps, paper.motion_bucket_id, paper.noise_aug_strength) == (7, 127, 0.02)
    assert paper.num_frames is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 15),
        ("height", 8193),
        ("num_inference_steps", 0),
        ("num_frames", 1),
        ("num_frames", 0),
        ("decode_chunk_size", 0),
        ("iterations", -1),
        ("learning_rate", -0.1),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("weight_decay", -1),
        ("optimizer", "lbfgs"),
        ("features", "mean"),
        ("layers", ()),
        ("layers", ((2, 1), (2, 1))),
        ("gaussian_sigma", 0),
        ("gaussian_sigma", -0.4),
        ("gaussian_sigma", math.nan),
        ("cutoff", -0.1),
        ("cutoff", 1.1),
        ("cutoff", math.nan),
        ("butterworth_order", 0),
        ("min_guidance_scale", -1),
        ("max_guidance_scale", math.inf),
        ("cfg_steps", (-1, 3)),
        ("cfg_steps", (4, 3)),
        ("fps", 0),
        ("motion_bucket_id", 256),
        ("noise_aug_strength", -0.02),
        ("control_steps", (-1, 3)),
        ("control_steps", (4, 3)),
        ("control_steps", (5, 50)),
    ],
)
def test_a_value_out_of_range_is_named(name, value):
    with pytest.raises(InputError, match=name):
        Settings(**{name: value})
    with pytest.raises(InputError, match=name):
        Settings().replace(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("height", 64.5),
        ("num_inference_steps", 30.5),
        ("num_inference_steps", True),
        ("num_frames", 3.5),
        ("decode_chunk_size", 1.5),
        ("iterations", 1.5),
        ("iterations", None),
        ("learning_rate", "fast"),
        ("learning_rate", None),
        ("scale_lr_by_sigma", 1),
        ("scale_lr_by_sigma", "no"),
        ("optimizer", 3),
        ("features", ["aligned"]),
        ("gaussian_sigma", "wide"),
        ("control_steps", (5,)),
        ("control_steps", (5, 6, 7)),
        ("control_steps", (5, 6.5)),
        ("control_steps", 5),
        ("cfg_steps", 5),
        ("layers", 2),
        ("layers", ((2,),)),
        ("layers", (2, 1.5)),
        ("layers", ((2, "one"),)),
    ],
)
def test_a_value_of_another_kind_is_named(name, value):
    """As may come from a file or a command line; in a program a type checker says so."""
    with pytest.raises(InputError, match=f"{name} is .*, but must be"):
        Settings().replace(**{name: value})


def test_numbers_of_other_libraries_become_pythons():
    settings = Settings().replace(num_inference_steps=np.int64(30), cutoff=np.float32(0.25), fps=8, learning_rate=1)
    assert type(settings.num_inference_steps) is int
    assert type(settings.cutoff) is float
    assert json.loads(json.dumps(settings.as_dict()))["num_inference_steps"] == 30


def test_guidance_has_its_steps():
    everywhere, some = Settings(), Settings(cfg_steps=(2, 4))
    assert [step for step in range(50) if some.has_guidance(step)] == [2, 3, 4]
    assert all(everywhere.has_guidance(step) for step in range(50)) and not everywhere.has_guidance(50)
    assert not some.replace(max_guidance_scale=1).has_guidance(3)
    beyond = Settings(cfg_steps=(48, 999))
    assert [step for step in range(60) if beyond.has_guidance(step)] == [48, 49]


def test_the_ends_of_the_ranges_are_good():
    Settings(cutoff=0, iterations=0, learning_rate=0, weight_decay=0, noise_aug_strength=0, motion_bucket_id=0)
    Settings(
        cutoff=1, control_steps=(0, 49), gaussian_sigma=None, num_frames=2, decode_chunk_size=1, max_guidance_scale=0
    )
    Settings(num_inference_steps=1, control_steps=(0, 0))
    for kind in FEATURE_KINDS:
        assert Settings(features=kind).features == kind
    for optimizer in OPTIMIZER_NAMES:
        assert Settings(optimizer=optimizer).optimizer == optimizer


def test_control_steps_must_lie_within_the_steps():
    with pytest.raises(InputError, match="control_steps ends at 20.*0..9"):
        Settings(num_inference_steps=10)
    assert Settings(num_inference_steps=10, control_steps=(1, 9)).control_steps == (1, 9)


def test_replace_leaves_the_rest_and_the_original():
    before = Settings(cutoff=0.25)
    after = before.replace(iterations=3)
    assert (before.iterations, after.iterations, after.cutoff) == (5, 3, 0.25)
    with pytest.raises(InputError, match="unknown setting 'lr'.*learning_rate"):
        before.replace(lr=1)


def test_json_there_and_back(tmp_path):
    path = tmp_path / "settings.json"
    odd = Settings(
        width=64,
        num_frames=8,
        control_steps=(2, 9),
        layers=((1, 0), (3, 1)),
        gaussian_sigma=None,
        scale_lr_by_sigma=True,
    )
    for settings in (Settings(), odd, Settings(layers=(3, 12))):
        path.write_text(json.dumps(settings.as_dict()))
        assert Settings.load(path) == settings
        assert hash(Settings.load(path)) == hash(settings)  # lists became tuples


def test_a_file_may_leave_fields_out(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text('{"cutoff": 0.3}')
    assert Settings.load(path) == Settings(cutoff=0.3)


def test_every_field_says_what_it_is():
    for name, field in Settings.model_fields.items():
        about = field.json_schema_extra
        assert about["label"] and about["group"], name
        assert field.description[0].isupper() and field.description[-1] == ".", name
        assert bool(about["none"]) == (field.annotation == field.annotation | None), name
        low, high, step = about["slider"] or (0, 1, 1)
        assert low < high and step > 0, name
        if about["slider"]:
            assert about["low"] <= low < high <= about["high"], name
    json.dumps(Settings.model_json_schema())


def test_the_names_are_those_that_the_stages_know():
    assert set(FEATURE_KINDS) == set(KINDS)
    assert set(OPTIMIZER_NAMES) == set(OPTIMIZERS)
    assert set(CONTROL_FIELDS) >= {"control_steps", "iterations", "layers", "gaussian_sigma", "cutoff"}
    assert not set(CONTROL_FIELDS) & {"num_inference_steps", "fps", "max_guidance_scale", "cfg_steps", "width"}


def test_files_of_earlier_versions_are_read():
    old = {
        "num_steps": 30,
        "sampler": "euler",
        "guided_steps": [2, 9],
        "relative_rate": True,
        "carry_optimizer": False,
        "enough": 0.3,
        "features": "ordinary",
        "motion_bucket": 90,
        "noise_augmentation": 0.1,
        "min_guidance": 1.5,
        "max_guidance": 2.5,
        "guidance_first_step": 2,
        "guidance_last_step": None,
        "decode_chunk": 4,
        "checkpointing": True,
        "cutoff": 0.25,
    }
    assert Settings(**renamed_settings(old)) == Settings(
        num_inference_steps=30,
        control_steps=(2, 9),
        scale_lr_by_sigma=True,
        early_stop=0.3,
        features="self-attention",
        motion_bucket_id=90,
        noise_aug_strength=0.1,
        min_guidance_scale=1.5,
        max_guidance_scale=2.5,
        cfg_steps=(2, 999),
        decode_chunk_size=4,
        cutoff=0.25,
    )
    new = Settings(cfg_steps=(1, 3)).as_dict()
    assert renamed_settings(new) == new
    with pytest.raises(InputError, match="sampler is 'dpm\\+\\+', which is gone"):
        renamed_settings({"sampler": "dpm++"})
    with pytest.raises(InputError, match="unknown setting 'num_steps'; it is called num_inference_steps now"):
        Settings(num_steps=30)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"{", "settings.json"),
        (b"[1, 2]", "settings.json"),
        (b"3", "settings.json"),
        (b"\xff\xfe{", "settings.json"),
        (b'{"sigma": 1}', "unknown setting 'sigma'"),
        (b'{"cutoff": 2}', "cutoff"),
        (b'{"cutoff": "low"}', "cutoff"),
    ],
)
def test_a_bad_file_is_named(tmp_path, text, complaint):
    path = tmp_path / "settings.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match=complaint):
        Settings.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="nothing.json"):
        Settings.load(tmp_path / "nothing.json")
