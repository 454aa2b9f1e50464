"""Trajectories as JSON text, a versioned format that people can write by hand.

Version 1::

    {
      "format": "sgi2v-trajectories",
      "version": 1,
      "image": {"width": 640, "height": 480},
      "trajectories": [
        {
          "name": "ball",
          "colour": "#1f77b4",
          "easing": "ease-in-out",
          "keys": [
            {"time": 0.0, "box": [10, 40, 30, 60]},
            {"time": 1.0, "box": [70, 40, 90, 60]}
          ],
          "path": [[20, 50], [50, 20], [80, 50]]
        },
        {"keys": [{"time": 0.0, "box": [200, 100, 300, 180]}]}
      ]
    }

All coordinates are pixels of an image of the given size, x to the right and y down; a box is [x0, y0, x1, y1]. Of a
trajectory only "keys" is required, of a key "time" (0 at the first frame, 1 at the last, rising) and "box". A key may
have an "easing" for the stretch that starts there; a trajectory "frames", the one frame count that it was made for. One
key is a box that stays; a "path" takes two. The fields are those of `Trajectory` and `KeyBox`, which say more. Unknown
fields are errors, so that a misspelt one is not lost in silence.
"""

import json
from typing import Any

from sgi2v_lab.errors import InputError
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.geometry import numbers, read_box
from sgi2v_lab.trajectories.trajectory import KeyBox, Trajectory

__all__ = ["from_json", "to_json"]

FORMAT, VERSION = "sgi2v-trajectories", 1


def to_json(trajectories: Trajectories) -> str:
    """Trajectories as text; fields that have their default are left out. `from_json` gives back exactly the same."""
    width, height = trajectories.image_size
    document = {
        "format": FORMAT,
        "version": VERSION,
        "image": {"width": width, "height": height},
        "trajectories": [_entry(trajectory) for trajectory in trajectories],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def from_json(text: str) -> Trajectories:
    """Read trajectories from text.

    Raises:
        InputError: if the text is no JSON (with line and column), of another format or version, lacks a field or has an
            unknown one, or holds an impossible trajectory.
    """

    def no_constant(name: str) -> None:
        raise InputError(f"there is a number {name}: expected finite numbers")

    try:
        return _document(json.loads(text, parse_constant=no_constant))
    except json.JSONDecodeError as error:
        raise InputError(
            f"invalid JSON at line {error.lineno}, column {error.colno} ({error.msg}): expected the documented format"
        ) from None
    except InputError:
        raise
    except (RecursionError, ValueError):  # brackets without end, or a number of thousands of digits
        raise InputError(
            "no reasonable JSON, nested too deep or with too long a number: expected the documented format"
        ) from None


def _entry(trajectory: Trajectory) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if trajectory.name:
        entry["name"] = trajectory.name
    if trajectory.colour is not None:
        entry["colour"] = trajectory.colour
    if trajectory.easing != "linear":
        entry["easing"] = trajectory.easing
    if trajectory.frames is not None:
        entry["frames"] = trajectory.frames
    entry["keys"] = [
        {"time": key.time, "box": list(key.box)} | ({} if key.easing is None else {"easing": key.easing})
        for key in trajectory.keys
    ]
    if trajectory.path is not None:
        entry["path"] = [list(point) for point in trajectory.path]
    return entry


def _document(document: Any) -> Trajectories:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(f'this is no file of trajectories: expected an object with "format": "{FORMAT}"')
    if document.get("version") != VERSION:
        raise InputError(
            f"the format's version is {document.get('version')!r}: expected {VERSION}, so update the reader"
        )
    _check_fields(document, "the file", {"format": str, "version": int, "image": dict, "trajectories": list}, {})
    image = document["image"]
    _check_fields(image, '"image"', {"width": int, "height": int}, {})
    trajectories = (_trajectory(each, f"trajectory {i}") for i, each in enumerate(document["trajectories"]))
    return Trajectories((image["width"], image["height"]), tuple(trajectories))


def _trajectory(entry: Any, where: str) -> Trajectory:
    optional = {"name": str, "colour": str, "easing": str, "path": list, "frames": int}
    _check_fields(entry, where, {"keys": list}, optional)
    for i, key in enumerate(entry["keys"]):
        _check_fields(key, f"key {i} of {where}", {"time": (int, float), "box": list}, {"easing": str})
    try:
        keys = tuple(KeyBox(**key | {"box": read_box(key["box"])}) for key in entry["keys"])
        path = entry.get("path")
        path = None if path is None else tuple(numbers(point, 2, f"path point {i}") for i, point in enumerate(path))
        return Trajectory(**entry | {"keys": keys, "path": path})
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _check_fields(entry: Any, where: str, required: dict[str, Any], optional: dict[str, Any]) -> None:
    if not isinstance(entry, dict):
        raise InputError(f"{where} is {entry!r:.60}: expected an object")
    known = required | optional
    for name in required:
        if name not in entry:
            raise InputError(f'{where} has no "{name}": expected {", ".join(required)}')
    for name, value in entry.items():
        if name not in known:
            raise InputError(f'{where} has an unknown field "{name}": expected only {", ".join(known)}')
        if not isinstance(value, known[name]) or isinstance(value, bool):
            kind = {str: "text", int: "a whole number", list: "a list", dict: "an object"}.get(known[name], "a number")
            raise InputError(f'"{name}" of {where} is {value!r:.60}: expected {kind}')
