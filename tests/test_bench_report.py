import json

import pytest
import torch
from typer.testing import CliRunner

from sgi2v_lab.bench import report
from sgi2v_lab.bench.report import alternate, bench, guided_steps
from sgi2v_lab.bench.stages import workload
from sgi2v_lab.compilation import compile_layers
from sgi2v_lab.errors import InputError
from tests.tiny import SETTINGS, tiny_model

QUICK = {"iterations": 1}


@pytest.fixture
def tiny(monkeypatch):
    """The tiny model in the place of those that are measured, which take longer."""
    monkeypatch.setattr(report, "network", lambda *_: tiny_model())
    monkeypatch.setattr(report, "matmul_rate", lambda *_: 1e9)


def test_the_record_says_what_was_measured_and_can_be_written(tiny):
    told = []
    record = bench("tiny", device="cpu", repeats=1, changes=QUICK, tell=told.append)
    assert json.loads(json.dumps(record))["guided_step"] == record["guided_step"]
    assert record["settings"] == SETTINGS.replace(**QUICK).as_dict()
    assert told
    assert list(record["guided_step"]) == ["recipe", "fast", "selective", "full"]
    recipe, counts = record["guided_step"]["recipe"], record["counts_tflop"]
    assert (recipe["time_ratio"], recipe["memory_ratio"], recipe["operations_ratio"]) == (1, 1, 1)
    for way, row in record["guided_step"].items():
        assert row["tflop"] == pytest.approx(counts[f"guided iteration, {way}"])
        assert row["time_ratio"] == pytest.approx(row["seconds"] / recipe["seconds"], abs=1e-4)
        # the floor is that of the operations which no way can leave out
        assert row["floor"] == pytest.approx(row["seconds"] / (counts["guided iteration, fast"] * 1e12 / 1e9), abs=1e-3)
        assert row["share"] == pytest.approx(row["tflop"] * 1e12 / row["seconds"] / 1e9, abs=1e-4)
    assert record["guided_step"]["fast"]["operations_ratio"] < 0.8
    assert all(error < 1e-4 for error in record["gradient_error"].values())
    assert set(record["stages"]) == {"denoising step", "decode"}


def test_compiled_layers_are_one_more_way(tiny, monkeypatch):
    monkeypatch.setattr(report, "compile_layers", lambda model: compile_layers(model, backend="eager"))
    record = bench("tiny", device="cpu", repeats=1, changes=QUICK, compiled=True)
    row = record["guided_step"]["compiled"]
    assert row["tflop"] == record["guided_step"]["fast"]["tflop"]
    assert row["time_ratio"] > 0 and record["gradient_error"]["compiled"] < 1e-4
    assert record["stages"]["denoising step, compiled"]["tflop"] == record["stages"]["denoising step"]["tflop"]


def test_every_way_has_its_turn_and_begins_once():
    order = []
    ways = {name: lambda name=name: order.append(name) for name in "abc"}
    assert set(alternate(ways, 3)) == {"a", "b", "c"}
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"


def test_the_ways_leave_the_model_as_it_was():
    model = tiny_model()
    for run in guided_steps(workload(model, SETTINGS.replace(**QUICK))).values():
        run()
        assert not model.unet.is_gradient_checkpointing
        assert {weight.dtype for weight in model.unet.parameters()} == {torch.float32}
        assert not any("forward" in vars(module) for module in model.unet.modules())


def test_bad_input():
    for wrong in ({"boxes": 0}, {"repeats": 0}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} is 0"):
            bench("miniature", **wrong)
    with pytest.raises(InputError, match="'huge'"):
        bench("huge")


def test_the_command_prints_a_table_and_writes_the_figures(tiny, tmp_path):
    from sgi2v_lab.cli import app

    out = tmp_path / "bench.json"
    done = CliRunner().invoke(app, ["bench", "toy", "--repeats", "1", "--iterations", "1", "--out", str(out)])
    assert done.exit_code == 0, done.output
    record = json.loads(out.read_text())
    for expected in ("guided step, recipe", "guided step, fast", "decode", "x floor", str(out)):
        assert expected in done.stdout
    assert f"{record['guided_step']['fast']['time_ratio']:.2f}" in done.stdout
    assert list(tmp_path.iterdir()) == [out]
