import json

import pytest
from typer.testing import CliRunner

from sgi2v_lab.cli.main import app
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.precision import compare_precisions

QUICK = {"num_inference_steps": 3, "control_steps": (1, 1), "iterations": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("precision")


@pytest.fixture(scope="module")
def rows(folder):
    return compare_precisions(folder, scenes=2, changes=QUICK)


def test_fp32_is_what_the_others_are_compared_with(rows):
    reference = rows[0]
    assert reference.dtype == "fp32" and reference.psnr is reference.psnr_uncontrolled is None
    assert reference.more_objmc.value == 0


def test_half_precision_makes_nearly_the_same_videos(rows):
    half = rows[1]
    assert half.dtype == "bf16" and half.objmc.scenes == 2
    assert 25 < half.psnr_uncontrolled.value < 99, "close, and really in another precision"
    assert half.more_objmc.value == pytest.approx(half.objmc.value - rows[0].objmc.value)
    assert half.seconds > 0
    assert half.ratio.value / rows[0].ratio.value == pytest.approx(1, abs=0.3)


def test_the_record_holds_what_is_returned_and_the_command_makes_nothing_again(rows, folder):
    record = json.loads((folder / "precision.json").read_text())
    assert [row["dtype"] for row in record["precisions"]] == ["fp32", "bf16"]
    assert record["precisions"][1]["psnr"]["value"] == rows[1].psnr.value
    before = {file: file.stat().st_mtime_ns for file in (folder / "tasks").iterdir()}
    options = [
        "--scenes",
        "2",
        "--num-inference-steps",
        "3",
        "--control-steps",
        "1-1",
        "--iterations",
        "1",
        "--workers",
        "1",
    ]
    told = CliRunner().invoke(app, ["precision", "--out", str(folder), *options])
    assert told.exit_code == 0, told.output
    assert "bf16" in told.output and "dB" in told.output
    assert {file: file.stat().st_mtime_ns for file in (folder / "tasks").iterdir()} == before


@pytest.mark.parametrize("dtype", ["fp32", "int8"])
def test_other_precisions_are_refused(tmp_path, dtype):
    with pytest.raises(InputError, match=f"'{dtype}'.*expected bf16 or fp16"):
        compare_precisions(tmp_path, dtypes=[dtype])
