"""What is written of a run: videos, figures, and its part of run.json. Nothing here computes a stage of the method."""

from pathlib import Path

import torch

import sgi2v_lab.plots as plots
from sgi2v_lab.evaluation.metrics import objmc
from sgi2v_lab.explore import latent_stride
from sgi2v_lab.features import assemble, extract_features
from sgi2v_lab.frequency import butterworth_mask, radial_spectrum
from sgi2v_lab.latents import encode_image
from sgi2v_lab.loss import gaussian_weight
from sgi2v_lab.models.model import Model
from sgi2v_lab.pca import fit_pca, similarity_maps
from sgi2v_lab.pipeline import Run
from sgi2v_lab.shapes import Boxes, Points
from sgi2v_lab.trajectories.boxes import Trajectories, latent_cells
from sgi2v_lab.trajectories.files import save_trajectories
from sgi2v_lab.video import side_by_side, write_video

__all__ = ["run_record", "write_comparison", "write_inside", "write_run"]

COMFORTABLE = 512  # pixels; smaller videos are enlarged by a whole factor that stays within it


def run_record(run: Run) -> dict[str, object]:
    """A run's part of run.json: settings, seed, noise levels, losses and seconds by stage."""
    return {
        "model": run.model,
        "method": run.method,
        "seed": run.seed,
        "frames": len(run.video),
        "segments": max(1, len(run.segments)),
        "controlled": run.boxes is not None,
        "settings": run.settings.as_dict(),
        "sigmas": run.sigmas,
        "losses": {str(step): losses for step, losses in run.losses.items()},
        "seconds": {stage: round(seconds, 3) for stage, seconds in run.seconds.items()},
    }


def write_run(folder: Path, run: Run, trajectories: Trajectories | None = None) -> None:
    """Write video.mp4, film_strip.png, losses.png if there are any, and what was asked: trajectories.png and .json.

    `trajectories` are those that the user gave, in pixels of their own picture.
    """
    write_video(folder / "video.mp4", run.video, run.settings.fps, scale=_scale(run))
    if run.boxes is not None:
        plots.save_figure(plots.plot_trajectories(run.image, run.boxes), folder / "trajectories.png")
    if trajectories is not None:
        save_trajectories(folder / "trajectories.json", trajectories)
    every = None if len(run.video) > 16 else 1
    plots.save_figure(plots.plot_film_strip(run.video, run.boxes, every), folder / "film_strip.png")
    if run.losses:
        steps = sorted(run.losses)
        figure = plots.plot_losses([run.losses[k] for k in steps], [run.sigmas[k] for k in steps])
        plots.save_figure(figure, folder / "losses.png")


def write_comparison(folder: Path, uncontrolled: Run, controlled: Run) -> dict[str, object]:
    """Write uncontrolled.mp4, comparison.mp4, film_strip.png and tracks.png of two runs.

    Returns their ObjMC in pixels (lower is better), the ratio of the two, and what the figures depend on.
    """
    scale, fps, boxes = _scale(controlled), controlled.settings.fps, controlled.boxes
    write_video(folder / "uncontrolled.mp4", uncontrolled.video, fps, scale=scale)
    both = side_by_side([uncontrolled.video, controlled.video], ["without control", "with control"], boxes, scale)
    write_video(folder / "comparison.mp4", both, fps)
    plots.save_figure(plots.plot_comparison(uncontrolled.video, controlled.video, boxes), folder / "film_strip.png")
    measured = {"uncontrolled": objmc(uncontrolled.video, boxes), "controlled": objmc(controlled.video, boxes)}
    found = {label: one.tracks.points for label, one in measured.items()}
    seen = measured["uncontrolled"].tracks.visible & measured["controlled"].tracks.visible
    plots.save_figure(plots.plot_tracks(controlled.video, _centers(boxes), found, seen), folder / "tracks.png")
    values, one = {label: each.value for label, each in measured.items()}, measured["controlled"]
    return {
        **values,
        "ratio": values["controlled"] / values["uncontrolled"] if values["uncontrolled"] > 0 else None,
        # where the tracker lost the object its last known position counts, so a figure is worth what this says
        "visible": {label: each.tracks.visible.float().mean().item() for label, each in measured.items()},
        "tracker": one.tracker,
        "resolution": list(one.resolution),
        "frames": one.frames,
    }


def write_inside(folder: Path, model: Model, uncontrolled: Run, controlled: Run) -> dict[str, float]:
    """Write what went on inside: pca.png, similarity.png, spectra.png, mask.png, gaussian.png.

    Both runs must have been traced for "latents". Features are those of the uncontrolled run's noisy latents at the
    middle one of the control steps, in the settings' layers: what the optimiser would have found there. Each kind has
    one PCA basis over all frames. Returns that step's index and noise level.
    """
    settings, boxes = controlled.settings, controlled.boxes
    index = sum(settings.control_steps) // 2
    sigma, working = controlled.sigmas[index], controlled.working_steps
    _, _, h, w = model.latent_shape(settings)

    # the same first draw from the same seed as in the run, so the same conditioning
    generator = torch.Generator().manual_seed(uncontrolled.seed)
    conditioning = encode_image(model, uncontrolled.image, settings, generator)
    latents = uncontrolled.trace[index].before.to(model.device)
    maps = {
        kind: assemble(extract_features(model, latents, sigma, conditioning, settings.layers, kind), (h, w))
        for kind in ("self-attention", "aligned")
    }
    colors = {kind: fit_pca(features).rgb(features) for kind, features in maps.items()}
    video = uncontrolled.video[:: latent_stride(uncontrolled.video, latents)]
    plots.save_figure(plots.plot_pca_strip(colors, video), folder / "pca.png")
    point, picture = tuple(_centers(boxes)[0, 0].tolist()), (settings.width, settings.height)
    similar = {kind: similarity_maps(features, point=point, picture_size=picture) for kind, features in maps.items()}
    plots.save_figure(plots.plot_similarity(video, similar, point), folder / "similarity.png")

    if working:  # the middle one of the control steps may have found nothing left to do
        step = controlled.trace[working[len(working) // 2]]
        stages = {"before": step.before, "optimized": step.optimized, "mixed": step.mixed}
        spectra = {label: radial_spectrum(x, bins=max(4, min(h, w) // 2)) for label, x in stages.items()}
        radii = spectra["before"][0]
        powers = {label: power for label, (_, power) in spectra.items()}
        plots.save_figure(plots.plot_spectra(radii, powers, settings.cutoff), folder / "spectra.png")
    mask = butterworth_mask(h, w, settings.cutoff, settings.butterworth_order)
    plots.save_figure(plots.plot_mask(mask, settings.cutoff), folder / "mask.png")
    x0, y0, x1, y1 = latent_cells(boxes, model.vae_factor, h, w)[0, 0].tolist()
    weight = gaussian_weight(y1 - y0, x1 - x0, settings.gaussian_sigma)
    plots.save_figure(plots.plot_gaussian(weight), folder / "gaussian.png")
    return {"step": index, "sigma": sigma}


def _scale(run: Run) -> int:
    return max(1, COMFORTABLE // run.video.shape[-1])


def _centers(boxes: Boxes) -> Points:
    return (boxes[..., :2] + boxes[..., 2:]) / 2
