"""Trajectories in files: JSON, and the reference implementation's folder with its traj.npy.

The JSON format is described in `sgi2v_lab.trajectories.json_format`.

The reference format, as in the released code of SG-I2V, is a folder with img.png and traj.npy: a float array
(boxes, 2 + frames, 2) of (x, y) in pixels of that image. Row 0 is the top-left and row 1 the bottom-right corner of the
box in the first frame, rows 2.. are its centre in each frame; the box in frame f is the first one shifted by
centre[f] - centre[0]. It knows neither names nor boxes that change size, and it holds for one frame count.
"""

import os
from pathlib import Path

import numpy as np
import PIL.Image
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.files import whole_file, write_text
from sgi2v_lab.images.read import read_image
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.json_format import from_json, to_json

__all__ = ["load_trajectories", "read_example", "save_trajectories", "write_example"]

LARGEST = 64 * 2**20  # bytes; a day's drawing is some kilobytes
SAME = 1e-3  # pixels by which a box may change its size and still count as unchanged


def load_trajectories(
    path: str | os.PathLike, image_size: tuple[int, int] | None = None, *, resample: bool = False
) -> Trajectories:
    """Read trajectories from a .json or a .npy file.

    Args:
        path: the file; its suffix says which format it has.
        image_size: (width, height) of the picture they belong to. A .npy file does not say, so it is required there; a
            .json file does, and the two must agree.
        resample: allow other frame counts than the one that the file was made for.

    Raises:
        InputError: if the file is missing, malformed or of an unknown version, or holds an impossible trajectory.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".json":
            loaded = _read_json(path)
            if image_size is not None and loaded.image_size != tuple(image_size):
                raise InputError(
                    f"{path} belongs to an image of size {loaded.image_size} but this one has {tuple(image_size)}: "
                    "expected the same, so load without image_size= and carry them over with fitted()"
                )
            return loaded.resampled() if resample else loaded
        case ".npy":
            if image_size is None:
                raise InputError(f"{path} does not say how large its image is: expected image_size=(width, height)")
            return _from_array(_read_array(path), path, image_size, resample)
    raise InputError(f"{path} has the suffix {path.suffix!r}: expected .json or .npy")


def save_trajectories(path: str | os.PathLike, trajectories: Trajectories, num_frames: int | None = None) -> None:
    """Write trajectories to a .json or a .npy file, whole or not at all; missing folders are made.

    JSON keeps everything. A .npy file holds one frame count, `num_frames`, which is required there, and only boxes that
    keep their size.

    Raises:
        InputError: if the suffix is neither, a .npy file cannot hold the trajectories, or the file cannot be written.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".json":
            write_text(path, to_json(trajectories))
        case ".npy":
            if num_frames is None:
                raise InputError(f"{path} holds a box per frame: expected num_frames=, or save as .json")
            array = _to_array(trajectories, num_frames)
            with whole_file(path) as part:
                np.save(part, array, allow_pickle=False)
        case _:
            raise InputError(f"{path} has the suffix {path.suffix!r}: expected .json or .npy")


def read_example(folder: str | os.PathLike, *, resample: bool = False) -> tuple[PIL.Image.Image, Trajectories]:
    """Read a folder of the reference format: the picture of img.png, and the trajectories on it.

    Raises:
        InputError: if a file is missing or malformed; see `read_image` and `load_trajectories`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: expected one with img.png and traj.npy, so check the path")
    image = read_image(folder / "img.png")
    return image, load_trajectories(folder / "traj.npy", image.size, resample=resample)


def write_example(
    folder: str | os.PathLike, image: PIL.Image.Image, trajectories: Trajectories, num_frames: int
) -> None:
    """Write img.png and traj.npy, as the reference implementation reads them; the folder is made if need be.

    Raises:
        InputError: if the image has another size than the trajectories', a box changes its size, or the folder cannot
            be written to.
    """
    folder = Path(folder)
    if image.size != trajectories.image_size:
        raise InputError(
            f"the image has size {image.size} but the trajectories belong to one of {trajectories.image_size}: "
            "expected the same, so carry them over with fitted()"
        )
    array = _to_array(trajectories, num_frames)
    with whole_file(folder / "img.png") as part:
        image.convert("RGB").save(part)
    with whole_file(folder / "traj.npy") as part:
        np.save(part, array, allow_pickle=False)


# --- the reference's array -------------------------------------------------------------------------------------------


def _to_array(trajectories: Trajectories, num_frames: int) -> np.ndarray:
    trajectories.validate(num_frames)
    times = np.arange(num_frames) / max(1, num_frames - 1)
    corners = torch.stack([trajectory.at(times) for trajectory in trajectories]).unflatten(-1, (2, 2))
    sizes = corners[:, :, 1] - corners[:, :, 0]
    growing = ((sizes - sizes[:, :1]).abs() > SAME).flatten(1).any(dim=1)
    if growing.any():
        raise InputError(
            f"box {int(growing.nonzero()[0])} changes its size, which a traj.npy cannot say: expected boxes that only "
            "move, so save as .json"
        )
    return torch.cat([corners[:, 0], corners.mean(dim=2)], dim=1).numpy()


def _from_array(array: np.ndarray, path: Path, image_size: tuple[int, int], resample: bool) -> Trajectories:
    if array.ndim != 3 or array.shape[0] < 1 or array.shape[1] < 3 or array.shape[2] != 2:
        raise InputError(
            f"{path} has shape {array.shape}: expected (boxes, 2 + frames, 2), the two corners and then the centres"
        )
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path} has values of type {array.dtype}: expected floating-point or whole numbers")
    places = torch.from_numpy(array.astype(np.float64))
    first, centres = places[:, :2].flatten(1), places[:, 2:]
    boxes = first[:, None] + (centres - centres[:, :1]).repeat(1, 1, 2)
    try:
        return Trajectories.from_boxes(image_size, boxes, resample=resample)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _read_array(path: Path) -> np.ndarray:
    magic = _read(path)[:6]
    pickled = f"{path} holds pickled objects, which can run code and are not loaded: expected a plain array of numbers"
    if magic[:1] == b"\x80":
        raise InputError(pickled)
    if magic != b"\x93NUMPY":
        raise InputError(f"{path} is not a .npy file: expected an array written by numpy.save")
    try:
        return np.load(path, allow_pickle=False)
    except Exception as error:  # a damaged header may raise anything, MemoryError included
        if "allow_pickle" in str(error):
            raise InputError(pickled) from None
        raise InputError(f"{path} is damaged or cut short: expected a whole array, so save it again") from None


# --- files -----------------------------------------------------------------------------------------------------------


def _read_json(path: Path) -> Trajectories:
    try:
        return from_json(_read(path).decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8: expected JSON, so save it in that encoding") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(
                f"{path} has {path.stat().st_size} bytes: expected at most {LARGEST}, as trajectories have"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no file {path}: expected trajectories, so check the path") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): expected a file of trajectories") from None
