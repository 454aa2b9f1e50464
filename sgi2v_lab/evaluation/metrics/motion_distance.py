"""Motion distance: do things in a set of generated clips move like things in true clips?"""

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.frechet import Clips, check_clips, squared_frechet
from sgi2v_lab.evaluation.metrics.measured import PER_SIDE, Found, grid_points
from sgi2v_lab.evaluation.trackers.track import lk
from sgi2v_lab.shapes import Points

__all__ = ["motion_distance", "motion_histograms"]

ANGLES, CELLS = 8, 2  # bins of the direction; cells along each side of the picture
SIDE = 256  # velocities are in pixels of a picture of this height, as in the paper


def motion_distance(real: Clips, generated: Clips) -> Found:
    """The Frechet distance between the motion of two sets of clips, without a network; 0 and more, lower is better.

    As the Frechet video motion distance (Liu et al. 2024, arXiv 2407.16124): points of a grid are tracked, velocities
    and accelerations are counted in histograms (`motion_histograms`), and each set's histograms are taken for a
    Gaussian. It is not FVMD: that tracks 20 x 20 points by PIPs++ and has a histogram for every 5 x 5 points and 4
    frames, which are more features than few short clips can fill. Here Lucas-Kanade tracks 16 x 16 points. It sees no
    looks, and points that the tracker loses count as still. It falls as there are more clips: compare equal numbers, at
    one frame rate.

    InputError: fewer than two clips (frames, 3, h, w) in a set, or than three frames in a clip.
    """
    check_clips(real, generated)
    if min(len(real), len(generated)) < 2:
        raise InputError(f"{len(real)} true and {len(generated)} generated clips; a covariance needs two of each")
    tables = (
        torch.stack([motion_histograms(lk(clip, grid_points(clip)).points, clip.shape[-2]) for clip in clips]).double()
        for clips in (real, generated)
    )
    return squared_frechet(*tables).item(), {"tracker": "lk"}


def motion_histograms(paths: Points, height: int) -> Float[Tensor, "64"]:
    """Histograms of the velocities, then of the accelerations, in 2 x 2 cells of the picture and 8 directions.

    Each vector adds log2(1 + length) to its bin; a bin is divided by the number of all vectors in its cell. The paths
    are those of `grid_points`, in pixels of a picture of this height. InputError: fewer than three frames.
    """
    if paths.shape[1] < 3:
        raise InputError(f"the clip has {paths.shape[1]} frames; an acceleration needs three")
    places = paths * SIDE / height
    cell = torch.arange(PER_SIDE) * CELLS // PER_SIDE
    cell = (cell[:, None] * CELLS + cell).flatten()  # of each point of the grid
    histograms = []
    for vectors in (places.diff(dim=1), places.diff(dim=1, n=2)):
        turn = torch.atan2(vectors[..., 1], vectors[..., 0]) / (2 * torch.pi) + 0.5
        bins = cell[:, None] * ANGLES + (turn * ANGLES).long().clamp(max=ANGLES - 1)
        weights = (1 + vectors.norm(dim=-1)).log2() * CELLS**2 / bins.numel()
        histograms.append(torch.zeros(CELLS**2 * ANGLES).scatter_add_(0, bins.flatten(), weights.flatten()))
    return torch.cat(histograms)
