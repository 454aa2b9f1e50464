"""The diagnosis of a run from the folder that it left: `sgi2v generate`, `sgi2v demo`, the Studio's gallery.

A video on disk is compressed, which costs it a little detail; thresholds leave room for that.
"""

import json
import os
from pathlib import Path

import torch
import torch.nn.functional as F

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.diagnosis.checks import Diagnosis, judge
from sgi2v_lab.evaluation.diagnosis.judged import JudgedVideo
from sgi2v_lab.images.read import fit_image, read_image, to_tensor
from sgi2v_lab.images.resize import Fit
from sgi2v_lab.models.model import Model
from sgi2v_lab.settings import Settings, renamed_settings
from sgi2v_lab.shapes import Video
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.camera import is_camera
from sgi2v_lab.trajectories.files import load_trajectories
from sgi2v_lab.video import read_video

__all__ = ["diagnose_folder", "read_saved"]

CONTROLLED, UNCONTROLLED = ("video.mp4", "controlled.mp4"), "uncontrolled.mp4"
PICTURES = ("image.png", "picture.png")


def diagnose_folder(folder: str | os.PathLike, model: Model | None = None) -> Diagnosis:
    """Find what went wrong in a run that was saved; InputError where the folder holds none, or a damaged one."""
    return judge(read_saved(folder, model))


def read_saved(folder: str | os.PathLike, model: Model | None = None) -> JudgedVideo:
    """A saved run as it is judged: video, picture, trajectories, and what run.json says.

    Args:
        folder: with run.json and video.mp4, as `sgi2v generate` and `sgi2v demo` write it; or a run of the Studio's.
        model: that made it, to judge its layers.

    Raises:
        InputError: there is no run.json, or no video, or one of the files cannot be read.
    """
    folder = Path(folder)
    record = _record(folder / "run.json")
    settings = Settings(**renamed_settings(record["settings"]))
    size = (settings.width, settings.height)
    controlled = next((folder / name for name in CONTROLLED if (folder / name).is_file()), None)
    plain = folder / UNCONTROLLED if (folder / UNCONTROLLED).is_file() else None
    if controlled is None and plain is None:
        raise InputError(f"{folder} holds neither {' nor '.join((*CONTROLLED, UNCONTROLLED))}; name a run's own folder")
    has_control = record.get("controlled", controlled is not None) is not False and controlled is not None
    video = _read_at_size(controlled or plain, size)
    plan = trajectories = image = None
    for name in PICTURES:
        if (folder / name).is_file():
            picture = read_image(folder / name)
            fitted, plan = fit_image(picture, size, record.get("fit", "stretch"))
            image = to_tensor(fitted)
    file = folder / "trajectories.json"
    if has_control and plan is not None and file.is_file():
        trajectories = load_trajectories(file, plan.source)
    boxes, camera, names = _carried(trajectories, plan, len(video))
    return JudgedVideo(
        video=video,
        image=image,
        boxes=boxes,
        camera=camera,
        names=names,
        uncontrolled=_read_at_size(plain, size) if has_control and plain is not None else None,
        settings=settings,
        losses={int(step): _numbers(losses) for step, losses in record.get("losses", {}).items()},
        sigmas=record.get("sigmas", ()),
        model=model,
        cell=8 if model is None else model.vae_factor,
    )


def _record(path: Path) -> dict:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record["settings"], dict):
            raise TypeError("settings")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not there, or is no run's record; name a folder that `sgi2v generate` or the Studio wrote"
        ) from error
    return record


def _read_at_size(path: Path, size: tuple[int, int]) -> Video:
    """The video at the size at which it was made: small ones are written enlarged."""
    video = read_video(path)
    return video if video.shape[-2:] == size[::-1] else F.interpolate(video, size[::-1], mode="area")


def _carried(trajectories: Trajectories | None, plan: Fit | None, frames: int) -> tuple:
    """The objects' boxes, the camera's, and the objects' names; None where there are none."""
    if trajectories is None:
        return None, None, ()
    boxes = trajectories.resampled().fitted(plan).boxes(frames)
    mine = torch.tensor([not is_camera(each) for each in trajectories])
    names = tuple(each.name for each, own in zip(trajectories, mine.tolist(), strict=True) if own)
    return boxes[mine], boxes[~mine], names


def _numbers(losses: list) -> list[float]:
    """Losses as they were: JSON says None for one that left all bounds."""
    return [float("nan") if loss is None else loss for loss in losses]
