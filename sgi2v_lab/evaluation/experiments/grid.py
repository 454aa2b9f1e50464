"""Grids as data: a TOML file that says which settings are tried, and what is asked of them.

    title = "Which features?"      # optional; the report's title
    label = "SG-I2V"               # optional; what reports call the base
    preset = "paper"               # optional; one of the model's presets, to which everything below is a change
    categories = ["single"]        # optional; of the benchmark's scenes
    methods = ["none"]             # optional; other methods to compare with, with the base's settings

    [base]                         # optional; changes that all settings share
    iterations = 3

    [vary]                         # one thing at a time: each value is tried with everything else as in the base
    features = ["aligned", "self-attention", "temporal", "block"]
    learning_rate = ["0.5x", "2x"]         # of the base's
    control_steps = ["0%-30%", [5, 20]]    # shares of the steps, or steps

    [[setting]]                    # one by one
    label = "long"                 # optional
    num_inference_steps = 50
    iterations = 5

    [[claim]]                      # optional; the report says whether it holds
    text = "Aligned features give better control than self-attention features."
    better = { features = "aligned" }      # changes to the base; the mean is taken over a list of them
    worse = { features = "self-attention" }
    measure = "objmc"              # optional

A file may hold several studies, each a `[[question]]` with `ask` and the parts above. A setting may also have `method`
and `dtype`.
"""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from sgi2v_lab.baselines import METHODS
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.plan import Arm
from sgi2v_lab.evaluation.tasks.command_line import typed
from sgi2v_lab.files import as_path
from sgi2v_lab.models.presets import PRESETS, Presets
from sgi2v_lab.settings import Settings

__all__ = ["BASE", "Claim", "Grid", "Question", "as_grid", "grids", "preset_grid", "read_grid"]

BASE = "base"  # the group of the settings that all others are changes to
FIELDS = Settings.model_fields
OPTIONAL = (int | None, float | None)
SHARES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*-\s*(\d+(?:\.\d+)?)\s*%\s*")
TIMES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*[x×]\s*")


def _known(changes: dict[str, Any]) -> dict[str, Any]:
    if unknown := [name for name in changes if name not in FIELDS and name not in ("label", "method", "dtype")]:
        raise ValueError(f"unknown setting {unknown[0]!r}; the settings are {', '.join(sorted(FIELDS))}")
    return changes


def _one_of(names: Collection[str], what: str) -> AfterValidator:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"unknown {what} {name!r}: expected one of {', '.join(names)}")
        return name

    return AfterValidator(check)


Changes = Annotated[dict[str, Any], AfterValidator(_known)]
Values = Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], AfterValidator(_known)]


class Claim(BaseModel, extra="forbid", frozen=True):
    """A difference that should be in favour of one side: between two settings, or two means over several."""

    text: str
    better: Changes | list[Changes]
    worse: Changes | list[Changes]
    measure: str = "objmc"


class Question(BaseModel, extra="forbid", frozen=True):
    """One study: which settings and methods are tried on which scenes, and what is claimed of them."""

    ask: str = ""
    note: str = ""  # for readers of the report
    categories: list[str] = []
    methods: list[Annotated[str, _one_of(METHODS, "method")]] = []
    measures: list[str] = []  # that the report shows first
    vary: Values = {}
    setting: list[Changes] = []
    claim: list[Claim] = []


class Grid(Question):
    """A grid file as it is written; `variants` makes settings of a question of it."""

    name: str = ""  # of the file
    title: str = ""
    label: str = METHODS["sgi2v"].title
    preset: Annotated[str, _one_of(PRESETS, "preset")] = "own"
    base: Changes = {}
    question: list[Question] = []

    @property
    def questions(self) -> list[Question]:
        """The studies; the file itself where it has no [[question]]."""
        return self.question or [self]

    def arms(self, question: Question, own: Settings) -> tuple[Arm, ...]:
        """What a question tries on a model, whose settings in this preset are `own`: the base, then what differs.

        InputError: a value that its setting does not take, with its place in the file.
        """
        base = self.changes(BASE, {}, own)
        first = Arm(label=self.label, group=BASE, method="sgi2v", changes=base)
        found = {(own.replace(**base), "sgi2v", None): first}
        for label, group, row in _rows(question):
            method, dtype = row.get("method", "sgi2v"), row.get("dtype")
            changes = self.changes(label, row, own)
            key = (self._replaced(label, own, changes), method, dtype)
            found.setdefault(key, Arm(label=label, group=group, method=method, changes=changes, dtype=dtype))
        return tuple(found.values())

    def changes(self, label: str, row: Mapping[str, Any], own: Settings) -> dict[str, object]:
        """A row's settings as changes to the model's own; shares and multiples are of the base's."""
        shared = self._read(BASE, self.base, own)
        more = {name: value for name, value in row.items() if name in FIELDS}
        return shared | self._read(label, more, self._replaced(BASE, own, shared))

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
            raise InputError(f"{self.name}, {label!r}: {error}" if self.name else str(error)) from error


def preset_grid(presets: Presets, own: Settings) -> Grid:
    """A model's presets as a grid around the paper's recipe, without those that equal it."""
    back = {name: getattr(own, name) for name in presets["paper"]}  # presets are changes to the model's own settings
    rows = [{"label": name} | back | dict(changes) for name, changes in presets.items() if name != "paper"]
    return Grid(name="presets", title="The presets", label="paper", preset="paper", setting=rows, methods=["none"])


def grids() -> dict[str, Path]:
    """The grids that come with the package, by name."""
    folder = Path(str(files("sgi2v_lab.evaluation"))) / "grids"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read_grid(path: str | Path) -> Grid:
    """Read a grid file, or one that comes with the package, by its name.

    Raises:
        InputError: there is no such file, it cannot be read, or it holds a key or a form that is not known.
    """
    path = grids().get(str(path)) or as_path(path, "a grid")
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        known = ", ".join(grids())
        raise InputError(f"there is no grid {str(path)!r}; give a file, or one that is here: {known}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no grid ({error}): expected TOML") from error
    grid = as_grid({"title": path.name, **document, "name": path.name})
    for question in grid.questions:
        labels = [label for label, _, _ in _rows(question)]
        if taken := [label for label in labels if label == grid.label or labels.count(label) > 1]:
            raise InputError(f"{path.name}: two settings are called {taken[0]!r}; give each a label of its own")
    return grid


def as_grid(document: dict[str, Any]) -> Grid:
    """A grid from its parts; InputError for a part that is not known, or of another form."""
    try:
        return Grid.model_validate(document)
    except ValidationError as error:
        one = error.errors()[0]
        place = ".".join(str(part) for part in one["loc"])
        told = f"{place}: {one['msg'].removeprefix('Value error, ')}; it is {one['input']!r}"
        raise InputError(f"{document['name']}: {told}" if document.get("name") else told) from error


def _rows(question: Question) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(label, group, changes) of every setting that a question tries."""
    for key, values in question.vary.items():
        yield from ((_label({key: value}), key, {key: value}) for value in values)
    for row in question.setting:
        changes = {key: value for key, value in row.items() if key != "label"}
        yield str(row.get("label", _label(changes))), "setting", changes


def _label(changes: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {typed(value)}" for name, value in changes.items())
