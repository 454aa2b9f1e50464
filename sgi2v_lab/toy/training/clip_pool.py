"""Encoded clips for the toy transformer's training: a seed is a clip."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sgi2v_lab.toy.network.clip_code import encode_clip
from sgi2v_lab.toy.network.latent_code import transformed
from sgi2v_lab.toy.network.transformer import NUM_FRAMES, SIZE
from sgi2v_lab.toy.training.correspondence import CELLS
from sgi2v_lab.toy.training.data import HELD_OUT, ScenePool, draw_scene, stack
from sgi2v_lab.toy.world.origins import transformed_origins, true_origins
from sgi2v_lab.toy.world.scenes import render

__all__ = ["BothWays", "Clips", "PairedClipPool", "held_out", "scene_clip"]

REUSE = 3.0  # how often a clip is used


@dataclass(frozen=True)
class Clips:
    """What one training step sees."""

    latents: Tensor  # (batch, latents, channels, h, w); the first of each clip is its first frame
    origins: Tensor  # (batch, frames, CELLS, CELLS, 2): where it was in the first frame, from `true_origins`


BothWays = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]  # latents and origins, forwards and backwards


def scene_clip(seed: int, simple: float = 0.0, size: int = SIZE) -> BothWays:
    """Latents (latents, channels, h, w) and origins (frames, CELLS, CELLS, 2) of one scene, and of it played backwards.

    The share `simple` is as in `draw_scene`; `size` is that of the pictures, in pixels.
    """
    scene = draw_scene(seed, NUM_FRAMES, simple)
    video = render(scene, size) * 2 - 1
    return (encode_clip(video), true_origins(scene, CELLS)), (
        encode_clip(video.flip(0)),
        true_origins(scene, CELLS, -1).flip(0),
    )


class PairedClipPool(ScenePool):
    """A pool of clips, mirrored, turned and played backwards at random."""

    def __init__(
        self,
        *,
        start: int,
        stride: int,
        simple: float = 0.0,
        size: int = SIZE,
        device: torch.device | str = "cpu",
    ):
        draw = partial(scene_clip, simple=simple, size=size)
        super().__init__(draw, start=start, stride=stride, reuse=REUSE, device=device)

    def varied(self, clip: BothWays) -> Clips:
        """Either way."""
        latents, origins = clip[self.dice.random() < 0.5]
        way = {name: self.dice.random() < 0.5 for name in ("mirror", "flip", "transpose")}
        return Clips(transformed(latents, **way), transformed_origins(origins, **way))


def held_out(count: int, size: int = SIZE, device: torch.device | str = "cpu") -> Clips:
    """Clips that are never trained on, to compare networks by; always the same ones, half of the simple world."""
    clips = (scene_clip(HELD_OUT + i, simple=float(i % 2), size=size)[0] for i in range(count))
    return stack([Clips(*clip) for clip in clips], device)
