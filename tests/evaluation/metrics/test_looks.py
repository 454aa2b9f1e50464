"""Flicker and spectra, where the truth is known."""

import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.flicker import temporal_flickering, warping_error
from sgi2v_lab.evaluation.metrics.spectrum import spectrum_distance
from sgi2v_lab.toy.training.clip_network import harm
from tests.helpers.known_motion import imposed_clip


@pytest.fixture(scope="module")
def clip():
    return imposed_clip(10_000_001).video


def test_flickering_follows_vbench():
    video = torch.zeros(3, 3, 8, 8)
    video[1] = 51 / 255
    assert temporal_flickering(video) == pytest.approx((255 - 51) / 255)
    assert temporal_flickering(torch.full((2, 3, 8, 8), 0.3)) == 1


def test_warping_error_of_brightness_alone_is_its_square(clip):
    still = clip[:1].repeat(3, 1, 1, 1) * 0.8
    assert warping_error(still) == 0
    still[1] += 0.1
    assert warping_error(still) == pytest.approx(0.01, abs=0.002)


def test_motion_is_no_flicker_once_it_is_taken_out(clip):
    flickering = harm(clip, "flicker", 0.4, torch.Generator().manual_seed(0))
    still = clip[:1].expand_as(clip)
    assert warping_error(clip) < 0.002
    assert warping_error(flickering) > 4 * warping_error(clip)
    # without taking it out, a steady clip that moves looks worse than one that stands still and flickers
    assert temporal_flickering(clip) < temporal_flickering(
        harm(still, "flicker", 0.2, torch.Generator().manual_seed(0))
    )


def test_frames_without_anything_in_common_are_wholly_different():
    noise = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert warping_error(noise) > 0.05


@pytest.mark.parametrize("metric", [temporal_flickering, warping_error])
def test_one_frame_does_not_flicker(metric, clip):
    with pytest.raises(InputError, match="one frame"):
        metric(clip[:1])
    with pytest.raises(InputError, match="not finite"):
        metric(clip * float("nan"))


def test_a_spectrum_is_at_no_distance_from_itself(clip):
    assert spectrum_distance(clip[:1], clip[:1]) == 0
    assert spectrum_distance(clip, clip) < spectrum_distance(harm(clip, "blur", 0.3), clip)


def test_spectra_do_not_mind_where_things_are_or_how_bright_the_picture_is(clip):
    frame = clip[:1] * 0.8
    assert spectrum_distance(frame.flip(-1, -2) + 0.1, frame) < 0.01


def test_half_the_contrast_is_six_decibels():
    noise = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert spectrum_distance(noise * 0.5, noise[:1]) == pytest.approx(6.02, abs=0.7)
    assert spectrum_distance(noise[:1] * 0.5, noise[:1]) == pytest.approx(6.02, abs=0.01)


@pytest.mark.parametrize("kind", ["blur", "noise"])
def test_less_detail_and_more_detail_are_both_off(clip, kind):
    values = [
        spectrum_distance(harm(clip, kind, strength, torch.Generator().manual_seed(0)), clip[:1])
        for strength in (0.0, 0.3, 1.0)
    ]
    assert values == sorted(values)
    assert values[-1] > values[0] + 3


def test_spectra_of_other_sizes_are_refused(clip):
    with pytest.raises(InputError, match="one size"):
        spectrum_distance(clip, clip[..., :64])
