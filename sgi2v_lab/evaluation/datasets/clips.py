"""Frames of clips: only those that are used are decoded, and each is resized at once.

Which frames: every `stride`-th one from the first on, so that with stride 1 time runs as in the source; with stride
None, as many as are wanted, spread evenly from the first to the last. Frames are never blended or repeated: a clip that
is too short is an error.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path

import PIL.Image
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.files import ANIMATIONS, list_pictures
from sgi2v_lab.images.read import Fit, fit_image, read_image, to_pil, to_tensor
from sgi2v_lab.shapes import Video
from sgi2v_lab.video import read_video
from sgi2v_lab.video.files import open_film, upright

__all__ = ["join_frames", "pick_frames", "read_clip", "video_frames_at"]


def pick_frames(available: int, num_frames: int, stride: int | None, clip: Path) -> list[int]:
    """The numbers of the frames to take from a clip of `available` frames. InputError if it is too short."""
    needed = (num_frames - 1) * (stride or 1) + 1
    if available < needed:
        wanted = f"at least {needed} for {num_frames} at a stride of {stride or 1}, so choose fewer or leave it out"
        raise InputError(f"{clip} has {available} frames: expected {wanted}")
    if stride is None:
        return [round(k * (available - 1) / (num_frames - 1)) for k in range(num_frames)]
    return list(range(0, needed, stride))


def read_clip(
    clip: Path, size: tuple[int, int], how: str, num_frames: int, stride: int | None
) -> tuple[Video, Fit, list[int]]:
    """Read frames of a video, an animation or a folder: fitted (in 0..1), the change of coordinates, their numbers.

    InputError if the clip is missing, damaged or too short, or its frames have different sizes.
    """
    frames: Iterable[PIL.Image.Image]
    if clip.is_dir():
        pictures = list_pictures(clip)
        picked = pick_frames(len(pictures), num_frames, stride, clip)
        frames = (read_image(pictures[f]) for f in picked)
    elif clip.suffix.lower() in ANIMATIONS:
        animation = read_video(clip)
        picked = pick_frames(len(animation), num_frames, stride, clip)
        frames = (to_pil(animation[f]) for f in picked)
    else:
        # with a stride the length does not matter: decoding stops after the last frame wanted
        picked = pick_frames(num_frames * stride if stride else _count_frames(clip), num_frames, stride, clip)
        frames = _video_frames(clip, picked)
    return *join_frames(frames, size, how, clip), picked


def join_frames(frames: Iterable[PIL.Image.Image], size: tuple[int, int], how: str, clip: Path) -> tuple[Video, Fit]:
    """Resize frames and stack them. InputError if they have different sizes."""
    fitted = []
    for k, frame in enumerate(frames):
        fitted.append(fit_image(frame.convert("RGB"), size, how))
        if fitted[k][1] != fitted[0][1]:
            sizes = f"{fitted[0][1].source} in the first frame and {frame.size} in number {k} of those taken"
            raise InputError(f"{clip} has size {sizes}: expected frames of one size")
    return torch.stack([to_tensor(picture) for picture, _ in fitted]), fitted[0][1]


def _count_frames(path: Path) -> int:
    with open_film(path) as (container, stream):
        return stream.frames or sum(1 for _ in container.decode(stream))  # not every file says how many


def _video_frames(path: Path, numbers: Sequence[int]) -> Iterator[PIL.Image.Image]:
    """The frames with these rising numbers, from 0 on."""
    wanted, available = set(numbers), 0
    with open_film(path) as (container, stream):
        for available, frame in enumerate(container.decode(stream), start=1):
            if available - 1 in wanted:
                yield PIL.Image.fromarray(upright(frame))
            if available > numbers[-1]:
                return
    wanted = f"at least {numbers[-1] + 1}, so choose fewer frames or a smaller stride, or fetch it again"
    raise InputError(f"{path} has {available} frames that can be decoded: expected {wanted}")


def video_frames_at(path: Path, times: Sequence[float]) -> Iterator[PIL.Image.Image]:
    """The frames on the screen at rising times, in seconds; InputError if the video is damaged or ends before."""
    todo, end = list(times), 0.0
    with open_film(path) as (container, stream):
        start, rate = stream.start_time or 0, stream.average_rate
        # decoding begins at the last key frame before the first time
        container.seek(start + int(times[0] / stream.time_base), stream=stream, backward=True)
        frames = (frame for frame in container.decode(stream) if frame.pts is not None)
        for frame, following in pairwise(chain(frames, [None])):
            # a frame stays on the screen until the next one comes
            last = float(1 / rate) if following is None and rate else 0.0
            end = float(((following or frame).pts - start) * stream.time_base) + last
            while todo and todo[0] < end - 1e-6:
                yield PIL.Image.fromarray(upright(frame))
                todo.pop(0)
            if not todo:
                return
    wanted = f"a frame at {todo[0]:.2f} s, so check that it is whole and cut as its data set says"
    raise InputError(f"{path} ends at {end:.2f} s: expected {wanted}")
