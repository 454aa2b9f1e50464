import json
from contextlib import contextmanager
from functools import cache

import pytest
import torch
from typer.testing import CliRunner

from sgi2v_lab.bench import benchmark as report
from sgi2v_lab.bench.benchmark import alternate, alternate_memory, bench, control_steps, count
from sgi2v_lab.bench.measure import MemoryPeak
from sgi2v_lab.bench.stages import workload
from sgi2v_lab.errors import InputError
from tests.helpers.remembered_shapes import RememberedShapes
from tests.helpers.tiny import FRAMES, SETTINGS, TINIER, tinier_model, tiny_model

QUICK = {"iterations": 1}


@cache
def counts(count, settings, boxes):
    """Counting takes longer than computing where a model is this small."""
    with RememberedShapes():
        return count(tinier_model(), settings, boxes)


@pytest.fixture
def tiny(monkeypatch):
    """A tiny model in the place of those that are measured, which take longer; counted once for all tests."""
    monkeypatch.setattr(report, "network", lambda *_: tinier_model())
    monkeypatch.setattr(report, "matmul_rate", lambda *_: 1e9)
    for counter in (report.count_stages, report.count_memory):
        once = lambda _, settings, boxes, counter=counter: dict(counts(counter, settings, boxes))  # noqa: E731
        monkeypatch.setattr(report, counter.__name__, once)


@pytest.mark.slow
def test_the_record_says_what_was_measured_and_can_be_written(tiny):
    told = []
    record = bench("tiny", device="cpu", repeats=1, changes=QUICK, tell=told.append)
    assert json.loads(json.dumps(record))["control_step"] == record["control_step"]
    assert record["settings"] == TINIER.replace(**QUICK).as_dict()
    assert told and not any("hours" in what for what in told)
    assert list(record["control_step"]) == ["reference", "fast", "selective", "full"]
    recipe, counts = record["control_step"]["reference"], record["counts_tflop"]
    assert (recipe["time_ratio"], recipe["memory_ratio"], recipe["operations_ratio"]) == (1, 1, 1)
    for way, row in record["control_step"].items():
        assert row["tflop"] == pytest.approx(counts[f"control iteration, {way}"])
        assert row["time_ratio"] == pytest.approx(row["seconds"] / recipe["seconds"], abs=1e-4)
        # the floor is that of the operations which no way can leave out
        assert row["floor"] == pytest.approx(
            row["seconds"] / (counts["control iteration, fast"] * 1e12 / 1e9), abs=1e-3
        )
        assert row["share"] == pytest.approx(row["tflop"] * 1e12 / row["seconds"] / 1e9, abs=1e-4)
    assert record["control_step"]["fast"]["operations_ratio"] < 0.8
    assert all(error < 1e-4 for error in record["gradient_error"].values())
    assert set(record["stages"]) == {"denoising step", "decode"}


@pytest.mark.slow
def test_a_machine_that_is_too_slow_is_told_so(tiny, monkeypatch):
    told = []
    monkeypatch.setattr(report, "matmul_rate", lambda *_: 1e4)
    monkeypatch.setattr(report, "alternate", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench("tiny", device="cpu", repeats=1, changes=QUICK, tell=told.append)
    assert "hours here" in told[-1] and "--count-only" in told[-1]


def test_every_way_has_its_turn_and_begins_once():
    order = []
    ways = {name: lambda name=name: order.append(name) for name in "abc"}
    assert set(alternate(ways, 3)) == {"a", "b", "c"}
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"


def test_the_ways_leave_the_model_as_it_was():
    model = tiny_model()
    for run in control_steps(workload(model, SETTINGS.replace(**QUICK))).values():
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


@pytest.mark.slow
def test_the_command_prints_a_table_and_writes_the_figures(tiny, tmp_path):
    from sgi2v_lab.cli.main import app

    out = tmp_path / "bench.json"
    done = CliRunner().invoke(app, ["bench", "toy", "--repeats", "1", "--iterations", "1", "--out", str(out)])
    assert done.exit_code == 0, done.output
    record = json.loads(out.read_text())
    for expected in ("control step, reference", "control step, fast", "decode", "x floor", "peak MiB", str(out)):
        assert expected in done.stdout
    assert f"{record['control_step']['fast']['time_ratio']:.2f}" in done.stdout
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.slow
def test_a_network_is_counted_without_being_computed(tiny):
    record = count("tiny", changes=QUICK)
    ways = record["control_step"]
    assert list(ways) == ["reference", "fast", "selective", "full"]
    assert ways["reference"]["operations_ratio"] == ways["reference"]["tensors_ratio"] == 1
    assert ways["full"]["tensors_mib"] < ways["selective"]["tensors_mib"] < ways["fast"]["tensors_mib"]
    assert ways["fast"]["tflop"] < ways["selective"]["tflop"] < ways["full"]["tflop"]
    for stage in record["stages"].values():
        assert stage["tflop"] > 0 and stage["tensors_mib"] > 0
    assert record["dtype"] == "float32" and record["boxes"] == 2 and record["frames"] == FRAMES
    with pytest.raises(InputError, match="boxes is 0"):
        count("miniature", boxes=0)


@pytest.mark.slow
def test_the_command_only_counts_if_asked(tiny, monkeypatch):
    from sgi2v_lab.cli.main import app

    monkeypatch.setattr(report, "control_steps", lambda _: pytest.fail("computed"))
    done = CliRunner().invoke(app, ["bench", "svd", "--count-only", "--iterations", "1"])
    assert done.exit_code == 0, done.output
    for expected in ("nothing computed", "control step, selective", "tensors MiB", "denoising step"):
        assert expected in done.stdout
    assert "seconds" not in done.stdout and "peak" not in done.stdout


def test_memory_is_the_median_of_turns_unless_it_is_exact(monkeypatch):
    peaks, turns = iter([5, 50, 1, 70, 3, 60]), []

    @contextmanager
    def meter(_device):
        yield MemoryPeak(next(peaks), 0, meter.how)

    monkeypatch.setattr(report, "measure_peak", meter)
    ways = {name: lambda name=name: turns.append(name) for name in "ab"}
    meter.how = "kernel"
    assert alternate_memory(ways, 3) == ({"a": 3, "b": 60}, "kernel")
    assert "".join(turns) == "ababab"
    meter.how, peaks = "allocator", iter([7, 8])
    assert alternate_memory(ways, 3) == ({"a": 7, "b": 8}, "allocator")
