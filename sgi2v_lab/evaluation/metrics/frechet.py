"""The toy Frechet distance: how far a set of generated clips is from a set of true ones, in the toy's own world.

It is made like the Frechet video distance (Unterthiner et al. 2018, "Towards accurate generative models of video"),
but not with that distance's network: the features are 32 numbers of a small network of ours that was trained on the
toy's scenes (`clip_network`). So its values compare with nobody else's, and it is not to be called FVD.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.clip_network import load_clip_network, to_network_pixels

__all__ = [
    "Clips",
    "FrechetRatio",
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

    Any number of frames and any size will do, but what is compared should have the same: the network looks at 8
    evenly spaced frames of 64 x 64 pixels, and a clip that had to be shrunk is sharper than one that was not.

    Args:
        clips: Videos (frames, 3, h, w) in 0..1, all of one shape.

    Raises:
        InputError: No clip, clips of different shapes, an empty one, or values outside 0..1.
    """
    shapes = {tuple(clip.shape) for clip in clips}
    if len(shapes) != 1:
        found = f"shapes {sorted(shapes)}" if shapes else "no clip"
        raise InputError(f"the toy's features need clips of one shape, got {found}; give videos of the same kind")
    if 0 in next(iter(shapes)):
        raise InputError(f"clips of shape {next(iter(shapes))} hold nothing; give videos (frames, 3, h, w)")
    network = load_clip_network()
    parts, waiting = [], []
    for i, clip in enumerate(clips, start=1):
        low, high = clip.aminmax()
        if not (low >= -0.01 and high <= 1.01):  # so written, NaN fails too
            raise InputError(f"clip {i} has values {low:.3g}..{high:.3g}; expected 0..1: scale or clamp it")
        waiting.append(to_network_pixels(clip).cpu())
        if len(waiting) == 32 or i == len(clips):
            parts.append(network.features(torch.stack(waiting)))
            waiting = []
    return torch.cat(parts)


def frechet_distance(real: Clips | Table, generated: Clips | Table, features: Callable = toy_features) -> float:
    """The toy Frechet distance between true and generated clips: 0 for equal sets, and lower is better.

    Each set is taken for a Gaussian in the space of features, with mean m and covariance S, and the distance is the
    squared 2-Wasserstein distance of the two (Dowson and Landau 1982; used for pictures by Heusel et al. 2017):

        d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))

    The features are white over true clips, so the unit is one of their standard deviations, squared: a set whose mean
    is off by one deviation in one direction is 1 away, and the true clips' 32 variances sum up to 32.

    **What it cannot see.** It compares sets, not pairs: exchanging whole clips within a set changes nothing, and it
    does not know whether anything moved where it was asked to (that is ObjMC's part). It sees 8 frames of 64 x 64
    pixels, so nothing finer. It knows only what the toy's scenes taught it: on photographs it means little. The bundled
    network can hardly name shapes, and does not tell a moving camera: scenes whose sprites have all become circles lie
    no farther from the true ones (1.3) than scenes that are slightly blurred, while ones without sprites are 20 away,
    and ones whose sprites stand still 6.

    **It depends on the number of clips**, falling as they become more: two sets of true clips of different scenes, n
    in each, lie about 22 apart for n = 32, 11 for n = 64 and 5 for n = 128 (the mean of 20 divisions of 256 held-out
    scenes). So compare distances of equal numbers only, and take the same scenes for both sets: clips that are
    right in everything are then at 0, and much smaller differences show.

    Args:
        real: True clips (frames, 3, h, w) in 0..1, or their features (clips, features).
        generated: The clips to judge, or their features; of the same shape as the true ones, in any order.
        features: Clips -> (clips, features); another network may be given.

    Raises:
        InputError: Fewer clips in a set than there are features (its covariance would say nothing), sets with
            different features, clips of different shapes, or clips or features that are not finite.
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
    """How much nearer to the true clips one set is than another: d(real, generated) / d(real, baseline), bracketed.

    The three sets belong to the same scenes in the same order. The bootstrap (Efron and Tibshirani 1993, chapter 12)
    draws scenes, with all the clips of each, so that scenes that are hard for both do not widen the interval, which
    is that of a normal distribution around the logarithm of the ratio, as wide as the draws scatter. Percentiles of the
    draws would be off: a draw repeats some scenes, which makes every distance larger, as if there were fewer clips.

    What few clips add to both distances alike pulls the ratio towards 1; more clips show a difference more clearly.

    Args:
        real: True clips, or their features.
        generated: As many clips of the same scenes, such as those made with control.
        baseline: As many clips of the same scenes to compare with, such as those made without.
        scenes: What scene each clip is of, where a scene has several (of several random seeds, its true clip repeated):
            clips of one scene are drawn together. None if each has its own.
        features: Clips -> (clips, features).
        draws: How often scenes are drawn, at least 100.
        level: The interval's confidence, between 0 and 1.
        seed: Fixes the draws.

    Raises:
        InputError: Sets of different lengths, a baseline that is no different from the true clips (there is no
            ratio), bad `draws` or `level`, or what `frechet_distance` raises.
    """
    if draws < 100 or not 0 < level < 1:
        raise InputError(f"draws={draws}, level={level}; expected at least 100 draws and a level between 0 and 1")
    truth, ours, theirs = tables = _tables(features, real=real, generated=generated, baseline=baseline)
    clips = len(truth)
    lengths = [len(t) for t in tables] + [clips if scenes is None else len(scenes)]
    if len(set(lengths)) > 1:
        raise InputError(f"the sets and scenes hold {lengths} clips; expected one of each for every clip, in order")
    names = {scene: i for i, scene in enumerate(dict.fromkeys(scenes or range(clips)))}
    if len(names) < 2:
        raise InputError("all clips are of one scene, so nothing says how scenes differ; give clips of more")
    picks = torch.randint(len(names), (draws, len(names)), generator=torch.Generator().manual_seed(seed))
    times = torch.zeros(draws, len(names), dtype=truth.dtype).scatter_add_(1, picks, torch.ones_like(picks).double())
    weights = times[:, [names[scene] for scene in scenes or range(clips)]]  # how often each clip is in each draw
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
    shapes = {
        tuple(clip.shape)
        for clips in sets.values()
        if not (isinstance(clips, Tensor) and clips.ndim == 2)
        for clip in clips
    }
    if len(shapes) > 1:
        raise InputError(f"clips of shapes {sorted(shapes)} do not compare; give all the same frames and size")
    tables = []
    for name, clips in sets.items():
        table = clips if isinstance(clips, Tensor) and clips.ndim == 2 else features(clips)
        table = table.detach().cpu().double()
        if len(table) < table.shape[1]:
            raise InputError(
                f"{name} holds {len(table)} clips; expected at least as many as features, {table.shape[1]}: give more"
            )
        if not table.isfinite().all():
            raise InputError(f"the features of {name} are not all finite; look for NaN in the clips")
        tables.append(table)
    widths = [t.shape[1] for t in tables]
    if len(set(widths)) > 1:
        raise InputError(f"the sets have {widths} features; expected the same network's for all")
    return tables


def squared_frechet(
    a: Float[Tensor, "n k"], b: Float[Tensor, "m k"], weights: Float[Tensor, "draws n"] | None = None
) -> Float[Tensor, "draws"]:
    """The squared Frechet distance of the Gaussians fitted to two tables of features (`frechet_distance` says more).

    With weights, one distance for each draw, in which every row of both tables counts as often as its weight says.
    Covariances have n - 1 below; with fewer rows than features they are singular, which this form of it does not mind.

    Args:
        a: features in float64, at least two rows.
        b: likewise, of the same features.
        weights: as many as rows in both tables, for each draw; None for one draw in which each row counts once.
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
