"""Frames of videos, by their numbers or their times, with clear words where a video is damaged."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import PIL.Image

from sgi2v_lab.errors import InputError

__all__ = ["VideoReader"]


class VideoReader:
    """An open video, a context manager. Its faults are InputErrors.

    Attributes:
        path: the file.
        told_frames: how many frames it says it has, 0 where it does not say.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise InputError(f"there is no video {path}: expected a video, so check the path and the download")
        try:
            self._container = av.open(str(path))
        except (av.FFmpegError, OSError) as error:
            raise self._fault(error) from None
        if not self._container.streams.video:
            self._container.close()
            raise InputError(f"{path} has no moving pictures, only sound: expected a video")
        self._stream = self._container.streams.video[0]
        self.told_frames: int = self._stream.frames

    def __enter__(self) -> "VideoReader":
        """The video itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._container.close()

    def count(self) -> int:
        """How many frames can be decoded."""
        return sum(1 for _ in self._decoded())

    def frames(self, numbers: Sequence[int]) -> Iterator[PIL.Image.Image]:
        """The frames of rising numbers, counted from 0; fewer where the video ends before."""
        wanted = set(numbers)
        for number, frame in enumerate(self._decoded()):
            if number in wanted:
                yield frame.to_image()
            if number == numbers[-1]:
                return

    def frames_at(self, times: Sequence[float]) -> Iterator[PIL.Image.Image]:
        """The frames on the screen at rising times, in seconds from the video's start.

        Decoding begins at the last key frame before the first of them.

        Raises:
            InputError: the video cannot be decoded, or ends before the last of the times.
        """
        self._go_to(times[0])
        rate = self._stream.average_rate
        shown, since, length = None, 0.0, 1 / float(rate) if rate else 0.0
        todo = list(times)
        for frame in self._decoded():
            if frame.pts is None:
                continue
            now = float((frame.pts - (self._stream.start_time or 0)) * self._stream.time_base)
            # a frame is on the screen until the next one comes
            while todo and shown is not None and now > todo[0] + 1e-6:
                yield shown.to_image()
                todo.pop(0)
            if not todo:
                return
            length = length if shown is None else now - since
            shown, since = frame, now
        while todo and shown is not None and todo[0] < since + length:
            yield shown.to_image()
            todo.pop(0)
        if todo:
            end = "has nothing to show" if shown is None else f"ends at {since + length:.2f} s"
            raise InputError(
                f"{self.path} {end}, and a frame at {todo[0]:.2f} s is wanted: expected a longer video, so check that "
                "it is whole and cut as its data set says"
            )

    def _decoded(self) -> Iterator[av.VideoFrame]:
        try:
            yield from self._container.decode(self._stream)
        except (av.FFmpegError, OSError) as error:
            raise self._fault(error) from None

    def _go_to(self, seconds: float) -> None:
        start = self._stream.start_time or 0
        try:
            place = start + int(seconds / self._stream.time_base)
            self._container.seek(place, stream=self._stream, backward=True)
        except (av.FFmpegError, OSError) as error:
            raise self._fault(error) from None

    def _fault(self, error: Exception) -> InputError:
        reason = getattr(error, "strerror", None) or error
        return InputError(
            f"{self.path} cannot be decoded as a video ({reason}): expected a whole video, so fetch it again"
        )
