"""Trajectories in files: JSON, the reference implementation's folder with its traj.npy, and other tools' tracks.

The JSON format is described in `sgi2v_lab.trajectories.json_format`, all others in `sgi2v_lab.trajectories.tracks`.
"""

import io
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from sgi2v_lab.errors import InputError, whole_number
from sgi2v_lab.files import as_path, whole_file, write_text
from sgi2v_lab.images.read import Picture, read_image
from sgi2v_lab.images.resize import check_size
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from sgi2v_lab.trajectories.json_format import from_json, to_json
from sgi2v_lab.trajectories.tracks import (
    BoxSize,
    from_array,
    from_points,
    in_units,
    parse_points,
    to_kjnodes,
    to_tracks,
    to_traj,
)

__all__ = [
    "FORMATS",
    "Asked",
    "as_trajectories",
    "load_trajectories",
    "read_example",
    "save_trajectories",
    "write_example",
]

ARRAYS = (b"\x93", b"P", b"\x80")  # first bytes of NumPy's format, a zip archive (.npz, .pth) and a pickle
LARGEST = 64 * 2**20  # bytes; a day's drawing is some kilobytes
FORMATS = {".json": ("sgi2v", "kjnodes"), ".npy": ("traj", "tracks"), ".pth": ("tracks",), ".pt": ("tracks",)}
# keys under which tools keep an array of tracks or boxes
KEYS = ("tracks", "boxes", "points", "trajectories", "traj", "pred_tracks", "coords")
# what `generate` follows; arrays are boxes (boxes, frames, 4) or (frames, 4)
Asked = Trajectories | Trajectory | Iterable[Trajectory] | str | os.PathLike | np.ndarray | Tensor


def as_trajectories(asked: Asked, image_size: tuple[int, int]) -> Trajectories:
    """Trajectories on a picture of a size, from anything that people hold.

    Args:
        asked: `Trajectories`; one `Trajectory`, or several; a file of them; or boxes frame by frame, an array
            (boxes, frames, 4) or (frames, 4) in pixels.
        image_size: (width, height) of the picture.

    Raises:
        InputError: it is none of these, or is for a picture of another size.
    """
    image_size = check_size(image_size, "image_size")
    if isinstance(asked, Trajectories):
        if asked.image_size != image_size:
            raise InputError(
                f"the trajectories are for a picture of {_by(asked.image_size)} px, but this one has "
                f"{_by(image_size)}; draw them on this picture, or carry them over with resized()"
            )
        return asked
    if isinstance(asked, Trajectory):
        return Trajectories(image_size, (asked,))
    if isinstance(asked, str | os.PathLike):
        return load_trajectories(asked, image_size)
    if isinstance(asked, list | tuple) and all(isinstance(each, Trajectory) for each in asked):
        return Trajectories(image_size, tuple(asked))
    try:
        array = _plain(asked).astype(np.float64)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.ndim not in (2, 3) or array.shape[-1] != 4:
        raise InputError(
            f"the trajectories are a {type(asked).__name__}: expected Trajectories, a Trajectory or a list of them, a "
            "file of them, or boxes (boxes, frames, 4)"
        )
    return from_array(array, image_size)


def load_trajectories(
    path: str | os.PathLike,
    image_size: tuple[int, int] | None = None,
    *,
    resample: bool = False,
    fit_boxes: bool = False,
    units: str = "pixels",
    box_size: BoxSize | None = None,
) -> Trajectories:
    """Read trajectories from a file, whose content says which format it has.

    It may be JSON; a `traj.npy`, point tracks or boxes as NumPy's array (.npy, .npz) or PyTorch's (.pth), also under a
    key such as "tracks"; or the text of ComfyUI-KJNodes' spline editor. No pickled object is loaded.

    Args:
        path: the file; or a folder with one of the reference format's `traj.npy`.
        image_size: (width, height) of the picture they belong to. Only JSON says it; the two must agree.
        resample: allow other frame counts than the one that the file was made for.
        fit_boxes: carry what JSON has for a picture of another size over to this one, by stretching.
        units: "pixels", or "fractions" of the picture's size, as in normalised boxes.
        box_size: of the boxes about point tracks, (width, height) or one number, in these units; by default what the
            file has under the key "box_size".

    Raises:
        InputError: if the file is missing, malformed or of an unknown version, or holds an impossible trajectory; if it
            says no picture's size or box's size, and none is given.
    """
    path = as_path(path, "a file of trajectories")
    if image_size is not None:
        image_size = check_size(image_size, "image_size")
    if os.path.isfile(path / "traj.npy"):
        path = path / "traj.npy"
    content = _read(path)
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz", ".pt", ".pth") and content[:1] not in ARRAYS:
        raise InputError(f"{path} is not a {suffix} file: expected an array that NumPy or PyTorch saved")
    try:
        loaded = _loaded(content, image_size, units, box_size)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from None
    if image_size is not None and loaded.image_size != image_size:
        if not fit_boxes:
            raise InputError(
                f"{path} belongs to an image of size {loaded.image_size} but this one has {image_size}: "
                "expected the same, so carry them over with fit_boxes=True"
            )
        loaded = loaded.resized(image_size)
    return loaded.resampled() if resample else loaded


def save_trajectories(
    path: str | os.PathLike, trajectories: Trajectories, num_frames: int | None = None, kind: str | None = None
) -> None:
    """Write trajectories to a file, whole or not at all; missing folders are made.

    JSON keeps everything. All other formats hold one frame count, `num_frames`, which is required there.

    Args:
        path: the file: .json, .npy or .pth.
        trajectories: what to write.
        num_frames: how many frames it is for.
        kind: .json may be "sgi2v" or "kjnodes", .npy may be "traj" or "tracks" (the centres alone), .pth is "tracks".
            None takes the first.

    Raises:
        InputError: if the suffix or the kind is another, the format cannot hold the trajectories (a `traj.npy` has no
            box that changes its size), or the file cannot be written.
    """
    path = as_path(path)
    if not isinstance(trajectories, Trajectories):
        raise InputError(f"the trajectories are a {type(trajectories).__name__}: expected Trajectories")
    kinds = FORMATS.get(path.suffix.lower())
    if kinds is None:
        raise InputError(f"{path} has the suffix {path.suffix!r}: expected {', '.join(FORMATS)}")
    kind = kind or kinds[0]
    if kind not in kinds:
        raise InputError(f"{path} cannot be of kind {kind!r}: a {path.suffix} file is one of {', '.join(kinds)}")
    if kind == "sgi2v":
        write_text(path, to_json(trajectories))
        return
    if num_frames is None:
        raise InputError(f"{path} holds a place per frame: expected num_frames=, or kind 'sgi2v' in a .json")
    num_frames = whole_number(num_frames, "num_frames", 1)
    if kind == "kjnodes":
        write_text(path, to_kjnodes(trajectories, num_frames) + "\n")
        return
    array = to_traj(trajectories, num_frames) if kind == "traj" else to_tracks(trajectories, num_frames)
    with whole_file(path) as part:
        if path.suffix.lower() == ".npy":
            np.save(part, array, allow_pickle=False)
        else:
            torch.save(torch.from_numpy(array), part)


def read_example(folder: str | os.PathLike, *, resample: bool = False) -> tuple[PIL.Image.Image, Trajectories]:
    """Read a folder of the reference format: the picture of img.png, and the trajectories on it.

    Raises:
        InputError: if a file is missing or malformed; see `read_image` and `load_trajectories`.
    """
    folder = as_path(folder, "a folder")
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: expected one with img.png and traj.npy, so check the path")
    image = read_image(folder / "img.png")
    return image, load_trajectories(folder / "traj.npy", image.size, resample=resample)


def write_example(folder: str | os.PathLike, image: Picture, trajectories: Trajectories, num_frames: int) -> None:
    """Write img.png and traj.npy, as the reference implementation reads them; the folder is made if need be.

    Raises:
        InputError: if the image has another size than the trajectories', a box changes its size, or the folder cannot
            be written to.
    """
    folder, image = as_path(folder, "a folder"), read_image(image)
    if image.size != trajectories.image_size:
        raise InputError(
            f"the image has size {image.size} but the trajectories belong to one of {trajectories.image_size}: "
            "expected the same, so carry them over with resized()"
        )
    array = to_traj(trajectories, num_frames)
    with whole_file(folder / "img.png") as part:
        image.save(part)
    with whole_file(folder / "traj.npy") as part:
        np.save(part, array, allow_pickle=False)


# --- what is in a file -----------------------------------------------------------------------------------------------


def _loaded(content: bytes, image_size: tuple[int, int] | None, units: str, box_size: BoxSize | None) -> Trajectories:
    def size() -> tuple[int, int]:
        if image_size is None:
            raise InputError("the file does not say how large its image is: expected image_size=(width, height)")
        return image_size

    if content[:1] not in ARRAYS:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InputError("it is neither text in UTF-8 nor an array: expected JSON, .npy, .npz or .pth") from None
        points = parse_points(text)
        if points is not None:
            return from_points(points, size(), box_size=box_size, units=units)
        whole = from_json(text)
        if box_size is not None:
            raise InputError("it holds whole boxes: expected no box size beside them, so leave it out")
        return in_units(whole, units)
    array, known = _array(content)
    return from_array(array, size(), box_size=known if box_size is None else box_size, units=units)


PICKLED = "it holds pickled objects, which can run code and are not loaded: expected a plain array of numbers"


def _array(content: bytes) -> tuple[np.ndarray, BoxSize | None]:
    """The array in a .npy, .npz or .pth file, and the box size beside it."""
    file = io.BytesIO(content)
    if content[:1] == b"\x80":
        raise InputError(PICKLED)
    try:
        if content[:4] == b"PK\x03\x04" and any(name.endswith("data.pkl") for name in zipfile.ZipFile(file).namelist()):
            file.seek(0)
            found = torch.load(file, map_location="cpu", weights_only=True)
        else:
            file.seek(0)
            found = np.load(file, allow_pickle=False)
        named = isinstance(found, np.lib.npyio.NpzFile | dict)
        found = {name: _plain(value) for name, value in (found if named else {"": found}).items()}
    except UnpicklingError:
        raise InputError(PICKLED) from None
    except Exception as error:  # a damaged header may raise anything, MemoryError included
        if "allow_pickle" in str(error):
            raise InputError(PICKLED) from None
        raise InputError("it is damaged or cut short, or no array: expected one that was saved whole") from None
    if not named:
        return found[""], None
    arrays = [found[key] for key in KEYS if key in found] or [found[key] for key in found if len(found) == 1]
    if len(arrays) != 1:
        raise InputError(f"it holds {', '.join(map(repr, found)) or 'nothing'}: expected one array, called {KEYS[0]!r}")
    return arrays[0], found.get("box_size")


def _plain(value: object) -> np.ndarray:
    """An array of NumPy's or PyTorch's, which may be of half precision, sparse or with gradients."""
    return np.asarray(value.detach().cpu().to_dense().double() if isinstance(value, Tensor) else value)


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


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
