"""generate(): the stages, assembled; generate_steps(): the same, one denoising step at a time."""

import operator
import os
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
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
LONGEST = 1000  # frames of a video


@dataclass(frozen=True)
class Run:
    """A generated video, and how it came about."""

    video: Video  # (frames, 3, height, width), 0..1, on the CPU
    image: Image  # the first frame as the model saw it
    boxes: Boxes | None  # asked for, in pixels of the video; None without trajectories
    latents: Latents  # clean, before decoding
    settings: Settings
    model: str
    method: str
    seed: int
    losses: dict[int, list[float]]  # control step -> loss before each iteration
    sigmas: list[float]  # noise level of every step
    seconds: dict[str, float]  # by stage: encode, denoise (with the optimisation), decode
    trace: list[DenoiseStep] = field(default_factory=list)  # the steps, with what was asked to be kept
    # The runs that a longer video is made of; else empty. Its `losses` and `sigmas` go on counting from run to run, its
    # `seconds` are sums, and each run keeps its own trace.
    segments: tuple["Run", ...] = ()

    @property
    def working_steps(self) -> list[int]:
        """The control steps that changed the latents; with `early_stop`, others end before their first update."""
        limit, count = self.settings.early_stop, self.settings.num_inference_steps
        first = {step // count: losses[0] for step, losses in reversed(self.losses.items())}  # by segment
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
        image: whatever `read_image` takes; it is fitted to the settings' size. A tensor (3, h, w) in 0..1 of that very
            size is used as it is, without rounding to 8 bits.
        trajectories: boxes over time, in pixels of the picture given, as `as_trajectories` takes them; None generates
            without control.
        settings: hyperparameters; by default the model's own.
        method: "sgi2v", or a baseline (`baselines.METHODS`); all start from the same noise.
        seed: fixes all noise. On a CPU the same seed and memory mode give the same video, to the bit; on a GPU, up to
            rounding.
        fit: "stretch" (as the reference does), "crop" or "pad"; the boxes are carried along.
        frames: for a video longer than the model makes at once. It is made in segments, each a run of the model that
            starts from the last frame before it, with the seeds seed, seed + 1, ... The trajectories span the whole
            video; a box that is out of sight where a segment begins is left out of that segment. Quality falls with
            every segment: see "Longer videos" in sgi2v_lab/evaluation/README.md.
        trace: what to keep of every step: "latents" (before, optimized, mixed, after), "denoised" (the guess of the
            clean latents), "optimization" (each iteration's loss terms, gradient and latents).
        memory: "auto" adapts to what is free; or one of `MEMORY_MODES` (`efficiency.memory`). Where memory runs out, a
            warning says so, and the run goes on in the next mode.
        progress: show a progress bar.
        options: the method's own hyperparameters, the published ones by default.

    Raises:
        InputError: for anything that cannot be used; nothing is computed before all is checked.
    """
    model = as_model(model)
    settings = _as_settings(settings, model)
    given = {"method": method, "seed": seed, "fit": fit, "frames": frames, "trace": trace, "memory": memory, **options}
    steps = generate_steps(model, image, trajectories, settings, **given)
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
    """The same as `generate`, as a generator: yields every denoising step, and returns the `Run` when it is exhausted.

    Steps of a longer video come segment by segment, each counted from 0. To stop, leave the loop. Arguments and errors
    are those of `generate`; all is checked at this call.
    """
    words = {trace} if isinstance(trace, str) or not isinstance(trace, Iterable) else {*trace}
    if unknown := words - {*TRACEABLE}:
        raise InputError(f"cannot trace {next(iter(unknown))!r}: expected some of {', '.join(TRACEABLE)}")
    model = as_model(model)
    whole, tasks = _prepare(model, image, trajectories, _as_settings(settings, model), seed, fit, frames)
    method_of(method, tasks[0], options)
    model = model.in_precision(whole.settings.precision)
    chosen = Memory(model, whole.settings, memory)

    def segment(task: Task) -> Generator[DenoiseStep, None, Run]:
        seconds: dict[str, float] = {}
        losses: dict[int, list[float]] = {}
        sigmas: list[float] = []
        kept: list[DenoiseStep] = []
        sampler, generator = method_of(method, task, options), torch.Generator().manual_seed(task.seed)
        with _timed(seconds, "encode"):
            conditioning = encode_image(model, task.picture, task.settings, generator)
            noise = draw_noise(model, task.settings, generator)
        try:
            steps = chosen.run(lambda last: sampler(model, conditioning, noise, last))
            for step in _timed_steps(steps, seconds):
                sigmas.append(step.sigma)
                if step.iterations:
                    losses[step.index] = step.losses
                if words:
                    kept.append(_strip(step, words))
                yield step
            with _timed(seconds, "decode"):
                video = chosen.decode(step.latents)
        finally:
            chosen.restore()
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
            trace=kept,
        )

    def make() -> Generator[DenoiseStep, None, Run]:
        runs: list[Run] = []
        for task in tasks:
            runs.append((yield from segment(replace(task, picture=runs[-1].video[-1]) if runs else task)))
        return runs[0] if len(runs) == 1 else _joined(runs, whole.boxes, frames)

    return make()


def _joined(runs: list[Run], boxes: Boxes | None, frames: SupportsIndex) -> Run:
    """The video of all segments. Each but the first begins with the frame that the one before ends with."""

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
    """Check all that `generate` is given, and bring picture and boxes to the video's size: the task and its segments.

    The picture of a later segment is not yet known.
    """
    seed = whole_number(seed, "seed", 0, 2**63 - 1)
    at_once, _, h, w = model.latent_shape(settings)
    starts = _starts(model, settings, frames)
    frames = at_once if frames is None else operator.index(frames)
    model.check_layers(settings.layers)
    picture, plan = first_frame(image, (settings.width, settings.height), fit)
    boxes = cells = None
    if trajectories is not None:
        asked = as_trajectories(trajectories, plan.source)
        carried = asked.fitted(plan)
        for drawn in (asked, carried):  # a box may be in the picture, but not in what a crop leaves of it
            drawn.validate(frames)
        boxes = carried.boxes(frames)
        cells = latent_cells(boxes, model.vae_factor, h, w)
    whole = Task(picture, boxes, cells, settings, seed)
    tasks = [replace(whole, seed=(seed + n) % 2**63) for n in range(len(starts))]
    for n, start in enumerate(starts if cells is not None else ()):
        x0, y0, x1, y1 = cells[:, start].unbind(-1)
        seen, shown = (x1 > 0) & (y1 > 0) & (x0 < w) & (y0 < h), torch.arange(start, start + at_once)
        shown = shown.clamp(max=frames - 1)  # beyond the end, boxes stay
        tasks[n] = replace(tasks[n], boxes=boxes[seen][:, shown], cells=cells[seen][:, shown])
        try:  # refuses boxes that are out of sight in all later frames, before anything is computed
            trajectory_loss(torch.zeros(at_once, 1, h, w), tasks[n].cells, settings.gaussian_sigma)
        except InputError as error:
            hint = "ask for fewer frames, or pin a box that stays in view"
            raise InputError(f"in segment {n + 1}, from frame {start} on, {error}; {hint}" if n else error) from None
    return whole, tasks


def _starts(model: Model, settings: Settings, frames: SupportsIndex | None) -> range:
    """The frames at which the runs of the model begin, of which a video is made."""
    at_once = model.num_frames(settings)
    if frames is not None:
        whole_number(frames, f"frames (num_frames, what the model makes at once, is {at_once})", at_once, LONGEST)
    return range(0, (frames or at_once) - 1, at_once - 1)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start


def _timed_steps(steps: Iterator[DenoiseStep], seconds: dict[str, float]) -> Iterator[DenoiseStep]:
    """The steps, timed without what their receiver does in between."""
    while True:
        with _timed(seconds, "denoise"):
            step = next(steps, None)
        if step is None:
            return
        yield step


def _strip(step: DenoiseStep, trace: set[str]) -> DenoiseStep:
    """Drop what was not asked for, so that its memory is freed; what stays moves to the CPU."""
    nothing = step.latents.new_zeros(0, *step.latents.shape[1:])
    keep = lambda x, word="latents": (x if word in trace else nothing).float().cpu()  # noqa: E731
    iterations = step.iterations if "optimization" in trace else ()
    return replace(
        step,
        before=keep(step.before),
        optimized=keep(step.optimized) if step.optimized is not None and "latents" in trace else None,
        mixed=keep(step.mixed),
        latents=keep(step.latents),
        denoised=keep(step.denoised, "denoised"),
        iterations=tuple(replace(i, gradient=i.gradient.cpu(), latents=i.latents.cpu()) for i in iterations),
    )
