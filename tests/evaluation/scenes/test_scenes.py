"""The benchmark's scenes are what their categories say, and never change."""

import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.scenes.photographs import PHOTOGRAPHS
from sgi2v_lab.evaluation.scenes.scenes import CATEGORIES, SEEDS, benchmark_scenes
from sgi2v_lab.evaluation.scenes.variations import MANY, TRAINING, VARIATIONS
from sgi2v_lab.toy.training.data import HELD_OUT
from sgi2v_lab.toy.world.scenes import true_boxes
from tests.helpers.scene_conditions import find_seeds, fits

WIDTH, HEIGHT = SIZE = (32, 24)


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


# --- variations ------------------------------------------------------------------------------------------------------


def centers(scene, frames=9):
    boxes = scene.asked((100, 100), frames).boxes(frames)
    return (boxes[..., :2] + boxes[..., 2:]) / 2


@pytest.mark.slow
def test_a_crowd_keeps_apart_and_the_first_objects_are_asked_for():
    for few, all_ in zip(benchmark_scenes(["objects-2"], 3), benchmark_scenes([f"objects-{MANY}"], 3), strict=True):
        boxes = all_.asked((100, 100), 8).boxes(8)
        assert len(boxes) == MANY and boxes.min() >= 0 and boxes.max() <= 100
        assert torch.equal(boxes[:2], few.asked((100, 100), 8).boxes(8))
        assert torch.equal(few.clip(SIZE, 3), all_.clip(SIZE, 3))
        for i in range(MANY):
            for j in range(i):
                gap = torch.maximum(boxes[i][:, :2] - boxes[j][:, 2:], boxes[j][:, :2] - boxes[i][:, 2:])
                assert (gap.amax(dim=1) > 0).all(), "they touch"


def test_invented_paths_share_their_ends_and_have_no_true_video():
    kinds = {name: benchmark_scenes([name], 4) for name in ("straight", "curved", "uneven", "return")}
    for straight, curved, uneven, back in zip(*kinds.values(), strict=True):
        line, arc, late, home = (centers(scene)[0] for scene in (straight, curved, uneven, back))
        for way in (arc, late):
            assert torch.allclose(way[[0, -1]], line[[0, -1]], atol=1e-3)
        length = (line[-1] - line[0]).norm()
        assert (arc - line.mean(dim=0)).norm(dim=1) == pytest.approx(length.item() / 2, rel=1e-3), "a half circle"
        assert torch.allclose(late[:5], line[:1].expand(5, 2), atol=1e-3)
        assert torch.allclose(home, home.flip(0), atol=1e-3) and torch.allclose(home[4], line[4], atol=1e-3)
        assert straight.clip(SIZE, 3) is None
    assert {name for name in VARIATIONS} & set(CATEGORIES) == set()


def test_training_scenes_are_as_the_benchmarks_and_not_held_out():
    scenes = benchmark_scenes(["training"])
    assert [scene.seed for scene in scenes] == list(TRAINING) and len({scene.name for scene in scenes}) == 24
    assert all(0 <= scene.seed < HELD_OUT for scene in scenes) and "training" not in CATEGORIES
    for place, scene in enumerate(scenes):
        category = ("single", "two", "pinned")[place % 3]
        assert fits(category, scene.seed), "as the benchmark's, by the same rules"
        boxes = scene.asked(SIZE, 3).boxes(3)
        assert len(boxes) == (1 if category == "single" else 2)
        if place < 3:
            assert find_seeds(category, 1, 0 if category == "single" else scene.seed) == (scene.seed,)
            assert torch.allclose(boxes, true_boxes(scene.scene(3), 1) * torch.tensor(SIZE * 2), atol=1e-3)
            assert scene.clip(SIZE, 3).shape == (3, 3, HEIGHT, WIDTH)
