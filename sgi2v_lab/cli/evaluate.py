"""The commands that measure: `sgi2v evaluate`, `benchmark`, `report` and `status`.

The first two resume: run again with the same folder, they make only what is missing.
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from sgi2v_lab.cli.options import (
    Device,
    ModelName,
    Out,
    Precision,
    Preset,
    Seeds,
    Workers,
    console,
    resumable,
    workers_of,
)
from sgi2v_lab.cli.setting_options import takes_settings

__all__ = ["benchmark", "evaluate", "report", "status"]

Category = Annotated[
    list[str] | None,
    typer.Option(
        help="Category of scenes (repeatable): single, two, pinned, pan, hard, photo; objects-1 to objects-4 (of four "
        "objects, how many move); straight, curved, uneven, return (paths); training (not held out)."
    ),
]
Videos = Annotated[bool, typer.Option("--videos", help="Also write each video as an MP4.")]


@takes_settings
def evaluate(
    out: Out = Path("out/evaluation"),
    data: Annotated[
        str,
        typer.Option(
            help="Data set: benchmark (scenes of the toy's world), examples (in SG-I2V's format), vipseg, davis, "
            "kinetics, ava or videos (a folder of your own)."
        ),
    ] = "benchmark",
    folder: Annotated[
        Path | None, typer.Option(help="Folder that holds the data set. The benchmark needs none.")
    ] = None,
    model: ModelName = "toy",
    methods: Annotated[
        str | None,
        typer.Option(
            help="Methods to compare, separated by commas: none, copy_paste, copy_features, time_to_move, freetraj, "
            "drag, sgi2v. Default: all; with --grid, those in the grid."
        ),
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(
            help="Settings to try with SG-I2V: a TOML file, or paper (the paper's ablations), reviewers "
            "(experiments asked for by the paper's reviewers), transformer, precision, or presets (the model's)."
        ),
    ] = None,
    preset: Preset = "own",
    category: Category = None,
    scenes: Annotated[
        int | None, typer.Option(min=1, help="Benchmark only: at most this many scenes per category. Default: 8.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Use at most this many samples in all. Default: all.")
    ] = None,
    seeds: Seeds = 1,
    fit: Annotated[
        str | None,
        typer.Option(help="How pictures are brought to the model's size: stretch, crop or pad. Default: stretch."),
    ] = None,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Take every n-th frame of a video. Default: depends on the data set.")
    ] = None,
    tracker: Annotated[
        str | None,
        typer.Option(
            help="Point tracker that finds what moves in videos without boxes: lk, dis, ncc, cotracker3 or tapnext. "
            "Default: depends on the data set."
        ),
    ] = None,
    workers: Workers = None,
    device: Device = None,
    dtype: Precision = None,
    videos: Videos = False,
    changes: dict | None = None,
) -> None:
    """Compare methods or settings on a data set and write a report. Run again to continue an interrupted run."""
    scenes = 8 if scenes is None and data == "benchmark" else scenes
    options = {"categories": category, "scenes": scenes, "how": fit, "stride": stride, "tracker": tracker}
    options = {name: value for name, value in options.items() if value}
    names = None if methods is None else [name.strip() for name in methods.split(",")]
    what = {"folder": folder, "methods": names, "grid": grid, "samples": samples, "data_options": options}
    run = {"preset": preset, "changes": changes, "seeds": seeds, "videos": videos}
    _run(out, data, model, **what, **run, workers=workers, device=device, dtype=dtype)


@takes_settings
def benchmark(
    out: Out = Path("out/benchmark"),
    model: ModelName = "toy",
    scenes: Annotated[
        int | None, typer.Option(min=1, help="Use at most this many scenes per category. Default: all.")
    ] = None,
    category: Category = None,
    seeds: Seeds = 1,
    preset: Preset = "own",
    workers: Workers = None,
    device: Device = None,
    dtype: Precision = None,
    videos: Videos = False,
    changes: dict | None = None,
) -> None:
    """Score a model on the held-out scenes, with and without control, and check the target ratios.

    Run the same command again to continue an interrupted run. Short for
    `sgi2v evaluate --data benchmark --methods none,sgi2v` with all scenes of all categories.
    """
    from sgi2v_lab.evaluation.scenes.scenes import CATEGORIES

    options = {"categories": category or list(CATEGORIES), "scenes": scenes}
    what = {"methods": ["none", "sgi2v"], "data_options": options}
    run = {"preset": preset, "changes": changes, "seeds": seeds, "videos": videos}
    _run(out, "benchmark", model, **what, **run, workers=workers, device=device, dtype=dtype)


def report(
    folder: Annotated[Path, typer.Argument(help="Folder written by sgi2v evaluate or sgi2v benchmark.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the report. Default: the same folder.")] = None,
) -> None:
    """Write the report of an evaluation (HTML, JSON, CSV). Works while it is still running."""
    from sgi2v_lab.evaluation.report import write_report

    page, found = write_report(folder, out)
    typer.echo(found.verdict.sentence)
    if found.targets:
        table = Table("target", "", "measured", "95% interval", "met")
        for each in found.targets:
            table.add_row(*each.cells)
        console().print(table, markup=False)
    if found.failed:
        typer.echo(f"sgi2v: {found.failed} videos failed; the report says which", err=True)
    if found.unfinished:
        typer.echo(f"sgi2v: {found.unfinished} videos are not finished; the report covers {found.videos}", err=True)
    typer.echo(page)


def status(
    folder: Annotated[Path, typer.Argument(help="Folder written by sgi2v evaluate or sgi2v benchmark.")],
) -> None:
    """Show how many videos of an evaluation are finished, failed, running and left, and the time left."""
    from sgi2v_lab.evaluation.experiments.plan import Plan

    plan = Plan.read(folder)
    found = plan.status(folder)
    again = "  (made again at the next start)"
    table = Table(show_header=False, box=None, title=f"{plan.title} ({folder})", title_justify="left")
    table.add_row("finished", f"{found.finished} of {found.tasks}")
    table.add_row("failed", f"{found.failed}{again if found.failed else ''}")
    table.add_row("in flight", str(found.in_flight))
    table.add_row("left", str(found.left))
    if found.damaged:
        table.add_row("damaged", f"{found.damaged}{again}")
    if found.seconds_per_task:
        table.add_row("pace", f"{found.seconds_per_task:.3g} s a video")
    if found.seconds_left is not None:
        table.add_row("time left", f"{timedelta(seconds=round(found.seconds_left))} (h:mm:ss)")
    elif found.finished + found.failed < found.tasks and not found.in_flight:
        table.add_row("time left", "unknown, since no process is running; run the same command again to go on")
    console().print(table, markup=False)
    for line in [f"failed: {each}" for each in found.failures] + [f"damaged: {each}" for each in found.damages]:
        typer.echo(line)


def _run(out: Path, data: str, model: str, workers: int | None, **options: Any) -> None:
    from sgi2v_lab.evaluation.experiments.evaluate import evaluate as run

    options["workers"] = workers_of(workers, options["device"])
    with resumable():
        run(out, data, model, progress=sys.stderr.isatty(), **options)
        report(out)
