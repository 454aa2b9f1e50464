"""The box of an object from one click, on drawn scenes of which the truth is known and on photographs."""

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.scenes.photographs import PHOTOGRAPHS
from sgi2v_lab.images.photographs import read_photograph
from sgi2v_lab.images.read import to_pil
from sgi2v_lab.images.segmentation import object_box, object_mask
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import Scene, outside, render, true_boxes, turned

SIDE = 256  # pixels of a drawn scene
DISC = (60, 40, 140, 120)


def disc(size=(300, 200), scale=1):
    picture = PIL.Image.new("RGB", (size[0] * scale, size[1] * scale), "seagreen")
    PIL.ImageDraw.Draw(picture).ellipse([side * scale for side in DISC], fill="orange")
    return picture


def overlap(one, other) -> float:
    """Intersection over union."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = one, other
    common = max(0, min(ax1, bx1) - max(ax0, bx0)) * max(0, min(ay1, by1) - max(ay0, by0))
    return common / ((ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - common)


def clicks(box, seed):
    """A click as a hand makes it: off the middle by up to a fifth of the box."""
    x0, y0, x1, y1 = box
    dx, dy = np.random.default_rng(seed).uniform(-0.2, 0.2, 2)
    return (x0 + x1) / 2 + dx * (x1 - x0), (y0 + y1) / 2 + dy * (y1 - y0)


def scenes_with_one_object(count: int, start: int = 0) -> list[tuple[int, Scene]]:
    """Scenes that show one object, wholly, told from its background by at least 0.15 in colour on average."""
    found = []
    seed = start
    while len(found) < count:
        scene = sample_scene(seed, 2)
        boxes = true_boxes(scene, 1)[:, 0]
        if len(boxes) == 1 and boxes.min() > 0.01 and boxes.max() < 0.99:
            bare = Scene((), scene.camera, scene.background, scene.colours, scene.seed, light=scene.light)
            changed = (render(scene, 64, slice(0, 1)) - render(bare, 64, slice(0, 1)))[0].norm(dim=0)
            x0, y0, x1, y1 = (boxes[0] * 64).round().long().tolist()
            if changed[y0:y1, x0:x1].mean() >= 0.15:
                found.append((seed, scene))
        seed += 1
    return found


def true_mask(scene: Scene, side: int) -> np.ndarray:
    (sprite,) = scene.sprites
    axis = (torch.arange(side) + 0.5) / side
    screen = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)
    world = (screen - 0.5) / scene.camera[0, 2] + 0.5 + scene.camera[0, :2]
    return (outside(sprite, turned((world - sprite.path[0]) / sprite.radius, sprite.angle)) < 0).numpy()


@pytest.mark.slow
def test_fifty_scenes_with_one_object():
    scores = []
    for seed, scene in scenes_with_one_object(50):
        picture = to_pil(render(scene, SIDE, slice(0, 1))[0])
        truth = true_boxes(scene, SIDE)[0, 0].tolist()
        scores.append(overlap(object_box(picture, clicks(truth, seed)), truth))
    print(f"mean IoU of the boxes in {len(scores)} scenes: {np.mean(scores):.3f}")
    assert np.mean(scores) > 0.85


@pytest.mark.slow
def test_masks():
    scores = []
    for seed, scene in scenes_with_one_object(12):
        picture = to_pil(render(scene, SIDE, slice(0, 1))[0])
        found = object_mask(picture, clicks(true_boxes(scene, SIDE)[0, 0].tolist(), seed))
        drawn = true_mask(scene, len(found))
        scores.append((found & drawn).sum() / (found | drawn).sum())
    print(f"mean IoU of the masks in {len(scores)} scenes: {np.mean(scores):.3f}")
    assert np.mean(scores) > 0.75


def test_the_truth_that_masks_are_held_against():
    """The mask's own box is the true one: the measure itself is right."""
    for _, scene in scenes_with_one_object(5):
        ys, xs = np.nonzero(true_mask(scene, SIDE))
        box = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        assert np.abs(np.array(box) - true_boxes(scene, SIDE)[0, 0].numpy()).max() < 2.5


@pytest.mark.slow
def test_objects_in_photographs():
    scores = {}
    for i, photograph in enumerate(PHOTOGRAPHS):
        picture = to_pil(read_photograph(photograph.name)).crop(photograph.crop)
        box = np.array(photograph.box) - 2 * photograph.crop[:2]
        scores[photograph.name] = round(overlap(object_box(picture, clicks(box, i)), box), 2)
    print(f"mean IoU {np.mean([*scores.values()]):.3f}: {scores}")
    assert np.mean([*scores.values()]) > 0.6


@pytest.mark.parametrize("scale", [1, 4])
def test_the_box_is_in_the_pictures_own_pixels(scale):
    found = object_box(disc(scale=scale), (100 * scale, 80 * scale))
    assert np.abs(np.array(found) / scale - DISC).max() < 4
    assert found == object_box(disc(scale=scale), (100 * scale, 80 * scale))


def test_a_picture_that_is_not_square():
    assert overlap(object_box(disc((1000, 150)), (100, 80)), DISC) > 0.75


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (40, 40)])
def test_nothing_to_tell_apart_is_said(size):
    with pytest.raises(InputError, match="nothing at .* differs from what is around it"):
        object_box(PIL.Image.new("RGB", size, "navy"), (0, 0))


@pytest.mark.parametrize("click", [(-1, 5), (300, 5), (5, 200), (float("nan"), 5)])
def test_a_click_outside_is_refused(click):
    with pytest.raises(InputError, match="expected x, y within the picture of size"):
        object_box(disc(), click)


def test_a_file_will_do(tmp_path):
    disc().save(tmp_path / "disc.png")
    assert object_box(tmp_path / "disc.png", (100, 80)) == object_box(disc(), (100, 80))
