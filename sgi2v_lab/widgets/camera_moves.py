"""Camera moves by name, as a menu offers them: boxes on the background that replace those of the move before."""

from collections.abc import Callable
from dataclasses import replace

from sgi2v_lab.errors import InputError
from sgi2v_lab.trajectories import camera
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.camera import is_camera
from sgi2v_lab.trajectories.trajectory import Trajectory

__all__ = ["CAMERA_MOVES", "is_camera", "with_camera"]

# How the content moves on the screen, for a picture of (width, height) and an amount 0..1 of it.
CAMERA_MOVES: dict[str, Callable[..., tuple[Trajectory, ...]]] = {
    "still": lambda size, amount, **others: camera.camera_still(size, **others),
    "pan left": lambda size, amount, **others: camera.camera_pan(size, (-amount * size[0], 0), **others),
    "pan right": lambda size, amount, **others: camera.camera_pan(size, (amount * size[0], 0), **others),
    "pan up": lambda size, amount, **others: camera.camera_pan(size, (0, -amount * size[1]), **others),
    "pan down": lambda size, amount, **others: camera.camera_pan(size, (0, amount * size[1]), **others),
    "zoom in": lambda size, amount, **others: camera.camera_zoom(size, 1 + amount, **others),
    "zoom out": lambda size, amount, **others: camera.camera_zoom(size, 1 / (1 + amount), **others),
}


def with_camera(trajectories: Trajectories, move: str, amount: float | int = 0.2) -> Trajectories:
    """The objects as they are, with the boxes of a camera move that keep clear of them.

    Args:
        trajectories: objects, and perhaps the boxes of another camera move, which go.
        move: one of `CAMERA_MOVES`, or "none" for no camera boxes. It says how the content moves on the screen.
        amount: 0..1 of the picture's side to pan by; a zoom enlarges, or shrinks, by 1 + amount.

    Raises:
        InputError: for another move or amount, or if the objects leave no free background.
    """
    objects = tuple(each for each in trajectories if not is_camera(each))
    if move == "none":
        return replace(trajectories, trajectories=objects)
    if move not in CAMERA_MOVES:
        raise InputError(f"unknown camera move {move!r}: expected one of none, {', '.join(CAMERA_MOVES)}")
    if not 0 < amount <= 1:
        raise InputError(f"the camera's amount is {amount}: expected more than 0 and at most 1 of the picture")
    boxes = CAMERA_MOVES[move](trajectories.image_size, amount, avoid=objects)
    return replace(trajectories, trajectories=objects + boxes)
