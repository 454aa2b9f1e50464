"""First stage of the toy's training: the autoencoder that turns 8x8 patches of pixels into latents."""

import copy
from pathlib import Path

import torch
from torch import Tensor

from sgi2v_lab.toy.architecture import SIZE, make_vae, skip_temporal_layers
from sgi2v_lab.toy.data import HELD_OUT, crop_batches
from sgi2v_lab.toy.random_scenes import sample_scene
from sgi2v_lab.toy.scenes import render
from sgi2v_lab.toy.sheets import write_sheet
from sgi2v_lab.toy.training import Clock, average_gradients, load_checkpoint, log_line, save_checkpoint, update_ema

__all__ = ["train", "vae_loss"]

CLIP_FRAMES = 2  # frames taken from one clip; the decoder sees each on its own (its temporal layers are identities)


def vae_loss(vae, x: Tensor) -> Tensor:
    """Reconstruction of pictures x (n, 3, h, w) in -1..1 through slightly noised latents.

    L1 keeps edges sharp, L2 keeps colours right, the difference of neighbours weighs contours, and the last term holds
    the latents near unit scale (a KL term's job; a fixed noise of 0.05 stands for the posterior's).
    """
    with torch.set_grad_enabled(vae.encoder.conv_in.weight.requires_grad):
        mean = vae.encode(x).latent_dist.mean
    y = vae.decode(mean + 0.05 * torch.randn_like(mean), num_frames=CLIP_FRAMES).sample
    d = (y - x).float()
    contours = d.diff(dim=-1).abs().mean() + d.diff(dim=-2).abs().mean()
    return d.abs().mean() + 2 * d.pow(2).mean() + 0.5 * contours + 1e-3 * mean.float().pow(2).mean()


@torch.no_grad()
def _evaluate(vae, x: Tensor, sheet: Path) -> tuple[float, float]:
    latents = vae.encode(x).latent_dist.mode()
    y = vae.decode(latents, num_frames=2).sample.clamp(-1, 1)
    write_sheet(sheet, [x / 2 + 0.5, y / 2 + 0.5])
    psnr = -10 * ((y - x) / 2).pow(2).mean(dim=(1, 2, 3)).log10()
    return psnr.mean().item(), latents.std().item()


def train(
    *,
    rank: int,
    processes: int,
    device: torch.device,
    out: Path,
    seconds: float,
    batch_size: int,
    peak: float,
    decoder_only: bool = False,
) -> None:
    """Train until the budget is spent; writes `vae.pt`, `log.jsonl` and `sheets/` into `out`.

    With `decoder_only` the averaged encoder stays as it is, and with it the latents: pictures get better without
    taking the ground from under a UNet that was trained on those latents.
    """
    torch.manual_seed(1)  # the same first weights in every process
    vae = skip_temporal_layers(make_vae()).to(device)
    average = copy.deepcopy(vae).requires_grad_(False)
    optimizer = torch.optim.AdamW(vae.parameters(), betas=(0.9, 0.99))
    step, spent = 0, 0.0
    if state := load_checkpoint(out / "vae.pt"):
        vae.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        if state["optimizer"] is not None:
            optimizer.load_state_dict(state["optimizer"])
        step, spent = state["step"], state["elapsed"]
    if decoder_only:
        vae.encoder.load_state_dict(average.encoder.state_dict())
        vae.quant_conv.load_state_dict(average.quant_conv.state_dict())
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    trained = [p for p in vae.parameters() if p.requires_grad]
    clock, due = Clock(seconds, spent), spent
    torch.manual_seed(rank + 2 + step)
    batches = crop_batches(batch_size, CLIP_FRAMES, side=SIZE, start=rank + processes * step, stride=processes)
    exam = torch.cat([render(sample_scene(HELD_OUT + i), SIZE, slice(0, 8, 7)) for i in range(12)]) * 2 - 1
    exam = exam.to(device)

    while True:
        # all processes must agree on when to stop; the first one's clock decides
        over = torch.tensor([float(clock.fraction >= 1)])
        if processes > 1:
            torch.distributed.broadcast(over, 0)
        if rank == 0 and (over or clock.elapsed >= due):
            due = clock.elapsed + min(120.0, seconds / 8)
            psnr, std = _evaluate(average, exam, out / "sheets" / "vae.png")
            if step:
                log_line(out / "log.jsonl", stage="vae", step=step, minutes=clock.elapsed / 60, psnr=psnr, std=std)
            save_checkpoint(
                out / "vae.pt",
                model=vae.state_dict(),
                average=average.state_dict(),
                optimizer=optimizer.state_dict(),
                step=step,
                elapsed=clock.elapsed,
                scaling_factor=1 / std,
            )
        if over:
            return
        for group in optimizer.param_groups:
            group["lr"] = clock.learning_rate(peak, step, warmup=50)
        with torch.autocast(device.type, torch.bfloat16):
            loss = vae_loss(vae, next(batches).to(device))
        loss.backward()
        average_gradients(trained)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        update_ema(average, vae, step, decay=0.995)
        step += 1
