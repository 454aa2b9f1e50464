"""`sgi2v measure` on videos whose motion is known."""

import json

import pytest
import torch
from typer.testing import CliRunner

from sgi2v_lab.cli.main import app
from sgi2v_lab.evaluation.metrics import METRICS
from sgi2v_lab.images.read import to_pil
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from sgi2v_lab.trajectories.files import save_trajectories
from sgi2v_lab.video import write_video
from tests.helpers.known_motion import photograph_clip

FRAMES = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A true video, one that stands still, the boxes of the true one, and its first picture."""
    folder = tmp_path_factory.mktemp("measure")
    video, boxes = photograph_clip(10_000_000, 64, FRAMES)
    write_video(folder / "true.mp4", video, 8)
    write_video(folder / "still.mp4", video[:1].repeat(FRAMES, 1, 1, 1), 8)
    to_pil(video[0]).resize((96, 96)).save(folder / "picture.png")
    save_trajectories(folder / "boxes.json", Trajectories.from_boxes((64, 64), boxes.double()))
    save_trajectories(folder / "twice.json", Trajectories.from_boxes((128, 128), 2 * boxes.double()))
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["measure", *map(str, arguments)])


def records(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_true_video_follows_its_boxes_and_a_still_one_does_not(folder):
    known = ("--boxes", folder / "boxes.json", "--reference", folder / "true.mp4")
    true, still = records(folder / "true.mp4", *known), records(folder / "still.mp4", *known)
    assert list(true) == list(METRICS)
    assert true["objmc"]["value"] < 1 < 5 < still["objmc"]["value"]
    assert true["epe"]["value"] == 0 < still["epe"]["value"]
    assert true["copies_left"]["value"] < 0.1 and still["copies_left"]["value"] > 0.9
    assert true["objmc"]["details"]["resolution"] == [64, 64]
    assert true["first_frame_psnr"] == {
        **true["first_frame_psnr"],
        "value": None,
        "unit": "dB",
        "better": "higher",
        "reason": "not known: image",
    }


def test_boxes_of_another_picture_size_are_scaled(folder):
    one, other = (records(folder / "true.mp4", "--boxes", folder / f"{name}.json") for name in ("boxes", "twice"))
    assert one["objmc"]["value"] == pytest.approx(other["objmc"]["value"], abs=1e-3)


def test_a_picture_of_another_size_is_fitted(folder):
    found = records(folder / "true.mp4", "--boxes", folder / "boxes.json", "--image", folder / "picture.png")
    assert 20 < found["first_frame_psnr"]["value"] < 60


def test_the_table_names_units_reasons_and_licences(folder):
    result = run(folder / "true.mp4", "--boxes", folder / "boxes.json")
    assert result.exit_code == 0
    for words in ("ObjMC", "BG-Obj CTD", "px", "lower", "not known: reference", "6 frames of 64 × 64", "Apache-2.0"):
        assert words in result.output
    assert "dis" in run(folder / "true.mp4", "--boxes", folder / "boxes.json", "--tracker", "dis").output


def test_camera_boxes_are_no_objects(folder):
    from sgi2v_lab.trajectories.camera import camera_still

    moves = Trajectories((64, 64), (Trajectory.pin((20, 20, 40, 40)), *camera_still((64, 64))))
    save_trajectories(folder / "camera.json", moves)
    found = records(folder / "still.mp4", "--boxes", folder / "camera.json")
    assert found["background_drift"]["details"]["camera"] is True
    assert found["background_drift"]["value"] == pytest.approx(0, abs=0.1)
    assert "camera was asked to move" in found["bg_obj_ctd"]["reason"]


def test_bad_input_is_one_sentence(folder):
    result = run(folder / "true.mp4", "--boxes", folder / "boxes.json", "--tracker", "kcf")
    assert result.exit_code == 2 and "unknown tracker 'kcf'" in result.output
    assert run(folder / "gone.mp4", "--boxes", folder / "boxes.json").exit_code == 2
    video = torch.zeros(4, 3, 64, 64)
    write_video(folder / "short.mp4", video, 8)
    result = run(folder / "short.mp4", "--boxes", folder / "boxes.json")
    assert result.exit_code == 2 and "--resample" in result.output
    assert run(folder / "short.mp4", "--boxes", folder / "boxes.json", "--resample").exit_code == 0
