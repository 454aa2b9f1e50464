"""Videos on disk: H.264 in mp4, animated GIF and WebP, folders of PNG frames.

Nothing is ever half-written: every file (or folder of frames) is made under a temporary name next to its destination
and renamed when it is whole.
"""

import numbers
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from itertools import islice, pairwise
from pathlib import Path
from typing import SupportsIndex

import av
import numpy as np
import torch
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from PIL import Image, ImageSequence, UnidentifiedImageError

from sgi2v_lab.errors import InputError, whole_number
from sgi2v_lab.files import as_path, in_order, is_litter, whole_file
from sgi2v_lab.images.read import read_image
from sgi2v_lab.shapes import Frames, Video
from sgi2v_lab.video.frames import AnyVideo, as_frames, enlarge

__all__ = ["encode_mp4", "open_film", "read_video", "upright", "write_frames", "write_video"]

HIGHEST_FPS = {".mp4": 240, ".webp": 240, ".gif": 50}  # browsers play GIF frames shorter than 20 ms at 10 per second
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif")  # suffixes of a folder's frames
LARGEST = 2**31  # bytes of decoded frames; as floats they take four times as much


# --- writing ---------------------------------------------------------------------------------------------------------


def write_video(
    path: str | Path, video: AnyVideo, fps: numbers.Real = 7, scale: SupportsIndex | None = None, smooth: bool = False
) -> Path:
    """Write a video; the suffix says how: .mp4 (H.264, plays in every browser), .gif, .webp, none (a folder of PNGs).

    An mp4's sides must be even: an odd side is lengthened by repeating its last row or column. GIF and WebP loop for
    ever. A file of that name is replaced.

    Args:
        path: where to; missing parent folders are made.
        video: (frames, 3, height, width) floats in 0..1, or (frames, height, width, 3) bytes.
        fps: frames per second, above 0 and at most 240 (GIF: 50).
        scale: enlarge by this whole factor first; tiny videos are seen better so.
        smooth: enlarge with Lanczos, rather than every pixel as a crisp square.

    Returns:
        The path written.

    Raises:
        InputError: unknown suffix, bad fps or scale, a bad video (see `as_frames`), or a place that cannot be written.
    """
    path = as_path(path)
    suffix = path.suffix.lower()
    if suffix not in ("", *HIGHEST_FPS):
        raise InputError(f"cannot write {path.name!r}: expected .mp4, .gif, .webp, or no suffix (a folder of frames)")
    rate = checked_fps(fps, HIGHEST_FPS.get(suffix, 240))
    frames = enlarge(video, scale, smooth)
    if suffix == "":
        return write_frames(path, frames)
    with whole_file(path) as temporary:
        if suffix == ".mp4":
            encode_mp4(temporary, frames, rate)
        else:
            # round the end of each frame, not its length, so that rounding errors do not add up; GIF counts in 10 ms
            unit = 10 if suffix == ".gif" else 1
            ends = [round(i * 1000 / rate / unit) * unit for i in range(len(frames) + 1)]
            first, *rest = (Image.fromarray(f) for f in frames.numpy())
            quality = {} if suffix == ".gif" else {"quality": 90, "method": 4}
            lengths = [b - a for a, b in pairwise(ends)]
            first.save(temporary, save_all=True, append_images=rest, duration=lengths, loop=0, **quality)
    return path


def encode_mp4(target: Path | BytesIO, frames: Frames, fps: float | int) -> None:
    """H.264, yuv420p, BT.709, as an mp4 with its index in front (when `target` is a file)."""
    height, width = frames.shape[1:3]
    even = np.pad(frames.numpy(), ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    options = {"movflags": "+faststart"} if isinstance(target, Path) else {}
    where = str(target) if isinstance(target, Path) else target
    with av.open(where, "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.height, stream.width, stream.pix_fmt = *even.shape[1:3], "yuv420p"
        stream.options = {"crf": "16", "preset": "medium"}
        # untagged colours are guessed differently by different players
        stream.codec_context.colorspace = int(Colorspace.ITU709)
        stream.codec_context.color_primaries = int(ColorPrimaries.BT709)
        stream.codec_context.color_trc = int(ColorTrc.BT709)
        stream.codec_context.color_range = int(ColorRange.MPEG)
        for array in even:
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_frames(folder: str | Path, video: AnyVideo) -> Path:
    """Write frame_0000.png, frame_0001.png, ... (lossless) into a folder, and return the folder.

    A folder that holds nothing but such frames is replaced; any other folder is left alone.

    Raises:
        InputError: the folder holds something else, cannot be written, or the video is bad (see `as_frames`).
    """
    folder, frames = as_path(folder, "a folder"), as_frames(video)
    if folder.exists() and not (
        folder.is_dir() and all(f.match("frame_*.png") or is_litter(f) for f in folder.iterdir())
    ):
        raise InputError(f"{str(folder)!r} exists and is not a folder of frames; choose another name")
    with whole_file(folder) as temporary:
        temporary.mkdir()
        for i, frame in enumerate(frames.numpy()):
            Image.fromarray(frame).save(temporary / f"frame_{i:04d}.png")
        if folder.exists():  # a folder can only be renamed onto an empty one
            for old in folder.iterdir():
                shutil.rmtree(old) if old.is_dir() else old.unlink()
    return folder


def checked_fps(fps: numbers.Real, highest: int) -> float:
    """The frame rate, or an InputError that says what is wrong with it."""
    if isinstance(fps, bool) or not isinstance(fps, numbers.Real) or not 0.1 <= fps <= highest:
        raise InputError(f"fps is {fps!r}: expected frames per second, a number from 0.1 to {highest}")
    return float(fps)


# --- reading ---------------------------------------------------------------------------------------------------------


def read_video(path: str | Path, max_frames: SupportsIndex | None = None) -> Video:
    """Read a video: any file that FFmpeg decodes (.mp4, .avi, ...), an animated picture, or a folder of pictures.

    A film is turned upright as its container says. Animations merge equal frames into one that lasts longer; such a
    frame is repeated as it lasts (if nothing ever changes, one frame comes back), and a frame of at most 10 ms lasts
    100 ms, as in browsers. Pictures in a folder are taken in the order of their names, numbers by their value.

    Args:
        path: the file or folder.
        max_frames: stop after so many frames; None reads all.

    Returns:
        (frames, 3, height, width), floats in 0..1.

    Raises:
        InputError: not found, not a video, pictures of different sizes, no frames, or more than 2 GiB of pixels.
    """
    path = as_path(path, "a video")
    if not path.exists():
        raise InputError(f"there is no {str(path)!r}; check the path")
    if max_frames is not None:
        max_frames = whole_number(max_frames, "max_frames", 1)
    arrays, size = [], 0
    try:
        for array in islice(_pictures(path), max_frames):
            arrays.append(array)
            size += array.size
            if size > LARGEST:
                raise InputError(
                    f"{str(path)!r} has more than {len(arrays) - 1} frames of {array.shape[1]} x {array.shape[0]} "
                    "pixels, which is more than fits; give max_frames, or a shorter or smaller video"
                )
    except InputError:
        raise
    except (Image.DecompressionBombError, OSError, IndexError, ValueError, SyntaxError) as error:
        raise InputError(f"cannot read {str(path)!r} as a video ({error}); give mp4, gif, webp or frames") from error
    sizes = {a.shape for a in arrays}
    if len(sizes) != 1:
        found = f"pictures of {len(sizes)} different sizes" if sizes else "no frames"
        raise InputError(f"{str(path)!r} holds {found}; a video needs one or more frames of one size")
    height, width, _ = arrays[0].shape
    video = torch.empty(len(arrays), 3, height, width)
    for frame, array in zip(video, arrays, strict=True):  # one at a time: together, three copies would be in memory
        frame.copy_(torch.from_numpy(array).permute(2, 0, 1))
    return video.div_(255)


def _pictures(path: Path) -> Iterator[np.ndarray]:
    """The frames, each (height, width, 3) bytes, one at a time."""
    if path.is_dir():
        files = in_order(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
        return (np.array(read_image(file)) for file in files)
    try:
        with Image.open(path):
            return _animation_pictures(path)
    except UnidentifiedImageError:
        return _decoded_pictures(path)


def _decoded_pictures(path: Path) -> Iterator[np.ndarray]:
    with open_film(path) as (container, stream):
        yield from map(upright, container.decode(stream))


@contextmanager
def open_film(path: Path) -> Iterator[tuple[av.container.InputContainer, av.video.stream.VideoStream]]:
    """A film and its stream of pictures, to decode; InputError where it has none or, also later, is damaged."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{str(path)!r} holds sound, but no pictures; give mp4, gif, webp or frames")
            yield container, container.streams.video[0]
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"cannot read {str(path)!r} as a video ({error}); give mp4, gif, webp or frames") from error


def upright(frame: av.VideoFrame) -> np.ndarray:
    """A film's frame (height, width, 3) in bytes, turned as its container says: phones store films on their side."""
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)))


def _animation_pictures(path: Path) -> Iterator[np.ndarray]:
    with Image.open(path) as animation:
        lengths = []
        for frame in ImageSequence.Iterator(animation):
            frame.load()  # WebP knows a frame's length only once it is decoded
            length = frame.info.get("duration", 0)
            lengths.append(length if length > 10 else 100)
        shortest = min(lengths)
        for frame, length in zip(ImageSequence.Iterator(animation), lengths, strict=True):
            array = np.array(read_image(frame))
            for _ in range(max(1, round(length / shortest))):
                yield array
