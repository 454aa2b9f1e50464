"""Ablations as data: a TOML or JSON file that says which settings are tried.

    title = "Which features?"      # what the tables are called; may be left out
    description = "..."            # for readers; may be left out
    preset = "paper"               # where the settings start: one of the model's presets; left out: its own settings

    [base]                         # changes to those that all share; may be left out
    iterations = 3

    [vary]                         # one thing at a time: each value is tried with everything else as in the base
    features = ["aligned", "self-attention", "temporal", "block"]
    gaussian_sigma = [0.2, "none"]

    [product]                      # every combination of these
    cutoff = [0.25, 0.75]
    learning_rate = ["0.5x", "2x"]

    [[setting]]                    # one more, under a name of its own
    label = "late and gentle"
    control_steps = "40%-60%"
    learning_rate = 0.05

Keys are the fields of `Settings`, values what they take, with three short forms: "none" where a setting may be absent;
"0.5x", that many times the base's number; and "10%-40%" for `control_steps`, shares of the number of steps, so that one
file serves models that take 20 and 50 steps. The base itself is always tried, first; what comes to the same settings
as an earlier one is left out. JSON has the same keys.
"""

import itertools
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.presets import PRESETS, Presets
from sgi2v_lab.settings import Settings

__all__ = ["BASE", "Grid", "Variant", "grids", "preset_grid", "read_grid"]

BASE = "base"
PARTS = {"title": str, "description": str, "preset": str, "base": dict, "vary": dict, "product": dict, "setting": list}
FIELDS = Settings.model_fields
OPTIONAL = (int | None, float | None)
SHARES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*-\s*(\d+(?:\.\d+)?)\s*%\s*")
TIMES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*[x×]\s*")


@dataclass(frozen=True)
class Variant:
    """One choice of settings: its name, the part of the file that it comes from, and what it changes of the model's."""

    label: str
    group: str  # "base", a setting's name for those varied alone, "product" or "setting"
    changes: dict[str, object]


@dataclass(frozen=True)
class Grid:
    """A grid file as it is written; `variants` makes settings of it."""

    name: str  # of the file
    title: str
    base: dict[str, object]
    rows: tuple[Variant, ...]  # their changes are those to the base, in the file's own words
    preset: str = "own"  # of the model, to which all of this is added

    def variants(self, own: Settings) -> tuple[Variant, ...]:
        """What is tried on a model: the base, then each row that differs. Its settings in this grid's preset are `own`.

        Raises:
            InputError: a value that its setting does not take, with its place in the file.
        """
        changes = self._read(BASE, self.base, own)
        base = own.replace(**changes)
        found = {base: Variant(BASE, BASE, changes)}
        for row in self.rows:
            more = changes | self._read(row.label, row.changes, base)
            settings = self._replaced(row.label, own, more)
            found.setdefault(settings, Variant(row.label, row.group, more))
        return tuple(found.values())

    def _read(self, label: str, given: Mapping[str, object], base: Settings) -> dict[str, object]:
        # the number of steps comes first, because shares are of it
        steps = given.get("num_inference_steps", base.num_inference_steps)
        changes = {name: self._value(label, name, value, base, steps) for name, value in given.items()}
        changed = self._replaced(label, base, changes)
        return {name: getattr(changed, name) for name in changes}

    def _value(self, label: str, name: str, value: object, base: Settings, steps: object) -> object:
        if not isinstance(value, str):
            return value
        kind = FIELDS[name].annotation
        if kind in OPTIONAL and value.strip().lower() == "none":
            return None
        if name == "control_steps" and (found := SHARES.fullmatch(value)) and isinstance(steps, int):
            return tuple(min(steps - 1, round(float(share) / 100 * steps)) for share in found.groups())
        if kind in (int, float, *OPTIONAL) and (found := TIMES.fullmatch(value)):
            own = getattr(base, name)
            if own is None:
                raise InputError(f"{self.name}, {label!r}: {name} is {value!r}, but the base has none to multiply")
            product = float(found[1]) * own
            return round(product) if kind in (int, int | None) else product
        return value

    def _replaced(self, label: str, settings: Settings, changes: Mapping[str, object]) -> Settings:
        try:
            return settings.replace(**changes)
        except InputError as error:
            raise InputError(f"{self.name}, {label!r}: {error}") from error


def preset_grid(presets: Presets, own: Settings) -> Grid:
    """A model's presets as a grid around the paper's recipe; those that are the same as it are left out."""
    back = {name: getattr(own, name) for name in presets["paper"]}  # presets are changes to the model's own settings
    rows = (Variant(name, "setting", back | dict(changes)) for name, changes in presets.items() if name != "paper")
    return Grid("presets", "The presets", {}, tuple(rows), preset="paper")


def grids() -> dict[str, Path]:
    """The grids that come with the package, by name."""
    folder = Path(str(files("sgi2v_lab.evaluation"))) / "grids"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read_grid(path: str | Path) -> Grid:
    """Read a grid file, .toml or .json, or one that comes with the package, by its name.

    Raises:
        InputError: there is no such file, it cannot be read, or it holds a key or a form that is not known.
    """
    path = grids().get(str(path), Path(path))
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except FileNotFoundError as error:
        known = ", ".join(grids())
        raise InputError(f"there is no grid {str(path)!r}; give a file, or one that is here: {known}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no grid ({error}); expected TOML, or JSON with the suffix .json") from error
    if not isinstance(document, dict):
        raise InputError(f"{path} holds a {type(document).__name__}, but a table of {', '.join(PARTS)} is expected")
    return _grid(path.name, document)


def _grid(name: str, document: dict) -> Grid:
    for key, value in document.items():
        if key not in PARTS:
            raise InputError(f"{name}: unknown key {key!r}; a grid has {', '.join(PARTS)}")
        if not isinstance(value, PARTS[key]):
            kind = {str: "text", dict: "a table of settings", list: "a list of tables, [[setting]]"}[PARTS[key]]
            raise InputError(f"{name}: {key} is {value!r}, but must be {kind}")
    base = document.get("base", {})
    vary, product = document.get("vary", {}), document.get("product", {})
    for part, table in (("base", base), ("vary", vary), ("product", product)):
        _check_names(f"{name}, [{part}]", table)
    for part, table in (("vary", vary), ("product", product)):
        for key, values in table.items():
            if not isinstance(values, list) or not values:
                raise InputError(f"{name}, [{part}]: {key} is {values!r}, but must be a list of values to try")
    preset = document.get("preset", "own")
    if preset not in PRESETS:
        raise InputError(f"{name}: preset is {preset!r}, but must be one of {', '.join(PRESETS)}")
    rows = tuple(_rows(name, vary, product, document.get("setting", [])))
    return Grid(name, document.get("title", name), base, rows, preset)


def _check_names(place: str, table: Mapping[str, object]) -> None:
    if unknown := [key for key in table if key not in FIELDS]:
        raise InputError(f"{place}: unknown setting {unknown[0]!r}; the settings are {', '.join(sorted(FIELDS))}")


def _rows(name: str, vary: dict, product: dict, settings: list) -> Iterator[Variant]:
    for key, values in vary.items():
        for value in values:
            yield Variant(_label({key: value}), key, {key: value})
    for values in itertools.product(*product.values()) if product else ():
        changes = dict(zip(product, values, strict=True))
        yield Variant(_label(changes), "product", changes)
    taken = set()
    for number, table in enumerate(settings, 1):
        place = f"{name}, [[setting]] number {number}"
        if not isinstance(table, dict):
            raise InputError(f"{place} is {table!r}, but must be a table of settings")
        changes = {key: value for key, value in table.items() if key != "label"}
        _check_names(place, changes)
        label = table.get("label", _label(changes))
        if not isinstance(label, str) or not label or label == BASE or label in taken:
            raise InputError(f"{place}: label is {label!r}, but must be a name that no other setting has")
        taken.add(label)
        yield Variant(label, "setting", changes)


def _label(changes: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {_written(value)}" for name, value in changes.items())


def _written(value: object) -> str:
    """A value as people would write it: 5-20 for two steps, (2, 1) + (2, 2) for layers."""
    if isinstance(value, list | tuple) and value and all(isinstance(each, list | tuple) for each in value):
        return " + ".join("(" + ", ".join(map(str, each)) + ")" for each in value)
    if isinstance(value, list | tuple):
        return "-".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
