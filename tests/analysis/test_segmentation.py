import math

import pytest
import torch

from sgi2v_lab.analysis.segmentation import cluster, intersection_over_union, segment
from sgi2v_lab.errors import InputError

FRAMES, H, W = 3, 8, 10


def planted() -> torch.Tensor:
    """Masks of two objects that move; the second is in front."""
    masks = torch.zeros(2, FRAMES, H, W, dtype=torch.bool)
    for frame in range(FRAMES):
        masks[0, frame, 1:5, frame : frame + 4] = True
        masks[1, frame, 3:7, 5 - frame : 9 - frame] = True
    masks[0] &= ~masks[1]
    return masks


def features_of(masks: torch.Tensor, noise: float = 0.05) -> torch.Tensor:
    """A channel for each object, and one that is large and means nothing."""
    maps = torch.cat([masks.float().transpose(0, 1), torch.full((FRAMES, 1, H, W), 100.0)], dim=1)
    return maps + noise * torch.randn(maps.shape, generator=torch.Generator().manual_seed(0))


def test_features_that_are_the_masks_find_the_objects():
    masks = planted()
    found = segment(features_of(masks, noise=0.0), masks)
    assert torch.equal(found.iou, torch.ones(2)) and found.mean == 1
    assert found.labels.unique().tolist() == [0, 1, 2]
    assert found.chance.max() < 0.3


def test_shuffled_features_are_at_chance():
    masks = planted()
    maps = features_of(masks)
    order = torch.randperm(H * W, generator=torch.Generator().manual_seed(1))
    found = segment(maps.flatten(2)[:, :, order].unflatten(2, (H, W)), masks)
    assert abs(found.mean - found.chance.mean()) < 0.1


def test_a_color_that_changes_hands_over_time_is_no_object():
    masks = planted()
    maps = features_of(masks)
    maps[1] = features_of(masks.flip(0))[1]
    assert segment(maps, masks).mean < 0.75
    assert segment(features_of(masks), masks).mean > 0.9


def test_pixels_and_coarse_maps_are_brought_to_the_masks_grid():
    masks = planted()
    video = torch.full((FRAMES, 3, 8 * H, 8 * W), 0.2)
    for color, mask in enumerate(masks):
        video[:, color] += 0.6 * mask.repeat_interleave(8, 1).repeat_interleave(8, 2)
    assert segment(video, masks).mean > 0.8
    assert segment(features_of(masks)[:, :, ::2, ::2], masks).labels.shape == (FRAMES, H, W)


def test_iou_by_the_best_assignment():
    labels = torch.tensor([[[0, 0, 1, 1, 2, 2]]])
    masks = torch.tensor([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0] * 6]).bool().view(3, 1, 1, 6)
    iou = intersection_over_union(labels, masks)
    assert iou[:2].tolist() == pytest.approx([2 / 3, 1 / 2])
    assert math.isnan(iou[2])
    one = intersection_over_union(torch.zeros_like(labels), masks[:2])  # only one of them gets the cluster
    assert one.tolist() == pytest.approx([1 / 2, 0])


def test_the_same_seed_gives_the_same_clusters():
    maps = torch.randn(FRAMES, 5, H, W, generator=torch.Generator().manual_seed(2))
    assert torch.equal(cluster(maps, 4, seed=3), cluster(maps, 4, seed=3))


def test_bad_input():
    masks = planted()
    with pytest.raises(InputError, match="2 frames.*masks 3"):
        segment(features_of(masks)[:2], masks)
    for clusters in (1, FRAMES * H * W + 1):
        with pytest.raises(InputError, match=f"clusters is {clusters}"):
            segment(features_of(masks), masks, clusters)
