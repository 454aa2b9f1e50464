"""Second stage of the toy transformer's training: the denoiser, by flow matching.

At noise level sigma, 0 to 1, latents are x = (1 - sigma) z + sigma n, and the transformer predicts n - z (Lipman et al.
2022, arXiv 2210.02747). The first latent is always clean: it is the first frame.

As in the toy SVD (`correspondence`), a teacher tells the middle blocks early on where in the first frame everything
came from: queries of the later latents are to find it among the first latent's keys. It fades to nothing.
"""

import copy
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor

from sgi2v_lab.toy.network.clip_code import FRAMES, preview
from sgi2v_lab.toy.network.transformer import SIZE, make_transformer, make_vae
from sgi2v_lab.toy.training.clip_decoder_stage import decode
from sgi2v_lab.toy.training.clip_pool import Clips, PairedClipPool, held_out
from sgi2v_lab.toy.training.correspondence import correspondence_loss, moved_cells
from sgi2v_lab.toy.training.fast_transformer import fast_forward, softmax
from sgi2v_lab.toy.training.optimizers import MuonWithAdamW
from sgi2v_lab.toy.training.sheets import write_sheet
from sgi2v_lab.toy.training.training import (
    Clock,
    average_gradients,
    draw_normals,
    learning_rate,
    load_average,
    log_line,
    mixed_precision,
    resume_training,
    save_training,
    update_ema,
)

__all__ = ["Teacher", "denoise", "draw_sigmas", "flow_loss", "loss_weight", "sample", "train"]

LOGIT_MEAN, LOGIT_STD = 1.5, 1.3  # where noise levels are drawn: the logit of sigma
CORRESPONDENCE, TAUGHT = 0.1, 40_000  # the teacher's weight beside the loss of v, and over how many clips it fades
MATCHED = (2, 3)  # the blocks that are taught
OBJECT_WEIGHT = 4.0  # weight of the error in cells that moved; 1 elsewhere
WARMUP, EMA = 200, 0.999  # steps until the learning rate is at its peak, and how slowly weights are averaged
SAVE_EVERY, LOOK_EVERY = 240, 900  # seconds
FIRST_AND_LAST = ("patch_embedding", "proj_out", "condition_embedder")


class Teacher:
    """Keeps queries and keys of the `MATCHED` blocks in a pass, and says how well they find things again."""

    def __init__(self, latents: int):
        self.latents, self.seen = latents, {}

    def look(self, number: int, query: Tensor, key: Tensor) -> None:
        """See `fast_forward`."""
        if number in MATCHED:
            self.seen[number] = query, key

    def loss(self, origins: Tensor) -> Tensor:
        """Cross-entropy, in nats, of the last pass; `origins` (clips, frames, CELLS, CELLS, 2) from `true_origins`.

        A token stands for two frames, and is asked for the origins in both.
        """
        losses = []
        for query, key in self.seen.values():
            query, key = (x.unflatten(2, (self.latents, -1)) for x in (query, key))
            attention = softmax(query[:, :, 1:] @ key[:, :, :1].transpose(-1, -2)).transpose(1, 2)
            pairs = origins[:, 1:].unflatten(1, (-1, FRAMES))
            losses += [correspondence_loss(attention, pairs[:, :, i]) for i in range(FRAMES)]
        return torch.stack(losses).mean()


def denoise(
    transformer: WanTransformer3DModel,
    noisy: Tensor,
    sigma: Tensor,
    first: Tensor,
    teacher: Teacher | None = None,
    stretch: int = 1,
) -> Tensor:
    """Predict v of the latents after the first one, (batch, latents - 1, channels, h, w), at sigma (batch,)."""
    x = torch.cat([first[:, None], noisy], dim=1)
    look = None if teacher is None else teacher.look
    return fast_forward(transformer, x, 1000 * sigma, look, stretch)[:, 1:].float()


def flow_loss(
    transformer: WanTransformer3DModel,
    clips: Clips,
    sigma: Tensor,
    noise: Tensor,
    weight: Tensor | float = 1.0,
    teacher: Teacher | None = None,
    stretch: int = 1,
) -> Tensor:
    """Mean squared error of v, each number's times `weight`, per clip: (batch,).

    The noise is that of the latents after the first.
    """
    first, later = clips.latents[:, 0], clips.latents[:, 1:]
    s = sigma.view(-1, 1, 1, 1, 1)
    predicted = denoise(transformer, (1 - s) * later + s * noise, sigma, first, teacher, stretch)
    return (weight * (predicted - (noise - later)).pow(2)).mean(dim=(1, 2, 3, 4))


def loss_weight(origins: Tensor, side: int) -> Tensor:
    """What an error weighs in training, (batch, latents - 1, 1, side, side), with mean 1 in each clip.

    Cells that moved in one of a latent's frames, and those beside them, weigh `OBJECT_WEIGHT` times as much as others.
    """
    moved = moved_cells(origins[:, 1:]).float().unflatten(1, (-1, FRAMES)).amax(dim=2)
    weight = 1 + (OBJECT_WEIGHT - 1) * F.interpolate(F.max_pool2d(moved, 3, stride=1, padding=1), (side, side))
    return (weight / weight.mean(dim=(1, 2, 3), keepdim=True))[:, :, None]


def draw_sigmas(count: int, generator: torch.Generator | None = None, mean: float = LOGIT_MEAN) -> Tensor:
    """Logit-normal noise levels in 0..1; `mean` is that of their logit."""
    return draw_normals(count, mean, LOGIT_STD, generator).sigmoid()


@torch.no_grad()
def sample(
    transformer: WanTransformer3DModel, first: Tensor, latents: int, *, steps: int = 20, seed: int = 0, stretch: int = 1
) -> Tensor:
    """Plain Euler samples (batch, latents, channels, h, w) that begin with `first`, for the sample grids."""
    batch, *shape = first.shape
    x = torch.randn(batch, latents - 1, *shape, generator=torch.Generator().manual_seed(seed)).to(first)
    levels = torch.linspace(1, 0, steps + 1)
    levels = 5 * levels / (1 + 4 * levels)  # the scheduler's shift
    for now, then in pairwise(levels):
        x = x + (then - now) * denoise(transformer, x, now.expand(batch).to(x), first, stretch=stretch)
    return torch.cat([first[:, None], x], dim=1)


@torch.no_grad()
def _validate(transformer: WanTransformer3DModel, clips: Clips, stretch: int) -> dict[str, float]:
    """Errors of v at three noise levels, and the teacher's loss at the middle one."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(clips.latents[:, 1:].shape, generator=generator).to(clips.latents)
    teacher, figures = Teacher(clips.latents.shape[1]), {}
    for sigma in (0.5, 0.95, 0.8):
        levels = torch.full((len(noise),), sigma).to(noise)
        figures[f"v{sigma}"] = flow_loss(transformer, clips, levels, noise, 1.0, teacher, stretch).mean().item()
    return {**figures, "correspondence": teacher.loss(clips.origins).item()}


@torch.no_grad()
def _sample_grid(
    transformer: WanTransformer3DModel, vae: AutoencoderKLWan | None, clips: Clips, path: Path, stretch: int
) -> None:
    few = clips.latents[:5]
    made = sample(transformer, few[:, 0], few.shape[1], stretch=stretch)
    show = preview if vae is None else lambda z: decode(vae, z[None])[0].float()
    write_sheet(path, [show(z) / 2 + 0.5 for pair in zip(few, made, strict=True) for z in pair])


def train(
    *,
    rank: int,
    processes: int,
    device: torch.device,
    out: Path,
    seconds: float,
    batch_size: int,
    peak: float,
    simple: float = 0.0,
    logit: float = LOGIT_MEAN,
    correspondence: float = CORRESPONDENCE,
    taught: int = TAUGHT,
    until: int = 0,
    cooldown: int = 0,
    size: int = SIZE,
) -> None:
    """Train until the budget is spent; writes `transformer.pt`, `log.jsonl` and `samples/` into `out`.

    The learning rate stays at its peak; with `until`, the run ends after that many clips, and the rate falls to zero
    over the last `cooldown` of them, and with it the number of steps over which weights are averaged. The
    correspondence loss fades away over the first `taught` clips.

    Pictures smaller than `SIZE` are cheaper, and a fine beginning: tokens then lie further apart in the rotary
    positions. The latent code is fixed, so this stage does not wait for the decoder's: sample grids use the decoder of
    `out/decoder.pt` where there is one, and the code's own blocky pictures otherwise.
    """
    torch.manual_seed(1)  # the same first weights in every process
    transformer = make_transformer().to(device)
    average = copy.deepcopy(transformer).requires_grad_(False)
    optimizer = MuonWithAdamW(transformer, FIRST_AND_LAST)
    before = resume_training(out / "transformer.pt", transformer, average, optimizer)
    step, clips, spent = (before.get(counter, 0) for counter in ("step", "clips", "elapsed"))
    torch.manual_seed(rank + 2 + step)
    pool = PairedClipPool(start=rank + clips, stride=processes, simple=simple, size=size, device=device)
    stretch = SIZE // size
    judged = held_out(16, size, device) if rank == 0 else None
    total, count = 0.0, 0
    clock = Clock(seconds, spent)
    save_due, look_due = spent + SAVE_EVERY, spent + LOOK_EVERY

    while True:
        over = clock.is_over() or 0 < until <= clips
        if rank == 0 and (over or clock.elapsed >= look_due):
            look_due = clock.elapsed + LOOK_EVERY
            with mixed_precision(device):
                figures = _validate(average, judged, stretch)
                vae = load_average(out / "decoder.pt", make_vae, device)
                _sample_grid(average, vae, judged, out / "samples" / "transformer.png", stretch)
            figures = dict(clips=clips, loss=total / max(1, count), **figures)
            log_line(
                out / "log.jsonl", stage="transformer", size=size, step=step, minutes=clock.elapsed / 60, **figures
            )
            total, count, save_due = 0.0, 0, 0
        if rank == 0 and (over or clock.elapsed >= save_due):
            save_due = clock.elapsed + SAVE_EVERY
            save_training(
                out / "transformer.pt", transformer, average, optimizer, step=step, clips=clips, elapsed=clock.elapsed
            )
        if over:
            return
        batch = pool.batch(batch_size)
        noise = torch.randn(batch.latents[:, 1:].shape).to(device)
        sigma = draw_sigmas(batch_size, mean=logit).to(device)
        share = correspondence * max(0.0, 1 - clips / taught) if taught else 0.0
        teacher = Teacher(batch.latents.shape[1]) if share > 0 else None
        weight = loss_weight(batch.origins, batch.latents.shape[-1])
        with mixed_precision(device):
            loss = flow_loss(transformer, batch, sigma, noise, weight, teacher, stretch).mean()
            (loss + share * teacher.loss(batch.origins) if teacher else loss).backward()
        average_gradients(list(transformer.parameters()))
        torch.nn.utils.clip_grad_norm_(transformer.parameters(), 1.0)
        rate = learning_rate(peak, step, clips, warmup=WARMUP, until=until, cooldown=cooldown)
        optimizer.step(rate)
        # as the rate falls, so does the need to average, and old weights only hold back: fewer of them count
        update_ema(average, transformer, step, decay=1 - (1 - EMA) / max(rate / peak, 0.01))
        total, count = total + loss.item(), count + 1
        step, clips = step + 1, clips + batch_size * processes
