"""Options shared by several commands."""

import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sgi2v_lab.errors import InputError

__all__ = [
    "BoxSizeText",
    "Device",
    "FitBoxes",
    "FitTo",
    "ModelName",
    "Out",
    "Precision",
    "Preset",
    "Resample",
    "Seeds",
    "Units",
    "Workers",
    "console",
    "read_numbers",
    "resumable",
    "workers_of",
]

Out = Annotated[Path, typer.Option(help="Folder for the results. Finished videos found there are reused.")]
ModelName = Annotated[
    str,
    typer.Option("--model", help="Model: toy, toy-dit, svd, svd-xt, wan-ti2v-5b, a folder, or a hub id."),
]
Seeds = Annotated[int, typer.Option(min=1, help="Noise seeds per scene and method.")]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Number of processes, each with the model and one thread. Default: one per core, or 1 on a GPU."
    ),
]
Device = Annotated[str | None, typer.Option(help="Device: cpu, cuda, cuda:1 or mps. Default: the best there is.")]
Precision = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        help="Precision in which the weights are loaded: fp32, bf16 or fp16. Default: fp32 on a CPU, else fp16.",
    ),
]

Preset = Annotated[
    str,
    typer.Option(
        help="Preset: own (the model's defaults), paper (closest to the paper), fast (weaker control), best (strongest "
        "control, slow). Options below override it."
    ),
]
FitTo = Annotated[str, typer.Option("--fit", help="How to fit pictures to the video's size: stretch, crop or pad.")]
Resample = Annotated[
    bool, typer.Option("--resample", help="Interpolate boxes that were made for another number of frames.")
]
FitBoxes = Annotated[bool, typer.Option("--fit-boxes", help="Rescale boxes drawn on a picture of another size.")]
Units = Annotated[str, typer.Option(help="Units of the boxes' coordinates: pixels, or fractions of the picture.")]
BoxSizeText = Annotated[
    str | None,
    typer.Option(
        "--box-size", metavar="WIDTHxHEIGHT", help="For point tracks: size of the box around each point, in --units."
    ),
]


@contextmanager
def resumable() -> Iterator[None]:
    """On Ctrl-C, say that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt as error:
        typer.echo("sgi2v: interrupted; finished videos are kept, so run the same command again to go on", err=True)
        raise typer.Exit(130) from error


def workers_of(given: int | None, device: str | None) -> int:
    """The number of workers asked for, or one per core, or 1 on a GPU."""
    from sgi2v_lab.models.load import pick_device

    if given is not None:
        return given
    return (os.cpu_count() or 1) if pick_device(device).type == "cpu" else 1


def read_numbers(text: str | None, option: str) -> tuple[float, float] | None:
    """Two numbers from text such as 640x480, or one twice; None from None. InputError, naming the option, for more."""
    if text is None:
        return None
    try:
        first, *more = (float(part) for part in re.split(r"[x×,]", text.strip().lower()))
    except ValueError:
        first, more = 0.0, []
    if not (math.isfinite(first) and first > 0 and len(more) <= 1 and all(math.isfinite(n) and n > 0 for n in more)):
        raise InputError(f"{option} is {text!r}: expected a width and a height, such as 64x48")
    return first, *(more or [first])


def console() -> Console:
    """For tables: as wide as the terminal, or 200 characters if there is none."""
    return Console(width=None if sys.stdout.isatty() else 200)
