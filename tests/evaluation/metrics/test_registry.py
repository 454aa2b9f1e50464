"""Every metric in the registry is taken by name, says what it depends on, and moves the right way."""

import json
import math
from dataclasses import asdict, replace
from functools import partial

import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics import METRICS, SET_METRICS, frechet_networks, measure
from sgi2v_lab.evaluation.metrics.frechet_networks import I3D, INCEPTION
from sgi2v_lab.evaluation.trackers.track import lk
from sgi2v_lab.toy.training.clip_network import harm
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render
from tests.helpers.known_motion import photograph_clip
from tests.helpers.little_networks import FEATURES, LittleI3D, LittleInception

FRAMES = 9  # I3D takes no fewer
FEW = 8  # clips, where points are tracked


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


def freeze(video, strength):
    """The last frames show the first one."""
    kept = len(video) - round(strength * (len(video) - 1))
    return torch.cat([video[:kept], video[:1].expand(len(video) - kept, -1, -1, -1)])


def ghost(video, strength):
    """The first frame shines through all others."""
    return torch.lerp(video, video[:1].expand_as(video), 0.9 * strength)


CORRUPTIONS = [
    ("objmc", shift),
    ("objmc", swap),
    ("ctd", freeze),
    ("epe", shift),
    ("box_iou", shift),
    ("box_iou", swap),
    ("bg_obj_ctd", freeze),
    ("background_drift", shift),
    ("fidelity", shift),
    ("fidelity", swap),
    ("fidelity_ssim", blur),
    ("copies_left", ghost),
    ("copies_left", freeze),
    ("first_frame_psnr", blur),
    ("first_frame_ssim", blur),
    ("temporal_flickering", flicker),
    ("temporal_flickering", swap),
    ("warping_error", flicker),
    ("warping_error", swap),
    ("spectrum_distance", blur),
    ("toy_frechet", blur),
    ("toy_frechet", flicker),
    ("motion_distance", freeze),
    ("fid", blur),
    ("fvd", flicker),
    ("fvd", swap),
]


@pytest.fixture(scope="module")
def scene():
    """A true clip, a piece of a photograph that moves over another one, with all that can be known of it."""
    video, boxes = photograph_clip(10_000_000, 64, FRAMES)
    return {"video": video, "image": video[0], "boxes": boxes, "reference": video}


@pytest.fixture(scope="module")
def true_clips():
    return [render(sample_scene(10_000_000 + k, FRAMES), 48) for k in range(32)]


@pytest.fixture
def networks(monkeypatch):
    """The functions that compare sets, two of them with small networks."""
    monkeypatch.setattr(frechet_networks, "INCEPTION", replace(INCEPTION, features=FEATURES))
    monkeypatch.setattr(frechet_networks, "I3D", replace(I3D, features=FEATURES))
    known = {"fid": {"inception": LittleInception(FEATURES)}, "fvd": {"i3d": LittleI3D(FEATURES)}}
    return {name: partial(metric.function, **known.get(name, {})) for name, metric in SET_METRICS.items()}


def test_every_metric_has_a_corruption():
    assert {name for name, _ in CORRUPTIONS} == {*METRICS, *SET_METRICS}


@pytest.mark.parametrize(("name", "spoil"), CORRUPTIONS, ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_a_corruption_makes_it_worse(name, spoil, scene, true_clips, networks):
    values = []
    for strength in (0.0, 0.34, 1.0):
        if name in SET_METRICS:
            real = true_clips[:FEW] if name == "motion_distance" else true_clips
            values.append(networks[name](real, [spoil(clip, strength) for clip in real])[0])
        else:
            found = measure(**{**scene, "video": spoil(scene["video"], strength)}, names=[name])[name]
            assert found.value is not None, found.reason
            values.append(found.value)
    metric = (METRICS | SET_METRICS)[name]
    assert metric.improves(values[0], values[1]) and metric.improves(values[1], values[2]), values


def test_all_that_can_be_taken_is_taken_with_what_it_depends_on(scene):
    found = measure(**scene)
    assert list(found) == list(METRICS)
    assert all(one.reason is None and one.value is not None for one in found.values())
    assert found["objmc"].details["tracker"] == "ncc"
    assert found["background_drift"].details["tracker"] == "lk"
    assert found["objmc"].value < 1 and found["box_iou"].value > 0.9 and found["copies_left"].value < 0.1
    assert math.isinf(found["first_frame_psnr"].value)
    assert found["first_frame_ssim"].value == pytest.approx(1)
    assert json.loads(json.dumps(asdict(found["epe"])))["details"]["tracker"] == "lk"


def test_equal_sets_are_at_distance_zero(true_clips, networks):
    few = true_clips[:FEW]
    found = {name: take(*[few if name == "motion_distance" else true_clips] * 2) for name, take in networks.items()}
    assert all(value == pytest.approx(0, abs=1e-3) for value, _ in found.values())
    assert found["fid"][1]["network"] == "LittleInception"


def test_a_tracker_runs_once_for_all_metrics_that_need_the_same_tracks(scene):
    calls = []

    def counting(video, points):
        calls.append(len(points))
        return lk(video, points)

    names = ["objmc", "box_iou", "ctd", "background_drift", "bg_obj_ctd", "epe"]
    found = measure(**scene, names=names, tracker=counting)
    assert all(one.value is not None for one in found.values())
    assert len(calls) == 4  # boxes, centres, the grid, and the grid in the true clip
    assert {one.details["tracker"] for one in found.values()} == {"lk"}


def test_what_cannot_be_taken_says_why(scene):
    found = measure(scene["video"])
    taken = {name for name, one in found.items() if one.value is not None}
    assert taken == {"background_drift", "temporal_flickering", "warping_error", "spectrum_distance"}
    assert found["objmc"].reason == "not known: boxes"
    assert found["epe"].reason == "not known: reference"


def test_the_true_clip_is_the_better_reference(scene):
    spoilt, names = blur(scene["video"], 0.5), ["spectrum_distance"]
    to_picture = measure(spoilt, names, image=scene["image"])["spectrum_distance"]
    to_clip = measure(spoilt, names, image=scene["image"], reference=scene["video"])["spectrum_distance"]
    assert (to_picture.details["to"], to_clip.details["to"]) == ("picture", "true clip")
    assert to_clip.value != to_picture.value


def test_labels_name_the_unit():
    assert METRICS["objmc"].label == "ObjMC, px"
    assert METRICS["box_iou"].label == "Box IoU"
    assert METRICS["objmc"].improves(1, 2) and METRICS["box_iou"].improves(0.5, 0.4)
    assert all(metric.meaning and metric.source and metric.digits >= 0 for metric in (METRICS | SET_METRICS).values())


def test_bad_input_is_named(scene):
    video = scene["video"]
    with pytest.raises(InputError, match="unknown metric 'lpips'; choose some of objmc"):
        measure(video, names=["lpips"])
    with pytest.raises(InputError, match="unknown argument 'mask': expected some of image, boxes"):
        measure(video, mask=video[0])
    with pytest.raises(InputError, match="8 frames but the video has 9"):
        measure(video, boxes=scene["boxes"][:, :8])
    with pytest.raises(InputError, match=r"image has shape \(3, 32, 32\): expected \(3, 64, 64\)"):
        measure(video, image=scene["image"][:, ::2, ::2])
