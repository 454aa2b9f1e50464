"""Trajectory files that come from the browser, or go there, as bytes rather than paths."""

import tempfile
from pathlib import Path
from typing import Any

from sgi2v_lab.errors import InputError
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.files import FORMATS, load_trajectories, save_trajectories
from sgi2v_lab.trajectories.tracks import NoBoxSize

__all__ = ["Uploads", "from_upload", "holds_trajectories", "load_onto", "to_download"]


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


def holds_trajectories(name: str, content: bytes) -> bool:
    """Whether an upload is no picture, by its first bytes or else its name."""
    start = content[:64].lstrip(b"\xef\xbb\xbf \t\r\n")  # a text may begin with a byte order mark and empty lines
    named = Path(name).suffix.lower() in (*FORMATS, ".npz", ".txt")
    return named or start.startswith((b"[", b"{", b"\x93", b"\x80", b"PK"))


def load_onto(path: Path, drawn: Trajectories, selected: int) -> Trajectories:
    """Read trajectories, for any number of frames, onto the picture of those drawn; others' pictures are stretched.

    Boxes about point tracks, whose size their file does not say, are as large as the selected box.

    Raises:
        InputError: as `load_trajectories`; or no box is selected and its size is needed.
    """
    options = {"image_size": drawn.image_size, "resample": True, "fit_boxes": True}
    try:
        return load_trajectories(path, **options)
    except NoBoxSize:
        if selected < 0:
            raise InputError(
                f"{path} holds point tracks, which say nothing of a box's size: expected a box to take it from, so "
                "draw one around the object and open the file again"
            ) from None
        x0, y0, x1, y1 = drawn[selected].keys[0].box
        return load_trajectories(path, box_size=(x1 - x0, y1 - y0), **options)


def from_upload(name: str, content: bytes, drawn: Trajectories, selected: int) -> Trajectories:
    """The same from a file's name and content; InputError in terms of that name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{Path(name).suffix.lower()}"
        path.write_bytes(content)
        try:
            return load_onto(path, drawn, selected)
        except InputError as error:
            remedy = str(error).replace("units='fractions'", "load_trajectories(..., units='fractions') in Python")
            raise InputError(remedy.replace(str(path), name)) from None


def to_download(trajectories: Trajectories, suffix: str, num_frames: int) -> tuple[str, bytes]:
    """A file's name and content, for the suffix ".json" or ".npy"; InputError as `save_trajectories`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("traj.npy" if suffix == ".npy" else f"trajectories{suffix}")
        save_trajectories(path, trajectories, num_frames)
        return path.name, path.read_bytes()
