import inspect

import pytest

from sgi2v_lab.cli.setting_options import read_setting, takes_settings
from sgi2v_lab.errors import InputError
from sgi2v_lab.settings import Settings


@takes_settings
def command(other: int = 1, changes: dict | None = None):
    return other, changes


def options():
    return {name: p.default for name, p in inspect.signature(command).parameters.items()}


def test_every_setting_is_an_option_with_the_papers_value():
    found = options()
    assert found.pop("other") == 1
    assert list(found) == list(Settings.model_fields)
    for name, option in found.items():
        field = Settings.model_fields[name]
        assert option.help.startswith(field.description)
        assert field.json_schema_extra["group"] in option.rich_help_panel
        assert option.default is None
    assert found["num_inference_steps"].help.endswith(" Paper: 50.")
    assert found["layers"].help.endswith(" Paper: 2,1 2,2.")
    assert found["control_steps"].help.endswith(" Paper: 5-20.")
    assert "Paper" not in found["precision"].help + found["num_frames"].help + found["cfg_steps"].help
    assert "One of adamw, adam, sgd, normalized." in found["optimizer"].help
    assert found["cfg_steps"].metavar == "FIRST-LAST|none"


def test_only_what_was_given_is_changed():
    left_out = dict.fromkeys(Settings.model_fields)
    assert command(**left_out) == (1, {})
    changes = {"cutoff": 0.0, "iterations": 0, "scale_lr_by_sigma": False}
    given = left_out | changes | {"gaussian_sigma": "none", "layers": []}
    assert command(**given, other=2) == (2, changes | {"gaussian_sigma": None})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("layers", ["2,1 2,2"], ((2, 1), (2, 2))),
        ("layers", ["2,1", "3, 0"], ((2, 1), (3, 0))),
        ("layers", ["12 13"], (12, 13)),
        ("layers", ["2"], (2,)),
        ("control_steps", "5-20", (5, 20)),
        ("control_steps", "5 .. 20", (5, 20)),
        ("control_steps", "5,20", (5, 20)),
        ("cfg_steps", "0-9", (0, 9)),
        ("cfg_steps", "None", None),
        ("num_frames", "14", 14),
        ("num_frames", "none", None),
        ("gaussian_sigma", "0.25", 0.25),
    ],
)
def test_texts_are_read(name, text, value):
    assert read_setting(name, text) == value
    assert getattr(Settings().replace(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("layers", ["2,1,0"]),
        ("layers", ["-2,1"]),
        ("layers", ["two"]),
        ("control_steps", "5"),
        ("control_steps", "5-"),
        ("control_steps", "-5-20"),
        ("control_steps", "none"),
        ("cfg_steps", "all"),
        ("num_frames", "1.5"),
        ("gaussian_sigma", "wide"),
    ],
)
def test_texts_that_cannot_be_read(name, text):
    with pytest.raises(InputError, match=name):
        read_setting(name, text)
