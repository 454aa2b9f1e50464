"""Does the toy's training learn at all? A minute of both stages from scratch: `python -m sgi2v_lab.toy.training.smoke`.

A fixed number of small steps, whatever the computer's speed. Each stage's loss is measured before and after them on the
same held-out pictures with the same noise, so that only learning can make it fall.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer

from sgi2v_lab.toy.network.architecture import SIZE
from sgi2v_lab.toy.network.latent_code import encode_patches
from sgi2v_lab.toy.training.attention import ShortAttention
from sgi2v_lab.toy.training.data import HELD_OUT, Batch, ClipPool, crop_batches
from sgi2v_lab.toy.training.decoder_stage import CROP, decoder_loss, make_frame_vae
from sgi2v_lab.toy.training.optimizers import MuonWithAdamW
from sgi2v_lab.toy.training.sheets import write_sheet
from sgi2v_lab.toy.training.training import mixed_precision
from sgi2v_lab.toy.training.unet_stage import FIRST_AND_LAST, Denoiser, denoising_loss, draw_sigmas, held_out_batch
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render

__all__ = ["LEAST_FALL", "Learned", "app", "learn_decoder", "learn_unet"]

LEAST_FALL = 0.05  # of a loss, to count as falling
# the decoder begins as a fair magnifier, which larger steps, or too sudden ones, spoil at first
DECODER_BATCH, DECODER_RATE, DECODER_WARMUP = 4, 5e-5, 10  # the warm-up is in steps
UNET_BATCH, UNET_RATE, UNET_WARMUP = 2, 2e-3, 4
EXAM = 4  # held-out pictures and clips


@dataclass(frozen=True)
class Learned:
    """What a stage's steps did to its loss on held-out pictures."""

    stage: str
    steps: int
    before: float
    after: float
    seconds: float

    @property
    def fell(self) -> bool:
        """Whether the loss is lower by `LEAST_FALL` of itself or more."""
        return self.after < (1 - LEAST_FALL) * self.before  # False also for a loss that is not a number


def learn_decoder(steps: int, sheet: str | Path | None = None) -> Learned:
    """Train a new decoder for some steps; the loss is `decoder_loss`, on pictures -1..1.

    `sheet` is a PNG to be written: held-out pictures, the new decoder's, the trained one's.
    """
    start = time.monotonic()
    torch.manual_seed(0)
    vae = make_frame_vae()
    exam = torch.cat([render(sample_scene(HELD_OUT + i), SIZE, slice(0, 1)) for i in range(EXAM)]) * 2 - 1
    rows = [exam]

    @torch.no_grad()
    def examine() -> float:
        rows.append(vae.decode(encode_patches(exam), num_frames=1).sample)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            return decoder_loss(vae, exam).item()

    before = examine()
    optimizer = torch.optim.AdamW(vae.decoder.parameters(), betas=(0.9, 0.99))
    batches = crop_batches(DECODER_BATCH, CROP)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = DECODER_RATE * min(1.0, (step + 1) / DECODER_WARMUP)
        with mixed_precision():
            loss = decoder_loss(vae, next(batches))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.decoder.parameters(), 1.0)
        optimizer.step()
    after = examine()
    if sheet is not None:
        write_sheet(sheet, [row / 2 + 0.5 for row in rows])
    return Learned("decoder", steps, before, after, time.monotonic() - start)


def learn_unet(steps: int) -> Learned:
    """Train a new UNet and image encoder for some steps; the loss is `denoising_loss`, the squared error of v."""
    start = time.monotonic()
    torch.manual_seed(0)
    denoiser = Denoiser()
    denoiser.unet.set_attn_processor(ShortAttention())
    pool = ClipPool(start=0, stride=1, simple=1.0)
    exam = held_out_batch(EXAM)
    generator = torch.Generator().manual_seed(1)
    exam_noise = torch.randn(exam.latents.shape, generator=generator)
    exam_sigma = draw_sigmas(EXAM, generator)

    def loss_on(batch: Batch, sigma: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        with mixed_precision():
            return denoising_loss(denoiser, batch, sigma, noise, torch.ones(len(noise))).mean()

    def examine() -> float:
        with torch.no_grad():
            return loss_on(exam, exam_sigma, exam_noise).item()

    before = examine()
    optimizer = MuonWithAdamW(denoiser, FIRST_AND_LAST)
    for step in range(steps):
        batch = pool.batch(UNET_BATCH)
        loss_on(batch, draw_sigmas(UNET_BATCH), torch.randn(batch.latents.shape)).backward()
        torch.nn.utils.clip_grad_norm_(denoiser.parameters(), 1.0)
        optimizer.step(UNET_RATE * min(1.0, (step + 1) / UNET_WARMUP))
    return Learned("unet", steps, before, examine(), time.monotonic() - start)


app = typer.Typer(add_completion=False, help=__doc__, pretty_exceptions_enable=False)


@app.command()
def smoke(
    out: Annotated[Path, typer.Option(help="Folder for the decoder's sheet.")] = Path("runs/smoke"),
    decoder_steps: Annotated[int, typer.Option(help="Steps of the decoder's training.", min=1)] = 24,
    unet_steps: Annotated[int, typer.Option(help="Steps of the UNet's training.", min=1)] = 24,
) -> None:
    """Train both stages from scratch for a minute; exit with 1 if a loss does not fall."""
    results = [learn_decoder(decoder_steps, out / "decoder.png"), learn_unet(unet_steps)]
    typer.echo("Losses on held-out pictures and clips:")
    for r in results:
        typer.echo(f"{r.stage}, {r.steps} steps in {r.seconds:.0f} s: {r.before:.3f} before, {r.after:.3f} after")
    if stuck := [r.stage for r in results if not r.fell]:
        typer.echo(f"The loss did not fall by {LEAST_FALL:.0%} or more: {', '.join(stuck)}.")
        raise typer.Exit(1)
    typer.echo("Both losses fall: training works.")


if __name__ == "__main__":
    app()
