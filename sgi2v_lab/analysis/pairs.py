"""Pairs of places that show the same thing: one in a later frame, one in the first. The truth that matches are held to.

Dense origins, as the toy's world knows them, and tracks of points, as in TAP-Vid, become the same pairs. Places are
(x, y) in sides of the picture, 0..1. Distances are in cells of a grid, in the larger of the two directions: within 0.5
is the very cell, within 1.5 that cell or one of the eight around it.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sgi2v_lab.errors import InputError

__all__ = ["Pairs", "cell_middles", "on_grid", "sample_at"]

Places = Float[Tensor, "n 2"]


@dataclass(frozen=True)
class Pairs:
    """What is seen at a place of a later frame was at `origin` in frame 0. Only what moved, and is visible in both.

    Attributes:
        frame: the later frame of each pair, from 1 on.
        here: its place there, in sides of the picture.
        origin: its place in frame 0, in sides of the picture.
        grid: (h, w), whose cells distances are counted in, and among which origins are looked for.
    """

    frame: Int[Tensor, " n"]
    here: Places
    origin: Places
    grid: tuple[int, int]

    @classmethod
    def of_origins(cls, origins: Float[Tensor, "frames h w 2"], least_motion: float = 0.5) -> "Pairs":
        """Every cell of the later frames whose origin is known, as `true_origins` gives it; NaN is left out.

        What went `least_motion` cells or less is left out too: it would be found by looking where it is. 0.5 leaves
        out what is still in the same cell; a negative number keeps everything.
        """
        frames, h, w, _ = origins.shape
        here = cell_middles((h, w)).expand(frames, -1, -1).flatten(0, 1)
        frame = torch.arange(frames).repeat_interleave(h * w)
        return _chosen(frame, here, origins.float().cpu().flatten(0, 2), (h, w), least_motion)

    @classmethod
    def of_tracks(
        cls,
        points: Float[Tensor, "tracks frames 2"],
        occluded: Bool[Tensor, "_tracks _frames"],
        grid: tuple[int, int],
        least_motion: float = 0.5,
    ) -> "Pairs":
        """Every track in every later frame where it is seen, if it is seen in frame 0 as well.

        `points` are in sides of the picture; `grid` is (h, w), such as the latents'. `least_motion` as above.
        """
        if points.shape[:2] != occluded.shape:
            raise InputError(
                f"there are points for {tuple(points.shape[:2])} (tracks, frames), but visibility for "
                f"{tuple(occluded.shape)}: expected the same"
            )
        tracks, frames, _ = points.shape
        points, seen = points.float().cpu(), ~(occluded | occluded[:, :1]).cpu()
        origin = torch.where(seen[..., None], points[:, :1].expand_as(points), torch.nan)
        frame = torch.arange(frames).repeat(tracks)
        return _chosen(frame, points.flatten(0, 1), origin.flatten(0, 1), grid, least_motion)

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.frame)

    def distance(self, places: Places) -> Float[Tensor, " n"]:
        """How far places in frame 0 are from the true origins, in cells."""
        return _cells_apart(places, self.origin, self.grid)

    def chance(self, within: float) -> float:
        """The share of frame 0's cells that lie so near to an origin, averaged over pairs: a blind guess. NaN if none.

        At borders and for fractions of a cell it is counted, not estimated.
        """
        near = (
            ((axis + 0.5 - self.origin[:, k, None] * len(axis)).abs() <= within + _ROUNDING).double().mean(dim=1)
            for k, axis in enumerate((torch.arange(self.grid[1]), torch.arange(self.grid[0])))
        )
        return torch.stack([*near]).prod(dim=0).mean().item()


_ROUNDING = 1e-4  # cells


def _chosen(frame: Tensor, here: Tensor, origin: Tensor, grid: tuple[int, int], least_motion: float) -> Pairs:
    places = torch.cat([here, origin], dim=1)
    seen = ((places >= 0) & (places <= 1)).all(dim=1) & (frame > 0)  # NaN is not
    keep = seen & (_cells_apart(here, origin, grid) > least_motion + _ROUNDING)
    return Pairs(frame[keep], here[keep], origin[keep], grid)


def _cells_apart(one: Tensor, other: Tensor, grid: tuple[int, int]) -> Tensor:
    return ((one - other) * torch.tensor([grid[1], grid[0]])).abs().amax(dim=-1)


def cell_middles(grid: tuple[int, int]) -> Float[Tensor, "cells 2"]:
    """The middles (x, y) of a grid's cells (h, w), row by row, in sides of the picture."""
    h, w = grid
    x, y = (torch.arange(w) + 0.5) / w, (torch.arange(h) + 0.5) / h
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).flatten(0, 1)


def sample_at(maps: Float[Tensor, "channels h w"], places: Places) -> Float[Tensor, "n channels"]:
    """Maps of any size at places in sides of the picture, bilinearly, in fp32; beyond the outer cells' middles, theirs.

    At the middles of a finer grid this is what `assemble` makes of a coarse layer.
    """
    at = (2 * places - 1)[None, None].to(maps.device)
    found = F.grid_sample(maps[None].float(), at, padding_mode="border", align_corners=False)
    return found[0, :, 0].T


def on_grid(maps: Float[Tensor, "n c _h _w"], grid: tuple[int, int]) -> Float[Tensor, "n c _rows _columns"]:
    """Maps, or a video, brought to a grid (h, w), in fp32 on the CPU: bilinear, and averaged where they are finer."""
    return F.interpolate(maps.detach().float().cpu(), grid, mode="bilinear", align_corners=False, antialias=True)
