"""The command line: `sgi2v demo`, `generate`, `evaluate`, `benchmark`, `report`, `status`, ...

Bad input is one sentence on standard error and exit code 2, Ctrl-C is exit code 130; neither leaves anything behind.
What takes seconds to import is imported inside the commands, so that `--help` answers at once.
"""

import errno
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

from sgi2v_lab.cli.bench import bench, check_gpu, cost
from sgi2v_lab.cli.convert import convert
from sgi2v_lab.cli.diagnose import diagnose
from sgi2v_lab.cli.evaluate import benchmark, evaluate, report, status
from sgi2v_lab.cli.features import features
from sgi2v_lab.cli.generate import demo, generate
from sgi2v_lab.cli.measure import measure
from sgi2v_lab.cli.options import Device, console
from sgi2v_lab.errors import InputError
from sgi2v_lab.files import print_anywhere

__all__ = ["app", "main"]


class _Commands(TyperGroup):
    """Commands whose expected failures end in one line and an exit code."""

    def invoke(self, ctx: Any) -> object:
        try:
            return super().invoke(ctx)
        except InputError as error:
            _complain(str(error))
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            _complain("interrupted; nothing was written")
            raise typer.Exit(130) from error
        except OSError as error:  # files' errors are sentences already; this is the output's own, such as a full disk
            if error.errno != errno.ENOSPC:
                raise
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115  what is left in it cannot be written either
            _complain(f"cannot write the output: {error.strerror}")
            raise typer.Exit(2) from error
        except (MemoryError, RuntimeError) as error:
            # torch has its own class for a full GPU, and none for a full computer
            if not isinstance(error, MemoryError) and "memory" not in str(error).lower():
                raise
            _complain(
                "out of memory; try --memory offload, --decode-chunk-size 1, a smaller picture, "
                "or --dtype fp16 on a GPU"
            )
            raise typer.Exit(2) from error


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Draw boxes and paths on a picture, see it move: SG-I2V, self-guided image-to-video diffusion.",
)


def main() -> None:
    """Run the command line; this is what the console script `sgi2v` calls."""
    print_anywhere()
    show = warnings.showwarning

    def tell(message: Warning | str, category: type[Warning], filename: str, *rest: Any, **more: Any) -> None:
        if Path(__file__).parents[1] in Path(filename).parents:  # a warning of this package is about the input
            _complain(str(message))
        else:
            show(message, category, filename, *rest, **more)

    warnings.showwarning = tell
    # a polite request to end must not leave half a result, as with Ctrl-C; 143 is what shells expect
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        app(prog_name="sgi2v")
    except KeyboardInterrupt:  # before or after a command
        sys.exit(130)


# Python's words in error messages -> the command line's options
OPTIONS = {
    "with resampled() or resample=True": "with --resample",
    "box_size=(width, height)": "--box-size WIDTHxHEIGHT",
    "image_size=(width, height)": "--image PICTURE",
    "units='fractions'": "--units fractions",
    "fit_boxes=True": "--fit-boxes",
    "units 'pixels'": "--units pixels",
    "fit 'crop' and 'pad'": "--fit crop and --fit pad",
    "expected num_frames=": "expected --frames",
    "no use for how=": "no use for --fit ",
    "as do a width and height nearer to its own": "as does --size auto, more or less",
}


def _complain(sentence: str) -> None:
    for python, option in OPTIONS.items():
        sentence = sentence.replace(python, option)
    typer.echo("sgi2v: " + " ".join(sentence.split()), err=True)


# --- commands --------------------------------------------------------------------------------------------------------


COMMANDS = {
    "Make videos": (demo, generate),
    "Measure videos": (evaluate, benchmark, report, status, measure, diagnose),
    "Measure features": (features,),
    "Measure cost": (bench, cost, check_gpu),
    "Files, models, machine": (convert,),
}
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)


@app.command(rich_help_panel="Files, models, machine")
def models(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names, folders or hub ids of models. Default: the known ones.")
    ] = None,
) -> None:
    """List the models: source of the weights, whether they are on this machine, and sizes."""
    from sgi2v_lab.models.load import MODELS
    from sgi2v_lab.models.summary import describe_model

    table = Table("model", "weights from", "here", "picture", "frames", "denoiser's parameters")
    for name in names or MODELS:
        found = describe_model(name)
        size = f"{found.width} × {found.height}" if found.width else "—"
        count = f"{found.parameters / 1e6:,.1f} M" if found.parameters else "—"
        here = "yes" if found.here else "no"
        table.add_row(name, found.source, here, size, str(found.frames or "—"), count)
    console().print(table, markup=False)


@app.command(rich_help_panel="Files, models, machine")
def info(device: Device = None) -> None:
    """Show what a run would use: versions, device, threads, memory."""
    from sgi2v_lab.efficiency.machine import describe_machine, total_memory

    found = describe_machine(device)
    rows = {
        **found.pop("versions"),
        **{name.replace("_", " "): value for name, value in found.items()},
        **{f"memory of {where}": f"{size / 2**30:.1f} GiB" for where, size in total_memory(device).items()},
    }
    table = Table(show_header=False, box=None)
    for name, value in rows.items():
        table.add_row(name, str(value))
    console().print(table, markup=False)
