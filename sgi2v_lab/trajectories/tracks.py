"""Motion as arrays and as points: what other tools write, turned into boxes and back.

* `traj.npy` of the reference implementation of SG-I2V: (boxes, 2 + frames, 2) of (x, y). Row 0 is the top-left and row
  1 the bottom-right corner of the box in the first frame, rows 2.. are its centre in each frame; the box in frame f is
  the first one shifted by centre[f] - centre[0]. It knows neither names nor boxes that change size.
* Point tracks: (tracks, frames, 2) of (x, y), as point trackers and drag editors write them. They say nothing of a
  size, so that of the box about each point is asked for.
* Boxes: (boxes, frames, 4) of x0, y0, x1, y1.
* ComfyUI-KJNodes' spline editor, as text: a list of {"x": ..., "y": ...} for one path, or a list of such lists. A path
  of one point stays. Its other tools write the same in Python's quotes, or as a list of such texts; all are read.
"""

import ast
import json
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.images.resize import Fit
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.geometry import numbers, written
from sgi2v_lab.trajectories.trajectory import Trajectory

__all__ = [
    "UNITS",
    "BoxSize",
    "NoBoxSize",
    "from_array",
    "from_points",
    "in_units",
    "parse_points",
    "to_kjnodes",
    "to_tracks",
    "to_traj",
]

UNITS = ("pixels", "fractions")
BoxSize = (
    float | int | Sequence[float | int] | Sequence[Sequence[float | int]] | np.ndarray
)  # for each track, or for all
FRACTIONS = "if these are fractions of the picture, say so with units='fractions'"
NEAR = 0.25  # of a box's size: a centre farther from the corners' middle is no centre
SAME = 1e-3  # pixels by which a box may change its size and still count as unchanged


class NoBoxSize(InputError):
    """Point tracks without the size of a box about them."""


# --- reading ---------------------------------------------------------------------------------------------------------


def in_units(given: Trajectories, units: str) -> Trajectories:
    """Trajectories in pixels: as they are, or scaled by the picture's size where they are fractions of it.

    Raises:
        InputError: unknown units; or pixels, and a box that lies within a single one, as fractions do.
    """
    if units not in UNITS:
        raise InputError(f"units is {units!r}: expected one of {', '.join(UNITS)}")
    if units == "fractions":
        scale = tuple(float(side) for side in given.image_size)
        scaled = given.fitted(Fit(given.image_size, given.image_size, scale, (0.0, 0.0)))
        if any(abs(c) > 10 for trajectory in given for key in trajectory.keys for c in key.box):
            raise InputError("the boxes reach far beyond 0..1, so they are no fractions: expected units 'pixels'")
        return scaled
    for index, trajectory in enumerate(given):
        if all(0 <= c <= 1 for c in trajectory.keys[0].box) and min(given.image_size) > 1:
            raise InputError(f"box {index} is {written(trajectory.keys[0].box)}, no more than a pixel: {FRACTIONS}")
    return given


def from_array(
    array: object, image_size: tuple[int, int], *, box_size: BoxSize | None = None, units: str = "pixels"
) -> Trajectories:
    """Boxes, point tracks or a `traj.npy`, told apart by their numbers, each for its own number of frames.

    Args:
        array: (boxes, frames, 4), (tracks, frames, 2) or (boxes, 2 + frames, 2); without its first axis, it is one box.
        image_size: (width, height) in pixels.
        box_size: of the boxes about point tracks, (width, height) or one number, in the same units; None where the
            array brings its own.
        units: "pixels", or "fractions" of the picture's size.

    Raises:
        InputError: another shape, numbers that are not finite, a box size that is missing or one too many.
    """
    places = np.asarray(array)
    if places.dtype.kind not in "fiu":
        raise InputError(f"the array has values of type {places.dtype}: expected floating-point or whole numbers")
    if places.ndim == 4 and len(places) == 1:
        raise InputError(
            f"the array has shape {places.shape}: expected (tracks, frames, 2); CoTracker's (1, frames, tracks, 2) "
            "becomes that by tracks[0].swapaxes(0, 1)"
        )
    if places.ndim == 2:
        places = places[None]
    if places.ndim != 3 or places.shape[2] not in (2, 4) or places.size == 0:
        raise InputError(
            f"the array has shape {np.shape(array)}: expected (tracks, frames, 2), (boxes, frames, 4), or "
            "(boxes, 2 + frames, 2), the two corners and then the centres"
        )
    places = places.astype(np.float64)
    if not np.isfinite(places).all():
        raise InputError("the array holds NaN or infinite numbers: expected a place for every frame")
    if places.shape[2] == 4:
        if box_size is not None:
            raise InputError("the array holds whole boxes: expected no box size beside them, so leave it out")
        return in_units(Trajectories.from_boxes(image_size, torch.from_numpy(places)), units)
    if not _has_corners(places):
        return from_points(list(places), image_size, box_size=box_size, units=units)
    if box_size is not None:
        raise InputError("the array begins with its boxes' corners, as a traj.npy does: expected no box size beside it")
    first, centres = places[:, :2].reshape(-1, 1, 4), places[:, 2:]
    boxes = first + np.tile(centres - centres[:, :1], 2)
    return in_units(Trajectories.from_boxes(image_size, torch.from_numpy(boxes)), units)


def _has_corners(places: Float64[np.ndarray, "boxes rows 2"]) -> bool:
    """Whether rows 0 and 1 are corners of a box about row 2, as in a `traj.npy`, and so no places on a path."""
    if places.shape[1] < 3:
        return False
    first, last, centre = places[:, 0], places[:, 1], places[:, 2]
    return bool((first < last).all() and (np.abs(centre - (first + last) / 2) <= NEAR * (last - first)).all())


def from_points(
    tracks: Sequence[Float64[np.ndarray, "_frames 2"]],
    image_size: tuple[int, int],
    *,
    box_size: BoxSize | None,
    units: str = "pixels",
) -> Trajectories:
    """A box about each of some points, which may be given for different numbers of frames; a single point stays.

    Raises:
        InputError: the box size is not positive; points in pixels that all lie within a single one.
        NoBoxSize: there is none.
    """
    if box_size is None:
        raise NoBoxSize(
            "these are point tracks, which say nothing of a box's size: expected a box size about them, "
            "so give box_size=(width, height)"
        )
    sizes = np.broadcast_to(np.asarray(_sizes(box_size, len(tracks))), (len(tracks), 2)) / 2
    if units == "pixels" and all((np.abs(track) <= 1).all() for track in tracks) and min(image_size) > 1:
        raise InputError(f"all points lie within a single pixel: {FRACTIONS}")
    boxes = [
        torch.from_numpy(np.concatenate([track - half, track + half], axis=-1))
        for track, half in zip(tracks, sizes, strict=True)
    ]
    moving = (Trajectory.pin(box[0]) if len(box) == 1 else Trajectory.from_boxes(box) for box in boxes)
    return in_units(Trajectories(image_size, tuple(moving)), units)


def _sizes(box_size: BoxSize, count: int) -> list[tuple[float, ...]]:
    size = np.asarray(box_size, dtype=object)
    if size.ndim == 0:
        size = np.array([box_size, box_size], dtype=object)
    pairs = size[None] if size.ndim == 1 else size
    sizes = [numbers(pair, 2, "the box size") for pair in pairs]
    if len(sizes) not in (1, count):
        raise InputError(f"there are {len(sizes)} box sizes for {count} tracks: expected one, or one for each")
    if any(side <= 0 for pair in sizes for side in pair):
        raise InputError(f"the box size is {box_size}: expected positive numbers, width and height")
    return sizes


def parse_points(text: str) -> list[Float64[np.ndarray, "_frames 2"]] | None:
    """The paths in a text of KJNodes' spline editor, each (frames, 2); None if it is no such text.

    Raises:
        InputError: it is one, and has a point without numbers for x and y, a path without points, or is the editor's
            `points_store`, whose control points are not the path.
    """
    found = _parsed(text)
    if isinstance(found, list) and found and all(isinstance(each, str) for each in found):
        found = [_parsed(each) for each in found]
    if not isinstance(found, list) or not found:
        return None
    if isinstance(found[0], dict) and "points" in found[0]:
        raise InputError(
            "these are the spline editor's control points (points_store), between which its curve is not known: "
            "expected its output coord_str, which samples the curve"
        )
    paths = [found] if isinstance(found[0], dict) else found
    if not all(isinstance(path, list) and all(isinstance(point, dict) for point in path) for path in paths):
        return None
    places = []
    for index, path in enumerate(paths):
        if not path:
            raise InputError(f"path {index} has no points: expected at least one")
        for point in path:
            if not {"x", "y"} <= set(point):
                raise InputError(f'a point of path {index} is {point!r:.60}: expected {{"x": number, "y": number}}')
        places.append(np.array([numbers((p["x"], p["y"]), 2, f"a point of path {index}") for p in path]))
    return places


def _parsed(text: str) -> object:
    """A value written as JSON, or in Python's quotes; None for any other text."""
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
    return None


# --- writing ---------------------------------------------------------------------------------------------------------


def to_tracks(trajectories: Trajectories, num_frames: int) -> Float64[np.ndarray, "boxes frames 2"]:
    """Point tracks: the boxes' centres in each frame. How large the boxes are is lost."""
    trajectories.validate(num_frames)
    return _corners(trajectories, num_frames).mean(dim=2).numpy()


def to_traj(trajectories: Trajectories, num_frames: int) -> Float64[np.ndarray, "boxes rows 2"]:
    """The array of a `traj.npy`.

    Raises:
        InputError: a box changes its size, which the format cannot say.
    """
    trajectories.validate(num_frames)
    corners = _corners(trajectories, num_frames)
    sizes = corners[:, :, 1] - corners[:, :, 0]
    growing = ((sizes - sizes[:, :1]).abs() > SAME).flatten(1).any(dim=1)
    if growing.any():
        raise InputError(
            f"box {int(growing.nonzero()[0])} changes its size, which a traj.npy cannot say: expected boxes that only "
            "move, so save as .json"
        )
    return torch.cat([corners[:, 0], corners.mean(dim=2)], dim=1).numpy()


def to_kjnodes(trajectories: Trajectories, num_frames: int) -> str:
    """The text of KJNodes' spline editor: a path for each box's centre, a list of lists where there are more."""
    paths = [[{"x": x, "y": y} for x, y in track] for track in to_tracks(trajectories, num_frames).tolist()]
    return json.dumps(paths if len(paths) > 1 else paths[0])


def _corners(trajectories: Trajectories, num_frames: int) -> Float64[Tensor, "boxes frames 2 2"]:
    times = np.arange(num_frames) / max(1, num_frames - 1)
    return torch.stack([trajectory.at(times) for trajectory in trajectories]).unflatten(-1, (2, 2))
