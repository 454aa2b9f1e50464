"""Films with tracks of points, in the layout of TAP-Vid (Doersch et al. 2022, arXiv 2211.03726), read without risk.

A pickle can run any code when it is read. Here it may hold dictionaries, lists, text, numbers and arrays of these, and
nothing else: what asks for another object is refused before that is made.
"""

import pickle
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from sgi2v_lab.errors import InputError
from sgi2v_lab.files import as_path

__all__ = ["TrackedFilm", "read_tap_vid"]

# frames; points (x, y) in 0..1 of the picture; whether a point is hidden
TrackedFilm = tuple[
    UInt8[np.ndarray, "frames height width 3"],
    Float32[np.ndarray, "tracks frames 2"],
    Bool[np.ndarray, "tracks frames"],
]


def read_tap_vid(path: str | Path) -> dict[str, TrackedFilm]:
    """The films of a file by name.

    Args:
        path: a pickle of {name: film} or of a list of films, or an .npz of one film. A film has "video" (or "frames"),
            uint8 (frames, height, width, 3), "points" (tracks, frames, 2) in 0..1 and "occluded" (tracks, frames).

    Raises:
        InputError: no such file; a damaged one, one of another layout, or with objects that are none of the above.
    """
    path = as_path(path, "films with tracks")
    return {name: _checked(film, f"{name} of {path}") for name, film in _read(path).items()}


def _read(path: Path) -> dict[str, object]:
    try:
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {path.stem: dict(arrays)}
        with path.open("rb") as file:
            found = _ArraysOnly(file).load()
    except InputError as error:
        raise InputError(f"{path} {error}") from None
    except Exception as error:  # a damaged pickle's instructions fail in any way
        raise InputError(f"{path} cannot be read ({error}): expected a pickle or an .npz in TAP-Vid's layout") from None
    if isinstance(found, list):
        return {f"{path.stem}-{number}": film for number, film in enumerate(found)}
    if not isinstance(found, dict):
        raise InputError(f"{path} holds a {type(found).__name__}: expected a dictionary or a list of films")
    return {str(name): film for name, film in found.items()}


class _Dtype:
    """A pickled dtype. numpy's own is not given the file's word: it reads memory that is not there for objects."""

    def __init__(self, name: str, *_: object):
        self.dtype = np.dtype(str(name))
        if self.dtype.kind not in "biufSU":
            raise InputError(f"holds an array of {self.dtype}: expected arrays of numbers and text")

    def __setstate__(self, state: tuple) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """A pickled array, made of its bytes."""

    def __init__(self, *_: object):
        self.array = np.zeros(0)

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, by_columns, content = state
        self.array = _from_buffer(content, dtype, shape, "F" if by_columns else "C")

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.array, dtype)


def _from_buffer(content: bytes | bytearray, dtype: _Dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(content, dtype.dtype).reshape(shape, order=order)


_MAKERS = {  # what pickles of arrays name -> what is used in its place; nothing else is known
    "numpy.ndarray": _Array,
    "numpy.dtype": _Dtype,
    "numpy.multiarray._reconstruct": _Array,
    "numpy.multiarray.scalar": lambda dtype, content: np.frombuffer(content, dtype.dtype)[0],
    "numpy.numeric._frombuffer": _from_buffer,
    "_codecs.encode": lambda text, _: text.encode("latin1"),
}


class _ArraysOnly(pickle.Unpickler):
    """Dictionaries, lists, text and numbers need no class; of all others only those of arrays are known."""

    def find_class(self, module: str, name: str) -> object:
        full = f"{module}.{name}"
        short = full.replace("numpy._core.", "numpy.").replace("numpy.core.", "numpy.")
        if short not in _MAKERS:
            raise InputError(f"holds an object of {full}: expected only arrays, text and numbers")
        return _MAKERS[short]


def _checked(film: object, name: str) -> TrackedFilm:
    if not isinstance(film, dict):
        raise InputError(f"{name} is a {type(film).__name__}: expected a dictionary with video, points and occluded")
    if missing := [key for key in ("points", "occluded") if key not in film]:
        raise InputError(f"{name} has no {missing[0]}: expected video, points and occluded; it has {', '.join(film)}")
    video, points, occluded = (
        np.asarray(each) for each in (film.get("video", film.get("frames")), film["points"], film["occluded"])
    )
    shapes = f"video {video.dtype} {video.shape}, points {points.shape}, occluded {occluded.shape}"
    good = video.dtype == np.uint8 and video.ndim == 4 and video.shape[3] == 3 and points.dtype.kind == "f"
    if not good or points.shape != (len(points), len(video), 2) or occluded.shape != points.shape[:2]:
        raise InputError(
            f"{name} has {shapes}: expected video uint8 (frames, height, width, 3), points (tracks, frames, 2) in 0..1 "
            "and occluded (tracks, frames); films whose frames are JPEG files have to be decoded first"
        )
    return video, points.astype(np.float32), occluded.astype(bool)
