"""What the explorers show, computed by calling the stages: features, loss terms, gradients, filtered latents.

Nothing here knows of widgets: the same functions serve a figure, a notebook cell or a test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.features import extract_features
from sgi2v_lab.frequency import butterworth_mask, mix_frequencies, radial_spectrum
from sgi2v_lab.latents import decode_latents, encode_image
from sgi2v_lab.loss import trajectory_loss
from sgi2v_lab.models.model import Conditioning, Layer, Model
from sgi2v_lab.optimize import OptimizeStep
from sgi2v_lab.pca import fit_pca
from sgi2v_lab.pipeline import Run
from sgi2v_lab.sampling import DenoiseStep, make_schedule
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Boxes, Features, Image, Latents, Mask, Video
from sgi2v_lab.trajectories.boxes import latent_cells

__all__ = [
    "Filtered",
    "Inspection",
    "best_matches",
    "decode_frame",
    "feature_maps",
    "filter_latents",
    "inspect_latents",
    "inspect_run",
    "iterations_of",
    "latent_stride",
    "loss_shares",
    "loss_weights",
    "optimized_steps",
    "pca_colours",
    "place_norms",
    "steps_with_latents",
]

# all are weighted sums of value tokens, so that one basis can colour them
ONE_SPACE = ("aligned", "aligned-same-time", "aligned-unplaced", "self-attention")


@dataclass(frozen=True)
class Inspection:
    """A video in the making: its noisy latents at every step, and what the denoiser is told about its first frame."""

    model: Model
    settings: Settings
    conditioning: Conditioning
    image: Image  # the first frame
    video: Video  # what became of it, to draw on
    boxes: Boxes | None  # asked for, in pixels
    sigmas: tuple[float, ...]  # noise level of every step
    latents: tuple[Latents, ...]  # as every step found them
    made_noisy: bool  # True: clean latents with noise added, not the run's own
    seed: int  # of that noise, and of the run

    @property
    def picture(self) -> tuple[int, int]:
        """(width, height) of the video in pixels."""
        return self.image.shape[2], self.image.shape[1]


def inspect_run(model: Model, run: Run) -> Inspection:
    """Look into a run: at the noisy latents that its trace kept, or else at its clean latents with noise added.

    `run.trace` holds the former if the run was generated with `trace=["latents"]`. InputError for another model's run.
    """
    model = model_of(model, run)
    found = inspect_latents(model, run.image, run.latents, run.settings, seed=run.seed, video=run.video)
    if not run.trace or run.trace[0].before is None:
        return replace(found, boxes=run.boxes)
    latents = tuple(step.before for step in run.trace)
    return replace(found, boxes=run.boxes, sigmas=tuple(run.sigmas), latents=latents, made_noisy=False)


def inspect_latents(
    model: Model,
    image: Image,
    latents: Latents,
    settings: Settings | None = None,
    *,
    seed: int = 817,
    video: Video | None = None,
    sigmas: Sequence[float] | None = None,
) -> Inspection:
    """Look into any video: its clean latents, brought to each step's noise level as in the model's training.

    Args:
        model: from `load_model`.
        image: the first frame (3, height, width), 0..1, at the settings' size.
        latents: clean latents (frames, channels, h, w), such as `run.latents`.
        settings: by default the model's own.
        seed: of the noise; one drawing of it serves all steps.
        video: (frames, 3, height, width) to draw on; by default the decoded latents.
        sigmas: the noise levels, above 0; by default those of the settings' steps.

    Raises:
        InputError: the image or the latents have another size than the settings say.
    """
    settings = settings or model.settings
    model = model.in_precision(settings.precision)
    if tuple(latents.shape) != model.latent_shape(settings):
        raise InputError(
            f"the latents have shape {tuple(latents.shape)}, but {model.name} has {model.latent_shape(settings)} at "
            "these settings; give the latents of a video of this model"
        )
    clean = latents.detach().float().cpu()
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    if sigmas is None:
        sigmas = make_schedule(model, settings).sigmas[: settings.num_inference_steps].tolist()
    return Inspection(
        model=model,
        settings=settings,
        # the first draw from the seed, as in `generate`, so a run's own conditioning
        conditioning=encode_image(model, image, settings, torch.Generator().manual_seed(seed)),
        image=image,
        video=decode_latents(model, latents.to(model.device), settings.decode_chunk_size) if video is None else video,
        boxes=None,
        sigmas=tuple(sigmas),
        latents=tuple(model.noisy(clean, noise, sigma) for sigma in sigmas),
        made_noisy=True,
        seed=seed,
    )


def latent_stride(video: Video, latents: Latents) -> int:
    """Frames of a video in each of its latents but the first; every such frame is the one with which a latent ends."""
    return (len(video) - 1) // max(1, len(latents) - 1) or 1


def decode_frame(model: Model, latents: Latents, frame: int) -> Image:
    """The picture with which one latent ends: decoded alone, or where time is compressed with those before it."""
    return decode_latents(model, latents[0 if model.frames_per_latent > 1 else frame : frame + 1])[-1]


def model_of(model: Model, run: Run) -> Model:
    """The model in the precision in which it made the run; InputError where the run's latents cannot be its own."""
    if run.segments:
        raise InputError(f"the run is a longer video; look into one of its {len(run.segments)} parts, run.segments")
    if tuple(run.latents.shape[1:]) != model.latent_shape(run.settings)[1:]:
        raise InputError(
            f"the run's latents have shape {tuple(run.latents.shape)}, but {model.name} makes "
            f"{model.latent_shape(run.settings)}; give the model that made the run ({run.model})"
        )
    return model.in_precision(run.settings.precision)


# --- features --------------------------------------------------------------------------------------------------------


def feature_maps(inspection: Inspection, step: int, layer: Layer, kind: str) -> Features:
    """The features of one layer at one step, (frames, channels, h', w'), on the CPU; kinds as in `record_features`."""
    if not 0 <= step < len(inspection.sigmas):
        raise InputError(f"step is {step}, but there are steps 0..{len(inspection.sigmas) - 1}")
    latents = inspection.latents[step].to(inspection.model.device)
    maps = extract_features(inspection.model, latents, inspection.sigmas[step], inspection.conditioning, (layer,), kind)
    return maps[layer].float().cpu()


def pca_colours(maps: Mapping[str, Float[Tensor, "frames _channels _h _w"]]) -> dict[str, Video]:
    """Feature maps by kind as colours (frames, 3, h', w'), 0..1: equal colour, equal feature, in whichever frame.

    Features of aligned attention and of self-attention are sums of the same values, so they share one basis and can be
    compared; any other kind has one of its own.
    """
    together = [maps[kind] for kind in ONE_SPACE if kind in maps]
    shared = fit_pca(*together) if together else None
    return {kind: (shared if kind in ONE_SPACE else fit_pca(f)).rgb(f) for kind, f in maps.items()}


def best_matches(maps: Float[Tensor, "frames h w"], picture: tuple[int, int]) -> Float[Tensor, "frames 2"]:
    """The most similar place of every frame: the middle (x, y) of its cell, in pixels of a (width, height)."""
    frames, h, w = maps.shape
    best = maps.reshape(frames, -1).argmax(dim=1)
    x, y = (best % w + 0.5) * picture[0] / w, (best // w + 0.5) * picture[1] / h
    return torch.stack([x, y], dim=1).float()


# --- loss ------------------------------------------------------------------------------------------------------------


def optimized_steps(run: Run) -> tuple[int, ...]:
    """The control steps of a run, in order; InputError where it was generated without control."""
    if not run.losses or run.boxes is None:
        raise InputError("the run has no losses, as it was generated without trajectories; give generate() some")
    return tuple(sorted(run.losses))


def iterations_of(run: Run, step: int) -> tuple[OptimizeStep, ...]:
    """The optimiser's iterations at a control step, as the run's trace kept them.

    InputError for another step, or a run that was generated without `trace=["optimization"]`.
    """
    if step not in optimized_steps(run):
        raise InputError(f"step {step} is no control step; the control steps are {', '.join(map(str, run.losses))}")
    kept = next((each.iterations for each in run.trace if each.index == step), ())
    if not kept:
        raise InputError("the run did not keep its optimisation; generate it with trace=['optimization']")
    return kept


def loss_weights(run: Run) -> Float[Tensor, "boxes frames"]:
    """The sum of the Gaussian weights behind each box's error in each frame; 0 where it does not count."""
    frames, _, h, w = run.latents.shape
    # the weights depend on the boxes alone, so any features will do
    return trajectory_loss(torch.zeros(frames, 1, h, w), _cells(run), run.settings.gaussian_sigma).weights


def loss_shares(
    mean_errors: Float[Tensor, "boxes frames"], weights: Float[Tensor, "boxes frames"]
) -> Float[Tensor, "boxes frames"]:
    """What each box in each frame adds to the loss: mean errors times weights over the sum of weights.

    The sum is the loss. Where a box does not count (NaN), NaN.
    """
    return mean_errors * weights / weights.sum()


def _cells(run: Run) -> Tensor:
    h, w = run.latents.shape[-2:]
    return latent_cells(run.boxes, run.settings.width // w, h, w, latent_stride(run.video, run.latents))


def place_norms(latents: Latents) -> Float[Tensor, "frames h w"]:
    """The length, over the channels, of a gradient or a change of the latents at every place."""
    return torch.linalg.vector_norm(latents.detach().float().cpu(), dim=1)


# --- frequencies -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Filtered:
    """Latents before and after the optimiser, and mixed by frequency."""

    mask: Mask  # the low-pass on the centred grid: the share taken from the optimised latents
    latents: dict[str, Latents]  # "before", "optimized", "mixed"
    radii: Float[Tensor, " k"]  # of the spectra's rings, in units of the Nyquist frequency
    spectra: dict[str, Float[Tensor, " k"]]  # mean power of each, and of "change" (optimized - before) and "kept"


def filter_latents(before: Latents, optimized: Latents, cutoff: float | int, order: int = 4) -> Filtered:
    """Keep the optimised latents' low frequencies (section 3.3), and say what that does to the spectra.

    Raises:
        InputError: the two have different shapes, or the cut-off does not lie in 0..1.
    """
    if before.shape != optimized.shape:
        raise InputError(
            f"the latents have shapes {tuple(before.shape)} before and {tuple(optimized.shape)} after; give two of a "
            "kind, such as the `before` and `optimized` of one step of a trace"
        )
    h, w = before.shape[-2:]
    mask = butterworth_mask(h, w, cutoff, order)
    mixed = mix_frequencies(optimized, before, mask)
    shown = {"before": before, "optimized": optimized, "mixed": mixed}
    parts = {**shown, "change": optimized - before, "kept": mixed - before}
    bins = max(4, min(h, w) // 2)
    radii, _ = radial_spectrum(before, bins)
    return Filtered(mask, shown, radii, {name: radial_spectrum(part, bins)[1] for name, part in parts.items()})


def steps_with_latents(run: Run) -> dict[int, DenoiseStep]:
    """The control steps of a run whose latents were kept; InputError where there are none."""
    steps = {step.index: step for step in run.trace if step.optimized is not None}
    if not steps:
        raise InputError("the run kept no optimised latents; generate it with trajectories and trace=['latents']")
    return steps
