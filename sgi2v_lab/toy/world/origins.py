"""Where everything that is seen in a clip was in its first frame: the truth about motion, cell by cell.

`true_boxes` says where objects are; this says it of every place of the picture, background included. Training can tell
the denoiser's attention about it (`training.correspondence`), and analyses compare with it what a layer knows.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sgi2v_lab.toy.world.scenes import Scene, outside, turned

__all__ = ["transformed_origins", "true_origins", "true_owners"]

Origins = Float[Tensor, "*clips frames h w 2"]


def true_origins(scene: Scene, cells: int | tuple[int, int], reference: int = 0) -> Origins:
    """For the middle of every cell: where in frame `reference` is what is seen there?

    Args:
        scene: with sprites that move and a camera.
        cells: along each side of the picture, or (rows, columns).
        reference: the frame to look in, counted from 0; -1 is the last one.

    Returns:
        (frames, rows, columns, 2), x first, in sides of the picture. NaN where it is not to be seen in that frame: it
        is outside of the picture, or behind a sprite. Shadows and light play no part.
    """
    world = _world(scene, cells)
    owner = _owners(scene, world)
    then = world.clone()
    for number, sprite in enumerate(scene.sprites):
        moved = sprite.path[reference] - sprite.path[:, None, None]
        then = torch.where((owner == number)[..., None], world + moved, then)
    frame = torch.full((scene.num_frames,), reference)
    seen = (owner == _owners(scene, then, frame))[..., None]
    origin = (then - 0.5 - scene.camera[reference, :2]) * scene.camera[reference, 2] + 0.5
    inside = ((origin >= 0) & (origin <= 1)).all(dim=-1, keepdim=True)
    return torch.where(seen & inside, origin, torch.nan)


def true_owners(scene: Scene, cells: int | tuple[int, int]) -> Int[Tensor, "frames h w"]:
    """The number of the sprite that is seen in the middle of every cell; -1 for the background."""
    return _owners(scene, _world(scene, cells))


def _world(scene: Scene, cells: int | tuple[int, int]) -> Tensor:
    """Where in the world the middles of cells lie, (frames, rows, columns, 2)."""
    rows, columns = (cells, cells) if isinstance(cells, int) else cells
    x, y = (torch.arange(columns) + 0.5) / columns, (torch.arange(rows) + 0.5) / rows
    screen = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    shift, zoom = scene.camera[:, None, None, :2], scene.camera[:, None, None, 2:]
    return (screen - 0.5) / zoom + 0.5 + shift


def _owners(scene: Scene, world: Tensor, frames: Tensor | None = None) -> Tensor:
    """The number of the sprite that covers each point (frames, h, w, 2) of the world; -1 for the background."""
    owner = torch.full(world.shape[:-1], -1)
    for number, sprite in enumerate(scene.sprites):
        path = sprite.path if frames is None else sprite.path[frames]
        local = turned((world - path[:, None, None]) / sprite.radius, sprite.angle)
        owner[outside(sprite, local) <= 0] = number
    return owner


def transformed_origins(
    origins: Origins, *, mirror: bool = False, flip: bool = False, transpose: bool = False
) -> Origins:
    """Origins of the clip mirrored left-right, then flipped top-bottom, then transposed (see `latent_code`)."""
    if mirror:
        origins = torch.stack([1 - origins[..., 0], origins[..., 1]], dim=-1).flip(-2)
    if flip:
        origins = torch.stack([origins[..., 0], 1 - origins[..., 1]], dim=-1).flip(-3)
    if transpose:
        origins = origins.transpose(-2, -3).flip(-1)
    return origins.contiguous()
