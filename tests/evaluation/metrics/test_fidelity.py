"""Fidelity and copies left behind, on pieces that were pasted by hand."""

import pytest
import torch
import torch.nn.functional as F

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.fidelity import copies_left, crops, fidelity, fidelity_ssim
from sgi2v_lab.evaluation.metrics.measured import MeasuredVideo
from tests.helpers.known_motion import _photograph

FRAMES, SIDE = 5, 64
BOX = torch.tensor([6.0, 8.0, 22.0, 24.0])
BOXES = (BOX + 7 * torch.arange(FRAMES)[:, None])[None]


@pytest.fixture(scope="module")
def scene():
    """A bright piece that moves by whole pixels over a photograph."""
    background = _photograph("china", SIDE)[..., :SIDE] * 0.6
    piece = _photograph("flower", SIDE)[0, :, 20:36, 20:36].flip(0) * 0.5 + 0.5
    video = background.repeat(FRAMES, 1, 1, 1)
    for f, (x0, y0, x1, y1) in enumerate(BOXES[0].int().tolist()):
        video[f, :, y0:y1, x0:x1] = piece
    return video, background[0], piece


def taken(metric, video, boxes=BOXES, **known):
    return metric(MeasuredVideo(video, boxes=boxes, **known))[0]


def test_an_intact_copy_is_perfect(scene):
    video, _, _ = scene
    assert taken(fidelity, video) > 100
    assert taken(fidelity_ssim, video) == pytest.approx(1)


def test_fidelity_follows_its_definition(scene):
    video = scene[0].clone() * 0.8
    lighter = video.clone()
    lighter[2:] += 0.1
    x = MeasuredVideo(lighter, boxes=BOXES, image=video[0])
    assert fidelity(x)[0] == pytest.approx(-10 * torch.tensor(0.01 * 3 / 4).log10().item(), abs=0.01)  # frames 2, 3, 4
    assert fidelity(x)[1] == {"crops": 4}


def test_boxes_that_leave_the_picture_do_not_count(scene):
    video, _, _ = scene
    far = BOXES.clone()
    far[:, 3:] += 30
    assert fidelity(MeasuredVideo(video, boxes=far))[1] == {"crops": 2}
    with pytest.raises(InputError, match="no box lies wholly inside"):
        taken(fidelity, video, BOXES - 10)
    with pytest.raises(InputError, match="11x11"):
        taken(fidelity_ssim, video, BOXES * 0.5)


def test_an_object_elsewhere_or_blurred_is_worse(scene):
    video, _, _ = scene
    blurred = torch.cat([video[:1], F.avg_pool2d(video[1:], 5, 1, 2)])
    for metric in (fidelity, fidelity_ssim):
        assert taken(metric, video) > taken(metric, blurred) > taken(metric, video[:1].repeat(FRAMES, 1, 1, 1))


def test_crops_are_read_at_fractions_of_a_pixel_and_at_any_size():
    ramp = (torch.arange(32.0) / 32).expand(1, 3, 32, 32)
    found = crops(ramp, torch.tensor([[8.25, 4, 16.25, 12]]), (8, 8))
    assert torch.allclose(found[0, 0, 0], (torch.arange(8) + 8.25) / 32, atol=3e-3)
    enlarged = crops(ramp, torch.tensor([[8.0, 4, 24, 20]]), (8, 8))
    assert torch.allclose(enlarged[0, 0, 0], (2 * torch.arange(8) + 8.5) / 32, atol=1e-5)
    assert torch.equal(crops(ramp, torch.tensor([[3.0, 4, 11, 12]]), (8, 8))[0], ramp[0, :, 4:12, 3:11])


@pytest.mark.parametrize("known", ["reference", "nothing"])
def test_copies_are_counted_by_their_strength(scene, known):
    video, _, piece = scene
    more = {"reference": video} if known == "reference" else {}
    for strength in (0.0, 0.25, 0.5, 1.0):
        ghost = video.clone()
        # in frame 1 the box still covers a part of its first place; from frame 2 on less than a tenth
        ghost[2:, :, 8:24, 6:22] = torch.lerp(ghost[2:, :, 8:24, 6:22], piece.expand(3, -1, -1, -1), strength)
        assert taken(copies_left, ghost, **more) == pytest.approx(strength, abs=0.01 if more else 0.15)


def test_a_still_video_leaves_everything_behind(scene):
    video, _, _ = scene
    still = video[:1].repeat(FRAMES, 1, 1, 1)
    assert taken(copies_left, still) == pytest.approx(1)
    assert taken(copies_left, still, reference=video) == pytest.approx(1, abs=1e-4)


def test_what_cannot_leave_has_no_copy(scene):
    video, _, _ = scene
    for boxes in (BOXES[:, :1].expand_as(BOXES), BOXES - 100):
        with pytest.raises(InputError, match="no box leaves its first place"):
            taken(copies_left, video, boxes)
    plain = torch.full_like(video, 0.5)
    with pytest.raises(InputError, match="look like what is behind"):
        taken(copies_left, plain)
