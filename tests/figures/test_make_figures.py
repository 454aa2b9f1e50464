"""The figures of figures/: their drawing on a tiny model, and which of the benchmark's pictures they take over."""

import json

import numpy as np
import pytest
import torch
from jaxtyping import config as jaxtyping_config
from PIL import Image

from figures import make_figures as paper_figures
from figures.make_figures import COPIED, draw_features, draw_run, make_figures
from sgi2v_lab.errors import InputError
from sgi2v_lab.models.load import load_model
from sgi2v_lab.plots.alignment import plot_alignment
from tests.helpers.tiny import HEIGHT, WIDTH, tiny_pipeline


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny_pipeline().save_pretrained(folder)
    settings = {"width": WIDTH, "height": HEIGHT, "num_inference_steps": 2, "control_steps": [0, 0], "iterations": 2}
    (folder / "settings.json").write_text(json.dumps(settings))
    return folder


def shows_something(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).std() > 10


def test_drawing(checkpoint, tmp_path):
    model = load_model(str(checkpoint), "cpu")
    draw_features(tmp_path, model)
    draw_run(tmp_path, model)
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {"features_by_layer.png", "alignment.png", "optimisation.png", "spectra.png"}
    assert all(shows_something(tmp_path / name) for name in drawn)


def test_all_figures_and_the_benchmark_behind_them(checkpoint, tmp_path, monkeypatch):
    asked = {}

    def run_benchmark(work, model, **options):
        asked["benchmark"] = (work, model, options)
        work.mkdir()
        for name in COPIED:
            (work / name).write_text(name)
        Image.new("RGB", (1920, 1500), "orange").save(work / "photos.png")

    monkeypatch.setattr(paper_figures, "run_benchmark", run_benchmark)

    def demo(out, *, model, progress):
        out.mkdir()
        (out / "film_strip.png").write_text(f"strip of {model}")

    monkeypatch.setattr(
        paper_figures, "check_claims", lambda *arguments, **options: asked.update(claims=(*arguments, options))
    )
    monkeypatch.setattr(paper_figures, "demo", demo)
    out, work, told = tmp_path / "figures", tmp_path / "benchmark", []
    make_figures(out, work, str(checkpoint), scenes=2, compared=3, workers=1, tell=told.append)
    assert asked["benchmark"] == (work, str(checkpoint), {"scenes": 2, "seeds": 1, "workers": 1, "progress": False})
    assert asked["claims"] == (work, str(checkpoint), {"scenes": 3, "workers": 1, "progress": False})
    assert {copy: (out / copy).read_text() for copy in COPIED.values()} == {v: k for k, v in COPIED.items()}
    assert Image.open(out / "photographs.png").size == (1280, 1000)
    assert (out / "demo_film_strip.png").read_text() == f"strip of {checkpoint}"
    assert (out / "alignment.png").is_file() and len(told) == 4


def test_alignment_shows_each_kind_twice_with_its_boxes(monkeypatch):
    # users have no run-time checker of shapes in front of the package's own checks
    monkeypatch.setattr(jaxtyping_config, "jaxtyping_disable", True)
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
    with pytest.raises(InputError, match=r"colours are of \['a'\], similarities of \['b'\]"):
        plot_alignment(video, {"a": colors}, {"b": maps}, boxes)
    with pytest.raises(InputError, match="the boxes"):
        plot_alignment(video, {"a": colors}, {"a": maps}, boxes[:, :2])
