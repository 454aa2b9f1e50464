"""Do features tell objects apart? k-means over all frames of a clip, held to the true masks.

Whether clusters keep to one object over time is part of the measure: the features of all frames are clustered at once.
A video's pixels and its latents are baselines, by the same function: `segment(clip.video, clip.world.masks)`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from torch import Tensor

from sgi2v_lab.analysis.pairs import on_grid
from sgi2v_lab.errors import InputError
from sgi2v_lab.shapes import Features

__all__ = ["Segmentation", "cluster", "intersection_over_union", "segment"]

Labels = Int[Tensor, "frames h w"]
Maps = Float[Tensor, "_frames _channels _h _w"]
Masks = Bool[Tensor, "objects frames h w"]


@dataclass(frozen=True)
class Segmentation:
    """Clusters of a clip, and how well they cover its objects.

    Attributes:
        labels: the cluster of each cell.
        iou: intersection over union of each object with its cluster, 0..1; NaN for one that is never seen.
        chance: the same of the clusters with their cells shuffled.
    """

    labels: Labels
    iou: Float[Tensor, " objects"]
    chance: Float[Tensor, " objects"]

    @property
    def mean(self) -> float:
        """The mean IoU of the objects that are seen; NaN if none is."""
        return self.iou.nanmean().item()


def segment(features: Maps, masks: Masks, clusters: int | None = None, seed: int = 0) -> Segmentation:
    """Cluster a clip's features, and compare the clusters with the true masks.

    Args:
        features: (frames, channels, h', w') of any size, brought to the masks' grid: of a layer, latents, or pixels.
        masks: the true objects (objects, frames, h, w), such as `clip.world.masks`.
        clusters: how many; by default one for each object and one for the background.
        seed: of k-means' first centres, and of the shuffle.

    Raises:
        InputError: another number of frames than the masks have; fewer than 2 clusters, or more than cells.
    """
    if len(features) != masks.shape[1]:
        raise InputError(f"the features have {len(features)} frames, but the masks {masks.shape[1]}: expected the same")
    labels = cluster(on_grid(features, masks.shape[2:]), len(masks) + 1 if clusters is None else clusters, seed)
    shuffled = labels.flatten()[torch.randperm(labels.numel(), generator=torch.Generator().manual_seed(seed))]
    chance = intersection_over_union(shuffled.view_as(labels), masks)
    return Segmentation(labels, intersection_over_union(labels, masks), chance)


def cluster(features: Features, clusters: int, seed: int = 0) -> Labels:
    """k-means over the cells of all frames (scikit-learn's, with the best of four starts).

    Each channel is scaled to mean 0 and variance 1, so that a few massive channels do not decide. InputError as in
    `segment`.
    """
    frames, channels, h, w = features.shape
    if not 2 <= clusters <= frames * h * w:
        raise InputError(f"the number of clusters is {clusters}: expected 2..{frames * h * w}, the number of cells")
    cells = features.detach().float().cpu().permute(0, 2, 3, 1).reshape(-1, channels).numpy()
    cells = (cells - cells.mean(axis=0)) / np.maximum(cells.std(axis=0), 1e-6)
    found = KMeans(clusters, n_init=4, random_state=seed).fit_predict(cells)
    return torch.from_numpy(found).long().view(frames, h, w)


def intersection_over_union(labels: Labels, masks: Masks) -> Float[Tensor, " objects"]:
    """Of each object with the cluster that is assigned to it; no cluster has two objects (Hungarian assignment).

    |A and B| / |A or B| over the cells of all frames, with the assignment of the largest sum. 0 for an object that gets
    no cluster, NaN for one that is never seen.
    """
    found = torch.stack([labels == number for number in labels.unique().tolist()]).flatten(1).double()
    true = masks.flatten(1).double()
    both = true @ found.T
    overlap = both / (true.sum(dim=1, keepdim=True) + found.sum(dim=1) - both)
    iou = torch.zeros(len(masks))
    objects, chosen = linear_sum_assignment(overlap.numpy(), maximize=True)
    iou[objects] = overlap[objects, chosen].float()
    return torch.where(masks.flatten(1).any(dim=1), iou, torch.nan)
