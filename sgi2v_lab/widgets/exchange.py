"""Trajectory files that come from the browser, or go there, as bytes rather than paths."""

import tempfile
from pathlib import Path

from sgi2v_lab.errors import InputError
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.files import load_trajectories, save_trajectories

__all__ = ["from_upload", "load_any_size", "to_download"]


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
