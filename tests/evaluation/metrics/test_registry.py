"""Every metric in the registry is taken by name, says what it depends on, and moves the right way."""

import json
import math
from dataclasses import replace

import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics import METRICS, frechet_networks, measure
from sgi2v_lab.evaluation.metrics.clip_network import harm
from sgi2v_lab.evaluation.metrics.frechet_networks import I3D, INCEPTION
from sgi2v_lab.evaluation.scenes.scenes import benchmark_scenes
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render
from tests.helpers.little_networks import FEATURES, LittleI3D, LittleInception

FRAMES = 9  # I3D takes no fewer
SETS = ("toy_frechet", "fid", "fvd")


def blur(video, strength):
    return harm(video, "blur", strength)


def flicker(video, strength):
    return harm(video, "flicker", strength, torch.Generator().manual_seed(3))


def shift(video, strength):
    """Everything goes right and down, up to two pixels a frame."""
    steps = [round(2 * strength * f) for f in range(len(video))]
    return torch.stack([frame.roll((step, step), dims=(-1, -2)) for frame, step in zip(video, steps, strict=True)])


def swap(video, strength):
    """A share of the frames change places with frames that are far from them; the first one stays."""
    order = list(range(len(video)))
    for a, b in [(2, 7), (4, 8), (1, 6)][: round(3 * strength)]:
        order[a], order[b] = order[b], order[a]
    return video[order]


CORRUPTIONS = [
    ("objmc", shift),
    ("objmc", swap),
    ("box_iou", shift),
    ("box_iou", swap),
    ("background_drift", shift),
    ("first_frame_psnr", blur),
    ("first_frame_ssim", blur),
    ("temporal_flickering", flicker),
    ("temporal_flickering", swap),
    ("warping_error", flicker),
    ("warping_error", swap),
    ("spectrum_distance", blur),
    ("toy_frechet", blur),
    ("toy_frechet", flicker),
    ("fid", blur),
    ("fvd", flicker),
    ("fvd", swap),
]


@pytest.fixture(scope="module")
def scene():
    """A true clip with all that can be known of it; its background has something to follow."""
    chosen = next(s for s in benchmark_scenes(("single",)) if s.scene(FRAMES).background == "tiles")
    size = (128, 128)
    video = chosen.clip(size, FRAMES)
    return {"video": video, "image": video[0], "boxes": chosen.asked(size, FRAMES).boxes(FRAMES)}


@pytest.fixture(scope="module")
def true_clips():
    return [render(sample_scene(10_000_000 + k, FRAMES), 64) for k in range(36)]


@pytest.fixture
def networks(monkeypatch):
    monkeypatch.setattr(frechet_networks, "INCEPTION", replace(INCEPTION, features=FEATURES))
    monkeypatch.setattr(frechet_networks, "I3D", replace(I3D, features=FEATURES))
    return {"inception": LittleInception(FEATURES), "i3d": LittleI3D(FEATURES)}


def test_every_metric_has_a_corruption():
    assert {name for name, _ in CORRUPTIONS} == set(METRICS)


@pytest.mark.parametrize(("name", "spoil"), CORRUPTIONS, ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_a_corruption_makes_it_worse(name, spoil, scene, true_clips, networks):
    values = []
    for strength in (0.0, 0.34, 1.0):
        known = {**scene, "video": spoil(scene["video"], strength)}
        if name in SETS:
            known |= networks | {"real": true_clips, "generated": [spoil(clip, strength) for clip in true_clips]}
        found = measure(names=[name], **known)[name]
        assert found["value"] is not None, found["reason"]
        values.append(found["value"])
    worse = sorted(values, reverse=METRICS[name].better == "higher")
    assert values == worse
    assert len(set(values)) == 3


def test_all_that_can_be_taken_is_taken_with_what_it_depends_on(scene, true_clips, networks):
    found = measure(**scene, **networks, real=true_clips, generated=true_clips)
    assert list(found) == list(METRICS)
    for name, figures in found.items():
        side = 64 if name in SETS else 128
        assert (figures["resolution"], figures["frames"]) == ([side, side], FRAMES)
        assert figures["better"] in ("lower", "higher")
        assert figures["unit"] == METRICS[name].unit
    assert found["objmc"]["tracker"] == "ncc"
    assert found["background_drift"]["tracker"] == "lk"
    assert found["fid"]["network"] == "LittleInception"
    assert found["objmc"]["value"] < 1
    assert found["box_iou"]["value"] > 0.9
    assert math.isinf(found["first_frame_psnr"]["value"])
    assert found["first_frame_ssim"]["value"] == pytest.approx(1)
    assert json.loads(json.dumps(found))["fvd"]["value"] == pytest.approx(0, abs=1e-6)


def test_what_cannot_be_taken_says_why(scene, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    video = scene["video"]
    found = measure(video, real=[video, video], generated=[video, video])
    taken = {name for name, figures in found.items() if figures["value"] is not None}
    assert taken == {"temporal_flickering", "warping_error"}
    assert found["objmc"]["reason"] == "not known: boxes"
    assert found["spectrum_distance"]["reason"] == "not known: image"
    assert "inception-2015-12-05.pt" in found["fid"]["reason"]
    assert "i3d_torchscript.pt" in found["fvd"]["reason"]
    assert "2 clips; expected at least as many as features" in found["toy_frechet"]["reason"]


def test_the_true_clip_is_the_better_reference(scene):
    spoilt = {**scene, "video": blur(scene["video"], 0.5)}
    to_picture = measure(names=["spectrum_distance"], **spoilt)["spectrum_distance"]
    to_clip = measure(names=["spectrum_distance"], **spoilt, reference=scene["video"])["spectrum_distance"]
    assert (to_picture["to"], to_clip["to"]) == ("picture", "true clip")
    assert to_clip["value"] != to_picture["value"]


def test_the_tracker_can_be_chosen(scene):
    found = measure(names=["objmc", "box_iou", "background_drift"], tracker="dis", **scene)
    assert {figures["tracker"] for figures in found.values()} == {"dis"}
    assert found["box_iou"]["size_tracked"]


def test_bad_input_is_named(scene):
    video = scene["video"]
    with pytest.raises(InputError, match="unknown metric 'lpips'; choose some of objmc"):
        measure(video, names=["lpips"])
    with pytest.raises(InputError, match="as 'mask'; expected some of image, boxes"):
        measure(video, mask=video[0])
    with pytest.raises(InputError, match="8 frames but the video has 9"):
        measure(video, boxes=scene["boxes"][:, :8])
    with pytest.raises(InputError, match="the image has 64x64 px but the video 128x128"):
        measure(video, image=scene["image"][:, ::2, ::2])
