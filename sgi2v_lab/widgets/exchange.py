"""Trajectory files that come from the browser, or go there, as bytes rather than paths."""

import tempfile
from pathlib import Path
from typing import Any

from sgi2v_lab.errors import InputError
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.files import load_trajectories, save_trajectories

__all__ = ["Uploads", "from_upload", "load_any_size", "to_download"]


class Uploads:
    """Files on their way from the browser. They come in parts: Jupyter refuses messages of more than 10 MiB."""

    _most = 4  # files that are not finished: a page that was closed never sends the rest

    def __init__(self) -> None:
        self._parts: dict[str, list[bytes]] = {}

    def add(self, message: dict[str, Any], part: bytes) -> bytes | None:
        """Take the next part of a file; returns the whole file when this was its last part, else None.

        Args:
            message: with "upload", which tells files apart, and "parts", how many there are. Without these two, the
                part is the whole file.
            part: the bytes.
        """
        name, count = message.get("upload", ""), message.get("parts", 1)
        self._parts.setdefault(name, []).append(part)
        if len(self._parts[name]) < count:
            while len(self._parts) > self._most:
                del self._parts[next(iter(self._parts))]
            return None
        return b"".join(self._parts.pop(name))


def load_any_size(path: Path, image_size: tuple[int, int]) -> Trajectories:
    """Read trajectories for any number of frames: a .json with the picture size it names, a .npy for `image_size`."""
    return load_trajectories(path, image_size if path.suffix.lower() == ".npy" else None, resample=True)


def from_upload(name: str, content: bytes, image_size: tuple[int, int]) -> Trajectories:
    """The same from a file's name and content; InputError, in terms of that name, as `load_trajectories`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{Path(name).suffix.lower()}"
        path.write_bytes(content)
        try:
            return load_any_size(path, image_size)
        except InputError as error:
            raise InputError(str(error).replace(str(path), name)) from None


def to_download(trajectories: Trajectories, suffix: str, num_frames: int) -> tuple[str, bytes]:
    """A file's name and content, for the suffix ".json" or ".npy"; InputError as `save_trajectories`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("traj.npy" if suffix == ".npy" else f"trajectories{suffix}")
        save_trajectories(path, trajectories, num_frames)
        return path.name, path.read_bytes()
