"""Streams of training data made from scenes: frames for the VAE, encoded clips for the UNet.

Nothing is stored on disk: a seed is a clip. Training takes seeds from 0 upwards; everything from `HELD_OUT` on is for
tests, the demo and the exam, and is never drawn here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from random import Random
from typing import Any

import torch
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing
from torch import Tensor

from sgi2v_lab.toy.network.architecture import NUM_FRAMES, SIZE
from sgi2v_lab.toy.network.latent_code import encode_patches, transformed
from sgi2v_lab.toy.training.correspondence import CELLS
from sgi2v_lab.toy.world.origins import transformed_origins, true_origins
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import Scene, motion_bucket, render

__all__ = [
    "HELD_OUT",
    "Batch",
    "Clip",
    "ClipPool",
    "ScenePool",
    "crop_batches",
    "draw_scene",
    "encode_clip",
    "stack",
    "to_clip_pixels",
]

HELD_OUT = 10_000_000  # scene seeds from here on are never trained on
NOISE_AUGMENTATION = 0.02
POOL, REUSE = 256, 2.0  # clips kept, and how often each is used

_CLIP_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
_CLIP_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)


def to_clip_pixels(images: Tensor) -> Tensor:
    """Pictures (n, 3, h, w) in 0..1 -> CLIP's input (n, 3, 224, 224), resized as diffusers' pipeline does."""
    resized = (_resize_with_antialiasing(images * 2 - 1, (224, 224)) + 1) / 2
    return (resized - _CLIP_MEAN.to(images.device)) / _CLIP_STD.to(images.device)


def crop_batches(batch_size: int, side: int, start: int = 0, stride: int = 1) -> Iterator[Tensor]:
    """Endless batches (batch_size, 3, side, side) in -1..1 of randomly cropped, mirrored and turned frames."""
    dice = Random(start)
    pool: list[Tensor] = []
    seed = start
    while True:
        crops = []
        for _ in range(batch_size):
            if len(pool) < 64 or dice.random() < 0.15:
                pool.extend(render(sample_scene(seed % HELD_OUT), SIZE, slice(0, None, NUM_FRAMES - 1)))
                seed += stride
                del pool[:-256]
            y, x = dice.randint(0, SIZE - side), dice.randint(0, SIZE - side)
            crop = dice.choice(pool)[:, y : y + side, x : x + side]
            crop = crop.flip([d for d in (-1, -2) if dice.random() < 0.5])
            crops.append(crop.transpose(-1, -2) if dice.random() < 0.5 else crop)
        yield torch.stack(crops) * 2 - 1


@dataclass(frozen=True)
class Batch:
    """What one UNet training step sees."""

    latents: Tensor  # (batch, frames, channels, h, w)
    condition: Tensor  # (batch, channels, h, w): the slightly noised first frame
    image: Tensor  # (batch, 3, SIZE, SIZE) in 0..1: the first frame
    time_ids: Tensor  # (batch, 3): fps - 1, motion bucket, noise augmentation
    origins: Tensor  # (batch, frames, CELLS, CELLS, 2): where it was in the first frame, from `true_origins`


Clip = tuple[Tensor, Tensor, Tensor, Tensor]  # latents, pictures of both ends, time ids, origins in both ends


def draw_scene(seed: int, num_frames: int, simple: float = 0.0, moving: float = 0.0) -> Scene:
    """The scene of a seed.

    A `simple` share of the seeds, 0..1, gives scenes of the simple world, and a `moving` share of the others surely has
    a camera that moves (see `sample_scene`).
    """
    dice = Random(seed)
    is_simple, is_moving = dice.random() < simple, dice.random() < moving
    return sample_scene(seed, num_frames, simple=is_simple, moving=is_moving and not is_simple)


def encode_clip(seed: int, simple: float = 0.0, moving: float = 0.0) -> Clip:
    """Latents, pictures of both ends, time ids, and origins in both ends of one scene.

    They are (frames, channels, h, w), (2, 3, SIZE, SIZE), (3,) and (2, frames, CELLS, CELLS, 2). Shares `simple` and
    `moving` as in `draw_scene`.
    """
    scene = draw_scene(seed, NUM_FRAMES, simple, moving)
    video = render(scene, SIZE)
    ids = torch.tensor([scene.fps - 1, motion_bucket(scene), NOISE_AUGMENTATION])
    origins = torch.stack([true_origins(scene, CELLS, end) for end in (0, -1)])
    return encode_patches(video * 2 - 1), video[[0, -1]], ids, origins


class ScenePool:
    """A pool of clips, renewed a little at every batch: each is used `reuse` times on average.

    Args:
        draw: makes the clip of a seed, in about 50 ms of a CPU core.
        start: the first seed.
        stride: from one seed to the next.
        reuse: how often a clip is used on average.
        device: where batches are.
    """

    def __init__(
        self,
        draw: Callable[[int], Any],
        *,
        start: int,
        stride: int,
        reuse: float = REUSE,
        device: torch.device | str = "cpu",
    ):
        self.draw, self.seed, self.stride, self.reuse, self.device = draw, start, stride, reuse, device
        self.dice = Random(start)
        self.clips: list[Any] = []
        self.owed = 0.0

    def drawn(self, count: int) -> list[Any]:
        """Some clips of the pool, after adding what it is owed."""
        self.owed += count / self.reuse
        while self.owed >= 1 or len(self.clips) < 4 * count:
            self.clips.append(self.draw(self.seed % HELD_OUT))
            self.seed += self.stride
            self.owed = max(0.0, self.owed - 1)
        del self.clips[: -max(POOL, 4 * count)]
        return self.dice.sample(self.clips, count)

    def varied(self, clip: Any) -> Any:
        """A batch of one clip, without a batch axis, turned and played at random: each kind of clip in its way."""
        raise NotImplementedError

    def batch(self, batch_size: int) -> Any:
        """Draw a batch."""
        return stack([self.varied(clip) for clip in self.drawn(batch_size)], self.device)


class ClipPool(ScenePool):
    """A pool of encoded clips, each time with their own noise, mirrored, turned and played backwards at random.

    A reversed clip is a valid clip with another first frame. Shares `simple` and `moving` as in `draw_scene`.
    """

    def __init__(
        self,
        *,
        start: int,
        stride: int,
        simple: float = 0.0,
        moving: float = 0.0,
        device: torch.device | str = "cpu",
    ):
        draw = partial(encode_clip, simple=simple, moving=moving)
        super().__init__(draw, start=start, stride=stride, device=device)
        self.generator = torch.Generator().manual_seed(start)

    def varied(self, clip: Clip) -> Batch:
        """With its own noise on the first frame."""
        latents, ends, ids, origins = clip
        mirror, flip, transpose, back = (self.dice.random() < 0.5 for _ in range(4))
        image = ends[-1 if back else 0]
        image = image.flip([d for d, wanted in ((-1, mirror), (-2, flip)) if wanted])
        image = image.transpose(-1, -2) if transpose else image
        latents = transformed(latents, mirror=mirror, flip=flip, transpose=transpose)
        noise = NOISE_AUGMENTATION * torch.randn(image.shape, generator=self.generator)
        condition = encode_patches((image * 2 - 1 + noise)[None])[0]
        origins = transformed_origins(
            origins[1].flip(0) if back else origins[0], mirror=mirror, flip=flip, transpose=transpose
        )
        return Batch(latents.flip(0) if back else latents, condition, image, ids, origins)


def stack(samples: Sequence[Any], device: torch.device | str = "cpu") -> Any:
    """Batches (dataclasses of tensors) of one clip each, without a batch axis -> one batch."""
    columns = ([getattr(s, f.name) for s in samples] for f in fields(samples[0]))
    return type(samples[0])(*(torch.stack(column).to(device) for column in columns))
