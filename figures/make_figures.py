"""The figures of `figures/`: `make figures`, or `python figures/make_figures.py`.

    features_by_layer.png   aligned features of every decoder layer, on a clip of known motion (cf. the paper's Fig. 3)
    alignment.png           self-attention and aligned features of that clip, and where they find its object again
    optimisation.png        one controlled run: the loss at every iteration of every control step
    spectra.png             the latents' spectrum before and after the optimisation and the filter (cf. section 3.3)
    ablations.png           features, layers, steps, cut-off, weights: ObjMC of each choice (cf. section 4.3)
    results.png             the best, median and worst drawn scene of each category of the benchmark, for the model card
    one_object.png          all scenes with one object, and photographs.png: all photographs, without and with control
    scores.png              the benchmark's scores against its targets
    atlas.png               what each layer knows at each noise level (see sgi2v_lab/analysis/README.md)

`transformer_drawn.png` and `transformer_photograph.png` are the film strips of `sgi2v demo --model toy-dit`,
`transformer_atlas.png` is the atlas of `sgi2v features --model toy-dit --clips 24`.

Ablations, results and scores need many videos. An interrupted run resumes, and videos that `sgi2v benchmark` has made
in the same folder are used again.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import PIL.Image
import torch
import typer

from sgi2v_lab.cli.features import features as measure_features
from sgi2v_lab.evaluation.experiments.evaluate import evaluate
from sgi2v_lab.evaluation.report.figures import plot_claims, plot_samples, plot_scores
from sgi2v_lab.evaluation.report.study import read_study
from sgi2v_lab.evaluation.scenes.scenes import CATEGORIES, benchmark_scenes
from sgi2v_lab.features import assemble, extract_features
from sgi2v_lab.frequency import radial_spectrum
from sgi2v_lab.latents import encode_image, encode_video
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.model import Model
from sgi2v_lab.pca import fit_pca, similarity_maps
from sgi2v_lab.pipeline import generate
from sgi2v_lab.plots import plot_losses, plot_spectra, save_figure
from sgi2v_lab.plots.features import plot_alignment, plot_pca_strip
from sgi2v_lab.shapes import Boxes, Features, Video

__all__ = ["draw_features", "draw_run", "make_figures"]

SCENE = 0  # of the benchmark's scenes with one object: the one that is looked into
SIGMA = 1.0  # at which features are shown, in units of the clean latents: the object is hidden, but not lost
WIDTH = 1280  # pixels of a picture of many videos
LARGE = 384  # pixels of a photograph beside its videos
PAPER = "paper"  # the grid of the ablations
KINDS = ("aligned", "self-attention", "temporal", "block")  # of features, as the paper compares them


def draw_features(folder: Path, model: Model, sigma: float = SIGMA) -> None:
    """Write features_by_layer.png and alignment.png: features of a benchmark scene's true clip at noise level `sigma`.

    The motion is known, so one can see whether features follow the object. Every row of colours has its own PCA basis
    over all frames.
    """
    video, boxes, maps = _features(model, model.layers, sigma)
    rows = {}
    for layer, features in maps["aligned"].items():
        h, w = features.shape[-2:]
        rows[f"{layer}\n{h} x {w}"] = fit_pca(features).rgb(features)
    save_figure(plot_pca_strip(rows, video, boxes), folder / "features_by_layer.png")
    size, box = model.latent_shape(model.settings)[-2:], tuple(boxes[0, 0].tolist())
    chosen = {
        kind: assemble({layer: each[layer] for layer in model.settings.layers}, size) for kind, each in maps.items()
    }
    colors = {kind: fit_pca(features).rgb(features) for kind, features in chosen.items()}
    picture = (video.shape[-1], video.shape[-2])
    similar = {kind: similarity_maps(features, box=box, picture_size=picture) for kind, features in chosen.items()}
    save_figure(plot_alignment(video, colors, similar, boxes), folder / "alignment.png")


@torch.no_grad()
def _features(
    model: Model, layers: tuple[tuple[int, int], ...], sigma: float
) -> tuple[Video, Boxes, dict[str, dict[tuple[int, int], Features]]]:
    """The clip, its true boxes in pixels, and per kind the features of every layer."""
    settings, scene = model.settings, benchmark_scenes(["single"])[SCENE]
    frames, size = model.latent_shape(settings)[0], (settings.width, settings.height)
    settings = settings.replace(**scene.motion(frames))
    clip, generator = scene.clip(size, frames), torch.Generator().manual_seed(scene.seed)
    conditioning = encode_image(model, clip[0], settings, generator)
    clean = encode_video(model, clip)
    noisy = (clean + sigma * torch.randn(clean.shape, generator=generator).to(clean)).to(model.dtype)
    maps = {
        kind: {
            layer: features.float().cpu()
            for layer, features in extract_features(model, noisy, sigma, conditioning, layers, kind).items()
        }
        for kind in ("self-attention", "aligned")
    }
    return clip, scene.asked(size, frames).boxes(frames), maps


def draw_run(folder: Path, model: Model, seed: int = 1) -> None:
    """Write optimisation.png and spectra.png: the inside of a controlled run on the same scene."""
    settings, scene = model.settings, benchmark_scenes(["single"])[SCENE]
    frames, size = model.latent_shape(settings)[0], (settings.width, settings.height)
    settings = settings.replace(**scene.motion(frames))
    picture, asked = scene.first_frame(size, frames), scene.asked(size, frames)
    run = generate(model, picture, asked, settings, seed=seed, trace=["latents"], progress=False)
    steps = sorted(run.losses)
    figure = plot_losses([run.losses[k] for k in steps], [run.sigmas[k] for k in steps])
    save_figure(figure, folder / "optimisation.png")
    step = run.trace[run.working_steps[len(run.working_steps) // 2]]
    stages = {"before": step.before, "optimized": step.optimized, "mixed": step.mixed}
    bins = max(4, min(run.latents.shape[-2:]) // 2)
    spectra = {label: radial_spectrum(latents, bins=bins) for label, latents in stages.items()}
    powers = {label: power for label, (_, power) in spectra.items()}
    save_figure(plot_spectra(spectra["before"][0], powers, settings.cutoff), folder / "spectra.png")


def make_figures(
    folder: Path,
    work: Path,
    model: str = "toy",
    *,
    scenes: int | None = None,
    seeds: int = 1,
    compared: int = 8,
    clips: int = 64,
    workers: int = 1,
    progress: bool = False,
    tell: Callable[[str], object] = lambda _: None,
) -> None:
    """Write all figures.

    Args:
        folder: where to.
        work: the benchmark's folder; finished videos are used again. Beside it are `ablation` and `features`.
        model: as in `load_model`.
        scenes: benchmark scenes of each category, at most; None for all.
        seeds: of each benchmark scene.
        compared: scenes on which settings are compared.
        clips: on which the atlas is measured.
        workers: processes of one thread each.
        progress: show progress bars.
        tell: is called with a line about what comes next.

    Raises:
        InputError: a model or a number that cannot be used.
    """
    loaded = load_model(model)
    tell("features, and a run seen from within")
    draw_features(folder, loaded)
    draw_run(folder, loaded)
    shared = {"model": model, "workers": workers, "progress": progress}
    tell("the benchmark")
    options = {"categories": list(CATEGORIES), "scenes": scenes}
    evaluate(work, methods=["none", "sgi2v"], seeds=seeds, data_options=options, **shared)
    study = read_study(work)
    save_figure(plot_scores(study), folder / "scores.png")
    drawn = [name for name in study.categories if name != "photo"]
    frames = loaded.num_frames(loaded.settings)
    photographs = {scene.name: scene.first_frame((LARGE, LARGE), frames) for scene in benchmark_scenes(["photo"])}
    sheets = {
        "results": plot_samples(study.part(list(study.arms), drawn)),
        "one_object": plot_samples(study.part(list(study.arms), ["single"]), columns=3),
        "photographs": plot_samples(study.part(list(study.arms), ["photo"]), columns=2, pictures=photographs),
    }
    for name, sheet in sheets.items():
        save_figure(sheet, work / f"{name}.png")
        _shrink(work / f"{name}.png", folder / f"{name}.png")
    tell("the paper's ablations")
    evaluate(work.parent / "ablation", grid=PAPER, data_options={"scenes": compared}, **shared)
    save_figure(plot_claims(read_study(work.parent / "ablation")), folder / "ablations.png")
    tell("the atlas of features")
    measure_features(work.parent / "features", model, clips, heads=True, workers=workers)
    shutil.copyfile(work.parent / "features" / "atlas.png", folder / "atlas.png")


def _shrink(large: Path, small: Path) -> None:
    """Pictures of many videos in the width and the 256 colours that a document needs: a sixth of the bytes."""
    picture = PIL.Image.open(large).convert("RGB")
    height = round(picture.height * WIDTH / picture.width)
    picture.resize((WIDTH, height), PIL.Image.Resampling.LANCZOS).quantize(256).save(small, optimize=True)


def _main(
    out: Annotated[Path, typer.Option(help="Folder for the figures.")] = Path("figures"),
    work: Annotated[Path, typer.Option(help="The benchmark's folder.")] = Path("out/benchmark"),
    model: Annotated[str, typer.Option(help="toy, or a checkpoint's folder.")] = "toy",
    scenes: Annotated[int | None, typer.Option(help="Benchmark scenes of each category. Default: all.")] = None,
    seeds: Annotated[int, typer.Option(help="Videos of each benchmark scene.")] = 2,
    compared: Annotated[int, typer.Option(help="Scenes on which settings and features are compared.")] = 8,
    workers: Annotated[int, typer.Option(help="Number of processes.")] = 2,
) -> None:
    """Make the figures again."""
    options = {"scenes": scenes, "seeds": seeds, "compared": compared, "workers": workers}
    make_figures(out, work, model, **options, progress=True, tell=typer.echo)


if __name__ == "__main__":
    typer.run(_main)
