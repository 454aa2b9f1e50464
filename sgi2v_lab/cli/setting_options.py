"""Every field of `Settings` as a command-line option, with the help that the field itself gives."""

import functools
import inspect
import re
from collections.abc import Callable

import typer
from pydantic.fields import FieldInfo

from sgi2v_lab.errors import InputError
from sgi2v_lab.settings import Settings

__all__ = ["read_setting", "takes_settings"]

FIELDS = Settings.model_fields
PAIR, LAYERS = tuple[int, int], FIELDS["layers"].annotation


def takes_settings(command: Callable) -> Callable:
    """Give a typer command one option per setting; the command gets the given ones as the dictionary `changes`."""

    @functools.wraps(command)
    def run(**given: object) -> object:
        texts = {name: given.pop(name) for name in FIELDS}
        changes = {name: read_setting(name, value) for name, value in texts.items() if value not in (None, [])}
        return command(**given, changes=changes)

    signature = inspect.signature(command)
    kept = [p for name, p in signature.parameters.items() if name != "changes"]
    options = [_option(name, field) for name, field in FIELDS.items()]
    run.__signature__ = signature.replace(parameters=[*kept, *options])
    run.__annotations__ = {p.name: p.annotation for p in [*kept, *options]}
    return run


def read_setting(name: str, value: object) -> object:
    """A setting's value from what the command line gives; ranges are for `Settings` to check.

    Numbers and words are kept. `layers` is text or texts such as "2,1 2,2" or "12 13", a pair of steps is text such as
    "5-20"; a setting that may be absent takes "none".

    Raises:
        InputError: for text that cannot be read.
    """
    kind = FIELDS[name].annotation
    if kind in (int, float, bool, str):
        return value
    text = (" ".join(value) if isinstance(value, list | tuple) else str(value)).strip()
    if text.lower() == "none" and kind == kind | None:
        return None
    if kind == LAYERS:
        layer = r"(\d+)(?:\s*,\s*(\d+))?"
        if not re.fullmatch(rf"{layer}(\s+{layer})*", text):
            raise InputError(
                f"{name} is {text!r}, but must be pairs of up block and transformer, such as '2,1 2,2', or blocks, "
                "such as '12 13'"
            )
        return tuple((int(a), int(b)) if b else int(a) for a, b in re.findall(layer, text))
    or_none = ", or 'none'" if kind == kind | None else ""
    if kind in (PAIR, PAIR | None):
        found = re.fullmatch(r"(\d+)\s*(?:-|\.\.|,|\s)\s*(\d+)", text)
        if not found:
            raise InputError(f"{name} is {text!r}, but must be the first and the last step, such as '5-20'{or_none}")
        return int(found[1]), int(found[2])
    number, what = (int, "a whole number") if kind == int | None else (float, "a number")
    try:
        return number(text)
    except ValueError:
        raise InputError(f"{name} is {text!r}, but must be {what}{or_none}") from None


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    about, kind = field.json_schema_extra, field.annotation
    choices = f" One of {', '.join(about['choices'])}." if about["choices"] else ""
    paper = f" Paper: {_written(field.default)}." if field.default not in (None, "own", "") else ""
    option = typer.Option(
        None,
        help=f"{field.description}{choices}{paper}",
        metavar={LAYERS: "B,T", PAIR: "FIRST-LAST", PAIR | None: "FIRST-LAST|none"}.get(
            kind, "NUMBER|none" if kind == kind | None else None
        ),
        show_default=False,
        rich_help_panel=f"{about['group']} (default: from the model's settings.json)",
    )
    typed = list[str] if kind == LAYERS else kind if kind in (int, float, bool, str) else str
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=typed | None)


def _written(value: object) -> str:
    """A default as it would be typed."""
    if isinstance(value, tuple):
        nested = isinstance(value[0], tuple)
        return " ".join(f"{a},{b}" for a, b in value) if nested else "-".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
