"""The commands that examine a model: `sgi2v exam`, `sgi2v findings`.

Both work in pieces, and go on where they were when they are started again with the same folder.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sgi2v_lab.quiet import quiet_libraries
from sgi2v_lab.setting_options import takes_settings

__all__ = ["exam", "findings"]

Out = Annotated[Path, typer.Option(help="Folder for the result; what an earlier start finished there is used again.")]
ModelName = Annotated[str, typer.Option("--model", help="toy, svd, svd-xt, a checkpoint's folder, or a hub id.")]
Seeds = Annotated[int, typer.Option(min=1, help="Videos of each scene and variant, each with its own noise.")]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes, each with the model and one thread; left out: one per core, 1 on a GPU."),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; left out: the best there is.")]
Precision = Annotated[
    str | None, typer.Option("--dtype", help="fp32, bf16 or fp16; left out: fp32 on a CPU, else fp16.")
]


@takes_settings
def exam(
    out: Out = Path("out/exam"),
    model: ModelName = "toy",
    scenes: Annotated[
        int | None, typer.Option(min=1, help="At most so many scenes of each category: a short exam; left out: all.")
    ] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="single, two, pinned, pan, hard, photo; may be repeated; left out: all.")
    ] = None,
    seeds: Seeds = 1,
    workers: Workers = None,
    device: Device = None,
    dtype: Precision = None,
    changes: dict | None = None,
) -> None:
    """Examine a model on fixed scenes that it was not trained on, without and with control: figures and a page."""
    quiet_libraries()
    from sgi2v_lab.evaluation.exam_page import take_exam

    with _resumable():
        report = take_exam(
            out,
            model,
            categories=category or None,
            scenes=scenes,
            seeds=seeds,
            changes=changes,
            workers=_workers(workers, device),
            device=device,
            dtype=dtype,
            progress=sys.stderr.isatty(),
        )
    table = Table("target", "", "measured", "95% interval", "met")
    for criterion in report["criteria"]:
        limit = f"≤ {criterion['at_most']:g}" if "at_most" in criterion else f"≥ {criterion['at_least']:g}"
        value = "—" if criterion["value"] is None else f"{criterion['value']:.3g}"
        ends = "—" if criterion["low"] is None else f"{criterion['low']:.3g} to {criterion['high']:.3g}"
        met = {True: "yes", False: "no", None: "not measured"}[criterion["passed"]]
        table.add_row(criterion["name"], limit, value, ends, met)
    _console().print(table, markup=False)
    if not report["complete"]:
        typer.echo("a short or incomplete exam: its verdict does not count")
    _finish(out / "index.html", report["failures"])


@takes_settings
def findings(
    out: Out = Path("out/exam"),
    model: ModelName = "toy",
    scenes: Annotated[int, typer.Option(min=1, help="Scenes with one object, from the exam.")] = 8,
    seeds: Seeds = 1,
    workers: Workers = None,
    device: Device = None,
    dtype: Precision = None,
    changes: dict | None = None,
) -> None:
    """Try the paper's findings: which features, layers, steps, cut-off and weights steer a video best."""
    quiet_libraries()
    from sgi2v_lab.evaluation.findings import find

    with _resumable():
        report = find(
            out,
            model,
            scenes=scenes,
            seeds=seeds,
            changes=changes,
            workers=_workers(workers, device),
            device=device,
            dtype=dtype,
            progress=sys.stderr.isatty(),
        )
    table = Table("the paper's claim", "difference", "95% interval", "holds")
    for claim in report["claims"]:
        found = claim.get("difference")
        value = f"{found['value']:.2f} {claim['unit']}" if found else "—"
        ends = f"{found['low']:.2f} to {found['high']:.2f}" if found and found["low"] is not None else "—"
        table.add_row(claim["claim"], value, ends, claim["holds"])
    _console().print(table, markup=False)
    _finish(out / "findings.md", report["failures"])


@contextmanager
def _resumable() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        typer.echo("sgi2v: interrupted; what was finished is kept, so start the same again to go on", err=True)
        raise typer.Exit(130) from error


def _workers(given: int | None, device: str | None) -> int:
    from sgi2v_lab.models import pick_device

    if given is not None:
        return given
    return (os.cpu_count() or 1) if pick_device(device).type == "cpu" else 1


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 200)


def _finish(result: Path, failures: list) -> None:
    if failures:
        typer.echo(f"sgi2v: {len(failures)} videos failed, the first with {failures[0]['error']}", err=True)
    typer.echo(result)
