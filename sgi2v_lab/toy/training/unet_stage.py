"""Second stage of the toy's training: the denoiser, together with the image encoder that feeds it.

The noisy clip is x = z + sigma * n. SVD's v-prediction asks the network for v = (n - sigma * z) / sqrt(1 + sigma^2),
given x / sqrt(1 + sigma^2). The plain squared error of v is the error of z weighted by (1 + sigma^2) / sigma^2 (Karras
et al. 2022, with sigma_data = 1; Blattmann et al. 2023, section D).
"""

import copy
import itertools
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgi2v_lab.toy.network.architecture import NUM_FRAMES, SIZE, UNetShape, make_image_encoder, make_unet
from sgi2v_lab.toy.network.latent_code import kernels, preview
from sgi2v_lab.toy.training.attention import ShortAttention
from sgi2v_lab.toy.training.correspondence import Correspondence, moved_cells
from sgi2v_lab.toy.training.data import HELD_OUT, REUSE, Batch, ClipPool, encode_clip, stack, to_clip_pixels
from sgi2v_lab.toy.training.decoder_stage import load_decoder
from sgi2v_lab.toy.training.optimizers import MuonWithAdamW
from sgi2v_lab.toy.training.sample_grid import write_sample_grid
from sgi2v_lab.toy.training.training import (
    Clock,
    average_gradients,
    learning_rate,
    load_checkpoint,
    log_line,
    mixed_precision,
    resume_training,
    save_training,
    update_ema,
)

__all__ = ["Denoiser", "denoising_loss", "held_out_batch", "load_denoiser", "loss_weight", "sample", "train"]

OBJECT_WEIGHT = 4.0  # weight of the error in cells that moved; 1 elsewhere. What moves is small, but people look at it
DROP_CONDITION = 0.1  # how often the first frame is hidden, so that classifier-free guidance is possible
CORRESPONDENCE = 0.05  # weight of the correspondence loss beside that of v
LOG_SIGMA_MEAN, LOG_SIGMA_STD = 0.9, 1.3  # where noise levels are drawn; motion is decided at sigma 1 to 20

TAUGHT = 100_000  # clips over which the correspondence loss fades away
WARMUP, EMA = 200, 0.999  # steps until the learning rate is at its peak, and how slowly weights are averaged
SAVE_EVERY, LOOK_EVERY = 240, 900  # seconds

OWN_SIGMAS, OWN_STEPS = (0.4, 5.0), (2.0, 5.0)  # where the model's own errors are trained on, and from how far above
OWN_TOP = 12.0  # above this, where things go is undecided, and nothing that is blurred has an answer

FIRST_AND_LAST = ("unet.conv_in", "unet.conv_out", "unet.time_", "unet.add_", "image_encoder", "displacement")


class Denoiser(nn.Module):
    """The UNet and the image encoder, trained as one."""

    def __init__(self, shape: UNetShape | None = None):
        super().__init__()
        self.unet, self.image_encoder = make_unet(shape), make_image_encoder()
        # for the correspondence loss only; no part of the pipeline
        self.displacement = nn.Linear(self.unet.config.block_out_channels[1], 2)

    def forward(self, x: Tensor, sigma: Tensor, batch: Batch, keep: Tensor) -> Tensor:
        """Predict v from noisy clips x (batch, frames, channels, h, w) at sigma (batch,); `keep` hides conditions."""
        token = self.image_encoder(to_clip_pixels(batch.image)).image_embeds[:, None] * keep.view(-1, 1, 1)
        condition = (batch.condition * keep.view(-1, 1, 1, 1))[:, None].expand_as(x)
        scaled = x / (1 + sigma.view(-1, 1, 1, 1, 1) ** 2).sqrt()
        inputs = torch.cat([scaled, condition], dim=2)
        return self.unet(inputs, 0.25 * sigma.log(), token, added_time_ids=batch.time_ids).sample


def denoising_loss(
    denoiser: nn.Module, batch: Batch, sigma: Tensor, noise: Tensor, keep: Tensor, weight: Tensor | float = 1.0
) -> Tensor:
    """Mean squared error of v, each number's times `weight` (broadcast to the latents), per clip: (batch,)."""
    s = sigma.view(-1, 1, 1, 1, 1)
    target = (noise - s * batch.latents) / (1 + s**2).sqrt()
    predicted = denoiser(batch.latents + s * noise, sigma, batch, keep)
    return (weight * (predicted.float() - target).pow(2)).mean(dim=(1, 2, 3, 4))


@torch.no_grad()
def add_own_errors(denoiser: nn.Module, batch: Batch, sigma: Tensor, noise: Tensor, above: Tensor) -> Tensor:
    """The noise at `sigma` after the model's own Euler step from `above`, both (batch,): its errors are part of it.

    From x' = z + sigma' n the model finds z^, and the step ends at x = z^ + (sigma / sigma') (x' - z^). This is
    z + sigma m with

        m = n + (1 / sigma - 1 / sigma') (z^ - z)

    Trained on such noise, too, the model learns to mend what an earlier step has blurred, rather than to trust it (the
    exposure bias of diffusion models: Ning et al. 2023, arXiv 2301.11706).
    """
    now, then = (s.view(-1, 1, 1, 1, 1) for s in (sigma, above))
    x = batch.latents + then * noise
    v = denoiser(x, above, batch, torch.ones_like(above)).float()
    found = x / (1 + then**2) - v * then / (1 + then**2).sqrt()
    return noise + (1 / now - 1 / then) * (found - batch.latents)


def draw_own_sigmas(count: int) -> list[Tensor]:
    """Noise levels of one or two steps, highest first, each (count,); the last is where the model is trained."""
    low, high = (math.log(x) for x in OWN_SIGMAS)
    levels = [torch.exp(torch.empty(count).uniform_(low, high))]
    for _ in range(1 + int(3 * torch.rand(()))):
        ratio = torch.exp(torch.empty(count).uniform_(*(math.log(x) for x in OWN_STEPS)))
        levels.append(torch.maximum(levels[-1] * 1.2, (levels[-1] * ratio).clamp(max=OWN_TOP)))
    return levels[::-1]


def loss_weight(origins: Tensor, side: int) -> Tensor:
    """What an error of v weighs in training, (batch, frames, channels, h, w), with mean 1 in each clip.

    Cells that moved, cells that show what the first frame does not, such as the ground that an object leaves free, and
    the cells beside both weigh `OBJECT_WEIGHT` times as much as others. A channel weighs as its pattern does: between
    1, as latents are, and what its error is in pixels.
    """
    changed = moved_cells(origins) | origins.isnan().any(dim=-1)
    moved = F.max_pool2d(changed.float(), 3, stride=1, padding=1)
    cells = 1 + (OBJECT_WEIGHT - 1) * F.interpolate(moved, (side, side), mode="area")
    channels = 1 / kernels().pow(2).sum(dim=(1, 2, 3)).sqrt().to(cells)
    cells, channels = cells / cells.mean(dim=(1, 2, 3), keepdim=True), channels / channels.mean()
    return cells[:, :, None] * channels.view(-1, 1, 1)


def load_denoiser(out: Path, device: torch.device | str = "cpu") -> tuple[Denoiser, dict] | None:
    """The averaged denoiser of a training run and the run's counters, or None where there is none yet."""
    if (state := load_checkpoint(out / "unet.pt")) is None:
        return None
    denoiser = Denoiser(UNetShape(**state["shape"])).eval().requires_grad_(False)
    denoiser.load_state_dict(state["average"])
    return denoiser.to(device), {name: x for name, x in state.items() if isinstance(x, int | float)}


def draw_sigmas(count: int, generator: torch.Generator | None = None, mean: float = LOG_SIGMA_MEAN) -> Tensor:
    """Log-normal noise levels, one from each of `count` equal slices of the distribution (less noise in the loss).

    `mean` is that of their logarithm.
    """
    u = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    return torch.exp(mean + LOG_SIGMA_STD * math.sqrt(2) * torch.erfinv(2 * u - 1))


def held_out_batch(count: int, device: torch.device | str = "cpu", size: int = SIZE) -> Batch:
    """Clips of the simple world that are never trained on, to compare networks by; always the same ones.

    Their condition is the first frame as it is, without the noise that it has in training.
    """
    clips = (encode_clip(HELD_OUT + i, simple=1.0, size=size) for i in range(count))
    return stack(
        [Batch(latents, latents[0], ends[0], ids, origins[0]) for latents, ends, ids, origins in clips], device
    )


@torch.no_grad()
def sample(denoiser: Denoiser, batch: Batch, steps: int = 15, seed: int = 0) -> Tensor:
    """Plain Euler samples (batch, frames, channels, h, w) without guidance, for the sample grids."""
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
def _sample_grid(denoiser: Denoiser, vae, batch: Batch, path: Path) -> None:
    few = Batch(*(part[:4] for part in vars(batch).values()))
    rows = []
    for truth, made in zip(few.latents, sample(denoiser, few), strict=True):
        rows += [(vae.decode(z, num_frames=len(z)).sample if vae else preview(z)) / 2 + 0.5 for z in (truth, made)]
    write_sample_grid(path, rows)


def train(
    *,
    rank: int,
    processes: int,
    device: torch.device,
    out: Path,
    seconds: float,
    batch_size: int,
    peak: float,
    first_seed: int,
    simple: float = 0.0,
    moving: float = 0.0,
    log_sigma: float = LOG_SIGMA_MEAN,
    correspondence: float = CORRESPONDENCE,
    taught: int = TAUGHT,
    until: int = 0,
    cooldown: int = 0,
    shape: UNetShape | None = None,
    reuse: float = REUSE,
    size: int = SIZE,
    workers: int = 0,
    own: int = 0,
) -> None:
    """Train until the budget is spent; writes `unet.pt`, `log.jsonl` and `samples/` into `out`.

    The learning rate stays at its peak, so that a run may go on for as long as there is time for; with `until`, it ends
    after that many clips, and falls to zero over the last `cooldown` of them. The correspondence loss fades away over
    the first `taught` clips. A run that goes on keeps its shape.

    The latent code is fixed, so this stage does not wait for the decoder's: the sample grids use the decoder of
    `out/decoder.pt` where there is one, and the code's own blocky pictures otherwise.
    """
    torch.manual_seed(1)  # the same first weights in every process
    shape = shape or UNetShape()
    denoiser = Denoiser(shape).to(device)
    average = copy.deepcopy(denoiser).requires_grad_(False)
    if device.type == "cpu":
        denoiser.unet.set_attn_processor(ShortAttention())
        average.unet.set_attn_processor(ShortAttention())
    teacher, judge = (Correspondence(d.unet, NUM_FRAMES, d.displacement) for d in (denoiser, average))
    optimizer = MuonWithAdamW(denoiser, FIRST_AND_LAST)
    before = resume_training(out / "unet.pt", denoiser, average, optimizer)
    step, clips, spent = (before.get(counter, 0) for counter in ("step", "clips", "elapsed"))
    torch.manual_seed(rank + 2 + step)
    pool = ClipPool(
        start=first_seed + rank + clips,
        stride=processes,
        simple=simple,
        moving=moving,
        reuse=reuse,
        size=size,
        device=device,
        workers=workers,
    )
    held_out = held_out_batch(16, device, size) if rank == 0 else None
    total, count = 0.0, 0
    clock = Clock(seconds, spent)
    save_due, look_due = spent + SAVE_EVERY, spent + LOOK_EVERY

    while True:
        over = clock.is_over() or 0 < until <= clips
        if rank == 0 and (over or clock.elapsed >= look_due):
            look_due = clock.elapsed + LOOK_EVERY
            vae = load_decoder(out, device)
            with mixed_precision(device):
                validation, found = _validate(average, judge, held_out)
                _sample_grid(average, vae, held_out, out / "samples" / "unet.png")
            figures = dict(clips=clips, loss=total / max(1, count), validation=validation, correspondence=found)
            log_line(out / "log.jsonl", stage="unet", size=size, step=step, minutes=clock.elapsed / 60, **figures)
            total, count, save_due = 0.0, 0, 0
        if rank == 0 and (over or clock.elapsed >= save_due):
            save_due = clock.elapsed + SAVE_EVERY
            counters = dict(step=step, clips=clips, elapsed=clock.elapsed)
            save_training(out / "unet.pt", denoiser, average, optimizer, shape=shape.as_dict(), **counters)
        if over:
            pool.close()
            return
        batch = pool.batch(batch_size)
        noise = torch.randn(batch.latents.shape).to(device)
        sigma = draw_sigmas(batch_size, mean=log_sigma).to(device)
        keep = (torch.rand(batch_size) >= DROP_CONDITION).float().to(device)
        weight = loss_weight(batch.origins, batch.latents.shape[-1])
        if own:
            few = Batch(*(part[:own] for part in vars(batch).values()))
            sigma[own:] = draw_sigmas(batch_size - own, mean=log_sigma).to(device)
            levels = [level.to(device) for level in draw_own_sigmas(own)]
            sigma[:own], keep[:own] = levels[-1], 1
            with mixed_precision(device):
                for above, now in itertools.pairwise(levels):
                    noise[:own] = add_own_errors(average, few, now, noise[:own], above)
        with mixed_precision(device):
            loss = denoising_loss(denoiser, batch, sigma, noise, keep, weight).mean()
        share = correspondence * max(0.0, 1 - clips / taught) if taught else 0.0
        if share > 0:
            (loss + share * teacher.loss(batch.origins)).backward()
        else:
            teacher.stop()
            loss.backward()
        average_gradients(list(denoiser.parameters()))
        torch.nn.utils.clip_grad_norm_(denoiser.parameters(), 1.0)
        rate = learning_rate(peak, step, clips, warmup=WARMUP, until=until, cooldown=cooldown)
        optimizer.step(rate)
        # as the rate falls, so does the need to average, and old weights only hold back: fewer of them count
        update_ema(average, denoiser, step, decay=1 - (1 - EMA) / max(rate / peak, 0.01))
        total, count = total + loss.item(), count + 1
        step, clips = step + 1, clips + batch_size * processes
