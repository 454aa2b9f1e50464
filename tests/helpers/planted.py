"""Features and attention that know the truth, because they were made from it."""

import math
from collections.abc import Sequence

import pyarrow
import torch

from sgi2v_lab.analysis.pairs import cell_middles
from sgi2v_lab.analysis.sweep import SCHEMA


def position_code(places: torch.Tensor) -> torch.Tensor:
    """Places (..., 2) in sides of the picture as unit vectors (..., 4), the more alike the nearer."""
    return torch.cat([(math.pi * places).cos(), (math.pi * places).sin()], dim=-1) / math.sqrt(2)


def features_of(origins: torch.Tensor) -> torch.Tensor:
    """Maps (frames, 4, h, w) of features that are the origins' coordinates; noise where there is no origin."""
    noise = torch.rand(origins.shape, generator=torch.Generator().manual_seed(0))
    return position_code(torch.where(origins.isnan(), noise, origins)).permute(0, 3, 1, 2)


def shifted(frames: int, h: int, w: int, columns: int = 1, rows: int = 0) -> torch.Tensor:
    """Origins (frames, h, w, 2) of a picture that moves by whole cells in each frame; what came in has none."""
    here = cell_middles((h, w)).view(1, h, w, 2).repeat(frames, 1, 1, 1)
    origins = here - torch.arange(frames).view(-1, 1, 1, 1) * torch.tensor([columns / w, rows / h])
    inside = ((origins > 0) & (origins < 1)).all(dim=-1, keepdim=True)
    return torch.where(inside, origins, torch.nan)


def table_of(
    layers: Sequence[str], sigmas: Sequence[float], kinds: Sequence[str], heads: Sequence[int | None] = (None,)
) -> pyarrow.Table:
    """A sweep's table of two clips: accuracy grows with the place of layer and noise level, less in later kinds."""
    rows = [
        {"clip": clip, "layer": layer, "sigma": sigma, "kind": kind, "accuracy_1": 0.1 + 0.02 * i + 0.03 * j - 0.01 * k}
        | {"head": head, "pairs": 9, "chance_1": 0.05}
        | dict.fromkeys(("confidence", "attention_score", "flow_correlation", "massive"), 0.1 * j)
        for clip in ("toy-0", "toy-1")
        for i, layer in enumerate(layers)
        for j, sigma in enumerate(sigmas)
        for k, kind in enumerate(kinds)
        for head in heads
    ]
    return pyarrow.Table.from_pylist(rows, SCHEMA)
