import json

import pytest
from PIL import Image

from sgi2v_lab.errors import InputError
from sgi2v_lab.plots import training

LOG = [
    {"stage": "unet", "size": size, "clips": 1000 * k, "validation": 0.2 / k}
    for k, size in ((1, 64), (2, 64), (3, 128))
]
MATCHING = {"up 2 1": [0.5, 0.7], "up 3 0": [0.6, 0.4]}  # a network without the other taught layers
COMPASS = [
    {"clips": 1000, "sigma 1.1": 18.0, "sigma 2.8": 15.5, "sigma 9.0": 13.0},
    {"clips": 3000, "sigma 1.1": 20.0, "sigma 2.8": 17.5, "sigma 9.0": 14.0, "several steps": 14.5}
    | {"matching at 2.8": MATCHING},
]


def test_every_curve_has_its_numbers():
    figure = training.plot_training(LOG, COMPASS)
    error, fidelity, matching = figure.axes
    assert {line.get_label(): list(line.get_ydata()) for line in error.lines} == {
        "pictures of 64 px": [0.2, 0.1],
        "pictures of 128 px": [pytest.approx(0.2 / 3)],
    }
    assert [list(line.get_ydata()) for line in fidelity.lines] == [[18, 20], [15.5, 17.5], [13, 14], [14.5]]
    shown = {line.get_label(): list(line.get_ydata()) for line in matching.lines}
    assert shown["(2, 1) aligned"] == [0.7] and shown["(3, 0) own"] == [0.6]
    with pytest.raises(InputError, match="none"):
        training.plot_training(LOG, [])


def test_the_command_reads_a_runs_folder(tmp_path):
    decoder = {"stage": "decoder", "step": 1, "psnr": 20.0}
    for name, lines in (("log", [decoder, *LOG]), ("compass", [{"coded": 22.0}, *COMPASS])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    training._main(tmp_path)
    assert Image.open(tmp_path / "training.png").width > 800
