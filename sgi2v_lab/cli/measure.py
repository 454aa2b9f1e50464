"""The command `sgi2v measure`."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sgi2v_lab.cli.options import BoxSizeText, Resample, Units, console, read_numbers

__all__ = ["measure"]


def measure(
    video: Annotated[Path, typer.Argument(help="Video to measure: an mp4, a GIF, or a folder of pictures.")],
    boxes: Annotated[Path, typer.Option(help="Boxes that the objects should follow: JSON, traj.npy or point tracks.")],
    image: Annotated[
        Path | None, typer.Option(help="First frame to compare with. Default: the video's own first frame.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="True video for fidelity metrics; same size and frames.")
    ] = None,
    tracker: Annotated[
        str | None, typer.Option(help="Tracker: ncc, lk, dis; with weights: cotracker3, tapnext. Default: per metric.")
    ] = None,
    resample: Resample = False,
    units: Units = "pixels",
    box_size: BoxSizeText = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how closely the objects of a video follow their boxes, and how well the picture is kept."""
    import torch

    from sgi2v_lab.evaluation.metrics import METRICS
    from sgi2v_lab.evaluation.metrics import measure as take
    from sgi2v_lab.evaluation.trackers.track import TRACKERS, get_tracker
    from sgi2v_lab.images.read import fit_image, read_image, to_tensor
    from sgi2v_lab.trajectories.camera import is_camera
    from sgi2v_lab.trajectories.files import load_trajectories
    from sgi2v_lab.video import read_video

    get_tracker(tracker)  # raises for an unknown name, which the metrics would only note as their reason
    pixels = read_video(video)
    size = (pixels.shape[-1], pixels.shape[-2])
    about = read_numbers(box_size, "--box-size")
    trajectories = load_trajectories(boxes, size, resample=resample, fit_boxes=True, units=units, box_size=about)
    trajectories.validate(len(pixels))
    asked = trajectories.boxes(len(pixels))
    camera = torch.tensor([is_camera(each) for each in trajectories])
    known = {"boxes": asked, "objects": asked[~camera], "camera": asked[camera] if camera.any() else None}
    if image is not None:
        known["image"] = to_tensor(fit_image(read_image(image), size)[0])
    if reference is not None:
        known["reference"] = read_video(reference)
    found = take(pixels, tracker=tracker, **known)
    if as_json:
        records = {}
        for name, one in found.items():
            metric, record = METRICS[name], asdict(one)
            record["details"] |= {"definition": metric.source, "resolution": list(size), "frames": len(pixels)}
            records[name] = record | {"unit": metric.unit, "better": metric.better}
            if one.value is not None and not math.isfinite(one.value):  # JSON has no infinity
                records[name] |= {"value": None, "reason": "infinite: the pictures are equal"}
        typer.echo(json.dumps(records, indent=1, ensure_ascii=False))
        return
    table = Table("metric", "value", "unit", "better", "tracker, or why there is no value")
    for name, one in found.items():
        metric = METRICS[name]
        value = "—" if one.value is None else f"{one.value:.{metric.digits}f}"
        table.add_row(metric.title, value, metric.unit, metric.better, one.reason or one.details.get("tracker", ""))
    used = {one.details["tracker"] for one in found.values() if one.details.get("tracker") in TRACKERS}
    licences = "; ".join(f"{name}: {TRACKERS[name].licence}" for name in sorted(used))
    table.title = f"{video.name}, {len(pixels)} frames of {size[0]} × {size[1]} px"
    table.caption = f"Trackers. {licences}" if licences else None
    console().print(table, markup=False)
