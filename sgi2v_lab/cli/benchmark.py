"""The commands that examine a model: `sgi2v exam`, `sgi2v findings`.

Both work in pieces, and go on where they were when they are started again with the same folder.
"""

import sys
from pathlib import Path
from typing import Annotated

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
    finish,
    resumable,
    workers_of,
)
from sgi2v_lab.cli.setting_options import takes_settings
from sgi2v_lab.quiet import quiet_libraries

__all__ = ["exam", "findings"]


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
    preset: Preset = "own",
    workers: Workers = None,
    device: Device = None,
    dtype: Precision = None,
    changes: dict | None = None,
) -> None:
    """Examine a model on fixed scenes that it was not trained on, without and with control: figures and a page."""
    quiet_libraries()
    from sgi2v_lab.evaluation.experiments.benchmark import take_exam

    with resumable():
        report = take_exam(
            out,
            model,
            categories=category or None,
            scenes=scenes,
            seeds=seeds,
            preset=preset,
            changes=changes,
            workers=workers_of(workers, device),
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
    console().print(table, markup=False)
    if not report["complete"]:
        typer.echo("a short or incomplete exam: its verdict does not count")
    finish(out / "index.html", report["failures"])


@takes_settings
def findings(
    out: Out = Path("out/exam"),
    model: ModelName = "toy",
    scenes: Annotated[int, typer.Option(min=1, help="Scenes with one object, from the exam.")] = 8,
    seeds: Seeds = 1,
    preset: Preset = "paper",
    workers: Workers = None,
    device: Device = None,
    dtype: Precision = None,
    changes: dict | None = None,
) -> None:
    """Try the paper's findings: which features, layers, steps, cut-off and weights steer a video best."""
    quiet_libraries()
    from sgi2v_lab.evaluation.experiments.paper_claims import find

    with resumable():
        report = find(
            out,
            model,
            scenes=scenes,
            seeds=seeds,
            preset=preset,
            changes=changes,
            workers=workers_of(workers, device),
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
    console().print(table, markup=False)
    finish(out / "findings.md", report["failures"])
