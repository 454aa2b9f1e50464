"""The one runner: its plan, its videos and records, on every data set, by every method and grid."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from sgi2v_lab.baselines import METHODS
from sgi2v_lab.cli.main import app
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.registry import DATASETS, open_dataset
from sgi2v_lab.evaluation.experiments import evaluate as module
from sgi2v_lab.evaluation.experiments.evaluate import evaluate
from sgi2v_lab.evaluation.experiments.plan import PLAN, TASKS, Plan
from sgi2v_lab.evaluation.experiments.video_task import VideoResult, VideoTask
from sgi2v_lab.evaluation.tasks.command_line import command_line
from sgi2v_lab.evaluation.tasks.records import RecordFolder
from sgi2v_lab.evaluation.tasks.strips import read_strip
from sgi2v_lab.settings import Settings
from sgi2v_lab.toy.training.data import HELD_OUT
from sgi2v_lab.video import read_video
from tests.helpers.real_clips import miniatures
from tests.helpers.tiny import FRAMES, HEIGHT, TINIER, WIDTH, tinier_model, tinier_pipeline

SHORT = {"num_inference_steps": 2, "control_steps": (0, 0), "iterations": 1}
SIZE = (WIDTH, HEIGHT)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A folder with the tiny model."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tinier_pipeline().save_pretrained(folder)
    (folder / "settings.json").write_text(
        json.dumps({"width": WIDTH, "height": HEIGHT, "layers": TINIER.layers} | SHORT)
    )
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Miniature copies of all data sets."""
    root = tmp_path_factory.mktemp("miniatures")
    miniatures(root)
    return root


@pytest.fixture
def quick(monkeypatch):
    """The tiny model in place of any, without loading."""
    model = tinier_model()
    monkeypatch.setattr(model, "settings", TINIER.replace(**SHORT))
    monkeypatch.setattr(module, "load_model", lambda *_: model)
    return model


def run(out, *, scenes=1, categories=("single",), **options):
    return evaluate(out, data_options={"categories": list(categories), "scenes": scenes}, **options)


def results(out, plan):
    """What was measured, by arm and sample."""
    folder = RecordFolder(Path(out).absolute() / TASKS)
    records = {(task.arm, task.sample): folder.look(task.key).record for task in plan.tasks}
    return {place: VideoResult.model_validate(record.result) for place, record in records.items() if record.result}


def numbers(result):
    return {name: value for name, value in result.values.items() if value is not None}


# --- commands --------------------------------------------------------------------------------------------------------


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.slow
def test_one_command_compares_reports_and_goes_on(tmp_path, checkpoint):
    out = tmp_path / "out"
    words = ["evaluate", "--out", out, "--model", checkpoint, "--scenes", 1, "--workers", 1, "--device", "cpu"]
    words += ["--methods", "none,copy_paste,sgi2v", "--category", "single", "--category", "photo", "--videos"]
    made = call(*words)
    assert made.exit_code == 0, made.output
    assert "on ObjMC" in made.output
    assert {"report.html", "results.csv", PLAN} <= {path.name for path in out.iterdir()}
    plan = Plan.read(out)
    assert [arm.label for arm in plan.arms] == ["True video", "No control", "Copy and paste", "SG-I2V"]
    assert plan.reference == "SG-I2V" and len(plan.tasks) == 7, "a photograph has no true video"
    assert "--methods none,copy_paste,sgi2v --preset own" in plan.command and plan.machine["device"] == "cpu"
    assert len(list((out / "videos").glob("*.mp4"))) == 7
    assert read_video(next((out / "videos").glob("*SG-I2V*.mp4"))).shape == (FRAMES, 3, HEIGHT, WIDTH)

    before = {path.name: path.stat().st_mtime_ns for path in (out / TASKS).iterdir()}
    next((out / TASKS).glob("*.json")).unlink()
    told = call("status", out)
    assert "6 of 7" in told.output and "run the same command again" in told.output
    assert re.search(r"left +1", told.output)
    assert call(*words).exit_code == 0
    after = {path.name: path.stat().st_mtime_ns for path in (out / TASKS).iterdir()}
    assert before.keys() == after.keys() and sum(after[name] != before[name] for name in after) == 2
    assert "7 of 7" in call("status", out).output

    words[words.index("none,copy_paste,sgi2v")] = "nothing"
    told = call(*words)
    assert told.exit_code == 2 and "unknown method 'nothing'" in told.output


@pytest.mark.slow
def test_the_benchmark_is_a_short_name(tmp_path, checkpoint):
    words = ["--out", tmp_path, "--model", checkpoint, "--scenes", 1, "--category", "single", "--iterations", 2]
    made = call("benchmark", *words, "--workers", 1, "--device", "cpu")
    assert made.exit_code == 0, made.output
    plan = Plan.read(tmp_path)
    assert [arm.method for arm in plan.arms] == ["truth", "none", "sgi2v"] and plan.base["iterations"] == 2
    assert plan.command.startswith("sgi2v evaluate --data benchmark") and plan.command.endswith("--iterations 2")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in DATASETS if name != "benchmark"])
def test_every_data_set_is_evaluated_by_the_same_command(tmp_path, quick, folders, name):
    folder, out = folders / name, tmp_path / "out"
    words = ["--data", name, "--folder", folder, "--methods", "none,sgi2v", "--samples", 1, "--videos"]
    made = call("evaluate", *words, "--out", out, "--workers", 1)
    assert made.exit_code == 0, made.output
    plan = Plan.read(out)
    found = results(out, plan)
    assert {arm for arm, _ in found} >= {"No control", "SG-I2V"}
    assert ("True video" in {arm for arm, _ in found}) == (name != "examples")
    assert all(result.values["objmc"] >= 0 and result.resolution == SIZE for result in found.values())
    assert len(list((out / "videos").glob("*.mp4"))) == len(found)
    assert (out / "report.html").stat().st_size > 10_000 and str(folder) in plan.command


@pytest.mark.slow
def test_workers_give_what_one_process_gives(tmp_path, checkpoint):
    plans = [
        run(tmp_path / str(n), model=str(checkpoint), methods=["none", "sgi2v"], device="cpu", workers=n)
        for n in (1, 2)
    ]
    assert plans[0].tasks == plans[1].tasks
    one, two = (results(tmp_path / str(n), plan) for n, plan in zip((1, 2), plans, strict=True))
    for place, result in one.items():
        assert two[place].reasons == result.reasons
        assert numbers(two[place]) == pytest.approx(numbers(result), rel=1e-3)


# --- plans -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_grid_has_arms_without_control_of_their_own_where_settings_ask_for_it(tmp_path, quick):
    (tmp_path / "grid.toml").write_text(
        'title = "Steps"\nmethods = ["none"]\n[vary]\ncutoff = [0, 1]\nfps = [3]\n'
        '[[claim]]\ntext = "More is better."\nbetter = { cutoff = 1 }\nworse = { cutoff = 0 }\n'
    )
    plan = run(tmp_path / "out", grid=tmp_path / "grid.toml")
    arms = {arm.label: arm for arm in plan.arms}
    assert list(arms) == ["True video", "No control", "SG-I2V", "cutoff 0", "cutoff 1", "No control, fps 3", "fps 3"]
    assert arms["fps 3"].plain == "No control, fps 3" and arms["cutoff 0"].plain == "No control"
    assert plan.reference == "SG-I2V" and plan.title == "Steps"
    (question,) = plan.questions
    assert question.claims[0].better == ["cutoff 1"] and question.claims[0].worse == ["cutoff 0"]
    found = results(tmp_path / "out", plan)
    sample = plan.tasks[0].sample
    same = [found[label, sample].values["objmc"] for label in ("No control", "cutoff 0")]
    assert same[0] == same[1] > 0, "at cut-off 0 control changes nothing"
    with pytest.raises(InputError, match="a grid has its own settings, so cutoff cannot be given beside it"):
        run(tmp_path, grid=tmp_path / "grid.toml", changes={"cutoff": 1})


@pytest.mark.slow
def test_questions_ask_for_arms_and_scenes_of_their_own(tmp_path, quick):
    (tmp_path / "grid.toml").write_text(
        '[[question]]\nask = "One?"\ncategories = ["single"]\nvary = { cutoff = [0] }\n'
        '[[question]]\nask = "Two?"\ncategories = ["two"]\nmethods = ["none"]\n'
        '[[question.claim]]\ntext = "It moves."\nbetter = {}\nworse = { method = "none" }\n'
    )
    plan = run(tmp_path / "out", grid=tmp_path / "grid.toml", categories=())
    pairs = {(task.arm, task.category) for task in plan.tasks}
    assert pairs == {
        *(("True video", name) for name in ("single", "two")),
        *(("SG-I2V", name) for name in ("single", "two")),
        *(("cutoff 0", "single"), ("No control", "two")),
    }
    assert plan.questions[1].claims[0].worse == ["No control"]
    (tmp_path / "grid.toml").write_text('[[claim]]\ntext = "So."\nbetter = {}\nworse = { cutoff = 0 }\n')
    with pytest.raises(InputError, match=r"claim 'So.': no setting \{'cutoff': 0\} is tried; add it"):
        run(tmp_path / "out", grid=tmp_path / "grid.toml")


@pytest.mark.slow
def test_settings_are_searched_on_training_scenes(tmp_path, checkpoint):
    (tmp_path / "grid.toml").write_text("[base]\ncutoff = 0.25\n[vary]\niterations = [1, 2]\n")
    words = ["--grid", tmp_path / "grid.toml", "--category", "training", "--scenes", 2, "--model", checkpoint]
    made = call("evaluate", "--out", tmp_path / "out", *words, "--workers", 1, "--device", "cpu")
    assert made.exit_code == 0, made.output
    plan = Plan.read(tmp_path / "out")
    assert {task.category for task in plan.tasks} == {"training"} and len({task.sample for task in plan.tasks}) == 2
    assert "SG-I2V" in {arm.label for arm in plan.arms} and "iterations 2" in {a.label for a in plan.arms}
    assert all(int(task.sample.removeprefix("training-")) < HELD_OUT for task in plan.tasks)


@pytest.mark.slow
def test_precisions_are_compared_with_weights_of_their_own(tmp_path, checkpoint):
    plan = run(tmp_path, model=str(checkpoint), grid="precision", device="cpu")
    assert set(plan.weights) == {"default", "fp32", "bf16"} and len(set(plan.weights.values())) == 2
    arms = {arm.label: arm for arm in plan.arms}
    assert arms["bf16"].plain == "No control, bf16" and arms["bf16"].dtype == "bf16"
    assert plan.status(tmp_path).finished == len({task.key for task in plan.tasks})


def test_what_cannot_be_evaluated_is_refused(tmp_path, quick):
    with pytest.raises(InputError, match="seeds is 0"):
        run(tmp_path, seeds=0)
    with pytest.raises(InputError, match="unknown data set 'atlas'"):
        evaluate(tmp_path, "atlas")
    (tmp_path / "grid.toml").write_text("[vary]\nlayers = [[[9, 9]]]\n")
    with pytest.raises(InputError, match=r"setting 'layers 9,9' does not suit the model"):
        run(tmp_path, grid=tmp_path / "grid.toml")
    with pytest.raises(InputError, match="is no folder of an evaluation"):
        Plan.read(tmp_path)
    (tmp_path / PLAN).write_text('{"title": "cut o')
    with pytest.raises(InputError, match="it is damaged"):
        Plan.read(tmp_path)


# --- tasks -----------------------------------------------------------------------------------------------------------


def tasks_of(dataset, sample, **settings):
    source = dataset.identity(sample)
    made = Settings(**TINIER.as_dict()).replace(**SHORT, **settings)
    return {name: VideoTask(dataset, sample, source, name, 1, made) for name in (*METHODS, "truth")}


def test_tasks_are_told_apart_by_what_their_results_depend_on():
    dataset = open_dataset("benchmark", size=SIZE, num_frames=FRAMES, categories=["single"], scenes=2)
    first, second = (tasks_of(dataset, name) for name in dataset.names)
    identities = [json.dumps(task.identity(), sort_keys=True) for each in (first, second) for task in each.values()]
    assert len(set(identities)) == len(identities) == 2 * (len(METHODS) + 1)
    other = tasks_of(dataset, dataset.names[0], cutoff=0.1)
    assert other["none"].identity() == first["none"].identity(), "no control knows of no cut-off"
    assert other["truth"].identity() == first["truth"].identity()
    assert other["sgi2v"].identity() != first["sgi2v"].identity()
    assert first["drag"].identity()["options"] == METHODS["drag"].options


def test_the_true_video_is_measured_like_any_other(tmp_path):
    dataset = open_dataset("benchmark", size=(128, 128), num_frames=8, categories=["single", "pan"], scenes=1)
    for name in dataset.names:
        found, strip = tasks_of(dataset, name)["truth"].run(tinier_model())
        result = VideoResult.model_validate(found)
        (tmp_path / "strip.png").write_bytes(strip)
        assert torch.allclose(read_strip(tmp_path / "strip.png", 8), dataset.load(name).clip, atol=1 / 255)
        assert {name: len(values) for name, values in result.features.items()} == {
            "toy_frechet": 32,
            "motion_distance": 64,
        }
        assert result.values["objmc"] < 1.5 and result.values["first_frame_psnr"] > 50 and result.seconds is None
        assert result.resolution == (128, 128) and result.frames == 8
        assert result.details["objmc"]["tracker"] == "ncc"
        assert set(result.reasons) == {name for name, value in result.values.items() if value is None}
        drift = result.values["background_drift"]
        assert drift is None or drift < 1, "a pan's background goes where the camera goes"


def test_a_scenes_own_motion_gives_way_to_what_was_asked_for():
    dataset = open_dataset("benchmark", size=SIZE, num_frames=FRAMES, categories=["single"], scenes=1)
    (name,) = dataset.names
    task = tasks_of(dataset, name)["none"]
    asked = VideoTask(dataset, name, task.source, "none", 1, task.settings.replace(fps=3), ("fps",))
    made = VideoTask(dataset, name, task.source, "none", 1, task.settings.replace(fps=3))
    strips = [each.run(tinier_model())[1] for each in (asked, task, made)]
    assert strips[0] != strips[1] == strips[2], "else the scene's own counts"


@pytest.mark.slow
def test_damaged_samples_are_reported_and_the_others_made(tmp_path, quick, folders):
    folder = shutil.copytree(folders / "examples", tmp_path / "examples")
    (folder / "10" / "traj.npy").write_bytes(b"no array")
    plan = evaluate(tmp_path / "out", "examples", folder=folder, methods=["sgi2v"])
    status = plan.status(tmp_path / "out")
    assert (status.finished, status.failed) == (1, 1) and "10, seed 1, SG-I2V" in status.failures[0]


def test_a_command_line_can_be_pasted_into_a_shell():
    options = {"grid": "my grid.toml", "category": ["single", "pan"], "device": None, "seeds": 2}
    changes = {"layers": ((2, 1), (2, 2)), "control_steps": (5, 20), "gaussian_sigma": None, "scale_lr_by_sigma": False}
    assert command_line("evaluate", options, changes) == (
        "sgi2v evaluate --grid 'my grid.toml' --category single --category pan --seeds 2 "
        "--layers '2,1 2,2' --control-steps 5-20 --gaussian-sigma none --no-scale-lr-by-sigma"
    )
