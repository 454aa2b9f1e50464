import json
import math

import pytest

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments import search as module
from sgi2v_lab.evaluation.experiments.search import GRID, draw_settings, score, search
from sgi2v_lab.settings import Settings
from sgi2v_lab.toy.training.data import HELD_OUT


def test_choices_are_different_valid_and_fixed_by_the_seed():
    choices = draw_settings(40, seed=3)
    assert len({json.dumps(c) for c in choices}) == 40
    assert choices == draw_settings(40, seed=3) != draw_settings(40, seed=4)
    for choice in choices[:20]:
        Settings(width=64, height=64).replace(**choice)
    everything = draw_settings(10**9)
    assert len(everything) == math.prod(map(len, GRID.values()))
    for name, values in GRID.items():
        assert {c[name] for c in everything} == set(values)


def test_the_score_prefers_control_but_not_at_any_price():
    assert score({"single": 0.2, "pan": 0.6}, 30) == 0.4 < score({"single": 0.2, "pan": 0.8}, 30)
    assert score({"single": 0.4}, 14) > score({"single": 0.6}, 24)


def test_halving_keeps_the_better_half_and_spends_more_scenes_on_it(tmp_path, monkeypatch):
    """With invented results: the lower the learning rate, the better."""

    class Model:
        name, settings = "invented", Settings(width=64, height=64)

    tasks_made = []

    def video_tasks(model, scenes, changes, variants):
        return [(scene, changes.get("learning_rate") if variants == (True,) else None) for scene in scenes]

    def run_tasks(tasks, *_, **__):
        tasks_made.append(len(tasks))
        found = [(20.0 if rate is None else 100 * rate, scene.category) for scene, rate in tasks]
        return [{"result": {"objmc": o * (2 if c == "pan" else 1), "psnr": 30.0, "seconds": 1.0}} for o, c in found]

    monkeypatch.setattr(module, "load_model", lambda name: Model())
    monkeypatch.setattr(module, "find_seeds", lambda category, count, start: tuple(range(start, start + count)))
    monkeypatch.setattr(module, "video_tasks", video_tasks)
    monkeypatch.setattr(module, "run_tasks", run_tasks)
    grid = {"learning_rate": (0.01, 0.02, 0.04, 0.08)}
    rounds = list(search(tmp_path, trials=4, scenes=2, rounds=3, grid=grid))
    assert [[t.settings["learning_rate"] for t in r] for r in rounds] == [
        [0.01, 0.02, 0.04, 0.08],
        [0.01, 0.02],
        [0.01],
    ]
    assert tasks_made == [4 * 5, 8 * 3, 16 * 2]
    assert rounds[2][0].ratios == pytest.approx({"single": 0.05, "pan": 0.05})
    assert rounds[2][0].scenes == 8
    record = json.loads((tmp_path / "search.json").read_text())
    assert len(record["rounds"]) == 3
    assert record["rounds"][2]["uncontrolled"] == {"single": 20, "pan": 40}
    assert all(max(seeds) < HELD_OUT for seeds in record["rounds"][2]["scenes"].values())
    monkeypatch.setattr(module, "run_tasks", lambda tasks, *_, **__: [{"error": "ValueError: no"} for _ in tasks])
    with pytest.raises(InputError, match="ValueError: no"):
        list(search(tmp_path, trials=1, scenes=1, rounds=1, grid=grid))


@pytest.mark.parametrize("name", ["trials", "scenes", "rounds"])
def test_nothing_to_do_is_an_error(tmp_path, name):
    with pytest.raises(InputError, match=f"{name} is 0"):
        list(search(tmp_path, **{name: 0}))
