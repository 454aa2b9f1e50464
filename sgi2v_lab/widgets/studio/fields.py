"""The Studio's controls, made from what each field of `Settings` says of itself.

A slider's ends are those of what is worth trying; a number typed beyond them is accepted as far as `Settings` does.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pydantic.fields import FieldInfo

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.model import Layer, Model
from sgi2v_lab.settings import Settings

__all__ = ["groups", "usable_presets"]

KINDS = {
    bool: "switch",
    str: "text",  # or "choice"
    tuple[int, int]: "range",
    Settings.model_fields["layers"].annotation: "layers",
}  # else "number"


def groups(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """The controls as plain values for the browser, by group; `layers` are those that the model has."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, field in Settings.model_fields.items():
        found.setdefault(field.json_schema_extra["group"], []).append(_control(name, field, layers))
    return [{"title": title, "fields": fields} for title, fields in found.items()]


def _control(name: str, field: FieldInfo, layers: Sequence[Layer]) -> dict[str, Any]:
    about = field.json_schema_extra
    own = (known for known in KINDS if field.annotation in (known, known | None))
    kind = "choice" if about["choices"] else KINDS.get(next(own, None), "number")
    control = {"name": name, "kind": kind, "description": field.description, "paper": field.default}
    control |= {key: about[key] for key in ("label", "symbol", "none")}
    if kind == "number":
        control["low"], control["high"], control["step"] = about["slider"]
    elif kind in ("choice", "layers"):
        control["choices"] = list(layers if kind == "layers" else about["choices"])
    return control


def usable_presets(model: Model) -> dict[str, Settings]:
    """The model's presets by name, without those that ask for what it has not got."""
    found = {}
    for name in model.presets:
        with suppress(InputError):
            preset = model.preset(name)
            model.check_layers(preset.layers)
            found[name] = preset
    return found
