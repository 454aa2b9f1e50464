"""Methods compared on a real, tiny model: what is measured of each, the plan, going on, and the report at the end."""

import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from sgi2v_lab.baselines import METHODS
from sgi2v_lab.cli.main import app
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.compare_methods import DEFAULT_CATEGORIES, DEFAULT_SCENES
from sgi2v_lab.evaluation.experiments.method_task import MOST_PSNR, TAKEN, MethodTask, method_tasks
from sgi2v_lab.evaluation.experiments.video_task import video_tasks
from sgi2v_lab.evaluation.metrics.clip_network import FEATURES
from sgi2v_lab.evaluation.metrics.registry import METRICS
from sgi2v_lab.evaluation.report.folder import read_study
from sgi2v_lab.evaluation.report.measures import MEASURES
from sgi2v_lab.evaluation.report.statistics import ratio_to_plain
from sgi2v_lab.evaluation.scenes.scenes import benchmark_scenes
from sgi2v_lab.evaluation.tasks.command_line import command_line
from tests.helpers.tiny import HEIGHT, TINIER, WIDTH, tinier_pipeline, tiny_model

SHORT = {"num_inference_steps": 2, "control_steps": (0, 0), "iterations": 1}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A folder with the tiny model."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tinier_pipeline().save_pretrained(folder)
    (folder / "settings.json").write_text(
        json.dumps({"width": WIDTH, "height": HEIGHT, "layers": TINIER.layers} | SHORT)
    )
    return folder


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_one_command_compares_reports_and_goes_on(tmp_path, checkpoint):
    out = tmp_path / "out"
    words = ["evaluate", "--out", out, "--model", checkpoint, "--scenes", 1, "--workers", 1, "--device", "cpu"]
    words += [part for name in ("none", "copy_paste", "sgi2v") for part in ("--method", name)]
    words += ["--category", "single", "--category", "pan"]
    made = call(*words)
    assert made.exit_code == 0, made.output
    assert "wins on ObjMC" in made.output or "does not win on ObjMC" in made.output or "Nothing beats" in made.output
    assert {"report.html", "results.csv", "results.parquet", "sweep.json"} <= {path.name for path in out.iterdir()}
    study = read_study(out)
    assert len(study.done) == study.planned == 6 and study.reference == "SG-I2V"
    assert list(study.arms) == ["No control", "Copy and paste", "SG-I2V"]
    assert study.categories == ["single", "pan"] and study.machine["device"] == "cpu"
    assert study.command.startswith("sgi2v evaluate --model") and "--method copy_paste" in study.command
    for row in study.of("Copy and paste"):
        assert 0 < row.values["psnr"] < MOST_PSNR, "it passes through the tiny model's random VAE"

    before = {path.name: path.stat().st_mtime_ns for path in (out / "tasks").iterdir()}
    next((out / "tasks").glob("*.json")).unlink()
    assert "5 of 6" in call("sweep", "status", out).output
    assert call(*words).exit_code == 0
    after = {path.name: path.stat().st_mtime_ns for path in (out / "tasks").iterdir()}
    assert before.keys() == after.keys() and sum(after[name] != before[name] for name in after) == 2

    words[words.index("none")] = "nothing"
    told = call(*words)
    assert told.exit_code == 2 and "unknown method 'nothing'" in told.output


def test_an_ablation_is_reported_from_its_own_folder(tmp_path, checkpoint):
    (tmp_path / "grid.toml").write_text('title = "Steps"\n[vary]\ncutoff = [0, 1]\nfps = [3]\n')
    out = tmp_path / "out"
    words = ["ablate", "--grid", tmp_path / "grid.toml", "--out", out, "--model", checkpoint, "--scenes", 1]
    assert call(*words, "--workers", 1, "--device", "cpu").exit_code == 0
    told = call("report", out)
    assert told.exit_code == 0, told.output
    study = read_study(out)
    assert list(study.arms) == ["without control", "without control, fps 3", "base", "cutoff 0", "cutoff 1", "fps 3"]
    assert study.arms["fps 3"].plain == "without control, fps 3" and study.arms["cutoff 0"].plain == "without control"
    assert len(study.done) == study.planned == 6
    (same,) = {row.values["objmc"] for label in ("without control", "cutoff 0") for row in study.of(label)}
    assert same > 0, "at cut-off 0 control changes nothing"


def test_a_benchmark_is_reported_from_its_own_folder(tmp_path, checkpoint):
    words = ["--out", tmp_path, "--model", checkpoint, "--scenes", 2, "--category", "single"]
    assert call("benchmark", *words, "--iterations", 2, "--workers", 1, "--device", "cpu").exit_code == 0
    told = call("report", tmp_path)
    assert told.exit_code == 0, told.output
    study = read_study(tmp_path)
    assert len(study.done) == 4 and len(study.floors) == 2 and study.command.endswith("--iterations 2")
    ratio = json.loads((tmp_path / "benchmark.json").read_text())["categories"]["single"]["ratio"]["value"]
    assert ratio_to_plain(study, "with control").value == pytest.approx(ratio)


def test_sg_i2v_and_no_control_are_those_of_the_benchmark():
    model, scenes = tiny_model(), benchmark_scenes(["single"], 1)
    mine = method_tasks(model, ["none", "sgi2v"], scenes, changes=SHORT)
    for one, other in zip(mine, video_tasks(model, scenes, changes=SHORT), strict=True):
        (here, video), (there, same) = one.run(model), other.run(model)
        assert torch.equal(video, same)
        assert {name: here[name] for name in ("objmc", "psnr", "tracker", "resolution", "frames")} == {
            name: there[name] for name in ("objmc", "psnr", "tracker", "resolution", "frames")
        }
        assert set(TAKEN) <= set(here) and set(here["reasons"]) == {name for name in TAKEN if here[name] is None}


def test_tasks_are_told_apart_by_what_their_results_depend_on():
    model, scenes = tiny_model(), benchmark_scenes(["single"], 2)
    tasks = method_tasks(model, ["none", "drag", "sgi2v"], scenes, seeds=2)
    assert [(task.scene, task.seed, task.method) for task in tasks[:4]] == [
        *((scenes[0], 1, name) for name in ("none", "drag", "sgi2v")),
        (scenes[0], 2, "none"),
    ]
    assert len({json.dumps(task.identity()) for task in tasks}) == 12
    other = method_tasks(model, ["none", "sgi2v"], scenes[:1], changes={"cutoff": 0.1})
    assert other[0].identity() == tasks[0].identity(), "no control knows of no cut-off"
    assert other[1].identity() != tasks[2].identity()
    assert tasks[1].identity()["options"] == METHODS["drag"].options
    with pytest.raises(InputError, match="no method"):
        method_tasks(model, [], scenes)
    with pytest.raises(InputError, match="seeds is 0"):
        method_tasks(model, ["none"], scenes, seeds=0)


def test_in_a_pan_the_sprites_are_no_background_and_the_camera_is_asked_to_move():
    (scene,) = benchmark_scenes(["pan"], 1)
    task = method_tasks(tiny_model(), ["none"], [scene])[0]
    boxes = scene.asked(task.size, task.num_frames).boxes(task.num_frames)
    still = task._still(boxes)
    assert torch.equal(still["camera"], boxes) and len(still["boxes"]) == len(scene.scene(task.num_frames).sprites)
    (empty,) = (one for one in benchmark_scenes(["pan"]) if not one.scene(task.num_frames).sprites)
    clip = empty.clip(task.size, task.num_frames)
    alone = replace(task, scene=empty)
    found = alone._measured(clip, clip[0], empty.asked(task.size, task.num_frames).boxes(task.num_frames))
    assert found["background_drift"] < 0.5, "a true pan over which nothing else moves"
    single = MethodTask("none", *benchmark_scenes(["single"], 1), 1, task.settings, task.num_frames)
    assert list(single._still(boxes)) == ["boxes"]


def test_the_default_has_clips_enough_for_a_frechet_distance():
    assert len(benchmark_scenes(DEFAULT_CATEGORIES, DEFAULT_SCENES)) >= FEATURES
    assert set(TAKEN) | {"seconds"} == set(MEASURES) and set(TAKEN.values()) <= set(METRICS)
    assert all(MEASURES[name].better == METRICS[metric].better for name, metric in TAKEN.items())


def test_a_command_line_can_be_pasted_into_a_shell():
    options = {"grid": "my grid.toml", "category": ["single", "pan"], "device": None, "seeds": 2}
    changes = {"layers": ((2, 1), (2, 2)), "control_steps": (5, 20), "gaussian_sigma": None, "checkpointing": False}
    assert command_line("ablate", options, changes) == (
        "sgi2v ablate --grid 'my grid.toml' --category single --category pan --seeds 2 "
        "--layers '2,1 2,2' --control-steps 5-20 --gaussian-sigma none --no-checkpointing"
    )
