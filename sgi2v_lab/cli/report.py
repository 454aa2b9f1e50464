"""The commands that show what was measured: `sgi2v report`, and `sgi2v evaluate`, which measures first."""

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
        help="What all others are compared with; left out: SG-I2V, a grid's base, or the benchmark's control."
    ),
]


def report(
    folder: Annotated[Path, typer.Argument(help="A folder that sgi2v ablate, evaluate or benchmark has written.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the report; left out: the same one.")] = None,
    reference: Reference = None,
) -> None:
    """Write what a folder holds, finished or not: report.html, one page, and results.csv, results.parquet."""
    quiet_libraries()
    from sgi2v_lab.evaluation.report import write_report

    _tell(write_report(folder, out, reference))


def evaluate(
    out: Out = Path("out/evaluation"),
    model: ModelName = "toy",
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="none, copy_paste, copy_paste_vae, time_to_move, freetraj, drag, sg-i2v; repeatable; left out: all."
        ),
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
        typer.Option(help="single, two, pinned, pan, hard, photo; may be repeated; left out: the first four."),
    ] = None,
    seeds: Seeds = 1,
    workers: Workers = None,
    dask: Dask = None,
    device: Device = None,
    dtype: Precision = None,
) -> None:
    """Compare SG-I2V with every other method on the same scenes, and write the report; goes on where it was."""
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
    """The first sentence, what is missing, and where the page is."""
    typer.echo(found.verdict.sentence)
    if found.failed:
        typer.echo(f"sgi2v: {found.failed} videos failed; the report says which", err=True)
    if found.unfinished:
        typer.echo(f"sgi2v: {found.unfinished} videos are not finished; the report is of {found.videos}", err=True)
    typer.echo(found.html)
