"""Every field of `Settings` as a command-line option, made from the dataclass so that none is forgotten."""

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable

import typer

from sgi2v_lab.errors import InputError
from sgi2v_lab.settings import Settings

__all__ = ["read_setting", "takes_settings"]

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
PANEL = "Settings (left out: the model's own, which need not be the paper's)"


def takes_settings(command: Callable) -> Callable:
    """Let a typer command take an option per setting; it gets those that were given as the dictionary `changes`."""

    @functools.wraps(command)
    def run(**given: object) -> object:
        texts = {name: given.pop(name) for name in FIELDS}
        changes = {name: read_setting(name, value) for name, value in texts.items() if value not in (None, [])}
        return command(**given, changes=changes)

    signature = inspect.signature(command)
    kept = [p for name, p in signature.parameters.items() if name != "changes"]
    options = [_option(field, comment) for field, comment in zip(FIELDS.values(), _comments(), strict=True)]
    run.__signature__ = signature.replace(parameters=[*kept, *options])
    run.__annotations__ = {p.name: p.annotation for p in [*kept, *options]}
    return run


def read_setting(name: str, value: object) -> object:
    """A setting's value from what the command line gives.

    Numbers and words are kept. `layers` is text or texts such as "2,1 2,2", `control_steps` such as "5-20"; a setting
    that may be absent takes "none". Ranges are for `Settings` to check.

    Raises:
        InputError: for text that cannot be read.
    """
    kind = FIELDS[name].type
    if name == "layers":
        text = " ".join(value) if isinstance(value, list | tuple) else str(value)
        if not re.fullmatch(r"\s*\d+\s*,\s*\d+(\s+\d+\s*,\s*\d+)*\s*", text):
            raise InputError(f"layers is {text!r}, but must be pairs of up block and transformer, such as '2,1 2,2'")
        return tuple((int(a), int(b)) for a, b in re.findall(r"(\d+)\s*,\s*(\d+)", text))
    if name == "control_steps":
        found = re.fullmatch(r"\s*(\d+)\s*(?:-|\.\.|,|\s)\s*(\d+)\s*", str(value))
        if not found:
            raise InputError(
                f"control_steps is {str(value)!r}, but must be the first and the last step, such as '5-20'"
            )
        return int(found[1]), int(found[2])
    if kind in (int | None, float | None):
        if str(value).lower() == "none":
            return None
        number = int if kind == int | None else float
        try:
            return number(str(value))
        except ValueError:
            what = "a whole number" if number is int else "a number"
            raise InputError(f"{name} is {str(value)!r}, but must be {what}, or 'none'") from None
    return value


def _option(field: dataclasses.Field, comment: str) -> inspect.Parameter:
    as_is = field.type in (int, float, bool, str)
    annotation = list[str] | None if field.name == "layers" else (field.type if as_is else str) | None
    words = None
    if not as_is:
        words = {"layers": "B,T", "control_steps": "FIRST-LAST"}.get(field.name, "NUMBER|none")
    option = typer.Option(
        None,
        help=f"{comment} (paper: {_written(field.default)})",
        metavar=words,
        show_default=False,
        rich_help_panel=PANEL,
    )
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=annotation)


def _written(value: object) -> str:
    """A default as it would be typed."""
    if isinstance(value, tuple):
        nested = isinstance(value[0], tuple)
        return " ".join(f"{a},{b}" for a, b in value) if nested else "-".join(map(str, value))
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)


def _comments() -> list[str]:
    """What the source says beside each field; of one without a comment, its name."""
    lines = inspect.getsource(Settings).splitlines()
    found: list[str] = []
    for name in FIELDS:
        line = next(line for line in lines if re.match(rf"    {name}: ", line))
        comment = line.partition("  # ")[2]
        if comment.startswith("..."):  # goes on where the comment above ends
            comment = found[-1] + comment.removeprefix("...")
        found.append(comment.removesuffix("...").strip() or name.replace("_", " "))
    return found
