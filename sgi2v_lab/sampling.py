"""The denoising loop: Euler steps from noise to a video, some of them after the latents were optimised."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler, EulerDiscreteSchedulerOutput
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float, Int
from torch import Tensor

from sgi2v_lab.efficiency.upload import upload
from sgi2v_lab.errors import InputError
from sgi2v_lab.frequency import butterworth_mask, mix_frequencies
from sgi2v_lab.models.model import Conditioning, Model
from sgi2v_lab.optimize import OPTIMIZERS, OptimizeStep, optimize_latents
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Boxes, Image, Latents

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

Kept = Float[Tensor, "_frames channels h w"]  # no frames where a trace did not keep them
Edit = Callable[[int, float, Latents], Latents]  # step, its sigma, the latents it found -> those to go on with


@dataclass(frozen=True)
class Task:
    """What is asked of a run, checked and brought to the video's size."""

    picture: Image
    boxes: Boxes | None  # in pixels of the video; None without trajectories
    cells: Int[Tensor, "boxes frames 4"] | None  # the boxes in latent cells
    settings: Settings
    seed: int


@dataclass(frozen=True)
class DenoiseStep:
    """One denoising step, from noise level `sigma` to the next."""

    index: int
    sigma: float
    before: Kept  # as the step found them
    optimized: Latents | None  # after the optimiser; None at steps without control
    mixed: Kept  # what was denoised: `before` (edited), or the optimised ones with the original high frequencies
    iterations: tuple[OptimizeStep, ...]  # of the optimiser; empty at steps without control
    denoised: Kept  # the model's current guess of the clean latents
    latents: Kept  # after the step
    first_loss: float | None = None  # of the run, which `settings.early_stop` is a share of; None if not needed yet

    @cached_property
    def losses(self) -> list[float]:
        """The loss before each iteration; empty at steps without control. All are copied from the device at once."""
        return torch.stack([step.found.total for step in self.iterations]).tolist() if self.iterations else []


# Turns unit noise into clean latents, given the encoded first frame; resumes after a given step.
Sampler = Callable[[Model, Conditioning, Latents, DenoiseStep | None], Iterator[DenoiseStep]]


def make_schedule(model: Model, settings: Settings) -> EulerDiscreteScheduler:
    """A fresh scheduler, its `sigmas` and `timesteps` set for the run (a scheduler counts its own steps)."""
    schedule = type(model.scheduler).from_config(model.scheduler.config)
    schedule.set_timesteps(settings.num_inference_steps, device=model.device)
    return schedule


def draw_noise(model: Model, settings: Settings, generator: torch.Generator) -> Latents:
    """Unit noise (frames, channels, h, w), drawn on the CPU, so that a seed means the same on every device."""
    shape = (1, *model.latent_shape(settings))
    return randn_tensor(shape, generator=generator, dtype=model.dtype)[0].to(model.device)


@torch.no_grad()
def denoise(
    model: Model,
    conditioning: Conditioning,
    noise: Latents,
    settings: Settings,
    cells: Int[Tensor, "boxes frames 4"] | None = None,
    *,
    edit: Edit | None = None,
    first_step: int = 0,
    after: DenoiseStep | None = None,
) -> Iterator[DenoiseStep]:
    """Denoise unit noise (frames, channels, h, w) into clean latents; yields after every step.

    With boxes in latent `cells`, the latents of the control steps are optimised first, then their original high
    frequencies are restored. Without, this is diffusers' own pipeline, to the bit where its weights are frozen too
    (PyTorch multiplies some matrices in another order if one requires gradients).

    Args:
        model: from `load_model`.
        conditioning: of the first frame, from `encode_image`.
        noise: from `draw_noise`.
        settings: hyperparameters.
        cells: boxes (boxes, frames, 4) from `latent_cells`; None for no control.
        edit: called before every step; may replace the latents. So other methods need no loop of their own.
        first_step: begin here, with the same noise at that step's level.
        after: a step of an earlier call, to go on from.

    Raises:
        InputError: the first step does not lie within the run.
    """
    if not 0 <= first_step < settings.num_inference_steps:
        raise InputError(f"first_step is {first_step}, but there are steps 0..{settings.num_inference_steps - 1}")
    schedule = make_schedule(model, settings)
    sigmas = schedule.sigmas
    mask = butterworth_mask(*noise.shape[-2:], settings.cutoff, settings.butterworth_order)
    if after is None:
        spread = schedule.init_noise_sigma if first_step == 0 else (sigmas[first_step] ** 2 + 1).sqrt()
        # in half precision, steps of the optimiser would be lost in rounding at the noise levels of control
        latents, first_loss = (noise if cells is None else noise.float()) * spread, None
    else:
        first_step, latents, first_loss = after.index + 1, after.latents, after.first_loss
    for index in range(first_step, settings.num_inference_steps):
        before, optimized, iterations = latents, None, ()
        if edit is not None:
            latents = edit(index, sigmas[index].item(), latents)
        if cells is not None and settings.has_control(index):
            iterations = tuple(control_step(model, latents, sigmas[index], conditioning, cells, settings, first_loss))
            optimized = iterations[-1].latents
            latents = mix_frequencies(optimized, latents, mask)
            if settings.early_stop is not None and first_loss is None:
                first_loss = iterations[0].loss
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
    cells: Int[Tensor, "boxes frames 4"],
    settings: Settings,
    first_loss: float | None = None,
) -> Iterator[OptimizeStep]:
    """`optimize_latents` with these settings; with `early_stop`, until the loss is below that share of the run's first.

    The iteration that falls below the share is yielded, but its update is discarded. `first_loss` is that of this call
    if left out. With `scale_lr_by_sigma` the learning rate is in units of sigma: at SVD's control steps 0.21 is a small
    nudge (sigma is 37 to 374 there), while the same step at a small model's sigma of 5 would be a shove.
    """
    optimizer = OPTIMIZERS[settings.optimizer]
    if settings.optimizer == "adamw":
        optimizer = partial(optimizer, weight_decay=settings.weight_decay)
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
        optimizer=optimizer,
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
    """The guess of the clean latents behind noisy ones (frames, channels, h, w), before step `index`, from 0.

    This is `DenoiseStep.denoised`: one pass of the denoiser, with guidance. InputError where there is no such step.
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
    schedule: EulerDiscreteScheduler,
    index: int,
) -> EulerDiscreteSchedulerOutput:
    """One Euler step from noisy latents (frames, channels, h, w): those after it, and the guess of the clean ones.

    Classifier-free guidance rises over the frames, v = v_0 + g_f (v_1 - v_0); it is left out where the settings say so,
    and where its largest value is 1 or less. The result has a batch axis of one, and carries gradients where these are
    on. The schedule is one from `make_schedule` that has not yet made this step or a later one.
    """
    timestep, video = schedule.timesteps[index], latents[None]
    if schedule.step_index is None:
        schedule.set_begin_index(index)  # or it looks for the timestep on the device, and the CPU waits for that
    guided = settings.has_guidance(index)
    if guided:
        conditioning = conditioning.with_unconditional()
    scaled = schedule.scale_model_input(torch.cat([video] * 2) if guided else video, timestep).to(model.dtype)
    prediction = model.predict(scaled, timestep, conditioning)
    if guided:
        scale = torch.linspace(settings.min_guidance_scale, settings.max_guidance_scale, len(latents))
        unconditional, conditional = prediction.chunk(2)
        scale = upload(scale.view(1, -1, 1, 1, 1), latents)
        prediction = unconditional + scale * (conditional - unconditional)
    return schedule.step(prediction.to(latents.dtype), timestep, video, return_dict=True)
