"""The command `sgi2v features`."""

import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from sgi2v_lab.cli.options import Device, ModelName, Precision, Workers, resumable, workers_of
from sgi2v_lab.errors import InputError

__all__ = ["features"]


def features(
    out: Annotated[Path, typer.Option(help="Folder for the results; clips measured there before are used again.")] = (
        Path("out/features")
    ),
    model: ModelName = "toy",
    clips: Annotated[
        int, typer.Option(min=1, help="Number of true clips of the toy's world, or of films at most.")
    ] = 64,
    films: Annotated[
        Path | None, typer.Option(help="Films with tracks of points, in TAP-Vid's layout, in place of the toy's world.")
    ] = None,
    sigmas: Annotated[
        str | None, typer.Option(help="Noise levels, separated by commas. Default: six of the model's own steps.")
    ] = None,
    kinds: Annotated[
        str | None,
        typer.Option(
            help="Features, separated by commas: aligned, self-attention, query, key, value, temporal, block, "
            "query-key; with rotary positions also aligned-same-time and aligned-unplaced. Default: all."
        ),
    ] = None,
    heads: Annotated[bool, typer.Option("--heads", help="Measure each attention head, too.")] = False,
    segmentation: Annotated[bool, typer.Option("--segmentation", help="Cluster the features, too; slow.")] = False,
    workers: Workers = None,
    device: Device = None,
    dtype: Precision = None,
) -> None:
    """Measure which layers find moved things again, by noise level; write a table and figures. Resumes."""
    from sgi2v_lab.analysis.atlas import Atlas
    from sgi2v_lab.analysis.clips import tap_vid_clips, toy_clips
    from sgi2v_lab.analysis.sweep import MEASURES, feature_sweep
    from sgi2v_lab.models.load import load_model
    from sgi2v_lab.plots import plot_along, plot_atlas, save_figure

    try:
        levels = None if sigmas is None else [float(each) for each in sigmas.split(",")]
    except ValueError:
        raise InputError(f"--sigmas is {sigmas!r}: expected numbers separated by commas, such as 30,2,0.5") from None
    asked = None if kinds is None else [each.strip() for each in kinds.split(",")]
    loaded = load_model(model, device, dtype)
    with resumable():
        table = feature_sweep(
            loaded,
            toy_clips(loaded, clips) if films is None else islice(tap_vid_clips(loaded, films), clips),
            out=out,
            sigmas=levels,
            kinds=asked,
            heads=heads,
            segmentation=segmentation,
            workers=workers_of(workers, device),
            progress=sys.stderr.isatty(),
        )
    found, references = Atlas.of(table, "accuracy_1"), {}
    for name in ("chance", "unmoved"):
        cells = next(iter(Atlas.of(table, f"{name}_1").mean.values()))  # the same for every kind, layer and level
        references[name] = cells[0, 0].item()
    label = MEASURES["accuracy_1"]
    save_figure(plot_atlas(found.mean, found.layers, found.sigmas, label, references["chance"]), out / "atlas.png")
    curves = {f"{kind}, layer {found.best(kind)[0]}": found.curve(kind) for kind in found.mean}
    noise = "noise level σ; denoising goes to the right"
    figure = plot_along(curves, noise, label, references=references, logarithmic=True, falling=True)
    save_figure(figure, out / "levels.png")
    for kind in found.mean:
        layer, sigma, best = found.best(kind)
        ends = "" if best.low is None else f" ({best.low:.2f} to {best.high:.2f})"
        typer.echo(f"{kind}: {best.value:.2f}{ends} in layer {layer} at noise level {sigma:.3g}")
    typer.echo(out / "atlas.png")
