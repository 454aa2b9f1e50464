"""The command line that reproduces a result, saved with the result."""

import shlex
from collections.abc import Mapping

__all__ = ["command_line", "typed"]


def command_line(command: str, options: Mapping[str, object], changes: Mapping[str, object] | None = None) -> str:
    """`sgi2v COMMAND --option value ...`, to be pasted into a shell.

    Args:
        command: its name.
        options: by their names in Python; None and empty lists are left out, lists become the option repeated.
        changes: to the model's settings, as `takes_settings` reads them.
    """
    words = ["sgi2v", command]
    for name, value in options.items():
        for one in value if isinstance(value, list) else [] if value is None else [value]:
            words += [_flag(name), str(one)]
    for name, value in (changes or {}).items():
        words += [f"--no-{_flag(name)[2:]}"] if value is False else [_flag(name)]
        words += [] if isinstance(value, bool) else [typed(value)]
    return shlex.join(words)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def typed(value: object) -> str:
    """A setting's value as it is typed: 5-20 for two steps, "2,1 2,2" for layers."""
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        pairs = all(isinstance(each, list | tuple) for each in value)
        return " ".join(f"{a},{b}" for a, b in value) if pairs else "-".join(map(str, value))
    return str(value)
