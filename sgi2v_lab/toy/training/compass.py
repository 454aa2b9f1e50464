"""Where a half-trained toy stands: figures that take about two minutes.

    python -m sgi2v_lab.toy.training.compass runs/toy

Pictures are lost in two places: in coding and decoding, and where the denoiser does not know what belongs at a place.
So a true clip is coded and decoded (the *ceiling*); and it is noised, denoised in **one** step and decoded, at several
noise levels. Then it is denoised in several steps, as a sampler does: where these find less than the first of them, the
model does not mend what it has blurred. All are judged by the PSNR inside the true box of the object that moved most,
over the clip's second half. A last figure says how far copying can get: the first frame's codes fetched from where
everything truly came from, mixed in bilinear shares.

Then, by layer and noise level: how often attention finds, within one of the layer's cells, where something that moved
came from; in its own frame, as the network attends, and in the first one, as SG-I2V's aligned features do.
"""

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from diffusers import AutoencoderKLTemporalDecoder
from rich.console import Console
from torch import Tensor

from sgi2v_lab.toy.network.architecture import NUM_FRAMES, SIZE
from sgi2v_lab.toy.network.latent_code import encode_patches, preview
from sgi2v_lab.toy.training.attention import ShortAttention
from sgi2v_lab.toy.training.correspondence import CELLS, moved_cells
from sgi2v_lab.toy.training.data import HELD_OUT, NOISE_AUGMENTATION, Batch, stack
from sgi2v_lab.toy.training.decoder_stage import load_decoder
from sgi2v_lab.toy.training.training import mixed_precision
from sgi2v_lab.toy.training.unet_stage import (
    Denoiser,
    denoising_loss,
    draw_sigmas,
    held_out_batch,
    load_denoiser,
    predict_clean,
)
from sgi2v_lab.toy.world.origins import true_origins
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import motion_bucket, render, true_boxes

__all__ = ["SIGMAS", "Example", "ceilings", "denoised", "error_of_v", "examples", "matching"]

SIGMAS = (0.11, 0.21, 1.1, 2.8, 9.0, 18.0)
SEVERAL = (9.0, 4.5, 2.2, 1.0, 0.4)  # the way down from where motion is decided, in steps as a sampler's
LOOKED_AT = slice(NUM_FRAMES // 2, NUM_FRAMES)  # frames
FAR = SIZE / 8  # pixels that an object's centre is away from its first place in all frames looked at
SEED = HELD_OUT + 2000


@dataclass(frozen=True)
class Example:
    """A held-out clip in which an object moves far."""

    video: Tensor  # (frames, 3, SIZE, SIZE) in -1..1
    box: Tensor  # (frames, 4) in pixels: the object that moved most
    batch: Batch  # of one clip, without a batch axis


def examples(count: int = 16) -> list[Example]:
    """Always the same clips, of the whole world. Their condition is the first frame as it is."""
    found: list[Example] = []
    seed = SEED
    while len(found) < count:
        scene = sample_scene(seed, NUM_FRAMES)
        seed += 1
        boxes = true_boxes(scene, SIZE)
        centres = (boxes[..., :2] + boxes[..., 2:]) / 2
        gone = (centres - centres[:, :1]).norm(dim=-1)[:, LOOKED_AT].amin(dim=1)
        if not len(boxes) or gone.max() < FAR:
            continue
        video = render(scene, SIZE) * 2 - 1
        latents = encode_patches(video)
        ids = torch.tensor([scene.fps - 1, motion_bucket(scene), NOISE_AUGMENTATION])
        batch = Batch(latents, latents[0], video[0] / 2 + 0.5, ids, true_origins(scene, CELLS))
        found.append(Example(video, boxes[gone.argmax()], batch))
    return found


def _psnr(example: Example, frames: Tensor) -> float:
    """Of the frames looked at (n, 3, SIZE, SIZE), inside the box; the mean over frames that show a part of it."""
    found = []
    truths, boxes = example.video[LOOKED_AT], example.box[LOOKED_AT].clamp(0, SIZE).round().int().tolist()
    for frame, truth, (x0, y0, x1, y1) in zip(frames, truths, boxes, strict=True):
        if (x1 - x0) * (y1 - y0) >= 64:
            error = (frame - truth)[:, y0:y1, x0:x1] / 2
            found.append(-10 * math.log10(error.pow(2).mean().item() + 1e-9))
    return sum(found) / max(1, len(found))


def _decoded(vae: AutoencoderKLTemporalDecoder | None, latents: Tensor) -> Tensor:
    with torch.no_grad(), mixed_precision():
        frames = preview(latents) if vae is None else vae.decode(latents, num_frames=1).sample
    return frames.float().clamp(-1, 1)


def _mean(numbers: Iterable[float]) -> float:
    numbers = list(numbers)
    return sum(numbers) / max(1, len(numbers))


def ceilings(vae: AutoencoderKLTemporalDecoder | None, clips: list[Example]) -> dict[str, float]:
    """PSNR, in dB, of the true latents and of perfectly fetched ones, decoded by `vae` or inverted linearly."""
    found: dict[str, list[float]] = {"coded": [], "fetched": []}
    for clip in clips:
        latents, origins = clip.batch.latents, clip.batch.origins
        places = origins.nan_to_num(0.5) * 2 - 1
        copies = latents[:1].expand_as(latents)
        fetched = F.grid_sample(copies, places, align_corners=False, padding_mode="border")
        fetched = torch.where(origins.isnan().any(dim=-1)[:, None], latents, fetched)
        for name, z in (("coded", latents), ("fetched", fetched)):
            found[name].append(_psnr(clip, _decoded(vae, z[LOOKED_AT])))
    return {name: _mean(values) for name, values in found.items()}


def _noisy(clip: Example, sigma: float, number: int) -> Tensor:
    noise = torch.randn(clip.batch.latents.shape, generator=torch.Generator().manual_seed(number))
    return clip.batch.latents + sigma * noise


def denoised(
    denoiser: Denoiser, vae: AutoencoderKLTemporalDecoder | None, clips: list[Example], levels: Sequence[float]
) -> list[float]:
    """PSNR, in dB, of each clip, noised to the first of the levels and denoised by one Euler step at each of them."""
    found = []
    for number, clip in enumerate(clips):
        batch, x = stack([clip.batch]), _noisy(clip, levels[0], number)[None]
        for sigma, then in itertools.pairwise([*levels, 0.0]):
            with mixed_precision():
                z = predict_clean(denoiser, x, torch.tensor([sigma]), batch, torch.ones(1))
            x = z + then / sigma * (x - z)
        found.append(_psnr(clip, _decoded(vae, x[0, LOOKED_AT])))
    return found


@torch.no_grad()
def error_of_v(denoiser: Denoiser, count: int = 16) -> float:
    """Mean squared error of v on simple held-out clips, noise levels as in training."""
    batch, generator = held_out_batch(count), torch.Generator().manual_seed(0)
    noise = torch.randn(batch.latents.shape, generator=generator)
    sigma = draw_sigmas(count, generator)
    with mixed_precision():
        return denoising_loss(denoiser, batch, sigma, noise, torch.ones(count)).mean().item()


class _Looking(ShortAttention):
    def __init__(self):
        self.own: Tensor | None = None
        self.aligned: Tensor | None = None

    def look(self, query: Tensor, key: Tensor, weights: Tensor) -> None:
        query, key, weights = (x.unflatten(0, (-1, NUM_FRAMES)).float() for x in (query, key, weights))
        self.own, self.aligned = weights, (query @ key[:, :1].transpose(-1, -2)).softmax(-1)


def _found(attention: Tensor, origins: Tensor) -> tuple[int, int]:
    """How many of the cells that moved pay most attention (clips, frames, heads, n, n) to their origin, of how many."""
    side = round(attention.shape[-1] ** 0.5)
    moved = moved_cells(origins)[:, 1:].flatten(2)
    coarse = torch.arange(CELLS) * side // CELLS
    best = attention.mean(dim=2).argmax(dim=-1)[..., (coarse[:, None] * side + coarse).flatten()][:, 1:]
    place = torch.stack([best % side, best // side], dim=-1) + 0.5
    near = ((origins[:, 1:].flatten(2, 3) * side - place).abs() <= 1).all(dim=-1)
    return int((near & moved).sum()), int(moved.sum())


@torch.no_grad()
def matching(denoiser: Denoiser, clips: list[Example], sigma: float) -> dict[str, tuple[float, float]]:
    """By layer ("up 2 1": up block and transformer): share of what moved whose origin is found, own and aligned."""
    unet, looking = denoiser.unet, {}
    blocks = {"down": unet.down_blocks, "up": unet.up_blocks}
    for name, levels in blocks.items():
        for level, block in enumerate(levels):
            for number, transformer in enumerate(getattr(block, "attentions", ())):
                looking[f"{name} {level} {number}"] = processor = _Looking()
                transformer.transformer_blocks[0].attn1.set_processor(processor)
    counts: dict[str, list[int]] = {name: [0, 0, 0] for name in looking}
    for number, clip in enumerate(clips):
        batch = stack([clip.batch])
        with mixed_precision():
            denoiser(_noisy(clip, sigma, number)[None], torch.tensor([sigma]), batch, torch.ones(1))
        for name, processor in looking.items():
            own, moved = _found(processor.own, batch.origins)
            aligned, _ = _found(processor.aligned, batch.origins)
            counts[name] = [a + b for a, b in zip(counts[name], (own, aligned, moved), strict=True)]
    unet.set_attn_processor(ShortAttention())
    return {name: (own / max(1, moved), aligned / max(1, moved)) for name, (own, aligned, moved) in counts.items()}


app = typer.Typer(add_completion=False, help=__doc__, pretty_exceptions_enable=False)


@app.command()
def main(
    run: Annotated[Path, typer.Argument(help="A run's folder, with unet.pt and, for decoded pictures, decoder.pt.")],
    clips: Annotated[int, typer.Option(help="How many held-out clips.", min=1)] = 16,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    layers: Annotated[bool, typer.Option(help="Also look at the attention of every layer.")] = True,
    sigmas: Annotated[str, typer.Option(help="Noise levels of the one step.")] = ",".join(map(str, SIGMAS)),
) -> None:
    """Print the figures and append them to `compass.jsonl` in the run's folder."""
    torch.set_num_threads(threads)
    console = Console(soft_wrap=True, highlight=False)
    vae, given = load_decoder(run), examples(clips)
    figures: dict[str, object] = {name: round(value, 2) for name, value in ceilings(vae, given).items()}
    console.print(", ".join(f"{name} {value} dB" for name, value in figures.items()))
    if (loaded := load_denoiser(run)) is not None:
        denoiser, counters = loaded
        denoiser.unet.set_attn_processor(ShortAttention())
        figures = {"clips": counters["clips"], "minutes": round(counters["elapsed"] / 60), **figures}
        levels = [float(sigma) for sigma in sigmas.split(",")]
        for sigma in levels:
            figures[f"sigma {sigma}"] = round(_mean(denoised(denoiser, vae, given, [sigma])), 2)
        figures["several steps"] = round(_mean(denoised(denoiser, vae, given, SEVERAL)), 2)
        figures["error of v"] = round(error_of_v(denoiser), 5)
        steps = ", ".join(f"{sigma}: {figures[f'sigma {sigma}']}" for sigma in levels)
        console.print(f"{figures['clips']} clips; one step at sigma {steps}")
        console.print(f"steps at sigma {', '.join(map(str, SEVERAL))}: {figures['several steps']}")
        console.print(f"error of v on simple clips {figures['error of v']}")
        for sigma in (1.1, 2.8, 9.0) if layers else ():
            found = matching(denoiser, given, sigma)
            figures[f"matching at {sigma}"] = {name: [round(x, 3) for x in pair] for name, pair in found.items()}
            pairs = (f"{name}: {own:.2f}/{aligned:.2f}" for name, (own, aligned) in found.items())
            console.print(f"own/aligned matching at sigma {sigma}: " + ", ".join(pairs))
    with (run / "compass.jsonl").open("a") as file:
        file.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    app()
