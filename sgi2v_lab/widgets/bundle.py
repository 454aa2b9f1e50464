"""The widgets' scripts and styles, one text each: no build step, no network.

A widget of anywidget has one ES module, which reaches the browser as text and so cannot import a neighbour by its path.
The files in `static/` are ordinary ES modules all the same: `script` puts a module behind those that it imports, and
removes the words `import` and `export` and the neighbours' default exports. All then share one scope, so no two may
define the same name.
"""

import re
from pathlib import Path

__all__ = ["script", "style"]

STATIC = Path(__file__).with_name("static")
IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?:default .*;\n|(?=(?:async |)function|const|class))", re.MULTILINE)


def script(name: str) -> str:
    """The module `name` of `static/` with all that it imports from there, as one ES module."""
    return "\n".join([*_parts(name, []), _read(name)])


def style(*names: str) -> str:
    """The style sheets of `static/`, one after the other."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


def _parts(name: str, done: list[str]) -> list[str]:
    """What `name` imports, dependencies first, each once."""
    parts = []
    for needed in IMPORT.findall((STATIC / name).read_text(encoding="utf-8")):
        if needed not in done:
            parts += _parts(needed, done)
            parts.append(EXPORT.sub("", _read(needed)))
            done.append(needed)
    return parts


def _read(name: str) -> str:
    return f"// --- {name}\n" + IMPORT.sub("", (STATIC / name).read_text(encoding="utf-8"))
