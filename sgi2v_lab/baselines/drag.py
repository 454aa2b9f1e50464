"""Dragging, frame by frame: optimise the latents at one noise level until the features have moved.

Shi, Xue, Liew, Pan, Yan, Zhang, Tan, Bai: "DragDiffusion: Harnessing Diffusion Models for Interactive Point-based
Image Editing" (arXiv 2306.14435, CVPR 2024), the image-editing method that SG-I2V compares with (table 1 of arXiv
2411.04989). One noisy latent z_t is optimised so that the UNet's features F at the place asked for become those at the
place where the object is ("motion supervision"), while the latent after the next step stays what it was outside a mask:

    loss = sum over the box of |F(z)[moved] - sg(F(z0)[source])|  +  lambda * |(z_{t-1}(z) - sg(z_{t-1}(z0))) * (1 - M)|

with Adam, lambda 0.1, a rate of 0.01, 80 iterations, at 70% of the noise (step 15 of 50), as in the authors' code.

Adapted to video: every frame is an image that is dragged by its own distance, from the first frame's box to its own. So
the target is the *same frame's* feature at the source, before optimising, where SG-I2V takes the first frame's aligned
ones. Its features are the blocks' outputs, as in DragDiffusion (the settings' layers). z_t need not be found by
inverting a picture: it is what the model's own denoising has arrived at. As our latents are z = x + sigma * noise, the
rate and the mask term are scaled to DragDiffusion's unit variance. By default there are as many iterations as SG-I2V
makes with the same settings, which for SVD's is the 80 of DragDiffusion. The mask M are the cells of the source box and
of the frame's own.

Changed: points become boxes, and each box goes to its place at once; DragDiffusion walks there cell by cell, and tracks
the point after each step. Left out: the LoRA fine-tuned on the picture, which would be training, and the attention
to the unedited picture's keys and values; SVD is given the picture anyway.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import torch

from sgi2v_lab.baselines.regions import covered, nearest_cells
from sgi2v_lab.efficiency.upload import upload
from sgi2v_lab.errors import InputError, whole_number
from sgi2v_lab.features import assemble, record_features
from sgi2v_lab.loss import LossTerms
from sgi2v_lab.models.model import Conditioning, Model
from sgi2v_lab.optimize import OptimizeStep
from sgi2v_lab.sampling import DenoiseStep, Sampler, Task, denoise, euler_step, make_schedule
from sgi2v_lab.shapes import CellBoxes, Features, Latents

__all__ = ["drag", "motion_supervision"]


def drag(
    task: Task, *, at: float = 15 / 50, iterations: int | None = None, rate: float = 0.01, keep: float = 0.1
) -> Sampler:
    """Denoise, and at one step optimise the latents until each frame's features have moved into its box.

    Args:
        task: of SG-I2V's own settings, `layers` are used, and by default its number of iterations.
        at: the step before which the latents are optimised, as a fraction of the run's steps.
        iterations: of Adam; None for as many as SG-I2V makes: control steps times iterations of the settings.
        rate: of Adam, for latents of unit variance.
        keep: lambda, the weight of what should stay as it was.

    Raises:
        InputError: a number out of range.
    """
    settings = task.settings
    step_at = round(at * settings.num_inference_steps)
    if not 0 <= step_at < settings.num_inference_steps:
        raise InputError(f"at is {at}, but must be a fraction of the run, 0 or more and below 1")
    if iterations is None:
        first, last = settings.control_steps
        iterations = (last - first + 1) * settings.iterations
    whole_number(iterations, "iterations", 0)
    for name, value in (("rate", rate), ("keep", keep)):
        if not 0 <= value < float("inf"):
            raise InputError(f"{name} is {value}, but must be 0 or more, and finite")

    alone = settings.replace(min_guidance_scale=1.0, max_guidance_scale=1.0)  # as the authors: no guidance

    def sampler(
        model: Model, conditioning: Conditioning, noise: Latents, last: DenoiseStep | None
    ) -> Iterator[DenoiseStep]:
        dragged: list[OptimizeStep] = []

        @contextmanager
        def look(latents: Latents) -> Iterator[tuple[Features, Latents]]:
            """The features, and the latents after the step, of unit variance; call `backward` inside the block."""
            schedule = make_schedule(model, settings)
            with record_features(model, settings.layers, "block") as recorded:
                result = euler_step(model, conditioning, latents, alone, schedule, step_at)
                unit = model.spread(schedule.sigmas[step_at + 1])
                yield assemble(recorded, tuple(latents.shape[-2:])), result.prev_sample[0].float() / unit

        def edit(index: int, sigma: float, latents: Latents) -> Latents:
            if index != step_at or not iterations:
                return latents
            spread = float(model.spread(torch.tensor(sigma)))
            dragged.extend(_optimize(look, latents, task.cells, iterations, rate * spread, keep))
            return dragged[-1].latents.to(latents.dtype)

        for step in denoise(model, conditioning, noise, settings, edit=edit, resume_from=last):
            if step.index == step_at and dragged:
                step = replace(step, iterations=tuple(dragged), optimized=dragged[-1].latents)
            yield step

    return sampler


def motion_supervision(features: Features, before: Features, cells: CellBoxes) -> LossTerms:
    """How far each frame's features in its box are from what the first frame's box held *in the same frame* before.

    Args:
        features: maps at latent resolution (frames, channels, h, w), with their graph.
        before: the same, of the latents before they were optimised; they carry no gradient.
        cells: boxes in latent cells; what is beyond the map, there or in the first frame's box, does not count.

    Returns:
        As terms the absolute errors, averaged over channels and summed over the box's cells, zero in the first frame;
        as weights the numbers of cells.
    """
    h, w = features.shape[-2:]
    terms, counts = [], []
    for box in cells:
        errors = [features.new_zeros(())]
        for frame in range(1, len(features)):
            ways = [nearest_cells(box[frame, 1::2], box[0, 1::2], h), nearest_cells(box[frame, 0::2], box[0, 0::2], w)]
            (rows, source_rows), (columns, source_columns) = (
                [upload(c, features, keep_type=True) for c in way] for way in ways
            )
            found = features[frame][:, rows][:, :, columns]
            wanted = before[frame].detach()[:, source_rows][:, :, source_columns]
            errors.append((found - wanted).abs().mean(dim=0).sum())
            counts.append(len(rows) * len(columns))
        terms.append(torch.stack(errors))
    terms = torch.stack(terms)
    weights = torch.zeros_like(terms)
    weights[:, 1:] = upload(torch.tensor(counts).view(len(cells), -1), terms)
    return LossTerms(terms.sum() / weights.sum().clamp(min=1), terms, weights)


def _optimize(
    look: Callable[[Latents], AbstractContextManager[tuple[Features, Latents]]],
    latents: Latents,
    cells: CellBoxes,
    iterations: int,
    rate: float,
    keep: float,
) -> Iterator[OptimizeStep]:
    """Adam on the latents (frames, channels, h, w); yields after every iteration."""
    with torch.no_grad(), look(latents.float()) as (features_before, following_before):
        pass
    h, w = latents.shape[-2:]
    # latents may change in a frame's source box and in its own, and nowhere in the first frame
    free = covered(cells, h, w) | covered(cells[:, :1], h, w)
    free[:, 0] = False
    kept = ~free.any(dim=0)[:, None].to(latents.device)
    x = latents.detach().float().clone().requires_grad_(True)
    adam = torch.optim.Adam([x], lr=rate)
    for iteration in range(iterations):
        with torch.enable_grad(), look(x) as (features, following):
            motion = motion_supervision(features, features_before, cells)
            total = motion.terms.sum() + keep * ((following - following_before) * kept).abs().sum()
            (x.grad,) = torch.autograd.grad(total, x)
        gradient = x.grad.clone()
        adam.step()
        found = LossTerms(total.detach(), motion.terms.detach(), motion.weights)
        yield OptimizeStep(iteration, found, gradient, x.detach().clone())
