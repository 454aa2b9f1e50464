"""The commands `sgi2v ablate` and `sgi2v sweep status`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sgi2v_lab.cli.options import (
    Dask,
    Device,
    ModelName,
    Out,
    Precision,
    Seeds,
    Workers,
    console,
    finish,
    resumable,
    workers_of,
)
from sgi2v_lab.quiet import quiet_libraries

if TYPE_CHECKING:
    from sgi2v_lab.evaluation.tasks.status import SweepStatus

__all__ = ["ablate", "sweep"]

SHOWN = 10  # failures, in the terminal; all of them are in results.json


def ablate(
    grid: Annotated[
        str, typer.Option(help="Settings to try: a TOML or JSON file, paper (the paper's ablations) or presets.")
    ],
    out: Out = Path("out/ablation"),
    model: ModelName = "toy",
    scenes: Annotated[int, typer.Option(min=1, help="Number of benchmark scenes of each category.")] = 8,
    category: Annotated[
        list[str] | None,
        typer.Option(help="Category of scenes: single, two, pinned, pan, hard or photo. Repeatable. Default: single."),
    ] = None,
    seeds: Seeds = 1,
    workers: Workers = None,
    dask: Dask = None,
    device: Device = None,
    dtype: Precision = None,
) -> None:
    """Try a grid of settings over scenes and seeds; write a table of all videos and the effect of each setting."""
    quiet_libraries()
    from sgi2v_lab.evaluation.experiments.ablate import ablate as run

    with resumable():
        report = run(
            out,
            grid,
            model,
            categories=category or ["single"],
            scenes=scenes,
            seeds=seeds,
            workers=1 if dask else workers_of(workers, device),
            executor=dask,
            device=device,
            dtype=dtype,
            progress=sys.stderr.isatty(),
        )
    size = f"{len(report['scenes'])} scenes, {seeds} seed(s), 95% intervals"
    table = Table("setting", "ObjMC, px", "minus base", "ratio", "PSNR, dB", "s", title=f"{report['title']}: {size}")
    for row in report["summary"]:
        mean, difference = row["mean"], row["difference"]
        cells = [mean.get("objmc"), difference.get("objmc"), row["ratio"], mean.get("psnr")]
        seconds = "—" if row["seconds"] is None else f"{row['seconds']:.3g}"
        table.add_row(row["setting"], *(_written(cell, k) for k, cell in enumerate(cells)), seconds)
    console().print(table, markup=False)
    if report["replaced"]:
        typer.echo(f"sgi2v: {len(report['replaced'])} damaged or deleted results were made again", err=True)
    finish(out / "results.json", report["failures"])


def _written(found: dict | None, column: int) -> str:
    if found is None:
        return "—"
    sign, digits = ("+" if column == 1 else ""), (2 if column in (1, 2) else 1)
    value = f"{found['value']:{sign}.{digits}f}"
    if found["low"] is None:
        return value
    return f"{value}  ({found['low']:{sign}.{digits}f} to {found['high']:{sign}.{digits}f})"


sweep = typer.Typer(no_args_is_help=True, help="Show the progress and failures of a sweep.")


@sweep.callback()
def _of_sweeps() -> None:
    """Show the progress and failures of a sweep."""


@sweep.command()
def status(
    folder: Annotated[Path, typer.Argument(help="Folder given to `sgi2v ablate --out`.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which tasks of a sweep are finished, failed, running and left, its pace, and errors."""
    from sgi2v_lab.evaluation.tasks.status import sweep_status

    found = sweep_status(folder)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=1, ensure_ascii=False))
        return
    table = Table(show_header=False, box=None, title=f"{found.title} ({folder})", title_justify="left")
    for name, value in _lines(found).items():
        table.add_row(name, value)
    console().print(table, markup=False)
    for failure in found.failures[:SHOWN]:
        typer.echo(f"failed: {failure['task']}: {failure['error']}")
    for damage in found.damages[:SHOWN]:
        typer.echo(f"damaged: {damage}")
    if (more := len(found.failures) + len(found.damages) - 2 * SHOWN) > 0:
        typer.echo(f"... and up to {more} more; --json lists all")


def _lines(found: "SweepStatus") -> dict[str, str]:
    done = f"{found.finished} of {found.tasks}"
    if found.replaced:
        done += f", of which {found.replaced} in place of a damaged or deleted one"
    lines = {"finished": done, "failed": str(found.failed)}
    if found.failed:
        lines["failed"] += "  (tried again at the next start)"
    lines |= {"in flight": str(found.in_flight), "left": str(found.left)}
    for name, count in (("damaged", found.damaged), ("deleted", found.deleted)):
        if count:
            lines[name] = f"{count}  (made again at the next start)"
    if found.seconds_per_task:
        lines["pace"] = f"{found.seconds_per_task:.3g} s a task"
    if found.seconds_left is not None:
        lines["time left"] = _duration(found.seconds_left)
    elif found.finished + found.failed < found.tasks and not found.in_flight:
        lines["time left"] = "no process is running; start `sgi2v ablate` with the same folder to resume"
    return lines


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
