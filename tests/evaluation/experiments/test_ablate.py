"""Sweeps: a real one on the tiny model, here, on processes and on Dask; its tables; its status while it goes on."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import sgi2v_lab.evaluation.experiments.video_task
from sgi2v_lab.cli.main import app
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.ablate import ablate, summarize_rows
from sgi2v_lab.evaluation.tasks.folder import TaskFolder
from sgi2v_lab.evaluation.tasks.log import TaskLog
from sgi2v_lab.evaluation.tasks.status import sweep_status
from tests.helpers.quick_tasks import Faulty, Quick, finish
from tests.helpers.tiny import HEIGHT, TINIER, WIDTH, tinier_pipeline

ROOT = Path(__file__).parents[3]
GRID = """
title = "Two kinds"
[vary]
features = ["self-attention"]
cutoff = [0]
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with a checkpoint, tiny, and a grid, grid.toml."""
    folder = tmp_path_factory.mktemp("desk")
    tinier_pipeline().save_pretrained(folder / "tiny")
    settings = {"width": WIDTH, "height": HEIGHT, "num_inference_steps": 2, "control_steps": [0, 0], "iterations": 1}
    (folder / "tiny" / "settings.json").write_text(json.dumps(settings | {"layers": TINIER.layers}))
    (folder / "grid.toml").write_text(GRID)
    return folder


def run(desk, out, **options):
    return ablate(out, desk / "grid.toml", str(desk / "tiny"), scenes=2, device="cpu", **options)


def without_times(report):
    """A report's rows and summary, less what no two runs have in common."""
    rows, summary = (
        [{name: value for name, value in row.items() if name != "seconds"} for row in report[part]]
        for part in ("rows", "summary")
    )
    return json.dumps({"rows": rows, "summary": summary, "tasks": report["settings"]})


def strips(out):
    return {path.name: path.read_bytes() for path in (out / "tasks").glob("*.png")}


# --- a real sweep ----------------------------------------------------------------------------------------------------


def test_a_sweep_from_the_command_line_its_tables_and_its_status(tmp_path, desk):
    out = tmp_path / "out"
    call = ["ablate", "--grid", desk / "grid.toml", "--out", out, "--model", desk / "tiny", "--scenes", 2]
    call = [str(part) for part in [*call, "--workers", 1, "--device", "cpu"]]
    made = CliRunner().invoke(app, call)
    assert made.exit_code == 0, made.output
    assert "Two kinds: 2 scenes, 1 seed(s)" in made.output and "features self-attention" in made.output

    report = json.loads((out / "results.json").read_text())
    assert [(row["setting"], row["scene"]) for row in report["rows"]] == [
        (label, scene) for label in ("base", "features self-attention", "cutoff 0") for scene in report["scenes"]
    ]
    assert len({row["key"] for row in report["rows"]}) == 6 and not report["failures"]
    assert len(strips(out)) == 2 + 6, "without control a scene is made once, whatever the setting"
    base, attention, nothing = report["summary"]
    assert base["difference"] == {} and set(attention["difference"]) == set(attention["mean"]) >= {"objmc", "psnr"}
    rows = report["rows"]
    change = sum(rows[k + 2]["objmc"] - rows[k]["objmc"] for k in (0, 1)) / 2
    assert attention["difference"]["objmc"]["value"] == pytest.approx(change)
    # at cut-off 0 nothing of the optimised latents is kept: control changes nothing
    assert nothing["ratio"]["value"] == pytest.approx(1)
    assert [row["objmc"] for row in rows[4:]] == [row["objmc_uncontrolled"] for row in rows[:2]]

    with (out / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(row["objmc"]) for row in table] == [row["objmc"] for row in rows]
    with (out / "summary.csv").open(newline="") as file:
        summary = list(csv.DictReader(file))
    assert float(summary[1]["objmc minus base"]) == attention["difference"]["objmc"]["value"]
    assert summary[0]["objmc minus base"] == ""

    # a deleted film strip is noticed; the rest is not done again; the tables are the same
    before = {path.name: path.stat().st_mtime_ns for path in (out / "tasks").iterdir()}
    gone = next((out / "tasks").glob("*.png"))
    gone.unlink()
    told = CliRunner().invoke(app, ["sweep", "status", str(out)])
    assert told.exit_code == 0 and f"{gone.name} is gone" in told.output and "7 of 8" in told.output
    made = CliRunner().invoke(app, call)
    assert made.exit_code == 0 and "1 damaged or deleted results were made again" in made.output
    after = {path.name: path.stat().st_mtime_ns for path in (out / "tasks").iterdir()}
    assert {name for name in after if after[name] != before[name]} == {gone.name, f"{gone.stem}.json"}
    assert without_times(json.loads((out / "results.json").read_text())) == without_times(report)
    told = CliRunner().invoke(app, ["sweep", "status", str(out)])
    assert "8 of 8, of which 1 in place of a damaged or deleted one" in told.output


def test_failures_are_told_and_not_fatal_unless_the_base_is_lost(tmp_path, desk, monkeypatch):
    real = sgi2v_lab.evaluation.experiments.video_task.generate

    def failing(model, picture, trajectories, settings, **options):
        if settings.features == "self-attention":
            raise RuntimeError("the lamp went out")
        return real(model, picture, trajectories, settings, **options)

    monkeypatch.setattr(sgi2v_lab.evaluation.experiments.video_task, "generate", failing)
    report = run(desk, tmp_path)
    assert [row["error"] for row in report["rows"]] == [None] * 2 + ["RuntimeError: the lamp went out"] * 2 + [None] * 2
    assert report["summary"][1]["failed"] == 2 and report["summary"][1]["mean"] == {} and len(report["failures"]) == 2
    found = sweep_status(tmp_path)
    assert (found.finished, found.failed, found.left) == (6, 2, 0)
    assert found.failures[0]["task"].endswith(", seed 1, features self-attention")

    monkeypatch.setattr(sgi2v_lab.evaluation.experiments.video_task, "generate", lambda *_, **__: 1 / 0)
    with pytest.raises(InputError, match="every video of the base failed.*ZeroDivisionError"):
        run(desk, tmp_path / "other")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_processes_and_a_dask_cluster_give_the_same_results_bit_by_bit(tmp_path, desk):
    distributed = pytest.importorskip("distributed")
    apart = run(desk, tmp_path / "processes", workers=2)
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        there = run(desk, tmp_path / "dask", executor=cluster.scheduler_address)
    assert without_times(there) == without_times(apart) and not there["failures"]
    assert strips(tmp_path / "dask") == strips(tmp_path / "processes")


def test_a_setting_that_the_model_cannot_use_is_named_before_anything_is_made(tmp_path, desk):
    grid = tmp_path / "grid.toml"
    grid.write_text("[vary]\nlayers = [[[0, 0]]]")
    call = ["ablate", "--grid", grid, "--out", tmp_path / "out", "--model", desk / "tiny", "--device", "cpu"]
    made = CliRunner().invoke(app, [str(part) for part in call])
    assert made.exit_code == 2 and "setting 'layers (0, 0)' does not suit the model" in made.output
    assert not (tmp_path / "out").exists()


# --- the summary -----------------------------------------------------------------------------------------------------


def row(setting, scene, objmc, plain=10.0, **more):
    row = {"setting": setting, "group": "g", "scene": scene, "seed": 1, "objmc_uncontrolled": plain, "error": None}
    return row | ({"objmc": objmc, "seconds": 3.0} if objmc is not None else {"error": "it failed"}) | more


def test_differences_are_paired_by_scene_and_seeds_are_averaged():
    rows = [row("base", f"s{k}", 10.0 * k) for k in range(1, 7)]
    rows += [row("new", f"s{k}", 10.0 * k + shift) for k in range(1, 7) for shift in (1.0, 3.0)]
    base, new = summarize_rows(rows)
    # scenes differ by tens of pixels, and yet the difference of 2 is sure
    assert new["difference"]["objmc"] == {"value": 2.0, "low": 2.0, "high": 2.0, "scenes": 6}
    assert base["mean"]["objmc"]["value"] == 35.0 and base["mean"]["objmc"]["low"] < 30
    assert new["ratio"]["value"] == pytest.approx(3.7) and new["videos"] == 12
    assert "seconds" not in new["mean"]


def test_only_scenes_that_both_have_are_compared():
    rows = [row("base", "a", 1.0), row("base", "b", None), row("new", "a", 2.0), row("new", "b", 100.0, plain=None)]
    _, new = summarize_rows(rows)
    assert new["difference"]["objmc"]["value"] == 1.0 and new["difference"]["objmc"]["scenes"] == 1
    assert new["ratio"]["value"] == pytest.approx(0.2)
    with pytest.raises(InputError, match="nothing to summarize"):
        summarize_rows([])


# --- the status ------------------------------------------------------------------------------------------------------


def planned(folder, tasks):
    plan = {"title": "Squares", "tasks": [{"key": task.key, "name": f"number {task.number}"} for task in tasks]}
    folder.mkdir(exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps(plan))


def test_the_status_counts_each_task_once(tmp_path):
    tasks = [Quick(n) for n in range(10)]
    planned(tmp_path, tasks)
    log, folder = TaskLog(tmp_path / "log.jsonl"), tmp_path / "tasks"
    assert sweep_status(tmp_path).left == 10
    finish([*tasks[:6], Faulty(6)], folder, log=log)
    (folder / f"{tasks[0].key}.json").write_text("{")
    (folder / f"{tasks[1].key}.json").unlink()
    with TaskFolder(folder).claim(tasks[9].key):
        found = sweep_status(tmp_path)
        assert (found.finished, found.failed, found.in_flight, found.damaged, found.deleted) == (4, 1, 1, 1, 1)
        assert found.left == 2 and found.tasks == 10 and found.seconds_per_task > 0
        assert found.seconds_left == pytest.approx(5 * found.seconds_per_task)
        assert found.failures == ({"task": "number 6", "error": "RuntimeError: the lamp went out"},)
        told = CliRunner().invoke(app, ["sweep", "status", str(tmp_path)])
    assert told.exit_code == 0 and "time left" in told.output
    assert "failed: number 6: RuntimeError: the lamp went out" in told.output
    assert "damaged: number 0: " in told.output
    assert sweep_status(tmp_path).seconds_left is None
    as_json = CliRunner().invoke(app, ["sweep", "status", str(tmp_path), "--json"])
    assert json.loads(as_json.output)["deleted"] == 1
    finish(tasks, folder, log=log)
    found = sweep_status(tmp_path)
    assert (found.finished, found.replaced, found.left) == (10, 2, 0)


def test_the_status_of_a_run_in_progress_and_of_one_that_was_killed(tmp_path):
    tasks = [Quick(n) for n in range(200)]
    planned(tmp_path, tasks)
    program = [
        sys.executable,
        "-c",
        "from tests.helpers.quick_tasks import main; main()",
        str(tmp_path),
        "200",
        "0.2",
        "2",
    ]
    going = subprocess.Popen(program, cwd=ROOT, start_new_session=True)
    try:
        end = time.monotonic() + 600
        while (found := sweep_status(tmp_path)).finished < 4 or not found.in_flight:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert 1 <= found.in_flight <= 2 and found.seconds_left > 5
    finally:
        os.killpg(going.pid, signal.SIGKILL)
        going.wait()
    while (found := sweep_status(tmp_path)).in_flight:  # its workers take a moment to end
        assert time.monotonic() < end
    assert found.seconds_left is None and found.finished + found.left == 200
    told = CliRunner().invoke(app, ["sweep", "status", str(tmp_path)])
    assert "no process is running" in told.output


def test_the_status_needs_no_model_and_a_folder_of_a_sweep(tmp_path):
    planned(tmp_path, [Quick(1)])
    program = "import sys; from sgi2v_lab.evaluation.tasks.status import sweep_status as s; s(sys.argv[1]); "
    program += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
    (tmp_path / "sweep.json").write_text("[]")
    told = CliRunner().invoke(app, ["sweep", "status", str(tmp_path)])
    assert told.exit_code == 2 and "is no folder of a sweep" in told.output
