"""Does a layer find things again? Matches of later frames with the first one, held to the truth.

The measure of tracking by features: PCK of DIFT (Tang et al. 2023, arXiv 2306.03881), matching accuracy of DiffTrack
(Nam et al. 2025, arXiv 2506.17220), whose confidence and attention score are here as well. The direction is that of
aligned attention: a place of a later frame looks for its origin in the first.

All layers are held to the same pairs, and look among the same cells: maps of another size are brought to the pairs'
grid bilinearly, as the loss does it (section 4.1). So figures of layers of different sizes compare.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.analysis.pairs import Pairs, cell_middles, sample_at
from sgi2v_lab.errors import InputError
from sgi2v_lab.shapes import Features

__all__ = [
    "AttentionStrength",
    "Matching",
    "attention_strength",
    "attention_weights",
    "cycle_distance",
    "find_matches",
    "harmonic_mean",
    "matching_accuracy",
    "shares_within",
]

Keys = Float[Tensor, "frames _channels _h _w"]


@dataclass(frozen=True)
class Matching:
    """How well places of later frames were found in the first one. Shares are 0..1, and NaN where there is no pair.

    Attributes:
        within: distances, in cells of the pairs' grid.
        accuracy: for each of them, the share of pairs whose match lies so near to the truth.
        chance: the share that a blind guess finds.
        unmoved: the share that the answer "where it is now" finds, which knows of no motion.
        error: each pair's distance from the truth, in cells.
    """

    within: tuple[float, ...]
    accuracy: tuple[float, ...]
    chance: tuple[float, ...]
    unmoved: tuple[float, ...]
    error: Float[Tensor, " n"]


def matching_accuracy(
    features: Features,
    truth: Pairs | Float[Tensor, "_frames _rows _columns 2"],
    *,
    keys: Keys | None = None,
    heads: int = 1,
    within: tuple[float, ...] = (0.5, 1.0, 2.0),
) -> Matching:
    """The share of places whose nearest neighbour in frame 0 is the truth, by distance.

    Args:
        features: of one layer, (frames, channels, h, w), of whatever size.
        truth: pairs, or true origins (frames, rows, columns, 2) in sides of the picture, NaN where not visible.
        keys: in place of the nearest neighbour by cosine, the place of frame 0 that attention looks at most:
            `features` are queries then, and these the keys.
        heads: of that attention, whose weights are averaged.
        within: distances in cells, in the larger of x and y; 0.5 is the very cell.

    Raises:
        InputError: a pair in a frame that the features do not have; channels that heads do not divide.
    """
    pairs = truth if isinstance(truth, Pairs) else Pairs.of_origins(truth)
    error = pairs.distance(find_matches(features, pairs, keys=keys, heads=heads))
    unmoved = shares_within(pairs.distance(pairs.here), within)
    return Matching(within, shares_within(error, within), tuple(map(pairs.chance, within)), unmoved, error)


def shares_within(error: Float[Tensor, " n"], within: tuple[float, ...]) -> tuple[float, ...]:
    """For each distance, the share of errors that are no larger; both in cells. NaN if there are no errors."""
    return tuple((error <= each + 1e-4).double().mean().item() for each in within)


def find_matches(features: Features, pairs: Pairs, *, keys: Keys | None = None, heads: int = 1) -> Float[Tensor, "n 2"]:
    """For each pair's place in its later frame, the cell of frame 0 that is most alike: its middle, in sides.

    Arguments as in `matching_accuracy`.
    """
    _check(features, pairs, heads)
    first = (features if keys is None else keys)[:1].float()
    first = F.interpolate(first, pairs.grid, mode="bilinear", align_corners=False)[0].flatten(1).T
    best = torch.zeros(len(pairs), dtype=torch.long)
    for frame in pairs.frame.unique().tolist():
        mine = pairs.frame == frame
        query = sample_at(features[frame], pairs.here[mine])
        best[mine] = _alike(query, first, None if keys is None else heads).argmax(dim=1).cpu()
    return cell_middles(pairs.grid)[best]


def _check(features: Tensor, pairs: Pairs, heads: int) -> None:
    if len(pairs) and (last := int(pairs.frame.max())) >= len(features):
        raise InputError(f"a pair lies in frame {last}, but there are features of frames 0..{len(features) - 1}")
    if features.shape[1] % heads:
        raise InputError(f"{features.shape[1]} channels cannot be divided among {heads} heads; see `Model.heads`")


def _alike(query: Tensor, key: Tensor, heads: int | None) -> Tensor:
    """Cosines (n, m) of features (n, c) and (m, c), or with `heads` their attention's mean weights."""
    if heads is None:
        return F.normalize(query, dim=1) @ F.normalize(key, dim=1).T
    weights = (attention_weights(q, k) for q, k in zip(query.chunk(heads, 1), key.chunk(heads, 1), strict=True))
    return sum(weights) / heads


def attention_weights(query: Float[Tensor, "*b n d"], key: Float[Tensor, "*b m d"]) -> Float[Tensor, "*b n m"]:
    """softmax(q k^T / sqrt(d)) of each head's queries and keys, in fp32; each row sums to 1."""
    return (query.float() @ key.float().transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(dim=-1)


def cycle_distance(features: Features, *, keys: Keys | None = None, heads: int = 1) -> Float[Tensor, "frames h w"]:
    """From each cell to its match in frame 0 and back: how far from where it began, in the map's own cells.

    It needs no truth, so it can be asked of any video. It is necessary for good matches, not sufficient: a feature that
    knows only its place in the picture comes back exactly. Arguments as in `matching_accuracy`.
    """
    frames, _, h, w = features.shape
    query, key = (maps.float().flatten(2).transpose(1, 2) for maps in (features, features if keys is None else keys))
    middles, heads = cell_middles((h, w)), None if keys is None else heads
    distances = []
    for frame in range(frames):
        there = _alike(query[frame], key[0], heads).argmax(dim=1)
        back = _alike(query[0][there], key[frame], heads).argmax(dim=1).cpu()
        distances.append(((middles[back] - middles) * torch.tensor([w, h])).abs().amax(dim=1).view(h, w))
    return torch.stack(distances)


@dataclass(frozen=True)
class AttentionStrength:
    """How much of their attention places of later frames pay to the first, 0..1: means over pairs and heads."""

    confidence: float  # the largest weight on one place
    score: float  # the sum over all places


def attention_strength(query: Features, key: Keys, pairs: Pairs, *, heads: int = 1) -> AttentionStrength:
    """DiffTrack's confidence and attention score, of queries and keys (frames, channels, h, w) of one layer.

    The softmax runs over the places of *all* frames, as in full attention. SVD's layers attend within a frame or along
    time, so this says what their queries and keys would do there; `sgi2v_lab.analysis.attention` says what the layers
    do. NaN where there is no pair.
    """
    _check(query, pairs, heads)
    keys = key.float().flatten(2).transpose(1, 2).flatten(0, 1).chunk(heads, dim=1)  # of all frames, the first before
    places = key.shape[-2] * key.shape[-1]
    largest, total = torch.zeros(len(pairs)), torch.zeros(len(pairs))
    for frame in pairs.frame.unique().tolist():
        mine = pairs.frame == frame
        queries = sample_at(query[frame], pairs.here[mine]).chunk(heads, dim=1)
        weights = sum(attention_weights(q, k)[:, :places] for q, k in zip(queries, keys, strict=True)) / heads
        largest[mine], total[mine] = weights.amax(dim=1).cpu(), weights.sum(dim=1).cpu()
    return AttentionStrength(largest.mean().item(), total.mean().item())


def harmonic_mean(*measures: Float[Tensor, " layers"]) -> Float[Tensor, " layers"]:
    """DiffTrack's summary of accuracy, confidence and score over layers or noise levels, 0..1.

    Each measure is scaled so that its least value is 0 and its largest 1; then n / sum(1 / scaled). NaN where a measure
    is the same everywhere.
    """
    scaled = (torch.stack(measures) - torch.stack(measures).amin(dim=1, keepdim=True)).double()
    scaled = scaled / scaled.amax(dim=1, keepdim=True)
    return (len(measures) / (1 / scaled).sum(dim=0)).float()
