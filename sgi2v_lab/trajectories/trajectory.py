"""The motion of one box: a few key boxes in time, or a drawn path, make a box per frame.

Time runs from 0 at the first frame to 1 at the last, so the same motion serves models of 8, 14 and 25 frames.
Coordinates are pixels of the picture, (x, y), y down.

    >>> ball = Trajectory.move((10, 40, 30, 60), by=(60, 0), easing="ease-in-out")
    >>> ball.boxes(num_frames=3).tolist()
    [[10.0, 40.0, 30.0, 60.0], [40.0, 40.0, 60.0, 60.0], [70.0, 40.0, 90.0, 60.0]]
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import SupportsIndex

import numpy as np
import torch
from jaxtyping import Float, Float64
from pydantic import with_config
from torch import Tensor

from sgi2v_lab.errors import InputError, whole_number
from sgi2v_lab.images.resize import Fit
from sgi2v_lab.trajectories.geometry import (
    EASINGS,
    Box,
    Number,
    Numbers,
    Point,
    centre_of,
    check_easing,
    numbers,
    positive,
    read_box,
    walk,
)

__all__ = ["KeyBox", "Trajectory"]

SHORTEST = 1e-6  # of the video: key boxes nearer in time than this count as simultaneous


@with_config(extra="forbid")  # in a file, a misspelt field is an error
@dataclass(frozen=True)
class KeyBox:
    """Where the box is at one moment."""

    time: Number  # 0 at the first frame, 1 at the last
    box: Box  # x0 < x1 and y0 < y1, in pixels; may lie partly or wholly outside the picture
    easing: str | None = None  # from here to the next key box; None for the trajectory's own

    def __post_init__(self) -> None:
        """Read the numbers as floats and refuse what is no box or no time."""
        object.__setattr__(self, "box", read_box(self.box))
        object.__setattr__(self, "time", *numbers([self.time], 1, "a key box's time"))
        if not 0 <= self.time <= 1:
            raise InputError(f"a key box has time {self.time:g}: expected 0 (first frame) to 1 (last frame)")
        if self.easing is not None:
            check_easing(self.easing)


@with_config(extra="forbid")  # in a file, a misspelt field is an error
@dataclass(frozen=True)
class Trajectory:
    """One object's box through the video.

    Until the first key box's time the box waits there, so the first frame always shows the first key box exactly; after
    the last one it stays. In between, corners are interpolated.

    With a `path`, which takes exactly two key boxes, these say when and how large while the path says where: the box's
    centre takes the same steps as a point that travels along the path with even speed (in the pixels of this picture),
    eased. A path that starts beside the box's centre is shifted to it.
    """

    keys: tuple[KeyBox, ...]  # in order of time, at least one
    name: str = ""  # for legends and tables
    easing: str = "linear"  # of `geometry.EASINGS`, applied to each stretch between two key boxes
    path: tuple[Point, ...] | None = None  # corners (x, y) of a drawn line, at least two
    colour: str | None = None  # "#rrggbb", for drawings
    frames: int | None = None  # the only frame count that `boxes` accepts, for motion given frame by frame; None: any

    def __post_init__(self) -> None:
        """Refuse key boxes out of order, a path too short, an unknown easing and a colour that is none."""
        if not isinstance(self.name, str):
            raise InputError(f"a trajectory's name is {self.name!r:.80}: expected text")
        who = self._who
        if not isinstance(self.keys, Sequence) or not all(isinstance(key, KeyBox) for key in self.keys):
            raise InputError(f"{who} has keys {self.keys!r:.80}: expected KeyBox, or boxes by Trajectory.from_boxes")
        object.__setattr__(self, "keys", tuple(self.keys))
        if not self.keys:
            raise InputError(f"{who} has no key box: expected at least one")
        for before, after in pairwise(self.keys):
            if after.time - before.time < SHORTEST:
                problem = "twice" if abs(after.time - before.time) < SHORTEST else f"after {before.time:g}"
                raise InputError(f"{who} has a key box at time {after.time:g} {problem}: expected rising times")
        check_easing(self.easing)
        if self.path is not None:
            if len(self.path) < 2:
                raise InputError(f"{who} has a path of {len(self.path)} points: expected at least 2")
            if len(self.keys) != 2:
                raise InputError(
                    f"{who} has a path and {len(self.keys)} key boxes: expected 2, for the path's start and its end"
                )
            object.__setattr__(self, "path", tuple(numbers(p, 2, f"a path point of {who}") for p in self.path))
        if self.colour is not None and not re.fullmatch(r"#[0-9a-fA-F]{6}", str(self.colour)):
            raise InputError(f"{who} has colour {self.colour!r}: expected six hexadecimal digits as in '#1f77b4'")
        if self.frames is not None:
            object.__setattr__(self, "frames", whole_number(self.frames, f"the frame count of {who}", 1))

    # --- making one --------------------------------------------------------------------------------------------------

    @classmethod
    def pin(cls, box: Numbers, *, name: str = "", colour: str | None = None) -> "Trajectory":
        """A box that stays: what is in it should not move."""
        return cls((KeyBox(0.0, read_box(box)),), name=name, colour=colour)

    @classmethod
    def move(
        cls,
        box: Numbers,
        *,
        to: Numbers | None = None,
        by: Numbers | None = None,
        via: Sequence[Numbers] = (),
        scale: Number = 1.0,
        easing: str = "linear",
        start: Number = 0.0,
        end: Number = 1.0,
        name: str = "",
        colour: str | None = None,
    ) -> "Trajectory":
        """A box that travels from where it is to somewhere else.

        Args:
            box: x0, y0, x1, y1 in the first frame.
            to: where its centre ends (x, y), or the whole last box (x0, y0, x1, y1).
            by: how far it goes (dx, dy), instead of `to`.
            via: points that its centre passes on the way, with even speed; without `to` and `by` it ends at the last.
            scale: the last box's size relative to the first's.
            easing: one of `sgi2v_lab.trajectories.geometry.EASINGS`.
            start: time 0..1 at which it sets off.
            end: time 0..1 at which it arrives, after `start`.
            name: for legends and tables.
            colour: "#rrggbb" for drawings.

        Raises:
            InputError: if both or none of the destinations are given, or one is not made of finite numbers.
        """
        box = read_box(box)
        centre = centre_of(box)
        if not isinstance(via, Sequence | np.ndarray | Tensor):
            raise InputError(f"via= is {via!r:.60}: expected a list of points (x, y)")
        stops = [numbers(point, 2, "a via point") for point in via]
        scale = positive(scale, "scale")
        last = None
        if to is not None and by is not None:
            raise InputError("both to= and by= say where the box goes: expected one of them")
        if isinstance(to, Sequence | np.ndarray | Tensor) and len(to) == 4:
            if scale != 1:
                raise InputError(f"to= is a whole box and scale is {scale:g}: expected one of them, for the last size")
            last = read_box(to)
            stops.append(centre_of(last))
        elif to is not None:
            stops.append(numbers(to, 2, "the destination to="))
        elif by is not None:
            dx, dy = numbers(by, 2, "the displacement by=")
            stops.append((centre[0] + dx, centre[1] + dy))
        elif not stops:
            if scale == 1:
                raise InputError("the box has nowhere to go: expected to=, by=, via= or scale=, or Trajectory.pin")
            stops.append(centre)
        last = last or _scaled(box, scale, stops[-1])
        return cls(
            (KeyBox(start, box), KeyBox(end, last)),
            name=name,
            easing=easing,
            path=(centre, *stops) if len(stops) > 1 else None,
            colour=colour,
        )

    @classmethod
    def along(
        cls,
        box: Numbers,
        polyline: Sequence[Numbers] | np.ndarray | Tensor,
        *,
        scale: Number = 1.0,
        easing: str = "linear",
        start: Number = 0.0,
        end: Number = 1.0,
        name: str = "",
        colour: str | None = None,
    ) -> "Trajectory":
        """A box that follows a line drawn by hand, points (n, 2); the other arguments are those of `move`."""
        box = read_box(box)
        path = tuple(numbers(point, 2, "a path point") for point in polyline)
        if len(path) < 2:
            raise InputError(f"the path has {len(path)} points: expected at least 2")
        arrival = tuple(c + b - a for c, a, b in zip(centre_of(box), path[0], path[-1], strict=True))
        keys = (KeyBox(start, box), KeyBox(end, _scaled(box, scale, arrival)))
        return cls(keys, name=name, easing=easing, path=path, colour=colour)

    @classmethod
    def from_boxes(
        cls,
        boxes: Float[Tensor, "frames 4"] | Float[np.ndarray, "frames 4"] | Sequence[Numbers],
        *,
        resample: bool = False,
        name: str = "",
        colour: str | None = None,
    ) -> "Trajectory":
        """Motion given frame by frame: `from_boxes(b).boxes(len(b))` is `b`.

        Asking the result for another number of frames is an InputError unless `resample` is true; then the boxes in
        between are interpolated.
        """
        count = len(boxes)
        keys = tuple(
            KeyBox(f / max(1, count - 1), read_box(box, f"the box in frame {f}")) for f, box in enumerate(boxes)
        )
        return cls(keys, name=name, colour=colour, frames=None if resample else count)

    # --- using one ---------------------------------------------------------------------------------------------------

    @property
    def pinned(self) -> bool:
        """Whether it has one key box only and so never moves."""
        return len(self.keys) == 1

    @property
    def _who(self) -> str:
        return f"trajectory {self.name!r}" if self.name else "a trajectory"

    def at(self, times: Sequence[Number] | np.ndarray) -> Float64[Tensor, "times 4"]:
        """Its box at each of the given times 0..1, in double precision, whatever `frames` says."""
        times = np.asarray(times, dtype=np.float64)
        boxes = np.array([key.box for key in self.keys])
        if self.pinned:
            return torch.from_numpy(boxes.repeat(len(times), axis=0))
        moments = np.array([key.time for key in self.keys])
        k = np.clip(np.searchsorted(moments, times, side="right") - 1, 0, len(moments) - 2)
        done = np.clip((times - moments[k]) / (moments[k + 1] - moments[k]), 0, 1)
        easings = [self.keys[i].easing or self.easing for i in k]
        done = np.array([EASINGS[easing](d) for easing, d in zip(easings, done, strict=True)])[:, None]
        here = (1 - done) * boxes[k] + done * boxes[k + 1]
        if self.path is not None:
            step = walk(self.path, done[:, 0]) - self.path[0]
            growth = np.diff(here.reshape(-1, 2, 2), axis=1)[:, 0] - np.diff(boxes[0].reshape(2, 2), axis=0)
            here = boxes[0] + np.concatenate([step - growth / 2, step + growth / 2], axis=-1)
        return torch.from_numpy(here)

    def boxes(self, num_frames: SupportsIndex) -> Float[Tensor, "frames 4"]:
        """Its box in each frame, float32 (num_frames, 4): x0, y0, x1, y1 in pixels. The first is the first key box.

        Raises:
            InputError: if there is no frame, or the motion was given frame by frame for another number of frames.
        """
        num_frames = whole_number(num_frames, "the number of frames", 1)
        if self.frames not in (None, num_frames):
            raise InputError(
                f"{self._who} was given for {self.frames} frames but {num_frames} are asked for: "
                f"ask for {self.frames}, or allow resampling with resampled() or resample=True"
            )
        return self.at(np.arange(num_frames) / max(1, num_frames - 1)).float()

    def resampled(self) -> "Trajectory":
        """The same motion, allowed at any number of frames."""
        return replace(self, frames=None)

    def fitted(self, fit: Fit) -> "Trajectory":
        """The same motion on the fitted picture: key boxes and path points are carried over by `fit`."""

        def carry(values: Sequence[float]) -> tuple[float, ...]:
            return tuple(fit.apply(torch.tensor(values, dtype=torch.float64)).tolist())

        keys = tuple(replace(key, box=carry(key.box)) for key in self.keys)
        return replace(self, keys=keys, path=self.path and tuple(map(carry, self.path)))


def _scaled(box: Box, scale: Number, centre: Point) -> Box:
    scale = positive(scale, "scale")
    dx, dy = (box[2] - box[0]) * scale / 2, (box[3] - box[1]) * scale / 2
    return centre[0] - dx, centre[1] - dy, centre[0] + dx, centre[1] + dy
