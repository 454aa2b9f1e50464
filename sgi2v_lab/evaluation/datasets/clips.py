"""Clips on disk: which frames are taken, and only these decoded, each fitted at once to the size asked for.

Frames are never blended or repeated: a clip with too few of them is an error. Frames of phones' videos are turned
upright, as their container says.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import av
import PIL.Image
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.files import in_order
from sgi2v_lab.images.read import Fit, fit_image, read_image, to_pil, to_tensor
from sgi2v_lab.shapes import Video
from sgi2v_lab.video import read_video

__all__ = [
    "ANIMATIONS",
    "PICTURES",
    "VIDEOS",
    "list_pictures",
    "pick_frames",
    "read_clip",
    "read_moments",
    "read_pictures",
]

PICTURES = (".jpg", ".jpeg", ".png")
ANIMATIONS = (".gif", ".webp")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")


def pick_frames(available: int, num_frames: int, stride: int, what: str) -> list[int]:
    """Which frames of a clip are taken, rising from 0.

    Args:
        available: frames that the clip has.
        num_frames: frames wanted, at least 2.
        stride: take every so many-th from the first on; 0 spreads them evenly from the first to the last.
        what: what the clip is called in messages.

    Raises:
        InputError: the clip has too few frames.
    """
    needed = (num_frames - 1) * max(1, stride) + 1
    if available < needed:
        step = f" at a stride of {stride}" if stride > 1 else ""
        raise InputError(
            f"{what} has {available} frames: expected at least {needed} for {num_frames}{step}, so ask for fewer "
            "or leave it out"
        )
    if not stride:
        return [round(k * (available - 1) / (num_frames - 1)) for k in range(num_frames)]
    return list(range(0, needed, stride))


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of the numbers in their names; InputError where there is none."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: expected the frames of a clip, so check the download")
    found = [path for path in in_order(folder.iterdir()) if path.suffix.lower() in PICTURES]
    if not found:
        raise InputError(f"{folder} holds no pictures: expected frames as {', '.join(PICTURES)}")
    return found


def read_clip(
    clip: Path, size: tuple[int, int], how: str, num_frames: int, stride: int
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
    # with a stride nobody need know how many frames there are: decoding stops after the last one that is wanted
    with _opened(clip) as (_, stream):
        told = stream.frames
    available = (num_frames - 1) * stride + 1 if stride else told or _count(clip)
    picked = pick_frames(available, num_frames, stride, str(clip))
    shown = [fit_image(picture, size, how) for picture in _frames(clip, picked)]
    if len(shown) < num_frames and not stride:
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
    """The frames that are on the screen at rising times, in seconds from the video's start.

    Decoding begins at the last key frame before the first of them.

    Raises:
        InputError: the video cannot be decoded, or ends before the last of the times.
    """
    return _fitted(_frames_at(clip, times), size, how, str(clip))


# --- decoding --------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """An open video and its stream of pictures; InputError where it is none, or cannot be decoded in the block."""
    if not path.is_file():
        raise InputError(f"there is no video {path}: expected a video, so check the path and the download")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path} has no moving pictures, only sound: expected a video")
            yield container, container.streams.video[0]
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{path} cannot be decoded as a video ({reason}): expected a whole video, so fetch it again"
        ) from None


def _picture(frame: av.VideoFrame) -> PIL.Image.Image:
    turned = frame.to_image()
    return turned.rotate(frame.rotation, expand=True) if frame.rotation else turned


def _count(path: Path) -> int:
    with _opened(path) as (container, stream):
        return sum(1 for _ in container.decode(stream))


def _frames(path: Path, numbers: Sequence[int]) -> Iterator[PIL.Image.Image]:
    """The frames of rising numbers, counted from 0; fewer where the video ends before."""
    wanted = set(numbers)
    with _opened(path) as (container, stream):
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                yield _picture(frame)
            if number == numbers[-1]:
                return


def _frames_at(path: Path, times: Sequence[float]) -> Iterator[PIL.Image.Image]:
    with _opened(path) as (container, stream):
        start = stream.start_time or 0
        container.seek(start + int(times[0] / stream.time_base), stream=stream, backward=True)
        shown, since, length = None, 0.0, 1 / float(stream.average_rate) if stream.average_rate else 0.0
        todo = list(times)
        for frame in container.decode(stream):
            if frame.pts is None:
                continue
            now = float((frame.pts - start) * stream.time_base)
            # a frame is on the screen until the next one comes
            while todo and shown is not None and now > todo[0] + 1e-6:
                yield _picture(shown)
                todo.pop(0)
            if not todo:
                return
            length = length if shown is None else now - since
            shown, since = frame, now
        while todo and shown is not None and todo[0] < since + length:
            yield _picture(shown)
            todo.pop(0)
    if todo:
        end = "has nothing to show" if shown is None else f"ends at {since + length:.2f} s"
        raise InputError(
            f"{path} {end}, and a frame at {todo[0]:.2f} s is wanted: expected a longer video, so check that it is "
            "whole and cut as its data set says"
        )


def _fitted(pictures: Iterable[PIL.Image.Image], size: tuple[int, int], how: str, what: str) -> tuple[Video, Fit]:
    return _joined([fit_image(picture, size, how) for picture in pictures], what)


def _joined(shown: list[tuple[PIL.Image.Image, Fit]], what: str) -> tuple[Video, Fit]:
    for k, ((_, one), (_, other)) in enumerate(pairwise(shown)):
        if one.source != other.source:
            raise InputError(
                f"of the frames taken from {what}, number {k + 1} has size {other.source} and the one before "
                f"{one.source}: expected frames of one size"
            )
    return torch.stack([to_tensor(frame) for frame, _ in shown]), shown[0][1]
