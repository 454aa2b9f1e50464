import math
from statistics import median

import pytest
import torch
from jaxtyping import config as jaxtyping_config
from skimage.metrics import peak_signal_noise_ratio
from torchmetrics.functional.image import structural_similarity_index_measure

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics import ObjMC, objmc
from sgi2v_lab.evaluation.metrics.first_frame import first_frame_psnr, first_frame_ssim, psnr, ssim
from sgi2v_lab.evaluation.metrics.measured import MeasuredVideo
from sgi2v_lab.evaluation.metrics.trajectory_error import ctd, epe
from sgi2v_lab.evaluation.scenes.scenes import benchmark_scenes
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render, true_boxes
from tests.helpers.known_tracks import KnownTracks

pytestmark = pytest.mark.slow

FIRST = 10_000_000
SEEDS = (FIRST, FIRST + 3, FIRST + 5, FIRST + 7)


def _clips():
    for seed in SEEDS:
        scene = sample_scene(seed)
        boxes = true_boxes(scene, 128)[-1:]  # the front sprite: nothing covers it
        if len(boxes):
            yield render(scene, 128), boxes


@pytest.fixture(scope="module")
def benchmark():
    """The true clips of some of the benchmark's scenes, 128 px, with what was asked for."""
    scenes = benchmark_scenes(("single", "two", "pinned", "pan"), most=2)
    size = (128, 128)
    return {scene.name: (scene.clip(size, 8), scene.asked(size, 8).boxes(8)) for scene in scenes}


@pytest.mark.parametrize("tracker", ["ncc", "lk"])
def test_objmc_of_a_perfect_video_is_below_one_pixel(benchmark, tracker):
    values = [objmc(video, boxes, tracker).value for video, boxes in benchmark.values()]
    assert len(values) == 8
    assert median(values) < 1
    assert sum(value < 1 for value in values) >= 7


@pytest.mark.parametrize("tracker", ["ncc", "lk"])
def test_objmc_of_a_still_video_is_the_mean_distance_from_the_start(benchmark, tracker):
    for video, boxes in benchmark.values():
        centers = (boxes[..., :2] + boxes[..., 2:]) / 2
        expected = (centers - centers[:, :1]).norm(dim=-1).mean().item()
        still = video[:1].repeat(len(video), 1, 1, 1)
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
    assert after.value == pytest.approx(after.per_object.mean().item())


def test_objmc_states_what_it_depends_on():
    video, boxes = next(_clips())
    measured = objmc(video, boxes, "lk")
    assert (measured.tracker, measured.resolution, measured.frames) == ("lk", (128, 128), 8)


# --- hand-made tracks ------------------------------------------------------------------------------------------------

BLACK = torch.zeros(4, 3, 64, 64)
BOX = (8.0, 8.0, 24.0, 24.0)
WENT = [(0, 0), (3, 0), (6, 0), (6, 8)]  # what the tracker finds
PATH = [(0, 0), (3, 4), (6, 8), (6, 8)]  # what was asked: 4 and 8 px off in the middle
ASKED = torch.tensor([BOX])[:, None] + torch.tensor(PATH).float().repeat(1, 2)


def test_objmc_and_ctd_follow_their_definitions():
    tracker = KnownTracks(BOX, WENT)
    assert objmc(BLACK, ASKED, tracker).value == pytest.approx((0 + 4 + 8 + 0) / 4, abs=1e-3)
    value, details = ctd(MeasuredVideo(BLACK, boxes=ASKED, tracker=tracker))
    assert value == pytest.approx((4 + 8 + 0) / 3, abs=1e-5)
    assert details == {"per_object": [pytest.approx(4)], "visible": 1, "tracker": "known"}


def test_both_take_the_mean_over_objects():
    still = torch.tensor([40.0, 40.0, 56.0, 56.0]).expand(1, 4, 4)
    given = MeasuredVideo(BLACK, boxes=torch.cat([ASKED, still]), tracker=KnownTracks(BOX, WENT))
    assert ctd(given)[0] == pytest.approx(4 / 2, abs=1e-5)
    assert ObjMC.of(given).value == pytest.approx(3 / 2, abs=1e-3)


def test_epe_is_the_distance_between_the_tracks_of_two_clips():
    paths = {0.0: WENT, 1.0: PATH}  # the true clip is white, and its object goes where it was asked to

    def tracker(video, points):
        white = video[0, 0, 0, 0].item()
        return KnownTracks(BOX, paths[white], hidden=[2] if white else [3])(video, points)

    given = MeasuredVideo(BLACK, boxes=ASKED, reference=BLACK + 1, tracker=tracker)
    value, details = epe(given)
    assert value == pytest.approx((4 + 0) / 2)  # in frame 2 it is hidden in the true clip
    assert (details["points"], details["seen"]) == (16, 0.5)  # in frame 3 it is lost in the other one
    everywhere = epe(MeasuredVideo(BLACK, reference=BLACK + 1, tracker=tracker))
    assert everywhere[0] == pytest.approx(2 * 16 / 256)


def test_what_has_no_motion_or_no_points_is_refused():
    with pytest.raises(InputError, match="one frame"):
        ctd(MeasuredVideo(BLACK[:1], boxes=ASKED[:, :1]))
    with pytest.raises(InputError, match="box 0 has its centre outside"):
        ctd(MeasuredVideo(BLACK, boxes=ASKED - 20))
    with pytest.raises(InputError, match="follows none of the 0 grid points"):
        epe(
            MeasuredVideo(BLACK, boxes=ASKED[:, :, :2].repeat(1, 1, 2), reference=BLACK, tracker=KnownTracks(BOX, WENT))
        )
    with pytest.raises(InputError, match=r"reference has shape \(3, 3, 64, 64\): expected \(4, 3, 64, 64\)"):
        MeasuredVideo(BLACK, reference=BLACK[:3])


# --- pictures --------------------------------------------------------------------------------------------------------


def test_objmc_refuses_what_it_cannot_measure():
    video, boxes = next(_clips())
    with pytest.raises(InputError, match="5 frames but the video has 8"):
        objmc(video, boxes[:, :5])
    with pytest.raises(InputError, match="at least one box"):
        objmc(video, boxes[:0])
    with pytest.raises(InputError, match="no part inside"):
        objmc(video, boxes + 500)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda video, boxes: (video[:1], boxes[:, :1]), "one frame"),
        (lambda video, boxes: (video * torch.nan, boxes), "not finite"),
        (lambda video, boxes: (video, boxes / 0 * 0), "boxes hold NaN"),
        (lambda video, boxes: (video[0], boxes), r"video given are a Tensor \(3, 64, 64\): expected"),
        (lambda video, boxes: (video, boxes[0]), "boxes given are a Tensor"),
        (lambda video, boxes: (video, boxes[..., :2]), "boxes given are a Tensor"),
        (lambda video, boxes: (video.numpy(), boxes), "video given are a ndarray"),
        (lambda video, boxes: (video, None), "boxes given are a NoneType"),
        (lambda video, boxes: (video, boxes, KnownTracks(BOX, [(torch.nan, 0)] * 4)), "infinite numbers; try another"),
    ],
)
def test_objmc_says_what_is_wrong_with_odd_inputs(monkeypatch, change, complaint):
    monkeypatch.setattr(jaxtyping_config, "jaxtyping_disable", True)  # users have no run-time checker
    with pytest.raises(InputError, match=complaint):
        objmc(*change(BLACK, ASKED))


def test_psnr_follows_its_definition():
    a = torch.full((3, 3, 8, 8), 0.5)
    b = a + torch.tensor([0.1, 0.01, 0.0])[:, None, None, None]
    ratio = psnr(a, b)
    assert ratio[:2].tolist() == pytest.approx([20, 40], abs=1e-3)
    assert math.isinf(ratio[2])
    assert first_frame_psnr(b, a[0]) == pytest.approx(20, abs=1e-3)
    with pytest.raises(InputError, match="one shape"):
        psnr(a, b[:2])


def _noisy_pair(side=40):
    generator = torch.Generator().manual_seed(0)
    a = torch.nn.functional.interpolate(torch.rand(3, 3, 9, 9, generator=generator), side, mode="bicubic").clamp(0, 1)
    noise = torch.randn(a.shape, generator=generator) * torch.tensor([0.02, 0.1, 0.3])[:, None, None, None]
    return a, (a + noise).clamp(0, 1)


def test_psnr_agrees_with_scikit_image():
    a, b = _noisy_pair()
    expected = [peak_signal_noise_ratio(x.numpy(), y.numpy(), data_range=1) for x, y in zip(a, b, strict=True)]
    assert psnr(a, b).tolist() == pytest.approx(expected, abs=1e-3)


def test_ssim_agrees_with_torchmetrics():
    a, b = _noisy_pair()
    _, maps = structural_similarity_index_measure(a.double(), b.double(), data_range=1.0, return_full_image=True)
    expected = maps[..., 5:-5, 5:-5].mean(dim=(1, 2, 3))  # where the window fits, as in the paper
    assert ssim(a, b).tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    assert ssim(a, b).tolist() == sorted(ssim(a, b).tolist(), reverse=True)


def test_ssim_of_equal_frames_is_one_and_of_negatives_is_low():
    a, b = _noisy_pair()
    assert ssim(a, a).tolist() == pytest.approx([1, 1, 1])
    assert ssim(a, 1 - a).max() < 0
    assert first_frame_ssim(b, a[0]) == pytest.approx(ssim(a, b)[0].item(), abs=1e-6)
    with pytest.raises(InputError, match="SSIM compares videos of one shape"):
        ssim(a, b[:2])
    with pytest.raises(InputError, match="11x11 pixels"):
        ssim(a[..., :8], b[..., :8])
