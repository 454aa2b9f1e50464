"""Sample grids: a glance at what a model does while it trains."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from sgi2v_lab.files import whole_file

__all__ = ["write_sample_grid"]


def write_sample_grid(path: str | Path, rows: list[Tensor]) -> None:
    """Write rows of pictures, each (n, 3, h, w) in 0..1, as one PNG."""
    grid = torch.cat([torch.cat(list(row.detach().float().cpu()), dim=-1) for row in rows], dim=1)
    pixels = (grid.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    with whole_file(path) as temporary:
        Image.fromarray(pixels).save(temporary)
