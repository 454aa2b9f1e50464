"""generate_batch(): several videos of one picture in one pass, each with its own seed or its own paths.

A GPU that one video does not fill makes several in hardly more time; on a CPU nothing is gained. Every video has its
own noise, loss and optimiser step, so that it is the one that `generate` makes, up to rounding.
"""

import math
from collections.abc import Sequence
from time import perf_counter

import PIL.Image
import torch
from tqdm.auto import tqdm

from sgi2v_lab.boxes import Trajectories
from sgi2v_lab.codec import Conditioning, encode_image
from sgi2v_lab.denoise import denoise, draw_noise
from sgi2v_lab.errors import InputError
from sgi2v_lab.memory import SPARE, Memory, choose_mode, estimate_bytes, free_bytes
from sgi2v_lab.models import Model
from sgi2v_lab.pipeline import Prepared, Run, prepare
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Image

__all__ = ["fits_at_once", "generate_batch"]


def generate_batch(
    model: Model,
    image: PIL.Image.Image | Image | str,
    trajectories: Trajectories | Sequence[Trajectories] | None,
    seeds: Sequence[int],
    settings: Settings | None = None,
    *,
    fit: str = "stretch",
    memory: str = "auto",
    progress: bool = True,
) -> list[Run]:
    """Make a video for each seed, as many in one pass as fit into what memory is free.

    Args:
        model: from `load_model`.
        image: that all videos start with, as in `generate`.
        trajectories: the same for all, or one for each seed; None generates without control.
        seeds: of the noise, one for each video; with different paths they may be equal.
        settings: hyperparameters; by default the model's own.
        fit: as in `generate`.
        memory: as in `generate`.
        progress: show a progress bar.

    Returns:
        The runs, in the order of the seeds, without a trace. What took time for all is divided evenly.

    Raises:
        InputError: as in `generate`, for any of the videos, before anything is computed; no seed; another number of
            trajectories than seeds.
    """
    settings, seeds = settings or model.settings, list(seeds)
    if not seeds:
        raise InputError("there are no seeds, but a batch needs one for each video")
    paths = list(trajectories) if isinstance(trajectories, Sequence) else [trajectories] * len(seeds)
    if len(paths) != len(seeds):
        raise InputError(f"there are {len(paths)} trajectories for {len(seeds)} seeds; give one, or as many as seeds")
    prepared = [
        prepare(model, image, path, settings, seed=seed, fit=fit) for path, seed in zip(paths, seeds, strict=True)
    ]
    model = model.in_precision(settings.precision)
    mode, runs = choose_mode(model, settings, memory), []
    at_once = fits_at_once(model, settings, mode)
    with tqdm(total=settings.num_steps * len(seeds), desc="batch", disable=not progress, leave=False) as bar:
        for start in range(0, len(seeds), at_once):
            runs += _together(model, prepared[start : start + at_once], Memory(model, mode), bar)
    return runs


def fits_at_once(model: Model, settings: Settings, mode: str) -> int:
    """How many videos go through the UNet together: as many as fit into what is free, and at least one."""
    needed = max(1, estimate_bytes(model, settings, mode))
    return max(1, int(SPARE * free_bytes(model.device) / needed))


def _together(model: Model, prepared: Sequence[Prepared], memory: Memory, bar: tqdm) -> list[Run]:
    settings, device, started = prepared[0].settings, model.device, perf_counter()
    given, noise = [], []
    for each in prepared:
        generator = torch.Generator().manual_seed(each.seed)
        given.append(encode_image(model, each.picture, settings, generator))
        noise.append(draw_noise(model, settings, generator))
    joined = Conditioning(
        embedding=torch.cat([each.embedding for each in given]),
        image_latents=torch.cat([each.image_latents for each in given]),
        time_ids=torch.cat([each.time_ids for each in given]),
    )
    controlled = prepared[0].cells is not None
    cells = [each.cells for each in prepared] if controlled else None
    losses: list[dict[int, list[float]]] = [{} for _ in prepared]
    sigmas: list[float] = []
    encoded = perf_counter()
    try:
        memory.settle()
        for step in denoise(model, joined, torch.cat(noise), settings, cells, memory=memory):
            sigmas.append(step.sigma)
            for number, found in enumerate(losses if step.iterations else ()):
                terms = [iteration.found for iteration in step.iterations]
                own = [(t.total if t.per_video is None else t.per_video[number]).item() for t in terms]
                found[step.index] = [loss for loss in own if not math.isnan(loss)]  # NaN: it had ended its step
            bar.update(len(prepared))
        denoised = perf_counter()
        latents = step.latents.unflatten(0, (len(prepared), -1))
        videos = [memory.decode(each, settings.decode_chunk) for each in latents]
    finally:
        memory.restore(device)
    times = {"encode": encoded - started, "denoise": denoised - encoded, "decode": perf_counter() - denoised}
    return [
        Run(
            video=videos[number],
            image=each.picture,
            boxes=each.boxes,
            latents=latents[number].float().cpu(),
            settings=settings,
            model=model.name,
            seed=each.seed,
            losses=losses[number],
            sigmas=sigmas,
            seconds={stage: seconds / len(prepared) for stage, seconds in times.items()},
        )
        for number, each in enumerate(prepared)
    ]
