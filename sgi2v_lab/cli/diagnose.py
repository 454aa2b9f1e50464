"""The command `sgi2v diagnose`."""

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["diagnose"]


def diagnose(
    folder: Annotated[Path, typer.Argument(help="Folder written by sgi2v generate, sgi2v demo or the Studio.")],
    out: Annotated[Path | None, typer.Option(help="Write the evidence as a picture to this .png or .pdf file.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Model that made the run, to judge its layers too: toy, svd, a folder or a hub id."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what went wrong in a run, with evidence and advice."""
    from sgi2v_lab.evaluation.diagnosis import diagnose_folder
    from sgi2v_lab.models.load import load_model
    from sgi2v_lab.plots import save_figure

    found = diagnose_folder(folder, None if model is None else load_model(model))
    if out is not None:
        save_figure(found.plot(), out)
    typer.echo(json.dumps(found.to_dict(), indent=1, ensure_ascii=False) if as_json else str(found))
