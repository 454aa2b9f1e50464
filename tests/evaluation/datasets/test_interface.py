"""What all data sets have in common, the benchmark and the examples."""

import inspect
import json
import pickle
import shutil

import numpy as np
import PIL.Image
import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.registry import DATASETS, open_dataset
from sgi2v_lab.evaluation.scenes.scenes import SEEDS
from sgi2v_lab.toy.world.scenes import true_boxes

ASKED = {"size": (96, 64), "num_frames": 4}
OPTIONS = {"benchmark": {"categories": ["pan"], "scenes": 1}, "kinetics": {"stride": 1}}


def opened(folders, kind, **options):
    folder = None if kind == "benchmark" else folders / kind
    return open_dataset(kind, folder, **{**ASKED, **OPTIONS.get(kind, {}), **options})


# --- the interface ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DATASETS)
def test_every_data_set_is_used_alike(folders, kind):
    dataset = pickle.loads(pickle.dumps(opened(folders, kind)))
    assert len(dataset) == len(dataset.names) >= 1
    sample = next(iter(dataset))
    assert sample.name == dataset.names[0] and sample.category == (kind if kind != "benchmark" else "pan")
    assert sample.first_frame.shape == (3, 64, 96)
    assert (sample.clip is None) == (kind == "examples")
    if sample.clip is not None:
        assert sample.clip.shape == (4, 3, 64, 96) and torch.equal(sample.clip[0], sample.first_frame)
    boxes = sample.trajectories.boxes(4)
    assert boxes.shape == (len(sample.trajectories), 4, 4) and len(boxes) >= 1
    assert (sample.objects is not None) == bool(sample.motion) == (kind == "benchmark")
    identity = dataset.identity(sample.name)
    assert json.loads(json.dumps(identity)) == identity == opened(folders, kind).identity(sample.name)
    assert identity != opened(folders, kind, size=(64, 64)).identity(sample.name)
    assert identity != opened(folders, kind, num_frames=3).identity(sample.name)


@pytest.mark.parametrize("kind", DATASETS)
def test_every_data_set_has_a_card(kind):
    assert list(DATASETS) == ["benchmark", "examples", "vipseg", "davis", "kinetics", "ava", "videos"]
    card = inspect.getdoc(DATASETS[kind])
    own = set(DATASETS[kind].__annotations__) - {"kind", "holds", "unused", "margin"}
    assert all(f"    {option}: " in card for option in own), own
    if kind not in ("benchmark", "videos"):
        assert "Source: " in card and "Terms: " in card and "Layout" in card


def test_an_identity_changes_with_pixels_boxes_and_settings(folders, tmp_path):
    shutil.copytree(folders / "davis", tmp_path / "davis")
    seen = [opened(tmp_path, "davis").identity("park")]
    assert seen[0] == opened(folders, "davis").identity("park") and len(seen[0]["content"]) == 16

    def change(file, rows, columns):
        file = tmp_path / "davis" / file
        pixels = np.array(PIL.Image.open(file))
        pixels[rows, columns] = 0
        PIL.Image.fromarray(pixels).save(file)
        seen.append(opened(tmp_path, "davis").identity("park"))

    change("Annotations/480p/park/00003.png", slice(None), 38)  # its last column
    change("JPEGImages/480p/park/00003.jpg", slice(40, 48), slice(60, 68))
    seen += [
        opened(tmp_path, "davis", **options).identity("park")
        for options in ({"how": "crop", "size": (64, 64)}, {"stride": 2})
    ]
    assert len({str(identity) for identity in seen}) == len(seen) == 5


@pytest.mark.parametrize(
    ("name", "folder", "options", "message"),
    [
        ("imagenet", None, {}, "unknown data set 'imagenet': expected one of benchmark, examples, vipseg"),
        ("ava", None, {}, "the folder of 'ava' is None: expected a folder of videos"),
        ("videos", "nowhere", {}, "the folder of 'videos' is nowhere: expected a folder of videos"),
        ("examples", __file__, {}, "the folder of 'examples' is .*py: expected a folder of folders with img.png"),
        ("examples", ".", {}, r"\. holds no samples of 'examples': expected folders with img.png"),
        ("benchmark", ".", {}, "the data set 'benchmark' has no use for folder=.: leave it out"),
        ("benchmark", None, {"stride": 2}, "the data set 'benchmark' has no use for stride=2"),
        ("davis", ".", {"tracker": "lk"}, "the data set 'davis' has no use for tracker=lk"),
        ("davis", ".", {"colour": 1}, "has no option 'colour': expected some of folder, size, num_frames, how, stride"),
        ("videos", ".", {"tracker": "eyes"}, "unknown tracker 'eyes'"),
        ("videos", ".", {"how": "squeeze"}, "unknown way to fit a picture 'squeeze'"),
        ("videos", ".", {"stride": 0}, "stride is 0: expected a whole number, at least 1"),
        ("benchmark", None, {"num_frames": 1}, "num_frames is 1: expected a whole number, at least 2"),
        ("benchmark", None, {"categories": ["double"]}, "unknown category 'double'"),
        ("benchmark", None, {"categories": []}, "holds no samples of 'benchmark'"),
    ],
)
def test_what_cannot_be_opened(name, folder, options, message):
    with pytest.raises(InputError, match=message):
        open_dataset(name, folder, **{**ASKED, **options})


# --- the benchmark ---------------------------------------------------------------------------------------------------


def test_the_benchmark():
    assert len(open_dataset("benchmark", **ASKED)) == 32 + 12 + 12 + 12 + 12 + 11
    few = open_dataset("benchmark", categories=["photo", "pinned"], scenes=2, size=(64, 64), num_frames=8)
    assert few.names == (*(f"pinned-{seed}" for seed in SEEDS["pinned"][:2]), "photo-flower", "photo-china")
    drawn, photograph = next(iter(few)), few.load("photo-flower")
    assert (drawn.category, photograph.category) == ("pinned", "photo")
    assert drawn.clip is not None and photograph.clip is None and photograph.first_frame.shape == (3, 64, 64)
    assert drawn.motion == few.sources[drawn.name].motion(8) and drawn.objects is None
    assert few.identity(few.names[1]) == {
        "dataset": "benchmark",
        "sample": few.names[1],
        "size": [64, 64],
        "frames": 8,
        "category": "pinned",
        "scene_seed": SEEDS["pinned"][1],
    }
    assert [sample.name for sample in few] == list(few.names)
    assert sum(len(sample.trajectories) for sample in few) == 6
    with pytest.raises(InputError, match="has no sample 'photo-cat': expected one of its 4, such as pinned-"):
        few.load("photo-cat")


def test_under_a_pan_the_sprites_are_told_apart_from_the_background(folders):
    pan = opened(folders, "benchmark")
    sample, scene = next(iter(pan)), pan.sources[pan.names[0]].scene(4)
    sides = torch.tensor([96, 64, 96, 64])
    assert torch.equal(sample.objects, true_boxes(scene, 1) * sides) and len(sample.objects) == len(scene.sprites)
    assert (sample.trajectories.boxes(4)[:, None] != sample.objects[None]).any(dim=-1).all()


# --- the reference's examples ----------------------------------------------------------------------------------------


def test_examples(examples):
    dataset = open_dataset("examples", examples, size=(192, 128), num_frames=4)
    assert dataset.names == ("9", "10")
    assert dataset.load("10").trajectories.boxes(4)[0, 3].tolist() == [38, 22, 86, 62]
    assert open_dataset("examples", examples / "9", **ASKED).names == ("9",)
    # another number of frames: the same way over the whole video
    assert (
        open_dataset("examples", examples, size=(96, 64), num_frames=7).load("9").trajectories.boxes(7)[0, 6, 0] == 19
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "9" / "img.png").unlink(), "sample '9': there is no file .*img.png"),
        (lambda f: (f / "9" / "img.png").write_bytes(b"P"), "is not a picture"),
        (lambda f: np.save(f / "9" / "traj.npy", np.full((1, 10, 2), np.nan)), "NaN"),
        (lambda f: np.save(f / "9" / "traj.npy", np.array([[[200, 8], [210, 20], [205, 14]]])), "wholly outside"),
    ],
)
def test_damaged_examples(examples, damage, message):
    damage(examples)
    with pytest.raises(InputError, match=message):
        open_dataset("examples", examples, **ASKED).load("9")
