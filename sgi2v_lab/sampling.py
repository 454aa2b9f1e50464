"""The denoising loop: Euler steps from noise to a video; at control steps, the latents are optimised first."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from diffusers import SchedulerMixin
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteSchedulerOutput
from torch import Tensor

from sgi2v_lab.efficiency.upload import upload
from sgi2v_lab.errors import InputError
from sgi2v_lab.frequency import butterworth_mask, mix_frequencies
from sgi2v_lab.models.model import Conditioning, Model
from sgi2v_lab.optimize import OPTIMIZERS, OptimizeStep, optimize_latents
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Boxes, CellBoxes, Image, Latents

__all__ = [
    "DenoiseStep",
    "Edit",
    "Sampler",
    "Task",
    "control_step",
    "denoise",
    "draw_noise",
    "euler_step",
    "make_schedule",
    "predict_clean_latents",
]

Edit = Callable[[int, float, Latents], Latents]  # (step index, sigma, latents) -> latents


@dataclass(frozen=True)
class Task:
    """Picture, boxes and settings of a run, checked and fitted to the video's size."""

    picture: Image
    boxes: Boxes | None  # in pixels of the video; None without trajectories
    cells: CellBoxes | None  # the boxes in latent cells
    settings: Settings
    seed: int


@dataclass(frozen=True)
class DenoiseStep:
    """One denoising step, from noise level `sigma` to the next. Latents that a run's trace does not keep are None."""

    index: int
    sigma: float
    before: Latents | None  # at the start of the step
    optimized: Latents | None  # after the optimiser; None at steps without control
    # The denoiser's input. At control steps, the optimised latents with the original high frequencies.
    mixed: Latents | None
    iterations: tuple[OptimizeStep, ...]  # of the optimiser; empty at steps without control
    denoised: Latents | None  # the model's guess of the clean latents
    latents: Latents | None  # after the step
    # The run's first loss; `early_stop` is a fraction of it. None before the first control step, or if that is off.
    first_loss: float | None = None

    @cached_property
    def losses(self) -> list[float]:
        """The loss before each iteration, copied from the device all at once; empty at steps without control."""
        return torch.stack([step.loss_terms.total for step in self.iterations]).tolist() if self.iterations else []


# (model, conditioning, unit noise, step to resume from) -> steps to clean latents
Sampler = Callable[[Model, Conditioning, Latents, DenoiseStep | None], Iterator[DenoiseStep]]


def make_schedule(model: Model, settings: Settings) -> SchedulerMixin:
    """A fresh scheduler, its `sigmas` and `timesteps` set for the run (a scheduler counts its own steps)."""
    schedule = type(model.scheduler).from_config(model.scheduler.config)
    schedule.set_timesteps(settings.num_inference_steps, device=model.device)
    schedule.sigmas = schedule.sigmas.cpu()  # where flow matching's are not; to read one would wait for the device
    return schedule


def draw_noise(model: Model, settings: Settings, generator: torch.Generator) -> Latents:
    """Unit noise (frames, channels, h, w), drawn on the CPU, so that a seed means the same on every device."""
    return model.draw_noise(settings, generator).to(model.device)


@torch.no_grad()
def denoise(
    model: Model,
    conditioning: Conditioning,
    noise: Latents,
    settings: Settings,
    cells: CellBoxes | None = None,
    *,
    edit: Edit | None = None,
    first_step: int = 0,
    resume_from: DenoiseStep | None = None,
) -> Iterator[DenoiseStep]:
    """Denoise unit noise (frames, channels, h, w) into clean latents; yields after each step.

    With boxes, control steps optimise the latents and then restore the original high frequencies. Without boxes, the
    result equals that of diffusers' pipeline bit for bit, if its weights are frozen too: PyTorch multiplies some
    matrices in another order if one requires gradients.

    Args:
        model: from `load_model`.
        conditioning: of the first frame, from `encode_image`.
        noise: from `draw_noise`.
        settings: hyperparameters.
        cells: boxes in latent cells (boxes, frames, 4), from `latent_cells`; None for no control.
        edit: called before each step; may replace the latents. Baselines use this in place of a loop of their own.
        first_step: start at this step, from the noise scaled to its level.
        resume_from: a step of an earlier call, to continue after; overrides `first_step`.

    Raises:
        InputError: the first step does not lie within the run.
    """
    if not 0 <= first_step < settings.num_inference_steps:
        raise InputError(f"first_step is {first_step}, but there are steps 0..{settings.num_inference_steps - 1}")
    schedule = make_schedule(model, settings)
    unused = deepcopy(schedule)  # a new one's time steps would wait for the device
    sigmas = schedule.sigmas
    mask = butterworth_mask(*noise.shape[-2:], settings.cutoff, settings.butterworth_order)
    if resume_from is None:
        # In fp16 the optimiser's steps would be rounded away at these noise levels; keep fp32.
        latents = (noise if cells is None else noise.float()) * model.spread(sigmas[first_step])
        first_loss = None
    else:
        first_step, latents, first_loss = resume_from.index + 1, resume_from.latents, resume_from.first_loss
    for index in range(first_step, settings.num_inference_steps):
        before, optimized, iterations = latents, None, ()
        if edit is not None:
            latents = edit(index, sigmas[index].item(), latents)
        if cells is not None and settings.is_control_step(index):
            iterations = tuple(control_step(model, latents, sigmas[index], conditioning, cells, settings, first_loss))
            optimized = iterations[-1].latents
            latents = mix_frequencies(optimized, latents, mask)
            if settings.early_stop is not None and first_loss is None:
                first_loss = iterations[0].loss
        if latents is not before:
            schedule = deepcopy(unused)  # what a multistep solver remembers is of other latents
        mixed = latents
        result = euler_step(model, conditioning, latents, settings, schedule, index)
        latents = result.prev_sample[0]
        yield DenoiseStep(
            index=index,
            sigma=sigmas[index].item(),
            before=before,
            optimized=optimized,
            mixed=mixed,
            iterations=iterations,
            denoised=result.pred_original_sample[0],
            latents=latents,
            first_loss=first_loss,
        )


def control_step(
    model: Model,
    latents: Latents,
    sigma: float | Tensor,
    conditioning: Conditioning,
    cells: CellBoxes,
    settings: Settings,
    first_loss: float | None = None,
) -> Iterator[OptimizeStep]:
    """Run `optimize_latents` with these settings; adds `early_stop` and a learning rate in units of sigma.

    With `early_stop`, stop once the loss is below that fraction of the run's first loss; the last iteration's update is
    dropped. Without `first_loss`, this call's first loss counts. With `scale_lr_by_sigma`, the learning rate is
    multiplied by sigma: 0.21 is small beside SVD's sigma of 37 to 374 at control steps, but not beside the toy's 5.
    """
    make_optimizer = OPTIMIZERS[settings.optimizer]
    if settings.optimizer == "adamw":
        make_optimizer = partial(make_optimizer, weight_decay=settings.weight_decay)
    steps = optimize_latents(
        model,
        latents,
        sigma,
        conditioning,
        cells,
        layers=settings.layers,
        features=settings.features,
        gaussian_sigma=settings.gaussian_sigma,
        iterations=settings.iterations,
        learning_rate=settings.learning_rate * (float(sigma) if settings.scale_lr_by_sigma else 1.0),
        make_optimizer=make_optimizer,
    )
    before = latents.float()
    for step in steps:
        if settings.early_stop is not None:
            first_loss = step.loss if first_loss is None else first_loss
            if step.loss < settings.early_stop * first_loss:
                yield replace(step, latents=before)
                return
        before = step.latents
        yield step


@torch.no_grad()
def predict_clean_latents(
    model: Model, conditioning: Conditioning, latents: Latents, settings: Settings, index: int
) -> Latents:
    """Guess the clean latents from noisy ones (frames, channels, h, w) at step `index`, counted from 0.

    This is `DenoiseStep.denoised`: one pass of the denoiser, with guidance. InputError if there is no such step.
    """
    if not 0 <= index < settings.num_inference_steps:
        raise InputError(f"the step is {index}, but there are steps 0..{settings.num_inference_steps - 1}")
    result = euler_step(model, conditioning, latents, settings, make_schedule(model, settings), index)
    return result.pred_original_sample[0]


def euler_step(
    model: Model,
    conditioning: Conditioning,
    latents: Latents,
    settings: Settings,
    schedule: SchedulerMixin,
    index: int,
) -> EulerDiscreteSchedulerOutput:
    """One Euler step (arXiv 2206.00364) from noisy latents x (frames, channels, h, w) at noise level sigma.

        x' = x + (sigma' - sigma) (x - x_hat) / sigma,    where x_hat is the model's guess of the clean latents

    With guidance, the prediction is v = v_uncond + w_f (v_cond - v_uncond), where w_f rises linearly over the frames
    (SVD, arXiv 2311.15127); see `Settings.has_guidance`. `model.step` makes x' and x_hat of it. The result has both,
    with a batch axis of one, and gradients if these are on. The schedule is from `make_schedule` and has made neither
    this step nor a later one.
    """
    timestep, video = schedule.timesteps[index], latents[None]
    if schedule.step_index is None:
        schedule.set_begin_index(index)  # avoids a device lookup, and so a synchronisation
    guided = settings.has_guidance(index)
    told = conditioning.with_unconditional() if guided else conditioning
    scaled = model.scale_input(schedule, torch.cat([video] * 2) if guided else video, timestep).to(model.dtype)
    prediction = model.predict(scaled, timestep, told)
    if guided:
        scale = torch.linspace(settings.min_guidance_scale, settings.max_guidance_scale, len(latents))
        unconditional, conditional = prediction.chunk(2)
        scale = upload(scale.view(1, -1, 1, 1, 1), latents)
        prediction = unconditional + scale * (conditional - unconditional)
    return model.step(schedule, prediction.to(latents.dtype), index, video, conditioning)
