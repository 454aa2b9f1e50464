"""First stage of the toy's training: the decoder that turns latents into pictures (the encoder is set, not trained)."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderKLTemporalDecoder
from torch import Tensor, nn

from sgi2v_lab.models.identity_blocks import remove_identities
from sgi2v_lab.toy.network.architecture import SIZE, make_vae
from sgi2v_lab.toy.network.latent_code import encode_patches
from sgi2v_lab.toy.training.data import HELD_OUT, crop_batches
from sgi2v_lab.toy.training.sheets import write_sheet
from sgi2v_lab.toy.training.training import (
    Clock,
    average_gradients,
    log_line,
    mixed_precision,
    resume_training,
    save_training,
    update_ema,
)
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render

__all__ = ["POSTERIOR", "decoder_loss", "make_frame_vae", "mean_psnr", "picture_loss", "train", "train_decoder"]

CROP = 64  # pixels: convolutions do not mind the size
POSTERIOR = 0.05  # the spread of the latents' posterior, which the decoder learns to live with


def decoder_loss(vae: AutoencoderKLTemporalDecoder, x: Tensor) -> Tensor:
    """Reconstruction of pictures x (n, 3, h, w) in -1..1 through slightly noised latents."""
    latents = encode_patches(x)
    return picture_loss(vae.decode(latents + POSTERIOR * torch.randn_like(latents), num_frames=1).sample, x)


def picture_loss(made: Tensor, true: Tensor) -> Tensor:
    """How far pictures (..., 3, h, w) are from the true ones.

    L1 keeps edges sharp, L2 keeps colours right, and the difference of neighbours weighs contours.
    """
    d = (made - true).float()
    contours = d.diff(dim=-1).abs().mean() + d.diff(dim=-2).abs().mean()
    return d.abs().mean() + 2 * d.pow(2).mean() + 0.5 * contours


def mean_psnr(made: Tensor, true: Tensor) -> float:
    """PSNR in dB, the mean over pictures (n, 3, h, w), or clips (n, frames, 3, h, w), in -1..1."""
    return -10 * ((made - true) / 2).pow(2).flatten(1).mean(dim=1).log10().mean().item()


def make_frame_vae() -> AutoencoderKLTemporalDecoder:
    """The VAE without its temporal layers, which stay the identities that they are, and take half of the time."""
    vae = make_vae()
    remove_identities(vae.decoder)
    return vae


@torch.no_grad()
def _evaluate(vae: AutoencoderKLTemporalDecoder, x: Tensor, sheet: Path) -> dict[str, float]:
    y = vae.decode(encode_patches(x), num_frames=1).sample.clamp(-1, 1)
    write_sheet(sheet, [x / 2 + 0.5, y / 2 + 0.5])
    return {"psnr": mean_psnr(y, x)}


def train(
    *, rank: int, processes: int, device: torch.device, out: Path, seconds: float, batch_size: int, peak: float
) -> None:
    """Train until the budget is spent; writes `decoder.pt`, `log.jsonl` and `sheets/` into `out`."""
    torch.manual_seed(1)  # the same first weights in every process
    vae = make_frame_vae().to(device)
    exam = torch.cat([render(sample_scene(HELD_OUT + i), SIZE, slice(0, 8, 7)) for i in range(6)]) * 2 - 1
    exam = exam.to(device)
    train_decoder(
        vae,
        lambda step: crop_batches(batch_size, CROP, start=rank + processes * step, stride=processes),
        decoder_loss,
        lambda average: _evaluate(average, exam, out / "sheets" / "decoder.png"),
        rank=rank,
        device=device,
        out=out,
        seconds=seconds,
        peak=peak,
    )


def train_decoder(
    vae: nn.Module,
    batches_from: Callable[[int], Iterator[Tensor]],
    loss_of: Callable[[nn.Module, Tensor], Tensor],
    judged: Callable[[nn.Module], dict[str, float]],
    *,
    rank: int,
    device: torch.device,
    out: Path,
    seconds: float,
    peak: float,
    warmup: int = 200,
    ema: float = 0.998,
) -> None:
    """Train a VAE's `decoder` with AdamW until the budget is spent; writes `decoder.pt` and `log.jsonl` into `out`.

    Args:
        vae: its other parts stay as they are.
        batches_from: endless batches, from a step on.
        loss_of: of the VAE and a batch.
        judged: figures of the averaged VAE for the log.
        rank: of this process; the first one judges and saves.
        device: where batches go.
        out: the run's folder.
        seconds: the budget, counted across restarts.
        peak: of the learning rate.
        warmup: steps until it is reached.
        ema: how slowly weights are averaged.
    """
    trained = list(vae.decoder.parameters())
    average = copy.deepcopy(vae).requires_grad_(False)
    optimizer = torch.optim.AdamW(trained, betas=(0.9, 0.99))
    before = resume_training(out / "decoder.pt", vae, average, optimizer)
    step, spent = (before.get(counter, 0) for counter in ("step", "elapsed"))
    clock, due = Clock(seconds, spent), spent
    torch.manual_seed(rank + 2 + step)
    batches = batches_from(step)

    while True:
        over = clock.is_over()
        if rank == 0 and (over or clock.elapsed >= due):
            due = clock.elapsed + min(120.0, seconds / 8)
            figures = judged(average)
            log_line(out / "log.jsonl", stage="decoder", step=step, minutes=clock.elapsed / 60, **figures)
            save_training(out / "decoder.pt", vae, average, optimizer, step=step, elapsed=clock.elapsed)
        if over:
            return
        for group in optimizer.param_groups:
            group["lr"] = clock.learning_rate(peak, step, warmup=warmup)
        with mixed_precision(device):
            loss = loss_of(vae, next(batches).to(device))
        loss.backward()
        average_gradients(trained)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        update_ema(average, vae, step, decay=ema)
        step += 1
