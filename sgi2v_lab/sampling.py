"""The denoising loop: guided steps, some of them after the latents were optimised."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from diffusers import EDMDPMSolverMultistepScheduler, EulerDiscreteScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteSchedulerOutput
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float, Int
from torch import Tensor

from sgi2v_lab.efficiency.memory import Memory
from sgi2v_lab.errors import InputError
from sgi2v_lab.frequency import butterworth_mask, mix_frequencies
from sgi2v_lab.latents import Conditioning
from sgi2v_lab.models.load import Model
from sgi2v_lab.optimize import Carried, OptimizeStep, optimize_latents
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Latents

__all__ = [
    "DenoiseStep",
    "Edit",
    "Schedule",
    "denoise",
    "denoising_step",
    "draw_noise",
    "make_schedule",
    "predict_clean_latents",
]

Kept = Float[Tensor, "_frames channels h w"]  # no frames where a trace did not keep them
Schedule = EulerDiscreteScheduler | EDMDPMSolverMultistepScheduler
Edit = Callable[[int, float, Latents], Latents]  # step, its sigma, the latents it found -> those to go on with


@dataclass(frozen=True)
class DenoiseStep:
    """One denoising step, from noise level `sigma` to the next."""

    index: int
    sigma: float
    before: Kept  # as the step found them
    optimised: Latents | None  # after the optimiser; None at steps that are not guided
    mixed: Kept  # what was denoised: `before` (edited), or the optimised ones with the original high frequencies
    iterations: tuple[OptimizeStep, ...]  # of the optimiser; empty at steps that are not guided
    denoised: Kept  # the model's current guess of the clean latents
    latents: Kept  # after the step

    @property
    def losses(self) -> list[float]:
        """The loss before each iteration; empty at steps that are not guided."""
        return [step.loss for step in self.iterations]


def make_schedule(model: Model, settings: Settings) -> Schedule:
    """A fresh scheduler, its `sigmas` and `timesteps` set for the run (a scheduler counts its own steps).

    "euler" is SVD's own. "dpm++" is DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095) of second order, which needs fewer
    steps; it goes over the same range of noise levels, and remembers its last step.

    Raises:
        InputError: "dpm++" for a model that does not predict v, or has no range of Karras noise levels.
    """
    known = model.scheduler.config
    if settings.sampler == "euler":
        scheduler = EulerDiscreteScheduler.from_config(known)
    elif not (known.prediction_type == "v_prediction" and known.use_karras_sigmas and known.sigma_max):
        raise InputError(f"the sampler is dpm++, but {model.name} is no v-prediction model on Karras sigmas; try euler")
    else:
        scheduler = EDMDPMSolverMultistepScheduler(
            sigma_min=known.sigma_min, sigma_max=known.sigma_max, sigma_data=1.0, prediction_type="v_prediction"
        )
    scheduler.set_timesteps(settings.num_steps, device=model.device)
    return scheduler


def draw_noise(model: Model, settings: Settings, generator: torch.Generator) -> Latents:
    """Noise of unit variance, (frames, channels, h, w), drawn on the CPU so that a seed means the same everywhere."""
    shape = (1, *model.latent_shape(settings))
    return randn_tensor(shape, generator=generator, dtype=model.dtype)[0].to(model.device)


@torch.no_grad()
def denoise(
    model: Model,
    conditioning: Conditioning,
    noise: Latents,
    settings: Settings,
    cells: Int[Tensor, "boxes frames 4"] | Sequence[Int[Tensor, "_boxes _frames 4"]] | None = None,
    *,
    edit: Edit | None = None,
    first_step: int = 0,
    memory: Memory | None = None,
) -> Iterator[DenoiseStep]:
    """Denoise unit noise (frames, channels, h, w) into clean latents; yields after every step.

    With boxes in latent `cells`, the latents of the guided steps are optimised first, and their high frequencies put
    back. Without, this is diffusers' own pipeline, to the bit where its weights are frozen too (PyTorch multiplies some
    matrices in another order if one requires gradients). Classifier-free guidance rises over the frames; it is left
    out, as there, where its largest value is 1 or less, and before and after the steps that the settings name.

    Other ways to control a video need no loop of their own: `edit` is called before every step and may replace the
    latents; `first_step` begins later, with the same noise at that step's level.

    Where memory runs out, `memory` falls back to a leaner mode and goes on with what it was doing; see there.

    Raises:
        InputError: the guided steps, or the first step, do not lie within the run.
    """
    if not 0 <= first_step < settings.num_steps:
        raise InputError(f"the first step is {first_step}, but there are steps 0..{settings.num_steps - 1}")
    if cells is not None and settings.guided_steps[1] >= settings.num_steps:
        raise InputError(f"guided steps {settings.guided_steps} do not lie within the {settings.num_steps} steps")
    memory = memory or Memory(model, "full" if settings.checkpointing else "fast")
    schedule = make_schedule(model, settings)
    guided = range(settings.guided_steps[0], settings.guided_steps[1] + 1) if cells is not None else range(0)
    mask = butterworth_mask(*noise.shape[-2:], settings.cutoff, settings.butterworth_order)
    carried = Carried()
    latents = noise * (schedule.init_noise_sigma if first_step == 0 else (schedule.sigmas[first_step] ** 2 + 1).sqrt())
    for index in range(first_step, settings.num_steps):
        before, optimised, iterations = latents, None, ()
        sigma = schedule.sigmas[index]
        if edit is not None:
            latents = edit(index, sigma.item(), latents)
        if index in guided and settings.iterations:
            iterations = tuple(optimize_latents(model, latents, sigma, conditioning, cells, settings, memory, carried))
            optimised = iterations[-1].latents
            latents = mix_frequencies(optimised, latents, mask)
        mixed = latents
        result = memory.attempt(partial(denoising_step, model, conditioning, latents, settings, schedule, index))
        latents = result.prev_sample.flatten(0, 1)
        yield DenoiseStep(
            index=index,
            sigma=sigma.item(),
            before=before,
            optimised=optimised,
            mixed=mixed,
            iterations=iterations,
            denoised=result.pred_original_sample.flatten(0, 1),
            latents=latents,
        )


@torch.no_grad()
def predict_clean_latents(
    model: Model, conditioning: Conditioning, latents: Latents, settings: Settings, index: int
) -> Latents:
    """The model's guess of the clean latents behind noisy ones (frames, channels, h, w), before step `index` (from 0).

    This is what the denoising loop calls `denoised`: one forward pass of the UNet, guided as in the loop.

    Raises:
        InputError: there is no such step.
    """
    if not 0 <= index < settings.num_steps:
        raise InputError(f"the step is {index}, but there are steps 0..{settings.num_steps - 1}")
    result = denoising_step(model, conditioning, latents, settings, make_schedule(model, settings), index)
    return result.pred_original_sample.flatten(0, 1)


def denoising_step(
    model: Model,
    conditioning: Conditioning,
    latents: Latents,
    settings: Settings,
    schedule: Schedule,
    index: int,
) -> EulerDiscreteSchedulerOutput:
    """One step from noisy latents (frames, channels, h, w): those after it, and the guess of the clean ones.

    Both come with a batch axis, (videos, frames, channels, h, w), and carry gradients where these are on. The schedule
    is one from `make_schedule` that has not yet made this step or a later one.
    """
    timestep = schedule.timesteps[index]
    videos = latents.unflatten(0, (conditioning.videos, -1))
    guidance = torch.linspace(settings.min_guidance, settings.max_guidance, videos.shape[1]).view(1, -1, 1, 1, 1)
    guidance = guidance.to(latents) if settings.has_guidance(index) else None
    prediction = _predict(model, schedule, videos, timestep, conditioning, guidance)
    prediction = prediction.to(latents.dtype)
    if isinstance(schedule, EulerDiscreteScheduler):
        return schedule.step(prediction, timestep, videos, return_dict=True)
    guess = schedule.precondition_outputs(videos, prediction, schedule.sigmas[index].to(latents))
    after = schedule.step(prediction, timestep, videos).prev_sample
    return EulerDiscreteSchedulerOutput(prev_sample=after, pred_original_sample=guess)


def _predict(
    model: Model,
    schedule: Schedule,
    videos: Float[Tensor, "videos frames channels h w"],
    timestep: Tensor,
    conditioning: Conditioning,
    guidance: Tensor | None,
) -> Tensor:
    """The UNet's v-prediction (videos, frames, channels, h, w), guided away from the unconditional one."""
    embedding, ids = conditioning.embedding, conditioning.time_ids
    image = conditioning.image_latents.unflatten(0, (len(videos), -1))
    if guidance is not None:
        # the unconditional branch sees neither the first frame's token nor its latents
        videos = torch.cat([videos] * 2)
        embedding = torch.cat([torch.zeros_like(embedding), embedding])
        image = torch.cat([torch.zeros_like(image), image])
        ids = torch.cat([ids, ids])
    scaled = schedule.scale_model_input(videos, timestep).to(model.dtype)
    prediction = model.unet(
        torch.cat([scaled, image], dim=2),
        timestep,
        encoder_hidden_states=embedding,
        added_time_ids=ids,
        return_dict=False,
    )[0]
    if guidance is None:
        return prediction
    unconditional, conditional = prediction.chunk(2)
    return unconditional + guidance * (conditional - unconditional)
