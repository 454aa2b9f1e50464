"""Motion distance on tracks made by hand, and on clips whose motion is known."""

import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.measured import grid_points
from sgi2v_lab.evaluation.metrics.motion_distance import motion_distance, motion_histograms
from tests.helpers.known_motion import imposed_clip


def moving(path, side):
    """Every point of the grid takes the same path of displacements."""
    return grid_points(torch.zeros(1, 3, side, side))[:, None] + torch.tensor(path, dtype=torch.float32)


def test_histograms_count_lengths_by_direction():
    found = motion_histograms(moving([(0, 0), (3, 0), (3, 7)], 256), 256)
    velocities, accelerations = found.view(2, 4, 8)
    # +x is the middle of the circle of directions from -pi to pi, +y a quarter further; two vectors for each point
    expected = torch.zeros(8)
    expected[4], expected[6] = 2 / 2, 3 / 2  # log2(1 + 3), log2(1 + 7)
    assert torch.allclose(velocities, expected.expand(4, 8))
    assert accelerations.sum(dim=1) == pytest.approx([torch.tensor(1 + 58**0.5).log2().item()] * 4)


def test_lengths_are_in_pixels_of_one_picture_size():
    path = [(0, 0), (4, 0), (8, 4)]
    half = [(x / 2, y / 2) for x, y in path]
    assert torch.allclose(motion_histograms(moving(path, 256), 256), motion_histograms(moving(half, 128), 128))


def test_still_clips_have_no_motion():
    assert motion_histograms(moving([(0, 0)] * 4, 64), 64).max() == 0


def test_equal_sets_are_at_zero_and_still_or_jumping_ones_are_not():
    real = [imposed_clip(10_000_001 + 2 * k, 64).video for k in range(4)]
    value, details = motion_distance(real, real[::-1])
    assert value == pytest.approx(0, abs=1e-6) and details == {"tracker": "lk"}
    mixed = [torch.stack([clip[f if f < 4 else 3] for f in range(8)]) for clip in real]  # they stop halfway
    still = [clip[:1].repeat(8, 1, 1, 1) for clip in real]
    assert 1 < motion_distance(real, mixed)[0] < motion_distance(real, still)[0]


def test_too_little_is_refused():
    clip = torch.rand(3, 3, 16, 16)
    with pytest.raises(InputError, match="needs two of each"):
        motion_distance([clip], [clip, clip])
    with pytest.raises(InputError, match="2 frames; an acceleration needs three"):
        motion_distance([clip[:2]] * 2, [clip[:2]] * 2)
    with pytest.raises(InputError, match="do not compare"):
        motion_distance([clip] * 2, [clip[:2]] * 2)
