"""Streams of training data made from scenes: frames for the VAE, encoded clips for the UNet.

Nothing is stored on disk: a seed is a clip. Training takes seeds from 0 upwards; everything from `HELD_OUT` on is for
tests, the demo and the exam, and is never drawn here.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing
from torch import Tensor

from sgi2v_lab.toy.architecture import NUM_FRAMES, SIZE
from sgi2v_lab.toy.random_scenes import sample_scene
from sgi2v_lab.toy.scenes import motion_bucket, render

__all__ = ["HELD_OUT", "Batch", "ClipPool", "crop_batches", "to_clip_pixels"]

HELD_OUT = 10_000_000  # scene seeds from here on are never trained on
NOISE_AUGMENTATION = 0.02
POOL, REUSE = 256, 10.0  # clips kept, and how often each is used

_CLIP_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
_CLIP_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)


def to_clip_pixels(images: Tensor) -> Tensor:
    """Pictures (n, 3, h, w) in 0..1 -> CLIP's input (n, 3, 224, 224), resized as diffusers' pipeline does."""
    resized = (_resize_with_antialiasing(images * 2 - 1, (224, 224)) + 1) / 2
    return (resized - _CLIP_MEAN.to(images.device)) / _CLIP_STD.to(images.device)


def crop_batches(batch_size: int, frames: int = 4, side: int = 64, start: int = 0, stride: int = 1) -> Iterator[Tensor]:
    """Endless batches (batch_size * frames, 3, side, side) in -1..1 of short, randomly cropped and mirrored clips.

    Convolutions do not mind the size, so the VAE learns from crops. A clip is used about seven times, cropped anew.
    """
    dice = random.Random(start)
    pool: list[Tensor] = []
    seed = start
    while True:
        crops = []
        for _ in range(batch_size):
            if len(pool) < 64 or dice.random() < 0.15:
                pool.append(render(sample_scene(seed % HELD_OUT), SIZE, slice(None, None, NUM_FRAMES // frames)))
                seed += stride
                del pool[:-256]
            clip = dice.choice(pool)
            y, x = dice.randint(0, SIZE - side), dice.randint(0, SIZE - side)
            crop = clip[..., y : y + side, x : x + side]
            crops.append(crop.flip(-1) if dice.random() < 0.5 else crop)
        yield torch.cat(crops) * 2 - 1


@dataclass(frozen=True)
class Batch:
    """What one UNet training step sees."""

    latents: Tensor  # (batch, frames, channels, h, w), scaled to unit variance
    condition: Tensor  # (batch, channels, h, w): the slightly noised first frame, not scaled (as SVD's pipeline does)
    image: Tensor  # (batch, 3, SIZE, SIZE) in 0..1: the first frame
    time_ids: Tensor  # (batch, 3): fps - 1, motion bucket, noise augmentation


class ClipPool:
    """A pool of encoded clips that is renewed a little at every batch.

    Encoding is too costly to do for every step, so each clip is used `REUSE` times on average, with its own noise
    and, half of the time, backwards: a reversed clip is a valid clip with another first frame.
    """

    def __init__(self, vae, scaling_factor: float, *, start: int, stride: int, simple: bool = False):
        self.vae, self.scale, self.simple = vae, scaling_factor, simple
        self.device = next(vae.parameters()).device
        self.seed, self.stride = start, stride
        self.dice = random.Random(start)
        self.generator = torch.Generator().manual_seed(start)
        self.clips: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self.owed = 0.0

    @torch.no_grad()
    def encode(self, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Latents, conditions and pictures of both ends, and time ids of one scene."""
        scene = sample_scene(seed, NUM_FRAMES, self.simple)
        video = render(scene, SIZE)
        ends = video[[0, -1]]
        noise = NOISE_AUGMENTATION * torch.randn(ends.shape, generator=self.generator)
        pixels = torch.cat([video * 2 - 1, ends * 2 - 1 + noise]).to(self.device)
        modes = self.vae.encode(pixels).latent_dist.mode()
        ids = torch.tensor([scene.fps - 1, motion_bucket(scene), NOISE_AUGMENTATION], device=self.device)
        return modes[:-2] * self.scale, modes[-2:], ends.to(self.device), ids

    def batch(self, batch_size: int) -> Batch:
        """Draw a batch, after adding what the pool is owed."""
        self.owed += batch_size / REUSE
        while self.owed >= 1 or len(self.clips) < 4 * batch_size:
            self.clips.append(self.encode(self.seed % HELD_OUT))
            self.seed += self.stride
            self.owed = max(0.0, self.owed - 1)
        del self.clips[:-POOL]
        picked = self.dice.sample(self.clips, batch_size)
        ends = [self.dice.random() < 0.5 for _ in picked]  # True: play it backwards
        return Batch(
            latents=torch.stack([c[0].flip(0) if back else c[0] for c, back in zip(picked, ends, strict=True)]),
            condition=torch.stack([c[1][int(back)] for c, back in zip(picked, ends, strict=True)]),
            image=torch.stack([c[2][int(back)] for c, back in zip(picked, ends, strict=True)]),
            time_ids=torch.stack([c[3] for c in picked]),
        )
