"""generate() assembles the stages; generate_steps() is the same, one denoising step at a time.

Without checks, memory modes and timing, they do this (sgi2v_lab/README.md has it in full):

    conditioning = encode_image(model, picture, settings, generator)
    noise = draw_noise(model, settings, generator)
    cells = latent_cells(boxes, model.vae_factor, h, w, model.frames_per_latent)
    for step in denoise(model, conditioning, noise, settings, cells):
        ...
    video = decode_latents(model, step.latents)
"""

import operator
import os
import time
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import SupportsIndex

import torch
from torch import Tensor
from tqdm.auto import tqdm

from sgi2v_lab.baselines.registry import method_of
from sgi2v_lab.efficiency.memory import Memory
from sgi2v_lab.errors import InputError, whole_number
from sgi2v_lab.images.read import Picture, first_frame
from sgi2v_lab.latents import encode_image
from sgi2v_lab.loss import trajectory_loss
from sgi2v_lab.models.load import as_model
from sgi2v_lab.models.model import Model
from sgi2v_lab.sampling import DenoiseStep, Task, draw_noise
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Boxes, Image, Latents, Video
from sgi2v_lab.trajectories.boxes import latent_cells
from sgi2v_lab.trajectories.files import Asked, as_trajectories

__all__ = ["TRACEABLE", "Run", "generate", "generate_steps"]

TRACEABLE = ("latents", "denoised", "optimization")
MAX_FRAMES = 1000


@dataclass(frozen=True)
class Run:
    """A generated video and its record."""

    video: Video  # (frames, 3, height, width), 0..1, on the CPU
    image: Image  # the first frame, as given to the model
    boxes: Boxes | None  # the input boxes, in pixels of the video; None without trajectories
    latents: Latents  # clean, before decoding
    settings: Settings
    model: str
    method: str
    seed: int
    losses: dict[int, list[float]]  # control step -> loss before each iteration
    sigmas: list[float]  # noise level of every step
    seconds: dict[str, float]  # by stage: encode, denoise (with the optimisation), decode
    trace: list[DenoiseStep] = field(default_factory=list)  # the steps, with the parts named by `trace`
    # The runs that a longer video is made of; else empty. `losses` and `sigmas` then count steps across the runs,
    # `seconds` are sums, and each run has its own trace.
    segments: tuple["Run", ...] = ()

    @property
    def working_steps(self) -> list[int]:
        """The control steps that changed the latents; with `early_stop`, others end before their first update."""
        limit, count = self.settings.early_stop, self.settings.num_inference_steps
        first: dict[int, float] = {}  # each segment's first loss
        for k, losses in self.losses.items():
            first.setdefault(k // count, losses[0])
        return [k for k, losses in self.losses.items() if limit is None or losses[0] >= limit * first[k // count]]


def generate(
    model: Model | str | os.PathLike,
    image: Picture,
    trajectories: Asked | None = None,
    settings: Settings | None = None,
    *,
    method: str = "sgi2v",
    seed: SupportsIndex = 817,
    fit: str = "stretch",
    frames: SupportsIndex | None = None,
    trace: str | Iterable[str] = (),
    memory: str = "auto",
    progress: bool = True,
    **options: object,
) -> Run:
    """Make a video that starts with a picture and in which the boxes follow their paths.

    Args:
        model: from `load_model`, or a name that it takes.
        image: any picture that `read_image` takes; it is fitted to the settings' size. A tensor (3, h, w) in 0..1 of
            that very size is used as it is, without rounding to 8 bits.
        trajectories: boxes over time, in pixels of that picture, as `as_trajectories` takes them; None generates
            without control.
        settings: hyperparameters; by default the model's own.
        method: "sgi2v", or a baseline (`baselines.METHODS`); all start from the same noise.
        seed: fixes all noise. On a CPU the same seed and memory mode give the same video, to the bit; on a GPU, up to
            rounding.
        fit: "stretch" (as in the authors' code), "crop" or "pad"; applied to the boxes too.
        frames: for a video longer than the model makes at once. It is made in segments, each a run of the model that
            starts from the last frame before it, with the seeds seed, seed + 1, ... The trajectories span the whole
            video; a box that is out of sight when a segment begins is left out of that segment. Quality falls with
            every segment: see "Longer videos" in sgi2v_lab/evaluation/README.md.
        trace: what to keep of each step: "latents" (before, optimized, mixed, after), "denoised" (the guess of the
            clean latents), "optimization" (each iteration's loss terms, gradient and latents).
        memory: "auto" adapts to the free memory; or one of `MEMORY_MODES` (`efficiency.memory`). If memory runs out,
            the run warns and continues in the next mode.
        progress: show a progress bar.
        options: the method's own hyperparameters, the published ones by default.

    Raises:
        InputError: for any unusable argument; everything is checked before anything is computed.
    """
    model = as_model(model)
    settings = _as_settings(settings, model)
    options |= {"method": method, "seed": seed, "fit": fit, "frames": frames, "trace": trace, "memory": memory}
    steps = generate_steps(model, image, trajectories, settings, **options)
    label = "uncontrolled" if trajectories is None else method
    total = settings.num_inference_steps * len(_starts(model, settings, frames))
    with closing(steps), tqdm(total=total, desc=label, disable=not progress, leave=False) as bar:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            bar.update()


def generate_steps(
    model: Model | str | os.PathLike,
    image: Picture,
    trajectories: Asked | None = None,
    settings: Settings | None = None,
    *,
    method: str = "sgi2v",
    seed: SupportsIndex = 817,
    fit: str = "stretch",
    frames: SupportsIndex | None = None,
    trace: str | Iterable[str] = (),
    memory: str = "auto",
    **options: object,
) -> Generator[DenoiseStep, None, Run]:
    """Like `generate`, but a generator: yields each denoising step, and finally returns the `Run`.

        def look(steps):
            run = yield from steps  # the Run, after the last step

    Steps of a longer video come segment by segment, each counted from 0. To stop, leave the loop. Arguments and errors
    are those of `generate`; the call itself checks everything.
    """
    traced = {trace} if isinstance(trace, str) or not isinstance(trace, Iterable) else {*trace}
    if unknown := traced - {*TRACEABLE}:
        raise InputError(f"cannot trace {next(iter(unknown))!r}: expected some of {', '.join(TRACEABLE)}")
    model = as_model(model)
    whole_task, tasks = _prepare(model, image, trajectories, _as_settings(settings, model), seed, fit, frames)
    method_of(method, tasks[0], options)  # for its checks
    model = model.in_precision(whole_task.settings.precision)
    memory_mode = Memory(model, whole_task.settings, memory)

    def run_segments() -> Generator[DenoiseStep, None, Run]:
        runs: list[Run] = []
        for task in tasks:
            if runs:
                task = replace(task, picture=runs[-1].video[-1])
            run = yield from _run_segment(model, task, method, options, traced, memory_mode)
            runs.append(run)
        return runs[0] if len(runs) == 1 else _joined(runs, whole_task.boxes, frames)

    return run_segments()


def _run_segment(
    model: Model, task: Task, method: str, options: dict[str, object], traced: set[str], memory: Memory
) -> Generator[DenoiseStep, None, Run]:
    """The stages for the frames that the model makes at once."""
    losses: dict[int, list[float]] = {}
    sigmas: list[float] = []
    steps: list[DenoiseStep] = []
    sampler, generator = method_of(method, task, options), torch.Generator().manual_seed(task.seed)
    start = time.perf_counter()
    conditioning = encode_image(model, task.picture, task.settings, generator)
    noise = draw_noise(model, task.settings, generator)
    seconds = {"encode": time.perf_counter() - start, "denoise": 0.0}
    try:
        start = time.perf_counter()
        for step in memory.run(lambda last: sampler(model, conditioning, noise, last)):
            seconds["denoise"] += time.perf_counter() - start
            sigmas.append(step.sigma)
            if step.iterations:
                losses[step.index] = step.losses
            if traced:
                steps.append(_strip(step, traced))
            yield step
            start = time.perf_counter()  # what the caller did in between does not count
        video = memory.decode(step.latents)
        seconds["decode"] = time.perf_counter() - start
    finally:
        memory.restore()
    return Run(
        video=video,
        image=task.picture,
        boxes=task.boxes,
        latents=step.latents.float().cpu(),
        settings=task.settings,
        model=model.name,
        method=method,
        seed=task.seed,
        losses=losses,
        sigmas=sigmas,
        seconds=seconds,
        trace=steps,
    )


def _joined(runs: list[Run], boxes: Boxes | None, frames: SupportsIndex) -> Run:
    """Join the segments to one run. Each segment but the first begins with the last frame of the one before."""

    def join(parts: list[Tensor]) -> Tensor:
        return torch.cat([parts[0], *(part[1:] for part in parts[1:])])[:frames]

    steps = runs[0].settings.num_inference_steps
    return replace(
        runs[0],
        video=join([run.video for run in runs]),
        latents=join([run.latents for run in runs]),
        boxes=boxes,
        losses={n * steps + step: losses for n, run in enumerate(runs) for step, losses in run.losses.items()},
        sigmas=[sigma for run in runs for sigma in run.sigmas],
        seconds={stage: sum(run.seconds[stage] for run in runs) for stage in runs[0].seconds},
        trace=[],
        segments=tuple(runs),
    )


def _as_settings(settings: object, model: Model) -> Settings:
    if not isinstance(settings, Settings | None):
        raise InputError(
            f"settings is a {type(settings).__name__}: expected Settings, as from model.settings.replace(cutoff=0.4)"
        )
    return model.settings if settings is None else settings


def _prepare(
    model: Model,
    image: Picture,
    trajectories: Asked | None,
    settings: Settings,
    seed: SupportsIndex,
    fit: str,
    frames: SupportsIndex | None,
) -> tuple[Task, list[Task]]:
    """Check the arguments of `generate`; fit picture and boxes to the video's size. Returns the task and its segments.

    Later segments get their picture when the one before is done.
    """
    seed = whole_number(seed, "seed", 0, 2**63 - 1)
    at_once, (_, _, h, w) = model.num_frames(settings), model.latent_shape(settings)
    starts = _starts(model, settings, frames)
    frames = at_once if frames is None else operator.index(frames)
    model.check_layers(settings.layers)
    picture, resize = first_frame(image, (settings.width, settings.height), fit)
    boxes = cells = None
    if trajectories is not None:
        trajectories = as_trajectories(trajectories, resize.source)
        fitted = trajectories.fitted(resize)
        trajectories.validate(frames)
        fitted.validate(frames)  # a crop may have removed a box
        boxes = fitted.boxes(frames)
        cells = latent_cells(boxes, model.vae_factor, h, w)  # of every frame
    whole_task = Task(picture, boxes, cells, settings, seed)
    tasks = [replace(whole_task, seed=(seed + n) % 2**63) for n in range(len(starts))]
    for n, start in enumerate(starts if cells is not None else ()):
        x0, y0, x1, y1 = cells[:, start].unbind(-1)
        visible = (x1 > 0) & (y1 > 0) & (x0 < w) & (y0 < h)
        indices = torch.arange(start, start + at_once).clamp(max=frames - 1)  # boxes stay still after the last frame
        shown = boxes[visible][:, indices]
        in_latents = latent_cells(shown, model.vae_factor, h, w, model.frames_per_latent)
        tasks[n] = replace(tasks[n], boxes=shown, cells=in_latents)
        try:
            # refuses if there is nothing to follow; empty maps pass its checks before anything is computed
            trajectory_loss(torch.zeros(in_latents.shape[1], 1, h, w), in_latents, settings.gaussian_sigma)
        except InputError as error:
            if n == 0:
                raise
            hint = "ask for fewer frames, or pin a box that stays in view"
            raise InputError(f"in segment {n + 1}, from frame {start} on, {error}; {hint}") from None
    return whole_task, tasks


def _starts(model: Model, settings: Settings, frames: SupportsIndex | None) -> range:
    """The first frame of each segment."""
    at_once = model.num_frames(settings)
    if frames is not None:
        whole_number(frames, f"frames (num_frames, what the model makes at once, is {at_once})", at_once, MAX_FRAMES)
    return range(0, (frames or at_once) - 1, at_once - 1)


def _strip(step: DenoiseStep, trace: set[str]) -> DenoiseStep:
    """Keep only the parts named by `trace`, on the CPU; the others' memory is freed."""

    def keep(latents: Latents | None, part: str = "latents") -> Latents | None:
        return None if latents is None or part not in trace else latents.float().cpu()

    iterations = step.iterations if "optimization" in trace else ()
    return replace(
        step,
        before=keep(step.before),
        optimized=keep(step.optimized),
        mixed=keep(step.mixed),
        latents=keep(step.latents),
        denoised=keep(step.denoised, "denoised"),
        iterations=tuple(replace(i, gradient=i.gradient.cpu(), latents=i.latents.cpu()) for i in iterations),
    )
