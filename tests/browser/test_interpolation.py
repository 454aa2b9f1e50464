"""What the browser draws between key boxes is what the package computes."""

import json
import random
from itertools import pairwise

import numpy as np
import pytest

from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.geometry import EASINGS
from sgi2v_lab.trajectories.json_format import to_json
from sgi2v_lab.trajectories.trajectory import KeyBox, Trajectory
from sgi2v_lab.widgets.bundle import script


@pytest.fixture(scope="module")
def page(browser):
    """An empty page with the mirror of the package's interpolation on its window."""
    page = browser.new_page()
    page.evaluate(
        """async (text) => {
          const address = URL.createObjectURL(new Blob([text], {type: "text/javascript"}));
          Object.assign(window, await import(address));
        }""",
        script("interpolation.js"),
    )
    yield page
    page.close()


def some_trajectory(dice: random.Random) -> Trajectory:
    def box():
        x, y = dice.uniform(-50, 900), dice.uniform(-50, 500)
        return (x, y, x + dice.uniform(1, 300), y + dice.uniform(1, 300))

    easing = dice.choice(list(EASINGS))
    if dice.random() < 0.4:
        path = [(dice.uniform(0, 1000), dice.uniform(0, 500)) for _ in range(dice.randint(2, 8))]
        path.insert(1, path[0])  # a hand that lingers
        return Trajectory.along(
            box(), path, scale=dice.uniform(0.3, 2), easing=easing, start=dice.uniform(0, 0.4), end=dice.uniform(0.5, 1)
        )
    times = sorted(dice.sample(range(101), dice.randint(1, 6)))
    keys = [KeyBox(t / 100, box(), dice.choice([None, *EASINGS])) for t in times]
    return Trajectory(tuple(keys), easing=easing)


def test_boxes_are_those_of_the_package(page):
    dice = random.Random(3)
    trajectories = Trajectories((1024, 576), tuple(some_trajectory(dice) for _ in range(60)))
    times = [i / 40 for i in range(41)]
    drawn = page.evaluate(
        "([document, times]) => document.trajectories.map((one) => times.map((time) => boxAt(one, time)))",
        [json.loads(to_json(trajectories)), times],
    )
    computed = np.array([one.at(times).tolist() for one in trajectories])
    assert np.abs(np.array(drawn) - computed).max() < 1e-6


def test_all_easings_are_mirrored(page):
    assert page.evaluate("Object.keys(EASINGS)") == list(EASINGS)


def test_a_simplified_line_stays_close(page):
    dice = random.Random(5)
    line = np.array([(2 * i, 80 * np.sin(i / 30) + dice.uniform(-0.5, 0.5)) for i in range(300)])
    corners = np.array(page.evaluate("([line, most]) => simplify(line, most)", [line.tolist(), 1.5]))
    assert 2 < len(corners) < len(line) / 4
    assert (corners[[0, -1]] == line[[0, -1]]).all()
    dense = np.concatenate([np.linspace(a, b, 200) for a, b in pairwise(corners)])
    assert np.linalg.norm(line[:, None] - dense[None], axis=-1).min(axis=1).max() < 1.6
