"""generate(): the stages, assembled; generate_steps(): the same, one denoising step at a time."""

import os
import time
import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import SupportsIndex

import torch
from tqdm.auto import tqdm

from sgi2v_lab.baselines.registry import method_of
from sgi2v_lab.efficiency.memory import Memory
from sgi2v_lab.errors import InputError, whole_number
from sgi2v_lab.images.read import Picture, fit_image, read_image, to_tensor
from sgi2v_lab.images.resize import Fit
from sgi2v_lab.latents import encode_image
from sgi2v_lab.loss import trajectory_loss
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.model import Model
from sgi2v_lab.sampling import DenoiseStep, Task, draw_noise
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Boxes, Image, Latents, Video
from sgi2v_lab.trajectories.boxes import latent_cells
from sgi2v_lab.trajectories.files import Asked, as_trajectories

__all__ = ["TRACEABLE", "Run", "generate", "generate_steps"]

TRACEABLE = ("latents", "denoised", "optimization")
MUCH = 1.1  # a stretch of one side against the other that is seen


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

    @property
    def working_steps(self) -> list[int]:
        """The control steps that changed the latents; with `early_stop`, others end before their first update."""
        limit, first = self.settings.early_stop, next(iter(self.losses.values()), [0.0])[0]
        return [step for step, losses in self.losses.items() if limit is None or losses[0] >= limit * first]


def generate(
    model: Model | str | os.PathLike,
    image: Picture,
    trajectories: Asked | None = None,
    settings: Settings | None = None,
    *,
    method: str = "sgi2v",
    seed: SupportsIndex = 817,
    fit: str = "stretch",
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
        trace: what to keep of every step: "latents" (before, optimized, mixed, after), "denoised" (the guess of the
            clean latents), "optimization" (each iteration's loss terms, gradient and latents).
        memory: "auto" adapts to what is free; or one of `MEMORY_MODES` (`efficiency.memory`). Where memory runs out, a
            warning says so, and the run goes on in the next mode.
        progress: show a progress bar.
        options: the method's own hyperparameters, the published ones by default.

    Raises:
        InputError: for anything that cannot be used; nothing is computed before all is checked.
    """
    model = _as_model(model)
    settings = _as_settings(settings, model)
    given = {"method": method, "seed": seed, "fit": fit, "trace": trace, "memory": memory, **options}
    steps = generate_steps(model, image, trajectories, settings, **given)
    label = "uncontrolled" if trajectories is None else method
    with closing(steps), tqdm(total=settings.num_inference_steps, desc=label, disable=not progress, leave=False) as bar:
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
    trace: str | Iterable[str] = (),
    memory: str = "auto",
    **options: object,
) -> Generator[DenoiseStep, None, Run]:
    """The same as `generate`, as a generator: yields every denoising step, and returns the `Run` when it is exhausted.

    To stop, leave the loop. Arguments and errors are those of `generate`; all is checked at this call.
    """
    words = {trace} if isinstance(trace, str) or not isinstance(trace, Iterable) else {*trace}
    if unknown := words - {*TRACEABLE}:
        raise InputError(f"cannot trace {next(iter(unknown))!r}; expected some of {', '.join(TRACEABLE)}")
    model = _as_model(model)
    task = _prepare(model, image, trajectories, _as_settings(settings, model), seed, fit)
    sampler = method_of(method, task, options)
    model = model.in_precision(task.settings.precision)
    chosen = Memory(model, task.settings, memory)

    def make() -> Generator[DenoiseStep, None, Run]:
        seconds: dict[str, float] = {}
        losses: dict[int, list[float]] = {}
        sigmas: list[float] = []
        kept: list[DenoiseStep] = []
        generator = torch.Generator().manual_seed(task.seed)
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

    return make()


def _as_model(model: object) -> Model:
    if isinstance(model, str | os.PathLike):
        return load_model(os.fspath(model))
    if not isinstance(model, Model):
        raise InputError(f"the model is a {type(model).__name__}: expected one from load_model, or its name")
    return model


def _as_settings(settings: object, model: Model) -> Settings:
    if not isinstance(settings, Settings | None):
        raise InputError(
            f"settings is a {type(settings).__name__}: expected Settings, as from model.settings.replace(cutoff=0.4)"
        )
    return model.settings if settings is None else settings


def _prepare(
    model: Model, image: Picture, trajectories: Asked | None, settings: Settings, seed: SupportsIndex, fit: str
) -> Task:
    """Check all that `generate` is given, and bring picture and boxes to the video's size."""
    seed = whole_number(seed, "seed", 0, 2**63 - 1)
    frames, _, h, w = model.latent_shape(settings)
    model.check_layers(settings.layers)
    picture, plan = _first_frame(image, settings, fit)
    boxes = cells = None
    if trajectories is not None:
        asked = as_trajectories(trajectories, plan.source)
        carried = asked.fitted(plan)
        for drawn in (asked, carried):  # a box may be in the picture, but not in what a crop leaves of it
            drawn.validate(frames)
        boxes = carried.boxes(frames)
        cells = latent_cells(boxes, model.vae_factor, h, w)
        # refuses boxes that are out of sight in all later frames, before anything is computed
        trajectory_loss(torch.zeros(frames, 1, h, w), cells, settings.gaussian_sigma)
    return Task(picture, boxes, cells, settings, seed)


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


def _first_frame(image: Picture, settings: Settings, fit: str) -> tuple[Image, Fit]:
    """The picture at the model's size, and how it got there."""
    size = (settings.width, settings.height)
    picture = read_image(image)
    fitted, plan = fit_image(picture, size, fit)
    stretch = max(plan.scale) / min(plan.scale)
    if stretch > MUCH:
        warnings.warn(
            f"The picture of {picture.width} x {picture.height} px is stretched to {size[0]} x {size[1]}, which "
            f"distorts its shape by {stretch - 1:.0%}; fit 'crop' and 'pad' keep it, as do a width and height nearer "
            "to its own.",
            stacklevel=5,
        )
    exact = isinstance(image, torch.Tensor) and image.is_floating_point() and image.shape == (3, *size[::-1])
    return image.float().cpu() if exact and image.min() >= 0 and image.max() <= 1 else to_tensor(fitted), plan


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
