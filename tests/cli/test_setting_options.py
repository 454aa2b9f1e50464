import dataclasses
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
    assert set(found) == {"other"} | {field.name for field in dataclasses.fields(Settings)}
    assert all("(paper: " in option.help for name, option in found.items() if name != "other")
    assert "denoising steps" in found["num_inference_steps"].help and found["num_inference_steps"].help.endswith(
        "(paper: 50)"
    )
    assert found["layers"].help.endswith("(paper: 2,1 2,2)") and found["control_steps"].help.endswith("(paper: 5-20)")
    assert "first frame and of the last" in found["max_guidance_scale"].help
    assert all(option.default is None for name, option in found.items() if name != "other")


def test_only_what_was_given_is_changed():
    left_out = dict.fromkeys(f.name for f in dataclasses.fields(Settings))
    assert command(**left_out) == (1, {})
    given = left_out | {"cutoff": 0.0, "iterations": 0, "checkpointing": False, "gaussian_sigma": "none", "layers": []}
    assert command(**given, other=2) == (
        2,
        {"cutoff": 0.0, "iterations": 0, "checkpointing": False, "gaussian_sigma": None},
    )


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("layers", ["2,1 2,2"], ((2, 1), (2, 2))),
        ("layers", ["2,1", "3, 0"], ((2, 1), (3, 0))),
        ("control_steps", "5-20", (5, 20)),
        ("control_steps", "5 .. 20", (5, 20)),
        ("control_steps", "5,20", (5, 20)),
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
        ("layers", ["2"]),
        ("layers", ["2,1,0"]),
        ("layers", ["-2,1"]),
        ("layers", ["two"]),
        ("control_steps", "5"),
        ("control_steps", "5-"),
        ("control_steps", "-5-20"),
        ("num_frames", "1.5"),
        ("gaussian_sigma", "wide"),
    ],
)
def test_texts_that_cannot_be_read(name, text):
    with pytest.raises(InputError, match=name):
        read_setting(name, text)
