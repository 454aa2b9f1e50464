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
from sgi2v_lab.toy.training.decoder_stage import POSTERIOR, mean_psnr, picture_loss, train_decoder
from sgi2v_lab.toy.training.sheets import write_sheet
from sgi2v_lab.toy.training.training import mixed_precision
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render

__all__ = ["clip_crops", "decode", "decoder_loss", "train"]

CROP, CROP_FRAMES = 64, 5  # pixels and frames: convolutions do not mind the size


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


@torch.no_grad()
def _evaluate(vae: AutoencoderKLWan, clips: Tensor, sheet: Path) -> dict[str, float]:
    with mixed_precision(clips.device):
        made = torch.cat([decode(vae, encode_clip(clip)[None]) for clip in clips]).clamp(-1, 1)
    write_sheet(sheet, [each[::2] / 2 + 0.5 for pair in zip(clips[:4], made[:4], strict=True) for each in pair])
    return {"psnr": mean_psnr(made, clips)}


def train(
    *, rank: int, processes: int, device: torch.device, out: Path, seconds: float, batch_size: int, peak: float
) -> None:
    """Train until the budget is spent; writes `decoder.pt`, `log.jsonl` and `samples/` into `out`."""
    torch.manual_seed(1)  # the same first weights in every process
    vae = make_vae().to(device)
    vae.encoder.requires_grad_(False)
    exam = torch.stack([render(sample_scene(HELD_OUT + i, NUM_FRAMES), SIZE) for i in range(8)]) * 2 - 1
    exam = exam.to(device)
    train_decoder(
        vae,
        lambda step: clip_crops(batch_size, start=rank + processes * step, stride=processes),
        decoder_loss,
        lambda average: _evaluate(average, exam, out / "samples" / "decoder.png"),
        rank=rank,
        device=device,
        out=out,
        seconds=seconds,
        peak=peak,
        warmup=100,
        ema=0.99,
    )
