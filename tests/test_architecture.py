"""The rules that let the folder be read as the paper's pipeline. Each is itself tried on bad examples."""

import ast
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path
from sys import stdlib_module_names

import pytest
import yaml
from jaxtyping import TypeCheckError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sgi2v_lab
from sgi2v_lab.toy.world.scenes import true_boxes

ROOT = Path(__file__).parents[1]
PACKAGE = "sgi2v_lab"

# Parts that know the toy; the method does not.
MAY_IMPORT_TOY = ("toy", "prompts", "evaluation", "analysis", "course", "cli")
MAY_PRINT = (  # programs, and the log of a training run
    *("cli.main", "toy.training.train", "toy.training.train_transformer"),
    "toy.training.training",
)
MAY_EXIT = ("cli.main",)
# folders, and the extra that each may need
ROOMS_OF_EXTRAS = {"evaluation": "evaluation", "analysis": "evaluation", "widgets": "notebooks", "course": "notebooks"}
LARGEST_FILE = 5_000_000  # bytes
CHECKPOINTS = ("sgi2v_lab/toy/checkpoint/", "sgi2v_lab/toy/checkpoint_dit/")


# --- reading the package ---------------------------------------------------------------------------------------------


@cache  # rules only read them
def modules(root: Path) -> dict[str, ast.Module]:
    """Syntax trees by full name: sgi2v_lab, sgi2v_lab.trajectories.boxes, ..."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        if (
            path.parent.name == ".ipynb_checkpoints"
        ):  # JupyterLab's, of a source file that somebody opened from a chapter
            continue
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
        found[name].is_package = path.name == "__init__.py"
    return found


def imports(name: str, tree: ast.Module, known: set[str]) -> Iterator[tuple[str, bool]]:
    """The modules that a module imports anywhere, by full name, and whether it needs them to be imported itself."""
    at_once = set()
    todo = list(tree.body)
    while todo:
        node = todo.pop()
        at_once.add(node)
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        )
        todo += [] if later else list(ast.iter_child_nodes(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                here = name.split(".") + ["__init__"] * tree.is_package
                source = ".".join([*here[: -node.level], *source.split(".")]).rstrip(".")
            for alias in node.names:
                deeper = f"{source}.{alias.name}"
                yield (deeper if deeper in known else source), node in at_once


def stage(name: str) -> str:
    """The part of the house that a module belongs to: sgi2v_lab.toy.world.scenes -> toy; the package itself -> ''."""
    return name.removeprefix(PACKAGE).lstrip(".").split(".")[0]


def short(name: str) -> str:
    return name.removeprefix(f"{PACKAGE}.")


def is_one_of(name: str, allowed: tuple[str, ...]) -> bool:
    return any(short(name) == a or short(name).startswith(f"{a}.") for a in allowed)


# --- the rules: each returns its complaints --------------------------------------------------------------------------


def reading_order(root: Path) -> list[str]:
    """The first word in backticks of every line of the list in the package's README."""
    lines = (root / PACKAGE / "README.md").read_text(encoding="utf-8").splitlines()
    return [line.split("`")[1] for line in lines if line.startswith("* ")]


def import_order(root: Path) -> list[str]:
    """A module imports only from those before it; a folder counts as one module, and has no cycles."""
    trees, order = modules(root), reading_order(root)
    here_are = {stage(name) for name in trees} - {""}
    complaints = [f"{name} is not in the reading order ({PACKAGE}/README.md)" for name in sorted(here_are - {*order})]
    edges = {
        (name, target)
        for name, tree in trees.items()
        for target, _ in imports(name, tree, set(trees))
        if target.split(".")[0] == PACKAGE and stage(name) in ("", *order)
    }
    for name, target in sorted(edges):
        here, there = stage(name), stage(target)
        if here == "":
            if there != "quiet":  # which has to come before the libraries that it silences
                complaints.append(f"{name} imports {target}; its names are listed in __init__.pyi")
        elif there == "":
            complaints.append(f"{name} imports from the package's own page; name the module instead")
        elif there not in order:
            complaints.append(f"{name} imports {target}, which is not in the reading order")
        elif order.index(there) > order.index(here):
            complaints.append(f"{name} imports {target}, which comes after it")
        elif there == "toy" and here not in MAY_IMPORT_TOY:
            complaints.append(f"{name} imports {target}; only {', '.join(MAY_IMPORT_TOY)} know the toy")
    graph: dict[str, set[str]] = {}
    for name, target in edges:
        if name != target:
            graph.setdefault(name, set()).add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        complaints.append(f"imports go round in a circle: {' -> '.join(error.args[1])}")
    return complaints


def own_names(root: Path) -> list[str]:
    """What a package's page offers has no module's name: `import a.b as x` would give one or the other."""
    trees = modules(root)
    offered = {(name, each) for name, tree in trees.items() if tree.is_package for each in _bound(tree)}
    stub = root / PACKAGE / "__init__.pyi"
    if stub.is_file():
        offered |= {(PACKAGE, each) for each in _bound(ast.parse(stub.read_text(encoding="utf-8")))}
    return [
        f"{name}.{each} is a module, and offered as something else"
        for name, each in sorted(offered)
        if f"{name}.{each}" in trees
    ]


def _bound(tree: ast.Module) -> set[str]:
    """Names that a package's page imports or, lazily, lists."""
    imported = {
        alias.asname or alias.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for alias in n.names
    }
    lazily = {
        item
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "submod_attrs"
        for names in ast.literal_eval(node.value).values()
        for item in names
    }
    return imported | lazily


def documented(root: Path) -> list[str]:
    complaints = []
    for name, tree in modules(root).items():
        if not ast.get_docstring(tree):
            complaints.append(f"{name} has no docstring")
        for node in tree.body:
            public = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_"
            if public and not ast.get_docstring(node):
                complaints.append(f"{name}.{node.name} has no docstring")
    return complaints


def public_names(root: Path) -> list[str]:
    complaints = []
    for name, tree in modules(root).items():
        only_docstring = len(tree.body) == 1 and ast.get_docstring(tree)
        if tree.is_package and name != PACKAGE and only_docstring:
            continue  # a folder that only says what it is for
        defined, listed = set(), None
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                defined |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                defined.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                defined.add(node.id)
                if node.id == "__all__":
                    listed = True
        if not listed:
            complaints.append(f"{name} has no __all__")
            continue
        for node in tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                for item in ast.literal_eval(node.value):
                    if item not in defined:
                        complaints.append(f"{name}.__all__ lists {item}, which the module does not have")
    return complaints


def well_behaved(root: Path) -> list[str]:
    """Libraries return and raise: they do not print, and do not end the program; nothing imports by a star."""
    complaints = []
    for name, tree in modules(root).items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
                complaints.append(f"{name}:{node.lineno} imports *")
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called == "print" and not is_one_of(name, MAY_PRINT):
                    complaints.append(f"{name}:{node.lineno} prints")
                if called in ("exit", "quit", "sys.exit", "os._exit") and not is_one_of(name, MAY_EXIT):
                    complaints.append(f"{name}:{node.lineno} calls {called}")
            if isinstance(node, ast.Raise) and node.exc and not is_one_of(name, MAY_EXIT):
                raised = ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
                if raised == "SystemExit":
                    complaints.append(f"{name}:{node.lineno} raises SystemExit")
    return complaints


offered_by_distributions = cache(packages_distributions)


def declared_dependencies(root: Path) -> list[str]:
    """What the package imports is what pyproject.toml asks for, and importing the core takes no extra.

    A room that needs an extra may import it at once; elsewhere, and in whatever the core imports, an extra's modules
    are imported where they are used.
    """
    needed = required(root)
    offered = offered_by_distributions()
    trees = modules(root)
    by_core = imported_by_core(trees)
    complaints = []
    for name, tree in trees.items():
        for target, at_once in imports(name, tree, set(trees)):
            top = target.split(".")[0]
            if top in stdlib_module_names or top == PACKAGE:
                continue
            extras = [extra for room, extra in ROOMS_OF_EXTRAS.items() if is_one_of(name, (room,))]
            if name in by_core:
                extras = []
            allowed = needed["core"].union(*(needed[extra] for extra in (extras if at_once else needed)))
            if {canonicalize_name(each) for each in offered.get(top, [top])} & allowed:
                continue
            complaint = f"{name} imports {top}, which is no dependency in pyproject.toml"
            if at_once and name in by_core and stage(name) in ROOMS_OF_EXTRAS:
                complaint += f" that the core has, and {by_core[name]} imports it; import it where it is used"
            complaints.append(complaint)
    return sorted(set(complaints))


def required(root: Path) -> dict[str, set[str]]:
    """Names of what the core and each extra for users install; an extra that another one names is part of it."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = [Requirement(text) for text in project["dependencies"]]
    extras = {
        extra: [Requirement(text) for text in texts]
        for extra, texts in project.get("optional-dependencies", {}).items()
    }

    def names(requirements: list[Requirement]) -> set[str]:
        own = {canonicalize_name(each.name) for each in requirements} - {canonicalize_name(PACKAGE)}
        return own.union(
            *(names(extras[extra]) for each in requirements if each.name == PACKAGE for extra in each.extras)
        )

    return {"core": names(core)} | {extra: names(extras.get(extra, [])) for extra in ("evaluation", "svd", "notebooks")}


def imported_by_core(trees: dict[str, ast.Module]) -> dict[str, str]:
    """Modules that come in when any module outside the rooms of extras is imported, and one that imports each."""
    found = {name: name for name in trees if stage(name) not in ROOMS_OF_EXTRAS}
    todo = list(found)
    while todo:
        name = todo.pop()
        for target, at_once in imports(name, trees[name], set(trees)):
            parts = target.split(".")
            for each in (".".join(parts[: n + 1]) for n in range(len(parts)) if at_once):
                if each in trees and each not in found:
                    found[each] = name
                    todo.append(each)
    return found


def small_files(root: Path) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return [
        f"{name} has {size} bytes, more than {LARGEST_FILE}"
        for name in sorted(set(filter(None, listed)))
        if (root / name).is_file() and not name.startswith(CHECKPOINTS)
        for size in [(root / name).stat().st_size]
        if size > LARGEST_FILE
    ]


RULES = (import_order, own_names, documented, public_names, well_behaved, declared_dependencies)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps(rule):
    assert len(modules(ROOT)) > 10
    complaints = rule(ROOT)
    assert not complaints, "\n".join(complaints)


def test_editors_see_the_public_names_that_there_are():
    stub = ast.parse((ROOT / PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    seen = [alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(seen) == sorted(sgi2v_lab.__all__)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_no_large_file_but_the_checkpoint():
    assert small_files(ROOT) == []


# --- the rules themselves --------------------------------------------------------------------------------------------

GOOD = '"""What it is."""\n\n__all__ = []\n'
PROJECT = """[project]
dependencies = ["torch>=2"]
optional-dependencies.notebooks = ["sgi2v_lab[evaluation]", "IPython"]
optional-dependencies.evaluation = ["scipy"]
"""


LIST = "".join(
    f"* `{name}`: what it is\n"
    for name in ("errors", "toy", "prompts", "loss", "pipeline", "video", "plots", "evaluation", "cli")
)


def house(root: Path, files: dict[str, str]) -> Path:
    page = {"pyproject.toml": PROJECT, f"{PACKAGE}/__init__.py": GOOD, f"{PACKAGE}/README.md": LIST}
    for name, text in {**page, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("rule", "files", "complaint"),
    [
        (import_order, {"loss": "import sgi2v_lab.pipeline", "pipeline": ""}, "comes after it"),
        (import_order, {"loss": "def f():\n    from sgi2v_lab import plots", "plots": ""}, "comes after it"),
        (import_order, {"loss": "from .pipeline import generate", "pipeline": ""}, "comes after it"),
        (import_order, {"toy/data": "from ..pipeline import generate", "pipeline": ""}, "comes after it"),
        (import_order, {"loss": "from sgi2v_lab import generate"}, "package's own page"),
        (import_order, {"__init__": "from sgi2v_lab.loss import loss", "loss": ""}, "__init__.pyi"),
        (import_order, {"helpers": ""}, "not in the reading order"),
        (import_order, {"plots/a": "from sgi2v_lab.plots import b", "plots/b": "from .a import c"}, "in a circle"),
        (import_order, {"loss": "from sgi2v_lab.toy.scenes import render", "toy/scenes": ""}, "know the toy"),
        (own_names, {"plots/__init__": "from sgi2v_lab.plots.a import a", "plots/a": "def a(): pass"}, "is a module"),
        (documented, {"loss": "__all__ = []"}, "loss has no docstring"),
        (documented, {"loss": '"""Loss."""\ndef loss(): pass'}, "loss.loss has no docstring"),
        (public_names, {"loss": '"""Loss."""'}, "no __all__"),
        (public_names, {"loss": '__all__ = ["gone"]'}, "lists gone"),
        (well_behaved, {"loss": "def f(x):\n    print(x)"}, "prints"),
        (well_behaved, {"loss": "import sys\nsys.exit(1)"}, "sys.exit"),
        (well_behaved, {"loss": "raise SystemExit(1)"}, "SystemExit"),
        (well_behaved, {"loss": "from math import *"}, "imports *"),
        (declared_dependencies, {"loss": "import numpy"}, "loss imports numpy"),
        (declared_dependencies, {"loss": "from IPython.display import HTML"}, "loss imports IPython"),
        (declared_dependencies, {"evaluation/a": "import IPython"}, "a imports IPython"),
        (
            declared_dependencies,
            {"evaluation/a": "import scipy", "cli/main": "import sgi2v_lab.evaluation.a"},
            "sgi2v_lab.cli.main imports it",
        ),
    ],
)
def test_rule_finds(rule, files, complaint, tmp_path):
    root = house(tmp_path, {f"{PACKAGE}/{name}.py": source for name, source in files.items()})
    assert any(complaint in found for found in rule(root)), rule(root)


def test_the_rules_accept_a_good_house(tmp_path):
    files = {
        "errors": GOOD,
        "toy/__init__": '"""The toy."""',
        "toy/scenes": GOOD + "import torch\nfrom sgi2v_lab.errors import InputError\n",
        "toy/training/train": GOOD + "print('loss')\n",
        "toy/training/__init__": '"""Training."""',
        "prompts/__init__": GOOD + "from sgi2v_lab.toy.scenes import render\n",
        "video": GOOD + "def _show():\n    from IPython.display import HTML\n    return HTML\n",
        "cli/main": GOOD + "import sys\nfrom sgi2v_lab import video\nsys.exit(print())\n",
        "cli/__init__": '"""Commands."""',
        "evaluation/__init__": '"""Measuring."""',
        "evaluation/report": GOOD + "import scipy\n",
    }
    root = house(tmp_path, {f"{PACKAGE}/{name}.py": source for name, source in files.items()})
    assert [complaint for rule in RULES for complaint in rule(root)] == []


def test_large_files_are_found(tmp_path):
    weights = {f"{folder}vae.safetensors": "0" * (LARGEST_FILE + 1) for folder in CHECKPOINTS}
    house(tmp_path, {**weights, "film.txt": "0" * (LARGEST_FILE + 1)})
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert small_files(tmp_path) == [f"film.txt has {LARGEST_FILE + 1} bytes, more than {LARGEST_FILE}"]


# --- the versions ----------------------------------------------------------------------------------------------------


def constraints() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def test_constraints_pin_what_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = constraints()
    for text in chain(project["dependencies"], *project["optional-dependencies"].values()):
        requirement = Requirement(text)
        if requirement.name == PACKAGE:  # an extra that is part of another one
            continue
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), text


def test_conda_environment_has_the_tested_minor_versions():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    lines = [line for entry in environment for line in (entry["pip"] if isinstance(entry, dict) else [entry])]
    pinned = {**constraints(), "python": "3.11.0"}
    versions = [line.replace("==", "=").split("=") for line in lines if "=" in line]
    assert len(versions) > 5
    for name, version in versions:
        tested = pinned[{"pytorch": "torch"}.get(name, canonicalize_name(name))]
        assert version == f"{'.'.join(tested.split('.')[:2])}.*", name


def test_the_core_is_small():
    assert len(required(ROOT)["core"]) <= 18


@pytest.mark.slow
def test_the_core_works_without_extras():
    """Every public name and every command's help, where the extras' modules cannot be imported."""
    offered = packages_distributions()
    needed = required(ROOT)
    only_extras = needed["evaluation"] | needed["notebooks"]
    missing = [top for top, by in offered.items() if {canonicalize_name(each) for each in by} <= only_extras]
    assert {"cv2", "pyarrow", "skimage", "anywidget"} <= {*missing}
    # what the core's own libraries bring may be imported by them; nothing in the core may
    missing = [top for top in missing if top not in ("scipy", "jinja2", "joblib", "markupsafe", "filelock")]
    program = f"""
import sys
sys.modules.update(dict.fromkeys({missing!r}))
import sgi2v_lab, sgi2v_lab.cli.main
from sgi2v_lab.errors import InputError
for name in sgi2v_lab.__all__:
    getattr(sgi2v_lab, name)
try:
    import sgi2v_lab.evaluation.experiments.evaluate
except InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "sgi2v_lab[evaluation]" in done.stdout


# --- what conftest.py promises ---------------------------------------------------------------------------------------


def test_annotations_are_checked_at_run_time():
    with pytest.raises(TypeCheckError):
        true_boxes("a picture of a ball")


def test_the_network_is_out_of_reach():
    with socket.socket() as plug, pytest.raises(OSError, match="must not use the network"):
        plug.connect(("192.0.2.1", 80))  # an address kept for documentation


def test_this_machine_can_be_reached():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as plug:
        assert plug.getpeername() == server.getsockname()
