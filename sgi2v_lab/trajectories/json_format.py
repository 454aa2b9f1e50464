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
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sgi2v_lab.errors import InputError
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.trajectory import KeyBox, Trajectory

__all__ = ["from_json", "to_json"]

FORMAT, VERSION = "sgi2v-trajectories", 1
WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "dataclass_type": "an object",
    "model_type": "an object",
}
ONE_OF = {"trajectories": "trajectory", "keys": "key", "path": "path point", "box": "box number"}


class _Size(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int
    height: int


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")
    format: Literal["sgi2v-trajectories"]
    version: Literal[1]
    image: _Size
    trajectories: tuple[Trajectory, ...]


def to_json(trajectories: Trajectories) -> str:
    """Trajectories as text; fields that have their default are left out. `from_json` gives back exactly the same."""
    width, height = trajectories.image_size
    size = _Size(width=width, height=height)
    document = _Document(format=FORMAT, version=VERSION, image=size, trajectories=trajectories.trajectories)
    return document.model_dump_json(exclude_defaults=True, indent=2) + "\n"


def from_json(text: str) -> Trajectories:
    """Read trajectories from text.

    Raises:
        InputError: if the text is no JSON (with line and column), of another format or version, lacks a field or has an
            unknown one, or holds an impossible trajectory.
    """
    try:
        document = _Document.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise InputError(_sentence(error.errors()[0])) from None
    objects: list[list[tuple[str, object]]] = []
    json.loads(text, object_pairs_hook=objects.append)
    if twice := [pairs for pairs in objects if len(pairs) > len(dict(pairs))]:  # one would be lost in silence
        raise InputError(f"an object has the fields {', '.join(dict(twice[0]))}, one of them twice: take one out")
    return Trajectories((document.image.width, document.image.height), document.trajectories)


def _sentence(error: dict[str, Any]) -> str:
    """What is wrong with a document, where, and what was expected, from pydantic's first complaint."""
    kind, value, about = error["type"], error["input"], error.get("ctx", {})
    where = [step for step in error["loc"] if (kind, step) not in {("float_type", "float")}]  # of "float or int"
    owner, last = _place(where[:-1]), where[-1] if where else None
    if kind == "json_invalid":
        problem = re.sub(r"(.*) at line (\d+) column (\d+)", r"at line \2, column \3 (\1)", about["error"])
        return f"invalid JSON {problem}: expected the documented format"
    if where in ([], ["format"]):
        return f'this is no file of trajectories: expected an object with "format": "{FORMAT}"'
    if where == ["version"]:
        found = None if kind == "missing" else value
        return f"the format's version is {found!r}: expected {VERSION}, so update the reader"
    if kind == "value_error":
        return f"{_place(where)}: {about['error']}"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        known = {1: _Document, 2: _Size, 3: Trajectory, 5: KeyBox}[len(where)].__annotations__
        return f'{owner} has an unknown field "{last}": expected only {", ".join(known)}'
    if kind == "missing" and isinstance(last, str):
        return f'{owner} has no "{last}", which is required'
    if kind in ("missing", "too_long"):  # too few numbers, or too many
        count = 4 if "box" in where else 2
        place = owner if kind == "missing" else _place(where)
        return f"{place} has {len(value)} numbers: expected {count}"
    return f"{_place(where)} is {value!r:.60}: expected {WANTED.get(kind, 'what the format says')}"


def _place(where: list[str | int]) -> str:
    """A place in the document, such as '"time" of key 1 of trajectory 0'."""
    words, steps = [], [*where]
    while steps:
        name = steps.pop(0)
        listed = steps and isinstance(steps[0], int)
        words.append(f"{ONE_OF.get(name, 'number')} {steps.pop(0)}" if listed else f'"{name}"')
    return " of ".join(reversed(words)) or "the file"
