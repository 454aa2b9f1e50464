"""The toy Frechet distance: how far a set of generated clips is from a set of true ones, in the toy's own world.

It is made like FVD (Unterthiner et al. 2018), but by a small network that was trained on the toy's scenes
(`clip_network`). So its values compare with nobody else's, and it is not FVD.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.toy.training.clip_network import load_clip_network, to_network_pixels

__all__ = [
    "FrechetRatio",
    "check_clips",
    "frechet_distance",
    "frechet_ratio_interval",
    "squared_frechet",
    "toy_features",
]

Clips = Sequence[Float[Tensor, "_ 3 _ _"]] | Float[Tensor, "_ _ 3 _ _"]
Table = Float[Tensor, "_ _"]  # features that were computed already: (clips, features)


@torch.no_grad()
def toy_features(clips: Clips) -> Float[Tensor, "clips features"]:
    """The features of each clip (clips, 32), on the CPU; over true clips they are white: mean 0, variance 1.

    Clips (frames, 3, h, w) in 0..1 may have any number of frames and any size, but compare only equal ones: the network
    sees 8 evenly spaced frames of 64 x 64 pixels, and a clip that had to be shrunk is sharper than one that had not.
    InputError as `check_clips`.
    """
    check_clips(clips)
    small = torch.stack([to_network_pixels(clip).cpu() for clip in clips])
    return torch.cat([load_clip_network().features(some) for some in small.split(32)])


def check_clips(*sets: Clips) -> None:
    """InputError: an empty set or clip, clips of different shapes, or values outside 0..1."""
    clips = [clip for some in sets for clip in some]
    shapes = sorted({tuple(clip.shape) for clip in clips})
    if not all(len(some) for some in sets) or len(shapes) != 1 or 0 in shapes[0]:
        counts = " and ".join(str(len(some)) for some in sets)
        raise InputError(f"{counts} clips of shapes {shapes} do not compare; give some (frames, 3, h, w) of one shape")
    for i, clip in enumerate(clips, start=1):
        low, high = clip.aminmax()
        if not (low >= -0.01 and high <= 1.01):  # so written, NaN fails too
            raise InputError(f"clip {i} has values {low:.3g}..{high:.3g}; expected 0..1: scale or clamp it")


def frechet_distance(real: Clips | Table, generated: Clips | Table, features: Callable = toy_features) -> float:
    """The toy Frechet distance between true and generated clips: 0 for equal sets, and lower is better.

    Each set is taken for a Gaussian in the space of features, with mean m and covariance S; the distance is the
    squared 2-Wasserstein distance of the two (Dowson and Landau 1982; Heusel et al. 2017 for pictures):

        d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))

    The unit is a squared standard deviation of the features over true clips: a set whose mean is off by one deviation
    in one direction is 1 away, and the true clips' 32 variances add up to 32.

    **What it cannot see.** It compares sets, so it does not know whether anything moved where it was asked to. It sees
    nothing finer than 64 x 64 pixels, and means little on photographs. The network can hardly name shapes and does not
    tell a moving camera: scenes whose sprites have all become circles lie no farther from the true ones (1.3) than
    slightly blurred ones, while scenes without sprites are 20 away, and scenes whose sprites stand still 6.

    **It falls as there are more clips**: two sets of true clips of different scenes lie about 22 apart with 32 clips
    each, 11 with 64 and 5 with 128 (mean of 20 divisions of 256 held-out scenes). Compare equal numbers, and take the
    same scenes for both sets: then clips that are right in everything are at 0, and smaller differences show.

    Either set is clips (frames, 3, h, w) in 0..1, in any order, or their features (clips, features). InputError: fewer
    clips in a set than features, different features, features that are not finite, or as `check_clips`.
    """
    a, b = _tables(features, real=real, generated=generated)
    return squared_frechet(a, b).item()


@dataclass(frozen=True)
class FrechetRatio:
    """What `frechet_ratio_interval` found: a ratio of two toy Frechet distances, and its confidence interval."""

    ratio: float
    low: float
    high: float
    level: float  # of the interval, such as 0.95
    distance: float
    baseline_distance: float
    clips: int


def frechet_ratio_interval(
    real: Clips | Table,
    generated: Clips | Table,
    baseline: Clips | Table,
    *,
    scenes: Sequence[Hashable] | None = None,
    features: Callable = toy_features,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> FrechetRatio:
    """How much nearer to the true clips one set is than another: d(real, generated) / d(real, baseline).

    The three sets belong to the same scenes in the same order. The bootstrap (Efron and Tibshirani 1993, chapter 12)
    draws scenes with all their clips. The interval is that of a normal distribution around the logarithm of the ratio,
    as wide as the draws scatter. Their percentiles would be off: a draw repeats scenes, which makes every distance
    larger, as if there were fewer clips. What few clips add to both distances pulls the ratio towards 1.

    Args:
        real: True clips, or their features.
        generated: As many clips of the same scenes, such as those made with control.
        baseline: As many clips of the same scenes, such as those made without.
        scenes: The scene of each clip, where a scene has several (its true clip repeated); None if each has its own.
        features: Clips -> (clips, features).
        draws: How often scenes are drawn, at least 100.
        level: The interval's confidence, between 0 and 1.
        seed: Fixes the draws.

    Raises:
        InputError: Sets of different lengths, a baseline equal to the true clips, bad `draws` or `level`, or as
            `frechet_distance`.
    """
    if draws < 100 or not 0 < level < 1:
        raise InputError(f"draws={draws}, level={level}; expected at least 100 draws and a level between 0 and 1")
    truth, ours, theirs = tables = _tables(features, real=real, generated=generated, baseline=baseline)
    clips = len(truth)
    scenes = range(clips) if scenes is None else scenes
    lengths = [len(each) for each in (*tables, scenes)]
    if len(set(lengths)) > 1:
        raise InputError(f"the sets and scenes hold {lengths} clips; expected one of each for every clip, in order")
    names = {scene: i for i, scene in enumerate(dict.fromkeys(scenes))}
    if len(names) < 2:
        raise InputError("all clips are of one scene, so nothing says how scenes differ; give clips of more")
    picks = torch.randint(len(names), (draws, len(names)), generator=torch.Generator().manual_seed(seed))
    times = torch.zeros(draws, len(names), dtype=truth.dtype).scatter_add_(1, picks, torch.ones_like(picks).double())
    weights = times[:, [names[scene] for scene in scenes]]  # how often each clip is in each draw
    weights = torch.cat([torch.ones(1, clips, dtype=truth.dtype), weights])  # first the sets as they are
    over, under = (
        torch.cat([squared_frechet(truth, made, some) for some in weights.split(100)]) for made in (ours, theirs)
    )
    if under[0] < 1e-9:
        raise InputError("the baseline is no different from the true clips, so there is no ratio to it; give another")
    logs = (over / under.clamp(min=1e-12)).clamp(min=1e-12).log()
    half = NormalDist().inv_cdf((1 + level) / 2) * logs[1:].std()
    low, ratio, high = (torch.stack([-half, half.new_zeros(()), half]) + logs[0]).exp().tolist()
    return FrechetRatio(ratio, low, high, level, over[0].item(), under[0].item(), clips)


def _tables(features: Callable, **sets: Clips | Table) -> list[Tensor]:
    """Features of each set as float64, checked. Clips must have one shape over all sets."""
    known = {name for name, clips in sets.items() if isinstance(clips, Tensor) and clips.ndim == 2}
    if len(known) < len(sets):
        check_clips(*(clips for name, clips in sets.items() if name not in known))
    tables = []
    for name, clips in sets.items():
        table = (clips if name in known else features(clips)).detach().cpu().double()
        count, width = table.shape
        if count < width:
            raise InputError(f"{name} holds {count} clips; expected at least as many as features, {width}: give more")
        if not table.isfinite().all():
            raise InputError(f"the features of {name} are not all finite; look for NaN in the clips")
        tables.append(table)
    if len({table.shape[1] for table in tables}) > 1:
        raise InputError("the sets have different numbers of features; expected the same network's for all")
    return tables


def squared_frechet(
    a: Float[Tensor, "n k"], b: Float[Tensor, "m k"], weights: Float[Tensor, "draws n"] | None = None
) -> Float[Tensor, "draws"]:
    """The squared Frechet distance of the Gaussians fitted to two tables of features in float64.

    With weights, one distance per draw, in which every row of both tables counts as often as its weight says.
    Covariances have n - 1 below; they may be singular.
    """
    mean_a, root_a = _moments(a, weights)
    mean_b, root_b = _moments(b, weights)
    # With S1 = A'A and S2 = B'B, the trace of (S1 S2)^(1/2) is the sum of the singular values of A B': no square root
    # of a matrix that is not symmetric, hence no complex numbers to drop.
    shared = torch.linalg.svdvals(root_a @ root_b.mT).sum(-1)
    spread = root_a.square().sum((-2, -1)) + root_b.square().sum((-2, -1))
    return ((mean_a - mean_b).square().sum(-1) + spread - 2 * shared).clamp(min=0)


def _moments(x: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """The means of rows (draws, k), and roots R of their covariances, R'R."""
    weights = x.new_ones(1, len(x)) if weights is None else weights
    total = weights.sum(-1, keepdim=True)
    mean = weights @ x / total
    centered = (x - mean[:, None]) * (weights / (total - 1)).sqrt()[..., None]
    return mean, torch.linalg.qr(centered, mode="r").R
