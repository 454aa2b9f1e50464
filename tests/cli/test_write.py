import torch

from sgi2v_lab.cli.write import run_record, write_comparison, write_run
from sgi2v_lab.pipeline import Run
from sgi2v_lab.settings import Settings
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render, true_boxes
from sgi2v_lab.video import read_video

SIDE = 64


def runs():
    """A run that obeys perfectly, and one that stands still."""
    scene = sample_scene(10_000_008)
    video, boxes = render(scene, SIDE), true_boxes(scene, SIDE)
    settings = Settings(width=SIDE, height=SIDE)
    shared = {
        "image": video[0],
        "latents": torch.zeros(8, 4, 16, 16),
        "settings": settings,
        "model": "by hand",
        "method": "sgi2v",
        "seed": 1,
        "sigmas": [3.0, 2.0, 1.0],
        "seconds": {"encode": 1.0},
    }
    controlled = Run(video=video, boxes=boxes, losses={1: [2.0, 1.0], 2: [1.5, 0.5]}, **shared)
    return Run(video=video[:1].repeat(8, 1, 1, 1), boxes=None, losses={}, **shared), controlled


def test_a_comparison_tells_who_obeyed(tmp_path):
    uncontrolled, controlled = runs()
    travelled = (controlled.boxes[:, -1] - controlled.boxes[:, 0])[:, :2].norm(dim=-1)
    assert travelled.max() > 10
    record = write_comparison(tmp_path, uncontrolled, controlled)
    assert record["ratio"] < 0.3 and record["uncontrolled"] > 3
    assert record["resolution"] == [SIDE, SIDE] and record["frames"] == 8
    assert record["visible"]["controlled"] == 1.0
    film = read_video(tmp_path / "comparison.mp4")
    assert len(film) == 8 and film.shape[3] > 2 * 8 * SIDE  # two videos, enlarged eight times
    assert {p.name for p in tmp_path.iterdir()} == {
        "comparison.mp4",
        "uncontrolled.mp4",
        "film_strip.png",
        "tracks.png",
    }


def test_a_run_without_control_has_no_losses_and_no_boxes(tmp_path):
    uncontrolled, controlled = runs()
    write_run(tmp_path, uncontrolled)
    assert {p.name for p in tmp_path.iterdir()} == {"video.mp4", "film_strip.png"}
    write_run(tmp_path, controlled)
    assert {p.name for p in tmp_path.iterdir()} == {"video.mp4", "film_strip.png", "trajectories.png", "losses.png"}
    assert run_record(controlled)["losses"] == {"1": [2.0, 1.0], "2": [1.5, 0.5]}
    assert not run_record(uncontrolled)["controlled"]
