import json

import numpy as np
import PIL.Image
import pytest
import torch

import sgi2v_lab.cli.demo
from sgi2v_lab.cli.demo import SEED, demo, drawn_scene, photograph
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics import objmc
from sgi2v_lab.models.load import load_model
from sgi2v_lab.pipeline import generate
from sgi2v_lab.video import read_video
from tests.helpers.tiny import FRAMES, TINIER, tinier_pipeline

VIDEOS = ("video.mp4", "uncontrolled.mp4", "comparison.mp4")
INSIDE = ("pca.png", "similarity.png", "spectra.png")
FIGURES = ("trajectories.png", "film_strip.png", "losses.png", "tracks.png")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tinier_pipeline().save_pretrained(folder)
    settings = {"width": 64, "height": 64, "num_inference_steps": 3, "control_steps": [1, 1], "iterations": 1}
    (folder / "settings.json").write_text(json.dumps(settings | {"layers": TINIER.layers}))
    return str(folder)


@pytest.fixture(scope="module")
def made(checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "demo"
    told = []
    return out, demo(out, model=checkpoint, seed=3, device="cpu", progress=False, tell=told.append), told


@pytest.mark.slow
def test_everything_is_written(made):
    out, _, told = made
    for name in [*VIDEOS, *(f"photo/{name}" for name in VIDEOS)]:
        assert len(read_video(out / name)) == FRAMES, name
    for name in [*INSIDE, *FIGURES, *(f"photo/{name}" for name in FIGURES)]:
        with PIL.Image.open(out / name) as picture:
            assert min(picture.size) > 200 and np.asarray(picture.convert("L")).std() > 5, name
    assert len(told) == 4
    assert [p.name for p in out.parent.iterdir()] == ["demo"]


@pytest.mark.slow
def test_videos_are_enlarged_for_viewing(made):
    assert read_video(made[0] / "video.mp4").shape[-2:] == (512, 512)
    assert read_video(made[0] / "comparison.mp4").shape[-1] > 1024


@pytest.mark.slow
def test_the_record_says_how_it_was_made(made):
    out, returned, _ = made
    record = json.loads((out / "run.json").read_text())
    assert record == json.loads(json.dumps(returned)) | {"program": "sgi2v", "files": record["files"]}
    assert record["seed"] == record["photo"]["seed"] == 3
    assert record["settings"]["num_inference_steps"] == 3 and record["settings"]["cutoff"] == 0.5
    assert len(record["losses"]["1"]) == 1 and len(record["sigmas"]) == 3
    assert {"python", "torch", "diffusers", "sgi2v_lab", "numpy"} <= set(record["versions"])
    assert (record["device"], record["dtype"], record["threads"]) == ("cpu", "float32", torch.get_num_threads())
    assert record["seconds"]["total"] > record["seconds"]["controlled"]["denoise"] > 0
    assert record["peak_memory"]["host_mib"] > 0
    assert {"controlled", "uncontrolled", "ratio", "tracker", "resolution"} <= set(record["objmc"])
    assert record["objmc"]["resolution"] == [64, 64]
    assert sorted(record["files"]) == sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())


def test_a_bad_place_is_noticed_before_the_work(tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("the model was loaded first")

    monkeypatch.setattr(sgi2v_lab.cli.demo, "load_model", never)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        demo(tmp_path / "file" / "demo")


def test_the_examples_ask_for_enough_and_stay_inside():
    picture, scene = drawn_scene(64)
    photo, flower = photograph()
    assert picture.size == (64, 64) and photo.width == photo.height
    for asked, least in ((scene, 1 / 3), (flower, 0.24)):
        side = asked.image_size[0]
        boxes = asked.boxes(8)
        assert len(boxes) == 1
        assert ((boxes >= 0) & (boxes <= side)).all()
        assert (boxes[0, -1] - boxes[0, 0])[:2].norm() >= least * side


@pytest.mark.slow
def test_the_bundled_toy_follows_the_demos_path():
    """The promise of the demo: control brings the ball near to the path asked for."""
    toy = load_model("toy", device="cpu")
    picture, asked = drawn_scene(toy.settings.width)
    run = generate(toy, picture, asked, seed=SEED, progress=False)
    still = run.image.expand_as(run.video)  # without control, the ball hardly moves
    assert objmc(run.video, run.boxes).value <= 0.3 * objmc(still, run.boxes).value
