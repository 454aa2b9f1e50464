"""`sgi2v features` on two clips of the toy."""

import pickle

import numpy as np
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from sgi2v_lab.analysis import sweep
from sgi2v_lab.cli.main import app


def run(*arguments):
    return CliRunner().invoke(app, ["features", *map(str, arguments)])


@pytest.mark.slow
def test_a_table_and_figures(tmp_path, monkeypatch):
    run_tasks = sweep.run_tasks

    def here(tasks, folder, weights, load, *, workers, **options):
        """What two processes would be sent, in this one: to start them takes many seconds."""
        assert workers == 2
        tasks, load = pickle.loads(pickle.dumps((tasks, load)))
        return run_tasks(tasks, folder, weights, load, workers=1, **options)

    monkeypatch.setattr(sweep, "run_tasks", here)
    result = run("--clips", 2, "--sigmas", "8,0.5", "--kinds", "block, query-key", "--workers", 2, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    table = pyarrow.parquet.read_table(tmp_path / "features.parquet")
    assert {*table["kind"].to_pylist()} == {"block", "query-key"} and {*table["sigma"].to_pylist()} == {8, 0.5}
    assert len({*table["clip"].to_pylist()}) == 2
    for name in ("atlas.png", "levels.png"):
        assert (tmp_path / name).stat().st_size > 5000
    assert "query-key: " in result.output and "atlas.png" in result.output.replace("\n", "")


@pytest.mark.slow
def test_films_in_place_of_the_toys_world(tmp_path):
    dice = np.random.default_rng(0)
    film = {"video": dice.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8), "occluded": np.zeros((5, 8), bool)}
    film["points"] = np.linspace([0.1, 0.5], [0.9, 0.5], 8, dtype=np.float32)[None].repeat(5, 0)
    np.savez(tmp_path / "walk.npz", **film)
    asked = ("--sigmas", 1, "--kinds", "query", "--workers", 1, "--out", tmp_path / "out")
    result = run("--films", tmp_path / "walk.npz", *asked)
    assert result.exit_code == 0, result.output
    assert {*pyarrow.parquet.read_table(tmp_path / "out" / "features.parquet")["clip"].to_pylist()} == {"walk"}


def test_bad_input(tmp_path):
    for option, value in (("--sigmas", "8;2"), ("--kinds", "colour")):
        result = run(option, value, "--clips", 1, "--out", tmp_path)
        assert result.exit_code == 2 and value in result.output
