"""Which part of the picture belongs to which box, which cell to which, and which box lies on top."""

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

__all__ = ["covered", "nearest_cells", "paint_order"]


def covered(boxes: Shaped[Tensor, "boxes frames 4"], h: int, w: int) -> Bool[Tensor, "boxes frames h w"]:
    """The cells of a grid (h, w) whose middle lies in a box, given in cells of that grid (or pixels of a picture).

    For whole cells these are x0..x1-1 and y0..y1-1, as in `latent_cells`. What lies beyond the grid is cut off.
    """
    x0, y0, x1, y1 = boxes[..., None, None].unbind(dim=2)  # each (boxes, frames, 1, 1)
    rows, columns = (torch.arange(n, device=boxes.device) + 0.5 for n in (h, w))
    return (rows[:, None] >= y0) & (rows[:, None] < y1) & (columns >= x0) & (columns < x1)


def paint_order(boxes: Shaped[Tensor, "boxes frames 4"]) -> list[int]:
    """The boxes from the lowest to the topmost: large ones below small ones, which may be parts of them."""
    width, height = boxes[:, 0, 2] - boxes[:, 0, 0], boxes[:, 0, 3] - boxes[:, 0, 1]
    return torch.argsort(width * height, descending=True, stable=True).tolist()


def nearest_cells(
    to: Int[Tensor, "2"], source: Int[Tensor, "2"], length: int
) -> tuple[Int[Tensor, " cells"], Int[Tensor, " cells"]]:
    """Along one axis of a grid with `length` cells: a box's cells, and the nearest ones of the box it came from.

    Both boxes are half-open (first, last + 1). Where either cell lies beyond the grid, both are left out.
    """
    (low, high), (first, last) = to.tolist(), source.tolist()
    cells = torch.arange(low, high)
    nearest = first + torch.div((2 * (cells - low) + 1) * (last - first), 2 * (high - low), rounding_mode="floor")
    inside = (cells >= 0) & (cells < length) & (nearest >= 0) & (nearest < length)
    return cells[inside], nearest[inside]
