"""generate(): the stages, assembled; generate_steps(): the same, one denoising step at a time.

`prepare` and `run_steps` are its two halves: with another way of denoising between them, another method makes a run.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import PIL.Image
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from sgi2v_lab.efficiency.memory import Memory, choose_mode
from sgi2v_lab.errors import InputError
from sgi2v_lab.images.read import fit_image, read_image, to_pil, to_tensor
from sgi2v_lab.images.resize import Fit
from sgi2v_lab.latents import Conditioning, encode_image
from sgi2v_lab.loss import trajectory_loss
from sgi2v_lab.models.load import Model
from sgi2v_lab.sampling import DenoiseStep, denoise, draw_noise
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Boxes, Image, Latents, Video
from sgi2v_lab.trajectories.boxes import Trajectories, latent_cells

__all__ = ["TRACEABLE", "Denoising", "Prepared", "Run", "finish", "generate", "generate_steps", "prepare", "run_steps"]

TRACEABLE = ("latents", "denoised", "optimisation")
Denoising = Callable[[Conditioning, Latents], Iterator[DenoiseStep]]  # from the first frame, encoded, and unit noise


@dataclass(frozen=True)
class Run:
    """A generated video, and how it came about."""

    video: Video  # (frames, 3, height, width), 0..1, on the CPU
    image: Image  # the first frame as the model saw it
    boxes: Boxes | None  # asked for, in pixels of the video; None without control
    latents: Latents  # clean, before decoding
    settings: Settings
    model: str
    seed: int
    losses: dict[int, list[float]]  # guided step -> loss before each iteration
    sigmas: list[float]  # noise level of every step
    seconds: dict[str, float]  # by stage: encode, denoise (with the optimisation), decode
    trace: list[DenoiseStep] = field(default_factory=list)  # the steps, with what was asked to be kept

    @property
    def working_steps(self) -> list[int]:
        """The guided steps that changed the latents: with `settings.enough`, others end before their first update."""
        enough, first = self.settings.enough, next(iter(self.losses.values()), [0.0])[0]
        return [step for step, losses in self.losses.items() if enough is None or losses[0] >= enough * first]


@dataclass(frozen=True)
class Prepared:
    """What a run begins with, once all is checked."""

    picture: Image  # at the size of the video
    boxes: Boxes | None  # asked for, in pixels of the video; None without control
    cells: Int[Tensor, "boxes frames 4"] | None  # the boxes in latent cells
    settings: Settings
    seed: int


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start


def generate(
    model: Model,
    image: PIL.Image.Image | Image | str,
    trajectories: Trajectories | None = None,
    settings: Settings | None = None,
    *,
    seed: int = 817,
    fit: str = "stretch",
    trace: Iterable[str] = (),
    memory: str = "auto",
    progress: bool = True,
) -> Run:
    """Make a video that starts with a picture and in which the boxes follow their paths.

    Args:
        model: from `load_model`.
        image: a file, a PIL picture, or a tensor (3, h, w) in 0..1; it is fitted to the settings' size.
        trajectories: boxes over time, in pixels of the picture given; None generates without control.
        settings: hyperparameters; by default the model's own.
        seed: fixes all noise. The same seed on the same machine gives the same video, to the bit.
        fit: "stretch" (as the reference does), "crop" or "pad"; the boxes are carried along.
        trace: what to keep of every step: "latents" (before, optimised, mixed, after), "denoised" (the guess of the
            clean latents), "optimisation" (each iteration's loss terms, gradient and latents). Nothing costs nothing.
        memory: how much is kept at hand, one of `MEMORY_MODES` (`memory`), or "auto" for the first that fits into what
            is free. Where it runs out nevertheless, a warning says so, and the run goes on in the next mode.
        progress: show a progress bar.

    Raises:
        InputError: for a picture, box, path, layer or size that cannot be used; nothing is computed before all is
            checked.
    """
    steps = generate_steps(model, image, trajectories, settings, seed=seed, fit=fit, trace=trace, memory=memory)
    label = "controlled" if trajectories is not None else "uncontrolled"
    return finish(steps, (settings or model.settings).num_steps, label, progress)


def finish(steps: Generator[DenoiseStep, None, Run], total: int, label: str, progress: bool = True) -> Run:
    """Make all `total` steps, behind a progress bar with a label, and return the run."""
    with tqdm(total=total, desc=label, disable=not progress, leave=False) as bar:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            bar.update()


def generate_steps(
    model: Model,
    image: PIL.Image.Image | Image | str,
    trajectories: Trajectories | None = None,
    settings: Settings | None = None,
    *,
    seed: int = 817,
    fit: str = "stretch",
    trace: Iterable[str] = (),
    memory: str = "auto",
) -> Generator[DenoiseStep, None, Run]:
    """The same as `generate`, as a generator: yields every denoising step, and returns the `Run` when it is exhausted.

    To stop, leave the loop: nothing more is computed. `run = yield from generate_steps(...)` passes the steps on.
    Arguments and errors are those of `generate`; all is checked at this call, before the first step is asked for.
    """
    prepared = prepare(model, image, trajectories, settings, seed=seed, fit=fit)
    model = model.in_precision(prepared.settings.precision)
    chosen = Memory(model, choose_mode(model, prepared.settings, memory))

    def denoising(conditioning: Conditioning, noise: Latents) -> Iterator[DenoiseStep]:
        return denoise(model, conditioning, noise, prepared.settings, prepared.cells, memory=chosen)

    return run_steps(model, prepared, denoising, trace, chosen)


def prepare(
    model: Model,
    image: PIL.Image.Image | Image | str,
    trajectories: Trajectories | None = None,
    settings: Settings | None = None,
    *,
    seed: int = 817,
    fit: str = "stretch",
) -> Prepared:
    """Check all that `generate` is given, and bring picture and boxes to the video's size. Arguments as there."""
    settings = settings or model.settings
    if not 0 <= seed < 2**63:
        raise InputError(f"seed is {seed}, but must lie between 0 and {2**63 - 1}")
    frames, _, h, w = model.latent_shape(settings)
    model.check_layers(settings.layers)
    picture, carried = _first_frame(image, settings, fit, trajectories)
    boxes = cells = None
    if trajectories is not None:
        for drawn in (trajectories, carried):  # a box may be in the picture, but not in what a crop leaves of it
            drawn.validate(frames)
        boxes = carried.boxes(frames)
        cells = latent_cells(boxes, model.vae_factor, h, w)
        # refuses boxes that are out of sight in all later frames, which would else be noticed at the first guided step
        trajectory_loss(torch.zeros(frames, 1, h, w), cells, settings.gaussian_sigma)
    return Prepared(picture, boxes, cells, settings, seed)


def run_steps(
    model: Model, prepared: Prepared, denoising: Denoising, trace: Iterable[str] = (), memory: Memory | None = None
) -> Generator[DenoiseStep, None, Run]:
    """Encode the picture, draw the seed's noise, denoise it in the way given, decode; yields steps, returns a `Run`.

    The same seed gives the same noise, whatever the way. InputError, at this call, for an unknown word in `trace`.
    """
    trace = set(trace)
    if unknown := trace - set(TRACEABLE):
        raise InputError(f"cannot trace {sorted(unknown)[0]!r}; expected some of {', '.join(TRACEABLE)}")
    return _steps(model, prepared, denoising, trace, memory or Memory(model, choose_mode(model, prepared.settings)))


def _steps(
    model: Model, prepared: Prepared, denoising: Denoising, trace: set[str], memory: Memory
) -> Generator[DenoiseStep, None, Run]:
    settings = prepared.settings
    seconds: dict[str, float] = {}
    losses: dict[int, list[float]] = {}
    sigmas: list[float] = []
    kept: list[DenoiseStep] = []
    generator = torch.Generator().manual_seed(prepared.seed)
    with _timed(seconds, "encode"):
        conditioning = encode_image(model, prepared.picture, settings, generator)
        noise = draw_noise(model, settings, generator)
    latents, device = noise, model.device
    try:
        memory.settle()
        with _timed(seconds, "denoise"):
            for step in denoising(conditioning, noise):
                latents = step.latents
                sigmas.append(step.sigma)
                if step.losses:
                    losses[step.index] = step.losses
                if trace:
                    kept.append(_strip(step, trace))
                yield step
        with _timed(seconds, "decode"):
            video = memory.decode(latents, settings.decode_chunk)
    finally:
        memory.restore(device)
    return Run(
        video=video,
        image=prepared.picture,
        boxes=prepared.boxes,
        latents=latents.float().cpu(),
        settings=settings,
        model=model.name,
        seed=prepared.seed,
        losses=losses,
        sigmas=sigmas,
        seconds=seconds,
        trace=kept,
    )


def _first_frame(
    image: PIL.Image.Image | Image | str, settings: Settings, fit: str, trajectories: Trajectories | None
) -> tuple[Float[Tensor, "3 _height _width"], Trajectories | None]:
    """The picture at the model's size, and the trajectories carried along."""
    size = (settings.width, settings.height)
    if isinstance(image, Tensor) and not (image.isfinite().all() and image.min() >= 0 and image.max() <= 1):
        raise InputError("the picture has values that are not within 0..1; divide 8-bit values by 255")
    if isinstance(image, Tensor) and tuple(image.shape) == (3, settings.height, settings.width):
        source, tensor, plan = size, image.float().cpu(), Fit.plan(size, size, fit)
    else:
        picture = read_image(to_pil(image) if isinstance(image, Tensor) else image)
        source = picture.size
        picture, plan = fit_image(picture, size, fit)
        tensor = to_tensor(picture)
    if trajectories is None:
        return tensor, None
    if tuple(trajectories.image_size) != tuple(source):
        raise InputError(
            f"the trajectories are for a picture of {trajectories.image_size[0]} x {trajectories.image_size[1]} px, "
            f"but this one has {source[0]} x {source[1]}; draw them on this picture, or resize one to the other"
        )
    return tensor, trajectories.fitted(plan)


def _strip(step: DenoiseStep, trace: set[str]) -> DenoiseStep:
    """Drop what was not asked for, so that its memory is freed; what stays moves to the CPU."""
    cpu = lambda x: None if x is None else x.float().cpu()  # noqa: E731
    empty = step.latents.new_zeros(0, *step.latents.shape[1:]).cpu()
    latents, denoised = "latents" in trace, "denoised" in trace
    iterations = ()
    if "optimisation" in trace:
        iterations = tuple(replace(i, gradient=cpu(i.gradient), latents=cpu(i.latents)) for i in step.iterations)
    return replace(
        step,
        before=cpu(step.before) if latents else empty,
        optimised=cpu(step.optimised) if latents else None,
        mixed=cpu(step.mixed) if latents else empty,
        latents=cpu(step.latents) if latents else empty,
        denoised=cpu(step.denoised) if denoised else empty,
        iterations=iterations,
    )
