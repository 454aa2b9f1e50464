"""The figures of figures/, drawn with a tiny model."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from figures import make_figures as make_figures_module
from figures.make_figures import make_figures, plot_alignment
from tests.helpers.tiny import HEIGHT, TINIER, WIDTH, tinier_pipeline


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tinier_pipeline().save_pretrained(folder)
    settings = {"width": WIDTH, "height": HEIGHT, "num_inference_steps": 2, "control_steps": [0, 0], "iterations": 2}
    (folder / "settings.json").write_text(json.dumps(settings | {"layers": TINIER.layers}))
    return folder


def shows_something(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).std() > 10


@pytest.mark.slow
def test_all_figures(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(make_figures_module, "CATEGORIES", ("single", "photo"))
    paper = tmp_path / "paper.toml"
    paper.write_text('title = "Cut-off"\nmethods = ["none"]\ncategories = ["single"]\n[vary]\ncutoff = [0]\n')
    monkeypatch.setattr(make_figures_module, "PAPER", paper)
    out, told = tmp_path / "figures", []
    make_figures(out, tmp_path / "out" / "benchmark", str(checkpoint), scenes=1, compared=1, clips=1, tell=told.append)
    names = {"scores", "one_object", "photographs", "ablations", "atlas", "alignment"}
    assert {path.stem for path in out.iterdir()} == names and len(told) == 4
    assert all(shows_something(out / f"{name}.png") for name in names)
    assert Image.open(out / "photographs.png").width == 1280


def test_alignment_shows_each_kind_twice_with_its_boxes():
    video, colors, maps = torch.rand(3, 3, 16, 24), torch.rand(3, 3, 2, 3), torch.rand(3, 2, 3)
    boxes = torch.tensor([[[2.0, 2.0, 8.0, 8.0]]]).expand(1, 3, 4)
    figure = plot_alignment(video, {"a": colors, "b": colors}, {"a": maps, "b": maps}, boxes)
    pictures = [axes for axes in figure.axes if axes.images]
    assert len(pictures) == 3 * (1 + 2 * 2)
    labels = [axes.get_ylabel() for axes in pictures if axes.get_ylabel()]
    assert labels == ["clip", "a\nPCA", "a\nsimilarity", "b\nPCA", "b\nsimilarity"]
    assert all(axes.patches for axes in pictures)
    heat = pictures[-1].images[0].get_array()
    assert np.allclose(heat, maps[2].numpy())
