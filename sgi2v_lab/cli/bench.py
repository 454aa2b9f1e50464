"""The commands `sgi2v bench` and `sgi2v cost`: what a control step costs, and what a video."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sgi2v_lab.cli.options import Device, ModelName, Out, Precision, console
from sgi2v_lab.cli.setting_options import takes_settings
from sgi2v_lab.files import write_text

__all__ = ["bench", "check_gpu", "cost"]


@takes_settings
def bench(
    network: Annotated[
        str,
        typer.Argument(
            help="Network: toy, miniature (SVD's architecture, few channels), svd, wan-fun-1.3b or wan-ti2v-5b."
        ),
    ] = "miniature",
    out: Annotated[Path | None, typer.Option(help="Write the results to this JSON file.")] = None,
    boxes: Annotated[int, typer.Option(min=1, help="Number of boxes in the test.")] = 2,
    repeats: Annotated[int, typer.Option(min=1, help="Number of timed runs; the median is reported.")] = 5,
    count_only: Annotated[
        bool, typer.Option("--count-only", help="Only count operations and memory, without data (about half a minute).")
    ] = False,
    device: Device = None,
    dtype: Precision = None,
    changes: dict | None = None,
) -> None:
    """Measure each stage's cost, and compare with a reimplementation of the authors' control step."""
    from sgi2v_lab.bench import benchmark as report

    if count_only:
        record = report.count(network, dtype=dtype, boxes=boxes, changes=changes)
    else:
        tell = lambda what: typer.echo(f"{what} ...", err=True)  # noqa: E731
        given = {"device": device, "dtype": dtype, "boxes": boxes, "repeats": repeats, "changes": changes}
        record = report.bench(network, **given, tell=tell)
    _show(record)  # first, since a place that cannot be written to should not lose it
    if out is not None:
        write_text(out, json.dumps(record, indent=2) + "\n")
        typer.echo(out)


def check_gpu(
    out: Annotated[Path, typer.Option(help="Report to write, to attach to an issue.")] = Path("out/check-gpu.json"),
    model: ModelName = "svd",
    device: Device = None,
) -> None:
    """Check a GPU before the first video: speed, agreement with the CPU and with diffusers, memory, and SVD's time."""
    from sgi2v_lab.bench.check_gpu import check_gpu as checks

    done = []
    for check in checks(device, model):
        done.append(check)
        typer.echo(f"{check.state:8}{check.name}: {check.found}" + (f"; {check.remedy}" if check.remedy else ""))
    write_text(out, json.dumps([vars(check) for check in done], indent=2, default=str) + "\n")
    typer.echo(out)
    if any(check.state == "failed" for check in done):
        raise typer.Exit(1)


# field of a row -> heading, and how it is written
_COLUMNS = {
    "tflop": ("TFLOP", "{:.4g}"),
    "operations_ratio": ("of reference", "{:.2f}"),
    "seconds": ("seconds", "{:.3g}"),
    "time_ratio": ("of reference", "{:.2f}"),
    "tensors_mib": ("tensors MiB", "{:.0f}"),
    "tensors_ratio": ("of reference", "{:.2f}"),
    "peak_mib": ("peak MiB", "{:.0f}"),
    "memory_ratio": ("of reference", "{:.2f}"),
    "share": ("share of rate", "{:.2f}"),
    "floor": ("x floor", "{:.2f}"),
}


def _show(record: dict) -> None:
    measured = "matmul_tflops" in record
    title = f"{record['bench']}, {record['dtype']}, weights of {record['weights_mib']:.0f} MiB; "
    title += f"on {record['device_name']}, {record['threads']} threads" if measured else "counted, nothing computed"
    rows = {f"control step, {way}": row for way, row in record["control_step"].items()} | record["stages"]
    fields = [field for field in _COLUMNS if any(field in row for row in rows.values())]
    table = Table("", *(_COLUMNS[field][0] for field in fields), title=title, title_justify="left")
    for name, row in rows.items():
        table.add_row(name, *(_COLUMNS[field][1].format(row[field]) if field in row else "" for field in fields))
    console().print(table, markup=False)
    whole = f"a controlled video takes {record['counts_tflop']['video']:.4g} TFLOP"
    if measured:
        errors = ", ".join(f"{mode} {error:.1e}" for mode, error in record["gradient_error"].items())
        if errors:
            typer.echo(f"largest difference from the reference recipe's gradient: {errors}")
        seconds = f"{record['floor_of_a_video_seconds']:.3g} s"
        whole += f", {seconds} at a matrix product's rate of {record['matmul_tflops']:.3g} TFLOP/s"
    typer.echo(whole)


def cost(
    out: Out = Path("out/cost"),
    model: ModelName = "toy",
    axis: Annotated[
        list[str] | None,
        typer.Option(help="What to vary (repeatable): frames, resolution, boxes or iterations. Default: all four."),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Number of runs of each kind; the median is reported.")] = 1,
    device: Device = None,
    dtype: Precision = None,
) -> None:
    """Measure time and memory against frames, resolution, boxes and iterations; write the figures and a plot."""
    from sgi2v_lab.bench.scaling import AXES, measure_cost

    given = {"repeats": repeats, "device": device, "dtype": dtype, "progress": sys.stderr.isatty()}
    report = measure_cost(out, model, axis or tuple(AXES), **given)
    machine = report["machine"]
    title = f"{report['model']} on {machine['device_name'] or machine['device']}, {machine['threads']} threads"
    table = Table("", "", "seconds", "peak memory", title=title, title_justify="left")
    for row in report["rows"]:
        failed = "error" in row
        cells = ["", ""] if failed else [f"{row['seconds']:.2f}", f"{row['peak_bytes'] / 2**20:,.0f} MiB"]
        table.add_row(f"{row['x']:.3g}", row["error" if failed else "unit"], *cells)
    console().print(table, markup=False)
    typer.echo(out / "cost.png")
