"""The course's page offers names of other modules: each is one that its module lists, and none is a public name."""

import ast
from pathlib import Path

import sgi2v_lab
import sgi2v_lab.course

PACKAGE = Path(sgi2v_lab.__file__).parent


def test_every_name_is_in_its_module():
    page = ast.parse(Path(sgi2v_lab.course.__file__).read_text(encoding="utf-8"))
    (listed,) = [n.value for n in ast.walk(page) if isinstance(n, ast.keyword) and n.arg == "submod_attrs"]
    homes = ast.literal_eval(listed)
    for module, names in homes.items():
        path = PACKAGE.joinpath(*module.split("."))
        source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")
        assert [name for name in names if f'"{name}"' not in source] == []
    offered = [name for names in homes.values() for name in names]
    assert sorted(offered) == sorted(sgi2v_lab.course.__all__)
    assert not {*offered} & {*sgi2v_lab.__all__}
