import json
import math

import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics import first_frame_psnr, objmc, psnr
from sgi2v_lab.toy.random_scenes import sample_scene
from sgi2v_lab.toy.scenes import render, true_boxes

FIRST = 10_000_000
SEEDS = (FIRST, FIRST + 3, FIRST + 5, FIRST + 7)


def _clips():
    for seed in SEEDS:
        scene = sample_scene(seed)
        boxes = true_boxes(scene, 128)[-1:]  # the front sprite: nothing covers it
        if len(boxes):
            yield render(scene, 128), boxes


def test_objmc_of_true_clips_is_small():
    values = [objmc(video, boxes).value for video, boxes in _clips()]
    assert len(values) >= 3
    assert sum(values) / len(values) < 1


def test_objmc_of_a_still_video_is_the_mean_distance_from_the_start():
    for video, boxes in _clips():
        centres = (boxes[..., :2] + boxes[..., 2:]) / 2
        expected = (centres - centres[:, :1]).norm(dim=-1).mean().item()
        still = video[:1].repeat(len(video), 1, 1, 1)
        for tracker in ("ncc", "lk"):
            assert objmc(still, boxes, tracker).value == pytest.approx(expected, abs=1)


def test_shifting_the_asked_path_raises_objmc_by_as_much():
    video, boxes = next(_clips())
    frames = len(video)
    before = objmc(video, boxes)
    off = boxes.clone()
    off[:, 1:, 0::2] += 12
    after = objmc(video, off)
    assert before.value < 1
    assert after.value - before.value == pytest.approx(12 * (frames - 1) / frames, abs=1)
    assert after.per_frame[0] == 0


def test_objmc_states_what_it_depends_on():
    video, boxes = next(_clips())
    measured = objmc(video, boxes, "lk")
    record = json.loads(json.dumps(measured.as_dict()))
    assert (record["tracker"], record["resolution"], record["frames"]) == ("lk", [128, 128], 8)
    assert record["objmc"] == pytest.approx(measured.per_object.mean().item(), rel=1e-4)
    assert record["objmc"] == pytest.approx(measured.per_frame.mean().item(), rel=1e-4)


def test_objmc_refuses_what_it_cannot_measure():
    video, boxes = next(_clips())
    with pytest.raises(InputError, match="5 frames but the video has 8"):
        objmc(video, boxes[:, :5])
    with pytest.raises(InputError, match="at least one box"):
        objmc(video, boxes[:0])
    with pytest.raises(InputError, match="no part inside"):
        objmc(video, boxes + 500)


def test_psnr_follows_its_definition():
    a = torch.full((3, 3, 8, 8), 0.5)
    b = a + torch.tensor([0.1, 0.01, 0.0])[:, None, None, None]
    ratio = psnr(a, b)
    assert ratio[:2].tolist() == pytest.approx([20, 40], abs=1e-3)
    assert math.isinf(ratio[2])
    assert first_frame_psnr(b, a[0]) == pytest.approx(20, abs=1e-3)
    with pytest.raises(InputError, match="one shape"):
        psnr(a, b[:2])
