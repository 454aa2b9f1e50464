"""Clips on disk: which frames are taken, and only these decoded, each fitted at once to the size asked for.

Which frames, the resampling policy (`pick_frames`): from the first frame on every `stride`-th one, so that with stride
1 time runs as in the source; or with stride None as many as are asked for, spread evenly from the first to the last.
Frames are never blended or repeated: a clip with too few of them is an error.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import PIL.Image
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.video_reader import VideoReader
from sgi2v_lab.images.read import Fit, fit_image, read_image, to_pil, to_tensor
from sgi2v_lab.shapes import Video
from sgi2v_lab.video import read_video

__all__ = [
    "ANIMATIONS",
    "PICTURES",
    "VIDEOS",
    "by_number",
    "check_stride",
    "list_pictures",
    "pick_frames",
    "read_clip",
    "read_moments",
    "read_pictures",
]

PICTURES = (".jpg", ".jpeg", ".png")
ANIMATIONS = (".gif", ".webp")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")


def pick_frames(available: int, num_frames: int, stride: int | None, what: str) -> list[int]:
    """Which frames of a clip are taken, rising from 0.

    Args:
        available: frames that the clip has.
        num_frames: frames wanted, at least 2.
        stride: take every so many-th from the first on; None spreads them evenly from the first to the last.
        what: what the clip is called in messages.

    Raises:
        InputError: the clip has too few frames.
    """
    needed = _last_frame(num_frames, stride) + 1
    if available < needed:
        step = "" if stride in (None, 1) else f" at a stride of {stride}"
        raise InputError(
            f"{what} has {available} frames: expected at least {needed} for {num_frames}{step}, so ask for fewer "
            "or leave it out"
        )
    if stride is None:
        return [round(k * (available - 1) / (num_frames - 1)) for k in range(num_frames)]
    return list(range(0, needed, stride))


def check_stride(stride: int | None) -> int | None:
    """The stride, or an InputError if it is neither None nor a whole number from 1 on."""
    if stride is not None and (isinstance(stride, bool) or stride < 1):
        raise InputError(f"stride is {stride}: expected at least 1, or None to spread the frames over the whole clip")
    return stride


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of the numbers in their names, so that 10.jpg comes after 9.jpg.

    Raises:
        InputError: there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: expected the frames of a clip, so check the download")
    found = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.name[0] != "."]
    if not found:
        raise InputError(f"{folder} holds no pictures: expected frames as {', '.join(PICTURES)}")
    return sorted(found, key=lambda path: by_number(path.stem))


def by_number(name: str) -> list[str | int]:
    """A key that sorts names by the numbers in them: f9a comes before f10a."""
    # split gives text and numbers by turns, text first, so that like is compared with like
    return [int(part) if k % 2 else part for k, part in enumerate(re.split(r"(\d+)", name))]


def read_clip(
    clip: Path, size: tuple[int, int], how: str, num_frames: int, stride: int | None
) -> tuple[Video, Fit, list[int]]:
    """Read some frames of a video, an animation or a folder of pictures.

    Args:
        clip: the file or folder.
        size: (width, height) wanted.
        how: "stretch", "crop" or "pad", see `Fit.plan`.
        num_frames: how many.
        stride: see `pick_frames`.

    Returns:
        (num_frames, 3, height, width) in 0..1, how coordinates changed, and which frames were taken.

    Raises:
        InputError: there is no such clip, it cannot be decoded, has too few frames, or frames of different sizes.
    """
    if clip.is_dir():
        pictures = list_pictures(clip)
        picked = pick_frames(len(pictures), num_frames, stride, str(clip))
        return *read_pictures([pictures[f] for f in picked], size, how), picked
    if clip.suffix.lower() in ANIMATIONS:
        frames = read_video(clip)
        picked = pick_frames(len(frames), num_frames, stride, str(clip))
        return *_fitted((to_pil(frames[f]) for f in picked), size, how, str(clip)), picked
    with VideoReader(clip) as video:
        told = video.told_frames
    # with a stride nobody need know how many frames there are: decoding stops after the last one that is wanted
    available = _last_frame(num_frames, stride) + 1 if stride is not None else told or _count(clip)
    picked = pick_frames(available, num_frames, stride, str(clip))
    with VideoReader(clip) as video:
        shown = list(_each_fitted(video.frames(picked), size, how))
    if len(shown) < num_frames and stride is None:
        raise InputError(
            f"{clip} says that it has {told} frames, but fewer can be decoded: expected a whole video, so fetch it "
            "again"
        )
    if len(shown) < num_frames:
        pick_frames(_count(clip), num_frames, stride, str(clip))
    return *_joined(shown, str(clip)), picked


def read_pictures(pictures: Sequence[Path], size: tuple[int, int], how: str) -> tuple[Video, Fit]:
    """Pictures as the frames of a clip; InputError if one cannot be read or has another size than the others."""
    return _fitted((read_image(picture) for picture in pictures), size, how, str(pictures[0].parent))


def read_moments(clip: Path, times: Sequence[float], size: tuple[int, int], how: str) -> tuple[Video, Fit]:
    """The frames of a video that are on the screen at rising times in seconds; see `VideoReader.frames_at`."""
    with VideoReader(clip) as video:
        return _fitted(video.frames_at(times), size, how, str(clip))


def _last_frame(num_frames: int, stride: int | None) -> int:
    return (num_frames - 1) * (check_stride(stride) or 1)


def _count(clip: Path) -> int:
    with VideoReader(clip) as video:
        return video.count()


def _each_fitted(
    pictures: Iterable[PIL.Image.Image], size: tuple[int, int], how: str
) -> Iterable[tuple[PIL.Image.Image, Fit]]:
    return (fit_image(picture.convert("RGB"), size, how) for picture in pictures)


def _joined(shown: list[tuple[PIL.Image.Image, Fit]], what: str) -> tuple[Video, Fit]:
    for k, ((_, one), (_, other)) in enumerate(pairwise(shown)):
        if one.source != other.source:
            raise InputError(
                f"of the frames taken from {what}, number {k + 1} has size {other.source} and the one before "
                f"{one.source}: expected frames of one size"
            )
    return torch.stack([to_tensor(frame) for frame, _ in shown]), shown[0][1]


def _fitted(pictures: Iterable[PIL.Image.Image], size: tuple[int, int], how: str, what: str) -> tuple[Video, Fit]:
    return _joined(list(_each_fitted(pictures, size, how)), what)
