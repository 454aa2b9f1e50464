"""What is written of a run: videos, figures, and its part of run.json. Nothing here computes a stage of the method."""

from pathlib import Path

import sgi2v_lab.plots as plots
from sgi2v_lab.evaluation.metrics import objmc
from sgi2v_lab.explore import filter_latents, inspect_run, latent_stride
from sgi2v_lab.features import assemble, extract_features
from sgi2v_lab.models.model import Model
from sgi2v_lab.pca import fit_pca, similarity_maps
from sgi2v_lab.pipeline import Run
from sgi2v_lab.shapes import Boxes, Points
from sgi2v_lab.trajectories.boxes import Trajectories
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
    """Write what went on inside: pca.png, similarity.png, spectra.png.

    Both runs must have been traced for "latents". Features are those of the uncontrolled run's noisy latents at the
    middle one of the control steps, in the settings' layers: what the optimiser would have found there. Each kind has
    one PCA basis over all frames. Returns that step's index and noise level.
    """
    settings, working = controlled.settings, controlled.working_steps
    index, inside = sum(settings.control_steps) // 2, inspect_run(model, uncontrolled)
    latents, sigma = inside.latents[index].to(model.device), inside.sigmas[index]
    found = {
        kind: extract_features(inside.model, latents, sigma, inside.conditioning, settings.layers, kind)
        for kind in ("self-attention", "aligned")
    }
    maps = {kind: assemble(features, latents.shape[-2:]) for kind, features in found.items()}
    colors = {kind: fit_pca(features).rgb(features) for kind, features in maps.items()}
    video = uncontrolled.video[:: latent_stride(uncontrolled.video, latents)]
    plots.save_figure(plots.plot_pca_strip(colors, video), folder / "pca.png")
    point = tuple(_centers(controlled.boxes)[0, 0].tolist())
    similar = {kind: similarity_maps(each, point=point, picture_size=inside.picture) for kind, each in maps.items()}
    plots.save_figure(plots.plot_similarity(video, similar, point), folder / "similarity.png")

    if working:  # the middle one of the control steps may have found nothing left to do
        step = controlled.trace[working[len(working) // 2]]
        filtered = filter_latents(step.before, step.optimized, settings.cutoff, settings.butterworth_order)
        powers = {label: filtered.spectra[label] for label in ("before", "optimized", "mixed")}
        plots.save_figure(plots.plot_spectra(filtered.radii, powers, settings.cutoff), folder / "spectra.png")
    return {"step": index, "sigma": sigma}


def _scale(run: Run) -> int:
    return max(1, COMFORTABLE // run.video.shape[-1])


def _centers(boxes: Boxes) -> Points:
    return (boxes[..., :2] + boxes[..., 2:]) / 2
