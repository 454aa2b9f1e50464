"""What can be read off features? Linear probes (Alain & Bengio 2016, arXiv 1610.01644) for what the toy's world knows.

A probe is taught on some clips and asked about others, so it cannot know a clip by heart. Features of real video models
were probed so by Velez et al. (2025, arXiv 2502.07001). A video's pixels and its latents are baselines, by the same
function: `probe_clips(clips, [clip.video for clip in clips], "speed")`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from sgi2v_lab.analysis.clips import Clip, WorldTruth
from sgi2v_lab.analysis.pairs import cell_middles, on_grid
from sgi2v_lab.errors import InputError
from sgi2v_lab.shapes import Features

__all__ = ["TARGETS", "Probe", "probe", "probe_clips"]

Truth = tuple[np.ndarray, Tensor]  # values (n, ...), and the flags (frames, h, w) of the n cells that they are of


@dataclass(frozen=True)
class Probe:
    """How well a linear probe did on clips that it was not taught on.

    Attributes:
        score: for classes their balanced accuracy (the mean over classes of the share that is found), 0..1; for numbers
            R^2, the share of their variance that is explained: 1 at best, below 0 for worse than their mean.
        chance: the same of an answer that ignores the features: one of k classes (1 / k), or the taught clips' mean.
        measure: "balanced accuracy" or "R^2".
        samples: places asked about.
        clips: they come from.
    """

    score: float
    chance: float
    measure: str
    samples: int
    clips: int


# --- what is asked ---------------------------------------------------------------------------------------------------


def _shape(world: WorldTruth) -> Truth:
    seen = world.masks.any(dim=0)
    return np.asarray(world.shapes)[world.masks.int().argmax(dim=0)[seen].numpy()], seen


def _depth(world: WorldTruth) -> Truth:
    seen = world.masks.any(dim=0) & (len(world.masks) > 1)
    return np.where(world.masks[-1][seen], "front", "behind"), seen


def _position(world: WorldTruth) -> Truth:
    frames, h, w, _ = world.origins.shape
    places = cell_middles((h, w)).expand(frames, -1, -1).flatten(0, 1)
    return places.numpy(), torch.ones(frames, h, w, dtype=torch.bool)


def _speed(world: WorldTruth) -> Truth:
    speed = world.velocity.norm(dim=-1)
    return speed[~speed.isnan()].numpy(), ~speed.isnan()


def _direction(world: WorldTruth) -> Truth:
    _, h, w, _ = world.velocity.shape
    speed = world.velocity.norm(dim=-1, keepdim=True)
    moves = speed[..., 0] > 0.1 / max(h, w)  # NaN is not
    return (world.velocity / speed)[moves].numpy(), moves


# name -> truth of some cells of a clip; text is a class, everything else a number
TARGETS: dict[str, Callable[[WorldTruth], Truth]] = {
    "object": lambda world: (np.where(world.masks.any(dim=0).flatten(), "object", "background"), _everywhere(world)),
    "shape": _shape,  # of an object's cell: what it is
    "depth": _depth,  # of an object's cell, where there are several: whether it is the one in front
    "position": _position,  # where the cell lies, in sides of the picture
    "speed": _speed,  # in sides of the picture per frame
    "direction": _direction,  # of what moves a tenth of a cell or more: (cos, sin), y down
}


def _everywhere(world: WorldTruth) -> Tensor:
    return torch.ones(world.masks.shape[1:], dtype=torch.bool)


# --- probes ----------------------------------------------------------------------------------------------------------


def probe_clips(
    clips: Sequence[Clip],
    maps: Sequence[Features],
    target: str,
    *,
    places: int = 200,
    folds: int = 5,
    seed: int = 0,
) -> Probe:
    """Teach a probe what a layer says of a target, cell by cell.

    Args:
        clips: of the toy's world, as `toy_clips` gives them.
        maps: each clip's features (frames, channels, h', w') of any size, brought to the latents' grid.
        target: a name in `TARGETS`.
        places: at most so many cells of each clip, drawn by `seed`; neighbours say much the same.
        folds: of the cross-validation.
        seed: of that drawing.

    Raises:
        InputError: an unknown target, other numbers of clips and maps, a clip without a world, or as in `probe`.
    """
    if target not in TARGETS:
        raise InputError(f"unknown target {target!r}: expected one of {', '.join(TARGETS)}")
    if len(clips) != len(maps):
        raise InputError(f"there are {len(clips)} clips, but features of {len(maps)}: expected one for each")
    generator = torch.Generator().manual_seed(seed)
    features, truth, groups = [], [], []
    for number, (clip, each) in enumerate(zip(clips, maps, strict=True)):
        if clip.world is None:
            raise InputError(f"nothing but tracks is known of clip {clip.name}: expected clips of the toy's world")
        values, cells = TARGETS[target](clip.world)
        some = torch.randperm(len(values), generator=generator)[:places]
        features.append(on_grid(each, cells.shape[1:]).permute(0, 2, 3, 1)[cells][some])
        truth.append(values[some.numpy()])
        groups.append(torch.full((len(some),), number))
    return probe(torch.cat(features), np.concatenate(truth), torch.cat(groups), folds=folds)


def probe(features: Float[Tensor, "n channels"], truth: np.ndarray, groups: Tensor, *, folds: int = 5) -> Probe:
    """A linear probe, cross-validated so that no group is in both parts (GroupKFold).

    Channels are scaled to mean 0 and variance 1. Text is a class, found by logistic regression with balanced classes;
    numbers (n,) or (n, k) are found by ridge regression, whose penalty is chosen on the taught part, again by groups.
    A class that only one group has cannot be asked about, and is left out. Several clips of each class make the figure
    reliable.

    Args:
        features: one row for each sample.
        truth: what is to be found.
        groups: the clip of each sample.
        folds: at most as many as groups.

    Raises:
        InputError: other numbers of samples; fewer than 2 groups, or than 2 classes that are in 2 groups.
    """
    if not len(features) == len(truth) == len(groups):
        raise InputError(
            f"there are {len(features)} features, {len(truth)} true values and {len(groups)} groups: expected one of "
            "each for every sample"
        )
    classes = truth.dtype.kind == "U"
    if classes:
        clips_of = {name: len(groups[torch.from_numpy(truth == name)].unique()) for name in np.unique(truth)}
        kept = torch.tensor([clips_of[name] > 1 for name in truth], dtype=torch.bool)
        features, truth, groups = features[kept], truth[kept.numpy()], groups[kept]
        if len({*truth}) < 2:
            counts = ", ".join(f"{name} {count}" for name, count in clips_of.items())
            raise InputError(
                f"there are fewer than 2 classes in 2 clips each ({counts}): expected more; give more clips"
            )
    if (count := len(groups.unique())) < 2:
        raise InputError(f"there are samples of {count} clips: expected 2 or more, to teach on some and ask of others")
    given, clips = features.detach().float().cpu().numpy(), groups.numpy()
    said, blind = np.empty_like(truth), np.empty_like(truth)
    for taught, asked in GroupKFold(max(2, min(folds, count))).split(given, truth, clips):
        model = LogisticRegression(class_weight="balanced", max_iter=300) if classes else _ridge(clips[taught])
        said[asked] = make_pipeline(StandardScaler(), model).fit(given[taught], truth[taught]).predict(given[asked])
        blind[asked] = truth[taught][0] if classes else truth[taught].mean(axis=0)
    if classes:
        score, chance = balanced_accuracy_score(truth, said), 1 / len({*truth})
        return Probe(float(score), chance, "balanced accuracy", len(truth), count)
    return Probe(float(r2_score(truth, said)), float(r2_score(truth, blind)), "R^2", len(truth), count)


def _ridge(clips: np.ndarray) -> RidgeCV:
    """Its penalty is chosen by clips that were left out: places of one clip say too much of each other."""
    count = len(np.unique(clips))
    inner = [*GroupKFold(min(4, count)).split(clips, groups=clips)] if count > 1 else None
    return RidgeCV(np.logspace(-2, 6, 9), cv=inner)
