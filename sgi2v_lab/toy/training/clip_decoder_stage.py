"""First stage of the toy transformer's training: the decoder of its causal VAE (the encoder is set, not trained)."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from sgi2v_lab.toy.network.clip_code import encode_clip
from sgi2v_lab.toy.network.transformer import NUM_FRAMES, SIZE, make_vae
from sgi2v_lab.toy.training.data import HELD_OUT
from sgi2v_lab.toy.training.decoder_stage import POSTERIOR, picture_loss, train_decoder
from sgi2v_lab.toy.training.sample_grid import write_sample_grid
from sgi2v_lab.toy.training.training import load_checkpoint, mixed_precision
from sgi2v_lab.toy.world.origins import true_owners
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import Scene, render

__all__ = ["clip_crops", "decode", "decoder_loss", "load_decoder", "reconstruction", "train"]

CROP, CROP_FRAMES = 64, 5  # pixels and frames: convolutions do not mind the size
MOVED = 0.01  # what goes further between two frames, in sides of the picture, is a moving object


def clip_crops(batch_size: int, start: int = 0, stride: int = 1) -> Iterator[Tensor]:
    """Endless batches (batch_size, CROP_FRAMES, 3, CROP, CROP) in -1..1 of randomly cropped, turned, reversed clips."""
    rng = Random(start)
    pool: list[Tensor] = []
    seed = start
    while True:
        crops = []
        for _ in range(batch_size):
            if len(pool) < 16 or rng.random() < 0.25:
                pool.append(render(sample_scene(seed % HELD_OUT, NUM_FRAMES), SIZE))
                seed += stride
                del pool[:-96]
            clip, first = rng.choice(pool), rng.randint(0, NUM_FRAMES - CROP_FRAMES)
            y, x = rng.randint(0, SIZE - CROP), rng.randint(0, SIZE - CROP)
            crop = clip[first : first + CROP_FRAMES, :, y : y + CROP, x : x + CROP]
            crop = crop.flip([d for d in (-1, -2, 0) if rng.random() < 0.5])
            crops.append(crop.transpose(-1, -2) if rng.random() < 0.5 else crop)
        yield torch.stack(crops) * 2 - 1


def decode(vae: AutoencoderKLWan, latents: Tensor) -> Tensor:
    """Latents (batch, latents, channels, h, w) -> clips (batch, frames, 3, 4h, 4w) in -1..1."""
    return vae.decode(latents.transpose(1, 2)).sample.transpose(1, 2)


def decoder_loss(vae: AutoencoderKLWan, clips: Tensor) -> Tensor:
    """Reconstruction of clips (n, frames, 3, h, w) in -1..1 through slightly noised latents."""
    latents = torch.stack([encode_clip(clip) for clip in clips])
    return picture_loss(decode(vae, latents + POSTERIOR * torch.randn_like(latents)).float(), clips)


def load_decoder(out: Path, device: torch.device | str = "cpu") -> AutoencoderKLWan | None:
    """The averaged VAE of a training run, or None where there is none yet."""
    if (state := load_checkpoint(out / "decoder.pt")) is None:
        return None
    vae = make_vae().eval().requires_grad_(False)
    vae.load_state_dict(state["average"])
    return vae.to(device)


def moving_pixels(scene: Scene) -> Tensor:
    """Which pixels (frames, SIZE, SIZE) show a sprite that goes further than `MOVED` in the step from or to a frame."""
    owners, moving = true_owners(scene, SIZE), torch.zeros(scene.num_frames, len(scene.sprites) + 1, dtype=torch.bool)
    for number, sprite in enumerate(scene.sprites):
        far = (sprite.path[1:] - sprite.path[:-1]).norm(dim=-1) > MOVED
        moving[1:, number] = far
        moving[:-1, number] |= far
    return torch.stack([row[owner] for row, owner in zip(moving, owners, strict=True)])  # -1: the background


@torch.no_grad()
def reconstruction(made: Tensor, clips: Tensor, moving: Tensor) -> tuple[float, float]:
    """PSNR in dB: the mean over clips (n, frames, 3, h, w) in -1..1, and that of the pixels that are `moving`."""
    error = ((made.clamp(-1, 1) - clips) / 2).pow(2).mean(dim=2)
    inside = error[moving].mean()
    return -10 * error.mean(dim=(1, 2, 3)).log10().mean().item(), -10 * inside.log10().item()


def held_out_clips(count: int) -> tuple[Tensor, Tensor]:
    """Clips (count, frames, 3, SIZE, SIZE) in -1..1 that are never trained on, and their moving pixels."""
    scenes = [sample_scene(HELD_OUT + i, NUM_FRAMES) for i in range(count)]
    return torch.stack([render(scene, SIZE) * 2 - 1 for scene in scenes]), torch.stack(
        [moving_pixels(scene) for scene in scenes]
    )


@torch.no_grad()
def _evaluate(vae: AutoencoderKLWan, clips: Tensor, moving: Tensor, picture: Path) -> tuple[float, float]:
    made = torch.cat([decode(vae, encode_clip(clip)[None]) for clip in clips])
    write_sample_grid(picture, [each[::2] / 2 + 0.5 for pair in zip(clips[:4], made[:4], strict=True) for each in pair])
    return reconstruction(made, clips, moving)


def train(
    *, rank: int, processes: int, device: torch.device, out: Path, seconds: float, batch_size: int, peak: float
) -> None:
    """Train until the budget is spent; writes `decoder.pt`, `log.jsonl` and `samples/` into `out`."""
    torch.manual_seed(1)  # the same first weights in every process
    vae = make_vae().to(device)
    vae.encoder.requires_grad_(False)
    clips, moving = held_out_clips(8)
    clips = clips.to(device)

    def judged(average: AutoencoderKLWan) -> dict[str, float]:
        with mixed_precision(device):
            psnr, inside = _evaluate(average, clips, moving, out / "samples" / "decoder.png")
        return {"psnr": psnr, "moving": inside}

    train_decoder(
        vae,
        lambda step: clip_crops(batch_size, start=rank + processes * step, stride=processes),
        decoder_loss,
        judged,
        rank=rank,
        device=device,
        out=out,
        seconds=seconds,
        peak=peak,
        warmup=100,
        ema=0.99,
    )
