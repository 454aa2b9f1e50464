"""The toy Frechet distance: how far a set of generated clips is from a set of true ones, in the toy's own world.

It is made like FVD (Unterthiner et al. 2018), but by a small network that was trained on the toy's scenes
(`clip_network`). So its values compare with nobody else's, and it is not FVD.
"""

from collections.abc import Hashable, Sequence
from statistics import NormalDist

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.intervals import LEVEL, Interval
from sgi2v_lab.toy.training.clip_network import FEATURES, load_clip_network, to_network_pixels

__all__ = ["Clips", "check_clips", "frechet_distance", "frechet_ratio", "squared_frechet", "toy_features"]

Clips = Sequence[Float[Tensor, "_ 3 _ _"]] | Float[Tensor, "_ _ 3 _ _"]
Table = Float[Tensor, "clips features"]
DRAWS = 1000


@torch.no_grad()
def toy_features(clips: Clips) -> Table:
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
        if not (low >= -0.01 and high <= 1.01):  # NaN fails this, too
            raise InputError(f"clip {i} has values {low:.3g}..{high:.3g}: expected 0..1; scale or clamp it")


def frechet_distance(real: Clips, generated: Clips) -> float:
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

    Either set is clips (frames, 3, h, w) in 0..1, in any order. InputError: fewer clips in a set than the 32 features,
    or as `check_clips`.
    """
    check_clips(real, generated)
    for name, clips in {"real": real, "generated": generated}.items():
        if len(clips) < FEATURES:
            raise InputError(f"{name} holds {len(clips)} clips: expected at least as many as features, {FEATURES}")
    return squared_frechet(toy_features(real).double(), toy_features(generated).double()).item()


def frechet_ratio(real: Table, generated: Table, baseline: Table, scenes: Sequence[Hashable]) -> Interval | None:
    """How much nearer to the true clips one set is than another: d(real, generated) / d(real, baseline).

    The bootstrap (Efron and Tibshirani 1993, chapter 12) draws scenes with all their clips. The interval is that of a
    normal distribution around the logarithm of the ratio, as wide as the draws scatter. Their percentiles would be off:
    a draw repeats scenes, which makes every distance larger, as if there were fewer clips. What few clips add to both
    distances pulls the ratio towards 1.

    Args:
        real: features of true clips, in float64.
        generated: of clips of the same scenes in the same order, such as those made with control.
        baseline: likewise, such as those made without.
        scenes: the scene of each clip; a scene with several clips has its true clip repeated.

    Returns:
        None for a single scene, or a baseline that is no different from the true clips.
    """
    names = {scene: i for i, scene in enumerate(dict.fromkeys(scenes))}
    if len(names) < 2:
        return None
    picks = torch.randint(len(names), (DRAWS, len(names)), generator=torch.Generator().manual_seed(0))
    times = torch.zeros(DRAWS, len(names), dtype=real.dtype).scatter_add_(1, picks, torch.ones_like(picks).double())
    weights = times[:, [names[scene] for scene in scenes]]  # how often each clip is in each draw
    weights = torch.cat([torch.ones(1, len(real), dtype=real.dtype), weights])  # first the sets as they are
    over, under = (
        torch.cat([squared_frechet(real, made, some) for some in weights.split(100)]) for made in (generated, baseline)
    )
    if under[0] < 1e-9:
        return None
    logs = (over / under.clamp(min=1e-12)).clamp(min=1e-12).log()
    half = NormalDist().inv_cdf((1 + LEVEL) / 2) * logs[1:].std()
    low, ratio, high = (torch.stack([-half, half.new_zeros(()), half]) + logs[0]).exp().tolist()
    return Interval(ratio, low, high, len(names))


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
