"""The commands `sgi2v diagnose` and `sgi2v cost`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sgi2v_lab.cli.options import Device, ModelName, Out, Precision, console, resumable
from sgi2v_lab.quiet import quiet_libraries

__all__ = ["cost", "diagnose"]


def diagnose(
    folder: Annotated[Path, typer.Argument(help="Folder written by sgi2v generate, sgi2v demo or the Studio.")],
    out: Annotated[Path | None, typer.Option(help="Also save the evidence as a picture (.png or .pdf).")] = None,
    model: Annotated[
        str | None, typer.Option(help="Also judge the layers of this model: toy, svd, a folder, ...")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what went wrong in a run, with evidence and advice."""
    quiet_libraries()
    from sgi2v_lab.evaluation.diagnosis import diagnose_folder
    from sgi2v_lab.models.load import load_model
    from sgi2v_lab.plots import save_figure

    found = diagnose_folder(folder, None if model is None else load_model(model))
    if out is not None:
        save_figure(found.plot(), out)
    typer.echo(json.dumps(found.to_dict(), indent=1, ensure_ascii=False) if as_json else str(found))


def cost(
    out: Out = Path("out/cost"),
    model: ModelName = "toy",
    axis: Annotated[
        list[str] | None,
        typer.Option(help="What to vary: frames, resolution, boxes or iterations. Repeatable. Default: all four."),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Number of runs of each kind; the median time is reported.")] = 1,
    device: Device = None,
    dtype: Precision = None,
) -> None:
    """Measure time and memory for varying frames, resolution, boxes and iterations; write a table and a plot."""
    quiet_libraries()
    from sgi2v_lab.bench.scaling import AXES, measure_cost

    with resumable():
        report = measure_cost(
            out,
            model,
            axis or tuple(AXES),
            repeats=repeats,
            device=device,
            dtype=dtype,
            progress=sys.stderr.isatty(),
        )
    machine = report["machine"]
    title = f"{report['model']} on {machine['device_name'] or machine['device']}, {machine['threads']} threads"
    table = Table("", "", "seconds", "peak memory", title=title, title_justify="left")
    for row in report["rows"]:
        cells = [f"{row['seconds']:.2f}", f"{row['peak_bytes'] / 2**20:,.0f} MiB"] if row["error"] is None else ["", ""]
        table.add_row(f"{row['x']:.3g}", row["unit"] if row["error"] is None else row["error"], *cells)
    console().print(table, markup=False)
    if failed := sum(row["error"] is not None for row in report["rows"]):
        typer.echo(f"sgi2v: {failed} runs failed; start the same again to try them again", err=True)
    typer.echo(out / "cost.png")
