"""The diagnosis of a run from its folder, as written by `sgi2v generate`, `sgi2v demo` or the Studio.

Compression costs a saved video a little detail; the limits allow for that.
"""

import json
import math
import os
from pathlib import Path

import torch.nn.functional as F

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.diagnosis.checks import Diagnosis, judge
from sgi2v_lab.evaluation.diagnosis.judged import JudgedVideo, by_purpose
from sgi2v_lab.files import as_path
from sgi2v_lab.images.read import fit_image, read_image, to_tensor
from sgi2v_lab.models.model import Model
from sgi2v_lab.settings import Settings, renamed_settings
from sgi2v_lab.shapes import Video
from sgi2v_lab.trajectories.files import load_trajectories
from sgi2v_lab.video import read_video

__all__ = ["diagnose_folder"]

CONTROLLED, UNCONTROLLED = ("video.mp4", "controlled.mp4"), ("uncontrolled.mp4",)
PICTURES = ("image.png", "picture.png")


def diagnose_folder(folder: str | os.PathLike, model: Model | None = None) -> Diagnosis:
    """Find the problems of a saved run.

    Args:
        folder: With run.json, video.mp4 and, as far as known, the picture and trajectories.json.
        model: The model that made the run, to judge its layers.

    Raises:
        InputError: No run.json or no video, or a file that cannot be read.
    """
    folder = as_path(folder, "a run's folder")
    record = _record(folder / "run.json")
    settings = record["settings"]
    size = settings.width, settings.height
    controlled, plain = _first(folder, CONTROLLED), _first(folder, UNCONTROLLED)
    if controlled is None and plain is None:
        raise InputError(f"{folder} holds neither {CONTROLLED[0]} nor {UNCONTROLLED[0]}; give the folder of a run")
    has_control = controlled is not None and record.get("controlled") is not False
    video = _read_at_size(controlled or plain, size)
    known = {}
    if picture := _first(folder, PICTURES):
        fitted, plan = fit_image(read_image(picture), size, record.get("fit", "stretch"))
        known["image"] = to_tensor(fitted)
        if has_control and (file := _first(folder, ("trajectories.json",))):
            trajectories = load_trajectories(file, plan.source)
            known |= by_purpose(trajectories, trajectories.resampled().fitted(plan).boxes(len(video)))
    if has_control and plain is not None:
        known["uncontrolled"] = _read_at_size(plain, size)
    known |= {"losses": record["losses"], "sigmas": record["sigmas"], "model": model}
    return judge(JudgedVideo(video, settings=settings, **known))


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    """The first of some files that exists."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _record(path: Path) -> dict:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record["settings"] = Settings(**renamed_settings(record["settings"]))
        saved = record.get("losses", {})  # with None for a loss that is not finite
        losses = {int(step): [math.nan if one is None else float(one) for one in some] for step, some in saved.items()}
        record |= {"losses": losses, "sigmas": [float(one) for one in record.get("sigmas", ())]}
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no run's record; give a folder of `sgi2v generate` or the Studio") from error
    return record


def _read_at_size(path: Path, size: tuple[int, int]) -> Video:
    """A video at the size at which it was made: small ones are saved enlarged."""
    video = read_video(path)
    return video if video.shape[-2:] == size[::-1] else F.interpolate(video, size[::-1], mode="area")
