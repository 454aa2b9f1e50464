"""The stages that are measured: a model at work on one video."""

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from sgi2v_lab.bench.count_bytes import count_bytes
from sgi2v_lab.bench.measure import count_flops
from sgi2v_lab.bench.reference_recipe import (
    Workload,
    has_reference,
    reference_gradient,
    reference_precision,
    reference_step,
)
from sgi2v_lab.efficiency.recompute import RECOMPUTE_MODES, recomputing
from sgi2v_lab.features import extract_features
from sgi2v_lab.models.model import Model
from sgi2v_lab.models.precision import precise_vae
from sgi2v_lab.sampling import control_step
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Latents
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory, latent_cells

__all__ = ["count_memory", "count_stages", "crossing", "on_meta", "one_iteration", "workload"]


def workload(model: Model, settings: Settings | None = None, boxes: int = 1) -> Workload:
    """Noise, a random picture's conditioning, and some boxes that cross the picture; works on "meta" too."""
    settings = settings or model.settings
    frames, channels, h, w = model.latent_shape(settings)
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(model.device, model.dtype)

    boxes = crossing(settings, boxes).boxes(model.num_frames(settings))
    cells = latent_cells(boxes, model.vae_factor, h, w, model.frames_per_latent)
    schedule = type(model.scheduler).from_config(model.scheduler.config)
    schedule.set_timesteps(settings.num_inference_steps)
    sigma = schedule.sigmas[settings.control_steps[0]].item()
    return Workload(
        model=model,
        conditioning=model.random_conditioning(settings, noise),
        latents=sigma * noise(frames, channels, h, w),
        sigma=sigma,
        cells=cells,
        settings=settings,
    )


def crossing(settings: Settings, boxes: int) -> Trajectories:
    """Boxes of a third of the picture's sides, one below the other, that cross it."""
    width, height = settings.width, settings.height
    tops = [2 / 3 * height * number / max(boxes, 1) for number in range(boxes)]
    starts = [(0.05 * width, top, 0.05 * width + width / 3, top + height / 3) for top in tops]
    return Trajectories((width, height), tuple(Trajectory.move(box, by=(0.5 * width, 0)) for box in starts))


def count_stages(model: Model, settings: Settings | None = None, boxes: int = 1) -> dict[str, int]:
    """Operations of each stage, counted on "meta" without computing any; attention's own products count.

    Returns:
        "encode" and "decode" (VAE and image encoder, once a video), "denoising step" (the UNet, for two videos if
        any step has guidance), "forward" (the UNet, of one video), "control forward" (up to the last recorded
        attention), "control iteration, MODE" (with its backward pass, for each mode of `recompute`), "control
        iteration, reference" (of SVD), and "video" (all of a controlled one, in the mode that computes nothing twice).
    """
    work = workload(on_meta(model), settings, boxes)
    model, settings = work.model, work.settings
    counts = {}

    picture = torch.zeros(3, settings.height, settings.width)
    with torch.no_grad():
        counts["encode"] = count_flops(lambda: model.encode_first_frame(picture, settings, torch.Generator()))
        counts["forward"] = count_flops(lambda: _forward(work, 1))
        counts["denoising step"] = count_flops(lambda: _forward(work, _videos_at_once(settings)))
        counts["control forward"] = count_flops(
            lambda: extract_features(
                model, work.latents, work.sigma, work.conditioning, settings.layers, settings.features
            )
        )
        latents = torch.empty(work.latents.shape, device="meta", dtype=model.vae.dtype)
        counts["decode"] = count_flops(lambda: [*model.to_pixels(latents, None)])
    for mode in RECOMPUTE_MODES:
        counts[f"control iteration, {mode}"] = count_flops(lambda mode=mode: one_iteration(work, mode))
    if has_reference(model):
        with reference_precision(model):
            counts["control iteration, reference"] = count_flops(lambda: reference_gradient(work))
    steps = range(settings.num_inference_steps)
    passes = sum(1 + settings.has_guidance(step) for step in steps)
    iterations = settings.iterations * sum(map(settings.is_control_step, steps))
    counts["video"] = counts["encode"] + counts["decode"] + passes * counts["forward"]
    counts["video"] += iterations * counts["control iteration, fast"]
    return counts


def count_memory(model: Model, settings: Settings | None = None, boxes: int = 1) -> dict[str, int]:
    """Bytes of tensors that each stage has at once beyond the weights, counted on "meta" (see `count_bytes`).

    Returns:
        "weights" (of all parts, in the model's precision), and, beyond them: "control step, MODE" for each mode of
        `recompute`, "control step, reference" (with its copies of weights), "denoising step", and "decode" (of
        `decode_chunk_size` frames at a time; with the VAE's weights in fp32 where it has to be).
    """
    work = workload(on_meta(model), settings, boxes)
    model, settings = work.model, work.settings
    weights = [t for part in model.networks.values() for t in _tensors(part)]
    counts = {"weights": sum(tensor.nbytes for tensor in weights)}
    # nothing that is computed can be looked at here, so no step can end early
    settings = settings.replace(early_stop=None, iterations=1)
    for mode in RECOMPUTE_MODES:
        with recomputing(model, mode, max(settings.layers)):
            counts[f"control step, {mode}"] = count_bytes(lambda: list(control_step(*work.given(settings))))
    if has_reference(model):
        counts["control step, reference"] = count_bytes(
            lambda: reference_step(replace(work, settings=settings)), _tensors(model.denoiser)
        )

    @torch.no_grad()
    def decode() -> None:
        with precise_vae(model.vae):
            pieces = work.latents[: settings.decode_chunk_size] if model.decodes_in_pieces else work.latents
            for piece in model.to_pixels(pieces, None):
                piece.float()

    with torch.no_grad():
        counts["denoising step"] = count_bytes(lambda: _forward(work, _videos_at_once(settings)))
    counts["decode"] = count_bytes(decode, _tensors(model.vae))
    return counts


def _forward(work: Workload, videos: int) -> None:
    """The whole denoiser on "meta", for one video, or for two as classifier-free guidance needs."""
    told = work.conditioning if videos == 1 else work.conditioning.with_unconditional()
    scaled = work.latents.to(work.model.dtype).expand(videos, *work.latents.shape)
    work.model.predict(scaled, torch.zeros((), device="meta"), told)


def _videos_at_once(settings: Settings) -> int:
    """Two if any step has classifier-free guidance, which also needs an unconditional video."""
    return 2 if any(map(settings.has_guidance, range(settings.num_inference_steps))) else 1


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def one_iteration(work: Workload, mode: str) -> Latents:
    """The gradient of one control iteration."""
    settings = work.settings.replace(early_stop=None, iterations=1)
    with recomputing(work.model, mode, max(settings.layers)):
        return next(control_step(*work.given(settings))).gradient


def on_meta(model: Model) -> Model:
    """The same network without its weights."""
    if model.device.type == "meta":
        return model
    with torch.no_grad():
        parts = {name: nn.Module.to(_shell(getattr(model, name)), "meta") for name in model.networks}
    return replace(model, **parts)


def _shell(module: nn.Module) -> nn.Module:
    """A copy whose weights are not copied, but empty."""
    memo = {id(t): torch.empty_like(t, device="meta") for t in _tensors(module)}
    for weight in module.parameters():
        memo[id(weight)] = nn.Parameter(memo[id(weight)], requires_grad=False)
    return copy.deepcopy(module, memo)
