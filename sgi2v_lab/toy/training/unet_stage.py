"""Second stage of the toy's training: the denoiser, together with the image encoder that feeds it.

The noisy clip is x = z + sigma * n. SVD's v-prediction asks the network for v = (n - sigma * z) / sqrt(1 + sigma^2),
given x / sqrt(1 + sigma^2). The plain squared error of v is the error of z weighted by (1 + sigma^2) / sigma^2 (Karras
et al. 2022, with sigma_data = 1; Blattmann et al. 2023, section D).
"""

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from sgi2v_lab.toy.network.architecture import NUM_FRAMES, make_image_encoder, make_unet
from sgi2v_lab.toy.network.latent_code import preview
from sgi2v_lab.toy.training.attention import ShortAttention
from sgi2v_lab.toy.training.correspondence import Correspondence
from sgi2v_lab.toy.training.data import HELD_OUT, Batch, ClipPool, encode_clip, stack, to_clip_pixels
from sgi2v_lab.toy.training.decoder_stage import make_frame_vae
from sgi2v_lab.toy.training.optimizers import MuonWithAdamW
from sgi2v_lab.toy.training.sheets import write_sheet
from sgi2v_lab.toy.training.training import (
    Clock,
    average_gradients,
    draw_normals,
    load_average,
    log_line,
    mixed_precision,
    resume_training,
    save_training,
    update_ema,
)

__all__ = ["Denoiser", "denoising_loss", "held_out_batch", "sample", "train"]

DROP_CONDITION = 0.1  # how often the first frame is hidden, so that classifier-free guidance is possible
CORRESPONDENCE = 0.05  # weight of the correspondence loss beside that of v
LOG_SIGMA_MEAN, LOG_SIGMA_STD = 0.8, 1.5  # where noise levels are drawn; motion is decided at sigma 1 to 20

FIRST_AND_LAST = ("unet.conv_in", "unet.conv_out", "unet.time_", "unet.add_", "image_encoder")


class Denoiser(nn.Module):
    """The UNet and the image encoder, trained as one."""

    def __init__(self):
        super().__init__()
        self.unet, self.image_encoder = make_unet(), make_image_encoder()

    def forward(self, x: Tensor, sigma: Tensor, batch: Batch, keep: Tensor) -> Tensor:
        """Predict v from noisy clips x (batch, frames, channels, h, w) at sigma (batch,); `keep` hides conditions."""
        token = self.image_encoder(to_clip_pixels(batch.image)).image_embeds[:, None] * keep.view(-1, 1, 1)
        condition = (batch.condition * keep.view(-1, 1, 1, 1))[:, None].expand_as(x)
        scaled = x / (1 + sigma.view(-1, 1, 1, 1, 1) ** 2).sqrt()
        inputs = torch.cat([scaled, condition], dim=2)
        return self.unet(inputs, 0.25 * sigma.log(), token, added_time_ids=batch.time_ids).sample


def denoising_loss(denoiser: nn.Module, batch: Batch, sigma: Tensor, noise: Tensor, keep: Tensor) -> Tensor:
    """Mean squared error of v, per clip: (batch,)."""
    s = sigma.view(-1, 1, 1, 1, 1)
    target = (noise - s * batch.latents) / (1 + s**2).sqrt()
    predicted = denoiser(batch.latents + s * noise, sigma, batch, keep)
    return (predicted.float() - target).pow(2).mean(dim=(1, 2, 3, 4))


def draw_sigmas(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Log-normal noise levels."""
    return draw_normals(count, LOG_SIGMA_MEAN, LOG_SIGMA_STD, generator).exp()


def held_out_batch(count: int, device: torch.device | str = "cpu") -> Batch:
    """Clips of the simple world that are never trained on, to compare networks by; always the same ones.

    Their condition is the first frame as it is, without the noise that it has in training.
    """
    clips = (encode_clip(HELD_OUT + i, simple=1.0) for i in range(count))
    return stack(
        [Batch(latents, latents[0], ends[0], ids, origins[0]) for latents, ends, ids, origins in clips], device
    )


@torch.no_grad()
def sample(denoiser: Denoiser, batch: Batch, steps: int = 15, seed: int = 0) -> Tensor:
    """Plain Euler samples (batch, frames, channels, h, w) without guidance, for the sheets."""
    generator = torch.Generator().manual_seed(seed)
    ramp = torch.linspace(0, 1, steps)
    sigmas = (80 ** (1 / 7) + ramp * (0.01 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    x = torch.randn(batch.latents.shape, generator=generator).to(batch.latents) * sigmas[0]
    keep = torch.ones(len(x), device=x.device)
    for now, then in zip(sigmas, [*sigmas[1:], torch.tensor(0.0)], strict=True):
        v = denoiser(x, now.expand(len(x)).to(x), batch, keep).float()
        z = x / (1 + now**2) - v * now / (1 + now**2).sqrt()
        x = x + (x - z) / now * (then - now)
    return x


@torch.no_grad()
def _validate(denoiser: Denoiser, teacher: Correspondence, batch: Batch) -> tuple[float, float]:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(batch.latents.shape, generator=generator).to(batch.latents)
    sigma = draw_sigmas(len(noise), generator).to(noise)
    keep = torch.ones(len(noise), device=noise.device)
    error = denoising_loss(denoiser, batch, sigma, noise, keep).mean().item()
    return error, teacher.loss(batch.origins).item()


@torch.no_grad()
def _sheet(denoiser: Denoiser, vae, batch: Batch, path: Path) -> None:
    few = Batch(*(part[:4] for part in vars(batch).values()))
    rows = []
    for truth, made in zip(few.latents, sample(denoiser, few), strict=True):
        rows += [(vae.decode(z, num_frames=len(z)).sample if vae else preview(z)) / 2 + 0.5 for z in (truth, made)]
    write_sheet(path, rows)


def train(
    *,
    rank: int,
    processes: int,
    device: torch.device,
    out: Path,
    seconds: float,
    batch_size: int,
    peak: float,
    seed: int,
    simple: float = 0.0,
    moving: float = 0.0,
) -> None:
    """Train until the budget is spent; writes `unet.pt`, `log.jsonl` and `sheets/` into `out`.

    The latent code is fixed, so this stage does not wait for the decoder's: sheets show the decoder of `out/decoder.pt`
    where there is one, and the code's own blocky picture elsewhere.
    """
    torch.manual_seed(1)  # the same first weights in every process
    denoiser = Denoiser().to(device)
    average = copy.deepcopy(denoiser).requires_grad_(False)
    if device.type == "cpu":
        denoiser.unet.set_attn_processor(ShortAttention())
        average.unet.set_attn_processor(ShortAttention())
    teacher, judge = Correspondence(denoiser.unet, NUM_FRAMES), Correspondence(average.unet, NUM_FRAMES)
    optimizer = MuonWithAdamW(denoiser, FIRST_AND_LAST)
    before = resume_training(out / "unet.pt", denoiser, average, optimizer)
    step, clips, spent = (before.get(counter, 0) for counter in ("step", "clips", "elapsed"))
    torch.manual_seed(rank + 2 + step)
    pool = ClipPool(start=seed + rank + clips, stride=processes, simple=simple, moving=moving, device=device)
    held_out = held_out_batch(16, device) if rank == 0 else None
    total, count = 0.0, 0
    clock, due = Clock(seconds, spent), spent + 60

    while True:
        over = clock.is_over()
        if rank == 0 and (over or clock.elapsed >= due):
            due = clock.elapsed + 300
            vae = load_average(out / "decoder.pt", make_frame_vae, device)
            with mixed_precision(device):
                validation, found = _validate(average, judge, held_out)
                _sheet(average, vae, held_out, out / "sheets" / "unet.png")
            figures = dict(clips=clips, loss=total / max(1, count), validation=validation, correspondence=found)
            log_line(out / "log.jsonl", stage="unet", step=step, minutes=clock.elapsed / 60, **figures)
            total, count = 0.0, 0
            save_training(out / "unet.pt", denoiser, average, optimizer, step=step, clips=clips, elapsed=clock.elapsed)
        if over:
            return
        batch = pool.batch(batch_size)
        noise = torch.randn(batch.latents.shape).to(device)
        sigma = draw_sigmas(batch_size).to(device)
        keep = (torch.rand(batch_size) >= DROP_CONDITION).float().to(device)
        with mixed_precision(device):
            loss = denoising_loss(denoiser, batch, sigma, noise, keep).mean()
        (loss + CORRESPONDENCE * teacher.loss(batch.origins)).backward()
        average_gradients(list(denoiser.parameters()))
        torch.nn.utils.clip_grad_norm_(denoiser.parameters(), 1.0)
        optimizer.step(clock.learning_rate(peak, step, warmup=100))
        update_ema(average, denoiser, step, decay=0.998)
        total, count = total + loss.item(), count + 1
        step, clips = step + 1, clips + batch_size * processes
