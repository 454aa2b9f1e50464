"""The benchmark: its scenes, its mathematics on made-up figures, and its tasks on a tiny random model."""

import json
import math

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import sgi2v_lab.evaluation.experiments.benchmark_scores
import sgi2v_lab.evaluation.experiments.video_task
from sgi2v_lab.cli.main import app
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.benchmark import run_benchmark
from sgi2v_lab.evaluation.experiments.benchmark_scores import FRECHET_TARGET, pairs_of, score_records, summarize
from sgi2v_lab.evaluation.experiments.video_task import truth_tasks, video_tasks
from sgi2v_lab.evaluation.metrics.intervals import difference_of_means, mean_of, ratio_of_means
from sgi2v_lab.evaluation.scenes.photographs import PHOTOGRAPHS
from sgi2v_lab.evaluation.scenes.scenes import CATEGORIES, SEEDS, BenchmarkScene, benchmark_scenes, find_seeds, fits
from sgi2v_lab.evaluation.tasks.run import fingerprint, run_tasks
from sgi2v_lab.evaluation.tasks.strips import read_strip, write_strip
from sgi2v_lab.models.load import load_model
from sgi2v_lab.toy.training.data import HELD_OUT
from sgi2v_lab.toy.world.scenes import true_boxes
from tests.helpers.tiny import FRAMES, HEIGHT, TINIER, WIDTH, tinier_pipeline

SIZE = (WIDTH, HEIGHT)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tinier_pipeline().save_pretrained(folder)
    settings = {"width": WIDTH, "height": HEIGHT, "num_inference_steps": 2, "control_steps": [0, 0], "iterations": 1}
    (folder / "settings.json").write_text(json.dumps(settings | {"layers": TINIER.layers}))
    return folder


@pytest.fixture(scope="module")
def model(checkpoint):
    return load_model(str(checkpoint), "cpu")


def files(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


# --- scenes ----------------------------------------------------------------------------------------------------------


def test_there_are_enough_scenes_and_none_twice():
    scenes = benchmark_scenes()
    assert len(set(scenes)) == len(scenes) == len({scene.name for scene in scenes})
    counts = {name: sum(scene.category == name for scene in scenes) for name in CATEGORIES}
    assert counts == {"single": 32, "two": 12, "pinned": 12, "pan": 12, "hard": 12, "photo": len(PHOTOGRAPHS)}
    assert counts["photo"] >= 10
    assert all(seed >= HELD_OUT for seeds in SEEDS.values() for seed in seeds)
    assert benchmark_scenes(["pan"], 2) == tuple(scene for scene in scenes if scene.category == "pan")[:2]


@pytest.mark.parametrize("category", SEEDS)
def test_scenes_are_what_their_category_says(category):
    assert all(fits(category, seed) for seed in SEEDS[category])


@pytest.mark.parametrize("category", ["single", "pan", "hard"])  # the others' first seeds are far from the start
def test_the_seeds_are_found_again(category):
    assert find_seeds(category, 1) == SEEDS[category][:1]


def test_single_two_and_pinned_move_as_promised():
    for scene in benchmark_scenes(["single", "two", "pinned"], 6):
        boxes = true_boxes(scene.scene(8), 1)
        assert boxes.min() >= 0 and boxes.max() <= 1, "an object leaves the picture"
        moved = ((boxes[:, -1] - boxes[:, 0]).view(-1, 2, 2).mean(dim=1)).norm(dim=1)
        assert moved.max() >= {"single": 1 / 3, "two": 0.25, "pinned": 1 / 3}[scene.category]
        assert moved.min() < 1e-3 if scene.category == "pinned" else moved.min() >= 0.25


def test_pan_boxes_move_with_the_background_and_stay_in_view():
    for scene in benchmark_scenes(["pan"], 4):
        boxes = scene.asked((100, 100), 5).boxes(5)
        steps = boxes.diff(dim=1)
        assert torch.allclose(steps, steps[:1].expand_as(steps), atol=1e-3), "they do not move together"
        assert 100 / 6 - 1e-3 <= (boxes[0, -1, :2] - boxes[0, 0, :2]).norm() <= 100 / 3 + 1e-3
        assert boxes.min() >= -1e-3 and boxes.max() <= 100 + 1e-3 and len(boxes) >= 2


def test_photographs_hold_their_objects_and_move_them_by_a_quarter():
    for scene in benchmark_scenes(["photo"]):
        assert scene.clip(SIZE, 3) is None
        picture, boxes = scene.first_frame((64, 64), 3), scene.asked((64, 64), 3).boxes(3)
        assert picture.shape == (3, 64, 64) and picture.std() > 0.02
        assert boxes.min() >= 0 and boxes.max() <= 64, scene.name
        assert (boxes[0, -1, :2] - boxes[0, 0, :2]).norm().item() == pytest.approx(16, rel=0.03)


@pytest.mark.parametrize("category", ["two", "hard", "photo"])
def test_a_scene_is_the_same_each_time_and_starts_with_its_picture(category):
    scene, again = benchmark_scenes([category], 1)[0], benchmark_scenes([category], 1)[0]
    assert torch.equal(scene.first_frame(SIZE, 3), again.first_frame(SIZE, 3))
    assert torch.equal(scene.asked(SIZE, 3).boxes(3), again.asked(SIZE, 3).boxes(3))
    assert scene.motion(3) == again.motion(3) and 0 <= scene.motion(3)["motion_bucket_id"] <= 255
    if category != "photo":
        clip = scene.clip(SIZE, 3)
        assert clip.shape == (3, 3, HEIGHT, WIDTH)
        assert torch.allclose(clip[0], scene.first_frame(SIZE, 3), atol=1e-5)


def test_unknown_categories_and_counts_are_refused():
    with pytest.raises(InputError, match="unknown category 'doubles'"):
        benchmark_scenes(["doubles"])
    with pytest.raises(InputError, match="is 0, but must be at least 1"):
        benchmark_scenes(most=0)


# --- intervals -------------------------------------------------------------------------------------------------------


def test_the_ratio_of_means_and_its_interval():
    rng = np.random.default_rng(1)
    below = rng.uniform(5, 30, 40)
    above = 0.4 * below + rng.normal(0, 1, 40)
    found = ratio_of_means(above.tolist(), below.tolist())
    assert found.value == pytest.approx(above.mean() / below.mean()) and found.scenes == 40
    assert found.low < found.value < found.high
    # scenes that are hard for both leave their ratio sure: drawn apart they would not
    apart = np.std([rng.choice(above, 40).mean() / rng.choice(below, 40).mean() for _ in range(500)])
    assert found.high - found.low < 2 * apart


def test_an_interval_covers_what_resampled_means_cover():
    rng, values = np.random.default_rng(2), np.random.default_rng(2).gamma(2.0, size=30)
    means = [rng.choice(values, 30).mean() for _ in range(4000)]
    found = mean_of(values.tolist())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.05 * values.std())
    assert mean_of(values.tolist()) == found, "the same values have the same interval"


def test_exact_proportion_has_no_spread_and_one_scene_no_interval():
    exact = ratio_of_means([1.0, 2.0, 5.0], [2.0, 4.0, 10.0])
    assert (exact.low, exact.value, exact.high) == pytest.approx((0.5, 0.5, 0.5))
    assert difference_of_means([3.0, 4.0], [1.0, 2.0]).as_dict() == {"value": 2, "low": 2, "high": 2, "scenes": 2}
    assert mean_of([3.0]).low is None
    with pytest.raises(InputError, match="no scenes"):
        mean_of([])
    with pytest.raises(InputError, match="2 and 1 values"):
        ratio_of_means([1.0, 2.0], [1.0])


# --- tasks -----------------------------------------------------------------------------------------------------------


def test_strips_lose_nothing(tmp_path):
    video = torch.randint(0, 256, (3, 3, 5, 7)) / 255
    assert torch.allclose(read_strip(write_strip(tmp_path / "strip.png", video), 3), video, atol=1e-6)
    (tmp_path / "strip.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="no film strip"):
        read_strip(tmp_path / "strip.png", 3)


def test_only_what_is_missing_is_done_again(tmp_path, model):
    scene = benchmark_scenes(["single"], 1)
    tasks = [*truth_tasks(model, scene), *video_tasks(model, scene)]
    first = run_tasks(tasks, tmp_path, model)
    before = files(tmp_path)
    assert len(before) == 6, "three records and three film strips"
    assert run_tasks(tasks, tmp_path, model) == first and files(tmp_path) == before

    truth, uncontrolled, controlled = first
    (tmp_path / f"{truth['key']}.json").write_text('{"key": "cut off')  # as a dying disk might leave it
    (tmp_path / uncontrolled["strip"]).unlink()
    again = run_tasks(tasks, tmp_path, model)
    changed = {name for name, when in files(tmp_path).items() if before[name] != when}
    assert changed == {f"{r['key']}{end}" for r in (truth, uncontrolled) for end in (".json", ".png")}
    timed = {"seconds"}
    for old, new in zip(first, again, strict=True):
        kept = {k: v for k, v in old["result"].items() if k not in timed}
        assert kept == {k: v for k, v in new["result"].items() if k not in timed}
    assert controlled["task"]["variant"] == "controlled" and controlled["result"]["frames"] == FRAMES


def test_results_belong_to_scene_seed_settings_and_weights(model):
    scene = benchmark_scenes(["single"], 1)
    identity = lambda **changes: [t.identity() for t in video_tasks(model, scene, changes=changes)]  # noqa: E731
    plain, other = identity(), identity(cutoff=0.25)
    assert plain[0] == other[0], "a video without control does not depend on the cut-off"
    assert plain[1] != other[1]
    assert len({json.dumps(t.identity(), sort_keys=True) for t in video_tasks(model, scene, seeds=3)}) == 6
    assert plain[0]["settings"]["motion_bucket_id"] == scene[0].motion(FRAMES)["motion_bucket_id"]
    weight = model.unet.conv_in.bias
    before, kept = fingerprint(model), weight.data.clone()
    try:
        weight.data[0] += 1e-3
        assert fingerprint(model) != before
    finally:
        weight.data.copy_(kept)
    assert fingerprint(model) == before


def test_an_interruption_keeps_what_was_finished_and_a_failure_does_not_stop_the_rest(tmp_path, model, monkeypatch):
    tasks = video_tasks(model, benchmark_scenes(["single"], 2))
    real, calls = sgi2v_lab.evaluation.experiments.video_task.generate, []

    def interrupted(*args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(sgi2v_lab.evaluation.experiments.video_task, "generate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_tasks(tasks, tmp_path, model)
    assert len(list(tmp_path.glob("*.json"))) == 1

    def failing(model, picture, trajectories, *args, **options):
        calls.append(1)
        if trajectories is not None and len(calls) == 3:
            raise RuntimeError("the lamp\nwent out")
        return real(model, picture, trajectories, *args, **options)

    monkeypatch.setattr(sgi2v_lab.evaluation.experiments.video_task, "generate", failing)
    records = run_tasks(tasks, tmp_path, model)
    assert len(calls) == 5, "the finished one is not done again"
    assert [record.get("error") for record in records] == [None, "RuntimeError: the lamp went out", None, None]
    report = score_records(records, tmp_path)
    assert [failure["error"] for failure in report["failures"]] == ["RuntimeError: the lamp went out"]
    assert not report["complete"] and report["categories"]["single"]["scenes"] == 1

    monkeypatch.setattr(sgi2v_lab.evaluation.experiments.video_task, "generate", real)
    assert all("result" in record for record in run_tasks(tasks, tmp_path, model)), "failed ones are tried again"


@pytest.mark.slow
def test_worker_processes_do_the_same(tmp_path, model):
    tasks = truth_tasks(model, benchmark_scenes(["single"], 2))
    apart = run_tasks(tasks, tmp_path / "apart", model, workers=2, device="cpu")
    here = run_tasks(tasks, tmp_path / "here", model)
    assert [r["key"] for r in apart] == [r["key"] for r in here]
    assert [r["result"]["objmc"] for r in apart] == pytest.approx([r["result"]["objmc"] for r in here], abs=1e-3)


def test_bad_numbers_are_refused(tmp_path, model):
    with pytest.raises(InputError, match="workers is 0"):
        run_tasks([], tmp_path, model, workers=0)
    with pytest.raises(InputError, match="seeds is 0"):
        video_tasks(model, benchmark_scenes(["single"], 1), seeds=0)


# --- scores ----------------------------------------------------------------------------------------------------------


def invented(category, scene_seed, seed, uncontrolled, controlled, psnr=30.0):
    """The two records of a scene and seed, with these distances."""
    common = {"kind": "video", "scene": f"{category}-{scene_seed}", "category": category, "scene_seed": scene_seed}
    more = {"psnr": psnr, "seconds": 2.0, "tracker": "ncc", "resolution": [64, 64], "frames": 8}
    return [
        {"task": {**common, "seed": seed, "variant": variant}, "strip": None, "result": {"objmc": objmc, **more}}
        for variant, objmc in (("uncontrolled", uncontrolled), ("controlled", controlled))
    ]


def test_the_scores_of_invented_figures(tmp_path):
    # seeds of a scene are averaged first: scene 1 has 20 -> 5, scene 2 has 10 -> 10
    records = [
        *invented("single", 1, 1, 10, 4, psnr=20),
        *invented("single", 1, 2, 30, 6, psnr=30),
        *invented("single", 2, 1, 10, 10, psnr=21),
        *invented("two", 3, 1, 20, 8),
        *invented("photo", 0, 1, 10, 7.5),
    ]
    report = score_records(records, tmp_path)
    single = report["categories"]["single"]
    assert single["ratio"]["value"] == pytest.approx(15 / 30) and single["scenes"] == 2 and single["videos"] == 6
    assert single["objmc_controlled"]["value"] == pytest.approx(7.5)
    assert single["psnr_controlled"]["value"] == pytest.approx((25 + 21) / 2)
    met = {criterion["name"]: criterion for criterion in report["criteria"]}
    assert met["control: single"]["at_most"] == 0.364 and met["control: single"]["passed"] is False
    assert met["control: two"]["value"] == pytest.approx(0.4) and met["control: two"]["passed"] is True
    assert met["control: photo"]["passed"] is False and met["control: pan"]["passed"] is None
    assert met["quality: PSNR of the first frame, dB"]["passed"] is True  # (25 + 21 + 30) / 3 = 25.3
    assert "missing" in report["frechet"] and not report["passed"] and not report["complete"]
    assert report["seeds"] == [1, 2] and len(report["scenes"]) == 5


def test_the_floor_is_the_true_clips_and_scenes_without_one_do_not_count(tmp_path):
    pairs = pairs_of([*invented("single", 1, 1, 10, 4), *invented("photo", 0, 1, 10, 4)])
    found = summarize(pairs, {BenchmarkScene("single", 1): 0.5})
    assert found["floor"] == 0.5
    assert summarize(pairs, {})["floor"] is None


def test_half_a_pair_is_no_pair_and_nothing_is_an_error(tmp_path):
    one, two = invented("single", 1, 1, 10, 4)
    assert pairs_of([one]) == []
    with pytest.raises(InputError, match="nothing to score; the first failure: ValueError: so"):
        score_records([one, {"task": two["task"], "error": "ValueError: so", "strip": None}], tmp_path)


def test_the_frechet_ratio_is_that_of_the_film_strips(tmp_path, monkeypatch):
    pixels = lambda clips: torch.stack([clip[0, 0, :2].flatten() for clip in clips])  # noqa: E731
    monkeypatch.setattr(
        sgi2v_lab.evaluation.experiments.benchmark_scores, "toy_features", pixels
    )  # 32 numbers, and no network
    records = []
    for k in range(34):
        clip = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(k))
        name = write_strip(tmp_path / f"{k}.png", clip).name
        worse = write_strip(tmp_path / f"{k}-worse.png", clip * 0.5).name
        plain, controlled = invented("single", k, 1, 10, 4)
        truth = {"task": {**plain["task"], "kind": "truth"}, "strip": name, "result": {"objmc": 0.1}}
        records += [truth, plain | {"strip": worse}, controlled | {"strip": name}]
    report = score_records(records, tmp_path)
    assert report["frechet"]["controlled"] == pytest.approx(0, abs=1e-3) and report["frechet"]["uncontrolled"] > 0
    named = next(c for c in report["criteria"] if "Frechet" in c["name"])
    assert named["at_most"] == FRECHET_TARGET and named["passed"] is True and report["frechet"]["clips"] == 34


def test_seeds_of_one_scene_are_no_independent_evidence_for_the_frechet_ratio(tmp_path, monkeypatch):
    pixels = lambda clips: torch.stack([clip[0, 0, :2].flatten() for clip in clips])  # noqa: E731
    monkeypatch.setattr(sgi2v_lab.evaluation.experiments.benchmark_scores, "toy_features", pixels)

    def interval(scenes):
        """The same videos, as so many seeds of so many scenes."""
        folder, records = tmp_path / f"{scenes}", []
        for k in range(12):  # all seeds of one of these are alike, so that they say the same thing again
            clip = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(k))
            truth = write_strip(folder / f"{k}.png", clip).name
            strips = [write_strip(folder / f"{k}-{share}.png", clip * share).name for share in (0.5, 0.6 + 0.03 * k)]
            for copy in range(4):
                scene, seed = (k, copy) if scenes == 12 else (4 * k + copy, 0)
                plain, controlled = invented("single", scene, seed, 10, 4)
                known = {"task": {**plain["task"], "kind": "truth"}, "strip": truth, "result": {"objmc": 0.1}}
                records += [known, plain | {"strip": strips[0]}, controlled | {"strip": strips[1]}]
        found = score_records(records, folder)["frechet"]
        assert found["clips"] == 48
        return found

    together, apart = interval(12), interval(48)
    assert together["value"] == pytest.approx(apart["value"])
    assert together["high"] / together["low"] > 1.2 * apart["high"] / apart["low"]


# --- the whole -------------------------------------------------------------------------------------------------------


def test_a_short_benchmark_from_the_command_line(tmp_path, checkpoint):
    out = tmp_path / "benchmark"
    arguments = ["benchmark", "--model", str(checkpoint), "--out", str(out), "--scenes", "1", "--workers", "1"]
    arguments += ["--device", "cpu", "--category", "single", "--category", "photo"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "control: single" in result.output and "does not count" in result.output
    report = json.loads((out / "benchmark.json").read_text())
    assert set(report["categories"]) == {"single", "photo"} and report["resolution"] == [WIDTH, HEIGHT]
    assert math.isfinite(report["categories"]["single"]["ratio"]["value"])
    assert report["categories"]["photo"]["floor"] is None and report["categories"]["single"]["floor"] >= 0
    page = (out / "index.html").read_text()
    for name in ("scores.png", "samples-single.png", "photos.png"):
        assert f'src="{name}"' in page and (out / name).stat().st_size > 1000
    assert (out / "benchmark.png").is_file()

    before = files(out / "tasks")
    run_benchmark(out, str(checkpoint), categories=["single", "photo"], scenes=1, device="cpu")
    assert files(out / "tasks") == before


def test_bad_options_are_one_line(tmp_path, checkpoint):
    result = CliRunner().invoke(
        app, ["benchmark", "--model", str(checkpoint), "--category", "doubles", "--out", str(tmp_path)]
    )
    assert result.exit_code == 2 and "unknown category 'doubles'" in result.output
    assert not list(tmp_path.iterdir())
