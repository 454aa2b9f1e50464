"""The commands that make videos: `sgi2v demo`, `sgi2v generate`."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sgi2v_lab.cli.options import (
    BoxSizeText,
    Device,
    FitBoxes,
    FitTo,
    ModelName,
    Precision,
    Preset,
    Resample,
    Units,
    read_numbers,
)
from sgi2v_lab.cli.setting_options import takes_settings
from sgi2v_lab.errors import InputError, whole_number

__all__ = ["demo", "generate"]


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the result. An earlier result there is replaced.")] = Path(
        "out/demo"
    ),
    model: ModelName = "toy",
    seed: Annotated[int | None, typer.Option(help="Random seed. Default: the demo's own.")] = None,
    device: Device = None,
    dtype: Precision = None,
) -> None:
    """Make a first video: a drawn scene and a photograph, each without and with control, with figures."""
    if seed is not None:
        whole_number(seed, "seed", 0, 2**63 - 1)
    from sgi2v_lab.cli.demo import demo as show

    record = show(out, model=model, seed=seed, device=device, dtype=dtype, progress=sys.stderr.isatty(), tell=_say)
    rows = {"drawn scene": _control_row(record["objmc"]), "photograph": _control_row(record["photo"]["objmc"])}
    _print_control(rows, record["objmc"])
    typer.echo(f"{out}  ({record['seconds']['total']:.0f} s on {record['device']})")


@takes_settings
def generate(
    image: Annotated[Path | None, typer.Argument(help="Picture that becomes the first frame.")] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(help="File of trajectories: JSON, traj.npy, point tracks (.npy, .pth) or KJNodes' spline JSON."),
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Draw the first frame from this text.")] = None,
    prompt_model: Annotated[
        str,
        typer.Option(
            help="Model that draws the prompt: toy, which knows sentences such as 'a yellow circle at the left on blue "
            "clouds', or a text-to-image model."
        ),
    ] = "toy",
    example: Annotated[
        Path | None,
        typer.Option(help="Folder in the paper's format (img.png, traj.npy); replaces IMAGE and --boxes."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the result. Default: out/ plus the picture's name. An earlier result is replaced."
        ),
    ] = None,
    control: Annotated[
        bool,
        typer.Option(
            "--control/--no-control",
            help="Optimise the latents so that objects follow the boxes; --no-control runs the plain model.",
        ),
    ] = True,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Also make a video without control; write both side by side and their distance from the path.",
        ),
    ] = False,
    frames: Annotated[
        int | None,
        typer.Option(
            help="Total frames. If more than the model makes at once, the video is made in segments, each from the "
            "last frame of the one before; quality falls."
        ),
    ] = None,
    png: Annotated[bool, typer.Option("--png", help="Also write every frame as a PNG file.")] = False,
    fit: FitTo = "stretch",
    size: Annotated[
        str,
        typer.Option(
            help="Size of the video. auto: the picture's shape, near the model's size; model: the model's size; or "
            "WIDTHxHEIGHT. Examples and prompts have the model's size by default."
        ),
    ] = "auto",
    resample: Resample = False,
    fit_boxes: FitBoxes = False,
    units: Units = "pixels",
    box_size: BoxSizeText = None,
    model: ModelName = "toy",
    method: Annotated[
        str,
        typer.Option(
            help="Method: sgi2v, or the baseline copy_paste, copy_features, time_to_move, freetraj, drag or none."
        ),
    ] = "sgi2v",
    seed: Annotated[int, typer.Option(help="Random seed.")] = 817,
    preset: Preset = "own",
    memory: Annotated[
        str, typer.Option(help="Memory mode: auto, or fast, selective, full, offload (least memory, slowest).")
    ] = "auto",
    device: Device = None,
    dtype: Precision = None,
    changes: dict | None = None,
) -> None:
    """Make a video in which the boxes on a picture follow their paths."""
    if sum(source is not None for source in (image, prompt, example)) != 1:
        raise InputError("give exactly one of a picture, --prompt and --example")
    if example is not None and boxes is not None:
        raise InputError("--example brings its own boxes, so leave out --boxes")
    if control and boxes is None and example is None:
        raise InputError("there are no boxes to follow: give --boxes FILE, or --no-control")
    if compare and not control:
        raise InputError("--compare shows a video with control next to one without, so leave out --no-control")
    whole_number(seed, "seed", 0, 2**63 - 1)
    if out is None:
        out = Path("out") / (next(p for p in (example, image, Path("prompt")) if p is not None).absolute().stem)
    from sgi2v_lab.cli.write import run_record, write_comparison, write_run
    from sgi2v_lab.efficiency.machine import describe_machine, peak_memory
    from sgi2v_lab.files import result_folder, write_record
    from sgi2v_lab.images.read import read_image
    from sgi2v_lab.images.resize import Fit, check_size
    from sgi2v_lab.models.load import load_model
    from sgi2v_lab.pipeline import generate as make
    from sgi2v_lab.prompts.reference_image import reference_image
    from sgi2v_lab.trajectories.files import load_trajectories, read_example
    from sgi2v_lab.video import write_frames

    started = time.perf_counter()
    Fit.plan((1, 1), (1, 1), fit)  # raises for an unknown fit before anything is loaded
    changes = {} if changes is None else changes
    if not {"width", "height"}.isdisjoint(changes):
        if size not in ("model", "auto"):
            raise InputError("--size and --width or --height both say how large the video is, so leave one out")
        size = "model"
    if size not in ("model", "auto"):
        width, height = check_size(read_numbers(size, "--size"), "--size")
        changes |= {"width": width, "height": height}
    reading = {"resample": resample, "fit_boxes": fit_boxes, "units": units}
    reading["box_size"] = read_numbers(box_size, "--box-size")
    picture = asked = None
    if example is not None:
        picture, asked = read_example(example, resample=resample)
    elif image is not None:
        picture = read_image(image)
        asked = boxes and load_trajectories(boxes, picture.size, **reading)
    with result_folder(out) as folder:
        _say(f"loading {model}")
        loaded = load_model(model, device, dtype)
        # without control, control_steps must not limit the number of steps
        changes = changes if control else {"control_steps": (0, 0), **changes}
        settings = loaded.preset(preset).replace(**changes)
        loaded = loaded.in_precision(settings.precision)
        if size == "auto" and image is not None:
            width, height = loaded.size_like(picture.size, settings)
            settings = settings.replace(width=width, height=height)
        if prompt is not None:
            sides = settings.width, settings.height
            options = {} if prompt_model == "toy" else {"device": str(loaded.device)}
            drawn = max(sides) if prompt_model == "toy" else sides
            picture = reference_image(prompt, prompt_model, drawn, seed=seed, **options)
            asked = boxes and load_trajectories(boxes, picture.size, **reading)
        options = {"settings": settings, "seed": seed, "fit": fit, "frames": frames, "memory": memory}
        options["progress"] = sys.stderr.isatty()
        run = make(loaded, picture, asked if control else None, method=method, **options)
        runs = {"controlled" if control else "uncontrolled": run}
        if compare:
            runs["uncontrolled"] = make(loaded, picture, None, **options)
        picture.save(folder / "image.png")
        write_run(folder, run, asked)
        if png:
            write_frames(folder / "frames", run.video)
        record = {"command": "generate", **run_record(run), "fit": fit}
        if prompt is not None:
            record |= {"prompt": prompt, "prompt_model": prompt_model}
        if compare:
            record["objmc"] = write_comparison(folder, runs["uncontrolled"], run)
        record |= describe_machine(str(loaded.device)) | {"dtype": str(loaded.dtype).removeprefix("torch.")}
        seconds = {name: run_record(one)["seconds"] for name, one in runs.items()}
        record["seconds"] = {"total": round(time.perf_counter() - started, 3), **seconds}
        write_record(folder, record | {"peak_memory": peak_memory()})
    if compare:
        _print_control({"video": _control_row(record["objmc"])}, record["objmc"])
    how = f"{settings.width} x {settings.height} px, {record['seconds']['total']:.0f} s on {record['device']}"
    typer.echo(f"{out}  ({how})")


# --- parts of commands -----------------------------------------------------------------------------------------------


def _control_row(objmc: dict) -> list[str]:
    ratio = "—" if objmc["ratio"] is None else f"{objmc['ratio']:.2f}"
    return [f"{objmc['uncontrolled']:.1f} px", f"{objmc['controlled']:.1f} px", ratio]


def _print_control(rows: dict[str, list[str]], objmc: dict) -> None:
    width, height = objmc["resolution"]
    title = f"Distance from the path asked for (ObjMC, {objmc['tracker']} tracker, {width} × {height} px)"
    table = Table("", "without control", "with control", "ratio", title=title, title_justify="left")
    for name, row in rows.items():
        table.add_row(name, *row)
    Console().print(table, markup=False)


def _say(line: str) -> None:
    # a path must not be wrapped, coloured or read as markup: people copy it
    Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)
