"""The commands that test a model on fixed scenes: `sgi2v benchmark` and `sgi2v claims`.

Both resume: started again with the same folder, they compute only what is missing.
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

__all__ = ["benchmark", "claims"]


@takes_settings
def benchmark(
    out: Out = Path("out/benchmark"),
    model: ModelName = "toy",
    scenes: Annotated[
        int | None, typer.Option(min=1, help="Use at most this many scenes of each category. Default: all scenes.")
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(
            help="Use this category of scenes: single, two, pinned, pan, hard or photo. Repeatable. Default: all."
        ),
    ] = None,
    seeds: Seeds = 1,
    preset: Preset = "own",
    workers: Workers = None,
    device: Device = None,
    dtype: Precision = None,
    changes: dict | None = None,
) -> None:
    """Score a model on fixed held-out scenes, with and without control, against targets; write scores and a page."""
    quiet_libraries()
    from sgi2v_lab.evaluation.experiments.benchmark import run_benchmark

    with resumable():
        report = run_benchmark(
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
        typer.echo("short or incomplete benchmark: the verdict does not count")
    finish(out / "index.html", report["failures"])


@takes_settings
def claims(
    out: Out = Path("out/benchmark"),
    model: ModelName = "toy",
    scenes: Annotated[int, typer.Option(min=1, help="Number of benchmark scenes with one object.")] = 8,
    seeds: Seeds = 1,
    preset: Preset = "paper",
    workers: Workers = None,
    device: Device = None,
    dtype: Precision = None,
    changes: dict | None = None,
) -> None:
    """Test the paper's claims: which features, layers, steps, cut-off and weights give the best control."""
    quiet_libraries()
    from sgi2v_lab.evaluation.experiments.paper_claims import check_claims

    with resumable():
        report = check_claims(
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
    finish(out / "claims.md", report["failures"])
