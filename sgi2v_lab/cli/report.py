"""The commands `sgi2v report` and `sgi2v evaluate`, which measures and then writes the report."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sgi2v_lab.cli.options import Dask, Device, ModelName, Out, Precision, Seeds, Workers, resumable, workers_of
from sgi2v_lab.quiet import quiet_libraries

if TYPE_CHECKING:
    from sgi2v_lab.evaluation.report.write import Report

__all__ = ["evaluate", "report"]

Reference = Annotated[
    str | None,
    typer.Option(
        help="Setting or method that all others are compared with. Default: SG-I2V, the grid's base, or control."
    ),
]


def report(
    folder: Annotated[Path, typer.Argument(help="Folder written by sgi2v ablate, evaluate or benchmark.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the report. Default: the same folder.")] = None,
    reference: Reference = None,
) -> None:
    """Write report.html, results.csv and results.parquet for a folder of results, finished or not."""
    quiet_libraries()
    from sgi2v_lab.evaluation.report import write_report

    _tell(write_report(folder, out, reference))


def evaluate(
    out: Out = Path("out/evaluation"),
    model: ModelName = "toy",
    method: Annotated[
        list[str] | None,
        typer.Option(help="Method: none, copy_paste, time_to_move, freetraj, drag or sgi2v. Repeatable. Default: all."),
    ] = None,
    scenes: Annotated[
        int,
        typer.Option(
            min=1,
            help="Scenes of each category, from the benchmark. 8 of four take the toy about 25 minutes on two cores.",
        ),
    ] = 8,
    category: Annotated[
        list[str] | None,
        typer.Option(
            help="Category of scenes: single, two, pinned, pan, hard or photo. Repeatable. Default: the first four."
        ),
    ] = None,
    seeds: Seeds = 1,
    workers: Workers = None,
    dask: Dask = None,
    device: Device = None,
    dtype: Precision = None,
) -> None:
    """Compare SG-I2V with every other method on the same scenes, and write the report. Resumes."""
    quiet_libraries()
    from sgi2v_lab.evaluation.experiments.compare_methods import evaluate as run
    from sgi2v_lab.evaluation.report import write_report

    with resumable():
        run(
            out,
            model,
            methods=method or None,
            categories=category or None,
            scenes=scenes,
            seeds=seeds,
            workers=1 if dask else workers_of(workers, device),
            executor=dask,
            device=device,
            dtype=dtype,
            progress=sys.stderr.isatty(),
        )
        _tell(write_report(out))


def _tell(found: "Report") -> None:
    """Print the verdict, what is missing, and the path of the page."""
    typer.echo(found.verdict.sentence)
    if found.failed:
        typer.echo(f"sgi2v: {found.failed} videos failed; the report says which", err=True)
    if found.unfinished:
        typer.echo(f"sgi2v: {found.unfinished} videos are not finished; the report is of {found.videos}", err=True)
    typer.echo(found.html)
