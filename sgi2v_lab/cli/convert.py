"""The command `sgi2v convert`."""

from pathlib import Path
from typing import Annotated

import typer

from sgi2v_lab.cli.options import BoxSizeText, FitBoxes, Resample, Units, read_numbers

__all__ = ["convert"]


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="File of trajectories: JSON, traj.npy, tracks or boxes (.npy, .npz, .pth), KJNodes' spline JSON.",
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="File to write: .json, .npy or .pth.")],
    to: Annotated[
        str | None,
        typer.Option(
            help="Format of OUT. .json: sgi2v (default) or kjnodes. .npy: traj (default) or tracks. .pth: tracks."
        ),
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="Picture the trajectories were drawn on; only its size is read.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Number of frames to write. Default: as many as IN was made for.")
    ] = None,
    resample: Resample = False,
    fit_boxes: FitBoxes = False,
    units: Units = "pixels",
    box_size: BoxSizeText = None,
) -> None:
    """Convert a trajectory file to another format."""
    about = read_numbers(box_size, "--box-size")
    from sgi2v_lab.images.read import read_image
    from sgi2v_lab.trajectories.files import load_trajectories, save_trajectories

    found = load_trajectories(
        source,
        None if image is None else read_image(image).size,
        resample=resample,
        fit_boxes=fit_boxes,
        units=units,
        box_size=about,
    )
    if frames is not None:
        found.boxes(frames)  # raises now if IN was made for another number; some formats would not notice
    made_for = {trajectory.frames for trajectory in found} - {None}
    save_trajectories(target, found, frames or (made_for.pop() if len(made_for) == 1 else None), to)
    width, height = found.image_size
    typer.echo(f"{target}  ({len(found)} boxes on {width} x {height} px)")
