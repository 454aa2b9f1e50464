"""Options and manners that the resumable commands share."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

__all__ = [
    "Dask",
    "Device",
    "ModelName",
    "Out",
    "Precision",
    "Preset",
    "Seeds",
    "Workers",
    "console",
    "finish",
    "resumable",
    "workers_of",
]

Out = Annotated[Path, typer.Option(help="Folder for the result; what an earlier start finished there is used again.")]
ModelName = Annotated[str, typer.Option("--model", help="toy, svd, svd-xt, a checkpoint's folder, or a hub id.")]
Seeds = Annotated[int, typer.Option(min=1, help="Videos of each scene and variant, each with its own noise.")]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes, each with the model and one thread; left out: one per core, 1 on a GPU."),
]
Dask = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Of a Dask scheduler, instead of --workers; all machines share the folder."),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; left out: the best there is.")]
Precision = Annotated[
    str | None, typer.Option("--dtype", help="fp32, bf16 or fp16; left out: fp32 on a CPU, else fp16.")
]

Preset = Annotated[
    str, typer.Option(help="own, fast, paper (the paper's recipe) or best; settings given by themselves come on top.")
]


@contextmanager
def resumable() -> Iterator[None]:
    """Let Ctrl-C say that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt as error:
        typer.echo("sgi2v: interrupted; what was finished is kept, so start the same again to go on", err=True)
        raise typer.Exit(130) from error


def workers_of(given: int | None, device: str | None) -> int:
    """The number of workers asked for, or one per core, or 1 on a GPU."""
    from sgi2v_lab.models.load import pick_device

    if given is not None:
        return given
    return (os.cpu_count() or 1) if pick_device(device).type == "cpu" else 1


def console() -> Console:
    """For tables: as wide as the terminal, or wide enough where there is none."""
    return Console(width=None if sys.stdout.isatty() else 200)


def finish(result: Path, failures: list) -> None:
    """Say how many videos failed, on standard error, and where the result is."""
    if failures:
        typer.echo(f"sgi2v: {len(failures)} videos failed, the first with {failures[0]['error']}", err=True)
    typer.echo(result)
