"""The figures of `figures/`: `make figures`, or `python -m figures.make_figures`.

    alignment.png           self-attention and aligned features of a true clip, and where they find its object again
    ablations.png           features, layers, steps, cut-off, weights: ObjMC of each choice (cf. section 4.3)
    one_object.png          all scenes with one object, and photographs.png: all photographs, without and with control
    scores.png              the benchmark's scores against its targets
    atlas.png               what each layer knows at each noise level (see sgi2v_lab/analysis/README.md)

`transformer_drawn.png` and `transformer_photograph.png` are the film strips of `sgi2v demo --model toy-dit`,
`transformer_atlas.png` is the atlas of `sgi2v features --model toy-dit --clips 24`.

Ablations, scores and sheets need many videos. An interrupted run resumes, and videos that `sgi2v benchmark` has made
in the same folder are used again.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import PIL.Image
import torch
import typer
from jaxtyping import Float
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from figures.study_figures import plot_claims, plot_samples, plot_scores
from sgi2v_lab.cli.features import features as measure_features
from sgi2v_lab.evaluation.experiments.evaluate import evaluate
from sgi2v_lab.evaluation.report.study import read_study
from sgi2v_lab.evaluation.scenes.scenes import CATEGORIES, benchmark_scenes
from sgi2v_lab.features import assemble, extract_features
from sgi2v_lab.latents import encode_image, encode_video
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.model import Model
from sgi2v_lab.pca import fit_pca, similarity_maps
from sgi2v_lab.plots import save_figure
from sgi2v_lab.plots.boxes import frame_rows
from sgi2v_lab.plots.style import color_bar, styled
from sgi2v_lab.shapes import Boxes, Video

__all__ = ["draw_alignment", "make_figures", "plot_alignment"]

SCENE = 0  # of the benchmark's scenes with one object: the one that is looked into
SIGMA = 1.0  # at which features are shown, in units of the clean latents: the object is hidden, but not lost
WIDTH = 1280  # pixels of a picture of many videos
LARGE = 384  # pixels of a photograph beside its videos
PAPER = "paper"  # the grid of the ablations


@torch.no_grad()
def draw_alignment(folder: Path, model: Model, sigma: float = SIGMA) -> None:
    """Write alignment.png: features of a benchmark scene's true clip at noise level `sigma`.

    The motion is known, so one can see whether features follow the object. Every row of colours has its own PCA basis
    over all frames.
    """
    settings, scene = model.settings, benchmark_scenes(["single"])[SCENE]
    frames, size = model.latent_shape(settings)[0], (settings.width, settings.height)
    clip, generator = scene.clip(size, frames), torch.Generator().manual_seed(scene.seed)
    conditioning = encode_image(model, clip[0], settings.replace(**scene.motion(frames)), generator)
    clean = encode_video(model, clip)
    noisy = (clean + sigma * torch.randn(clean.shape, generator=generator).to(clean)).to(model.dtype)
    boxes = scene.asked(size, frames).boxes(frames)
    colors, similar = {}, {}
    for kind in ("self-attention", "aligned"):
        maps = extract_features(model, noisy, sigma, conditioning, settings.layers, kind)
        features = assemble(maps, tuple(clean.shape[-2:])).cpu()
        colors[kind] = fit_pca(features).rgb(features)
        similar[kind] = similarity_maps(features, box=tuple(boxes[0, 0].tolist()), picture_size=size)
    save_figure(plot_alignment(clip, colors, similar, boxes), folder / "alignment.png")


def plot_alignment(
    video: Video,
    colors: Mapping[str, Float[Tensor, "frames 3 _ _"]],
    similarity: Mapping[str, Float[Tensor, "frames _ _"]],
    boxes: Boxes,
) -> Figure:
    """The video; then, for each kind of features, its PCA colours and its similarity to the first frame's box.

    Args:
        video: (frames, 3, height, width), 0..1.
        colors: kind ("self-attention", "aligned") -> colours (frames, 3, h, w) in 0..1.
        similarity: the same kinds -> cosine similarities (frames, h, w) in -1..1 to the first frame's box.
        boxes: (boxes, frames, 4) in pixels of the video, drawn everywhere.
    """
    rows = {"clip": video}
    for kind in colors:
        rows |= {f"{kind}\nPCA": colors[kind], f"{kind}\nsimilarity": similarity[kind]}
    with styled():
        figure, axes, heat = frame_rows(rows, boxes, cmap="magma", norm=Normalize(0, 1))
        color_bar(figure, axes, heat, "cosine similarity to the first frame's box").set_ticks((0, 0.5, 1))
    return figure


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
    tell("features of a clip")
    draw_alignment(folder, loaded)
    shared = {"model": model, "workers": workers, "progress": progress}
    tell("the benchmark")
    options = {"categories": list(CATEGORIES), "scenes": scenes}
    evaluate(work, methods=["none", "sgi2v"], seeds=seeds, data_options=options, **shared)
    study = read_study(work)
    save_figure(plot_scores(study), folder / "scores.png")
    frames = loaded.num_frames(loaded.settings)
    photographs = {scene.name: scene.first_frame((LARGE, LARGE), frames) for scene in benchmark_scenes(["photo"])}
    sheets = {
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
