"""The course's figures draw what they are given, and refuse what cannot be drawn."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from sgi2v_lab.errors import InputError
from sgi2v_lab.plots.course import plot_gallery, plot_landscape, plot_magnitudes, plot_series

VIDEO = torch.rand(4, 3, 16, 24, generator=torch.Generator().manual_seed(0))


def texts(figure: Figure) -> set[str]:
    return {t.get_text() for axes in figure.axes for t in (axes.title, axes.xaxis.label, axes.yaxis.label)}


def test_series_draws_every_value_and_names_its_lines():
    figure = plot_series([1, 2, 3], {"a": [3.0, 2.0, 1.0], "b": torch.tensor([0.5, float("nan"), 2.0])}, "x (px)", "y")
    (axes,) = figure.axes
    a, b = axes.get_lines()
    assert a.get_ydata().tolist() == [3, 2, 1] and b.get_ydata()[2] == 2
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["a", "b"]
    assert axes.get_xlabel() == "x (px)" and axes.get_ylim()[0] == 0


def test_series_below_zero_are_not_cut_off():
    (axes,) = plot_series([0, 1], {"a": [-1.0, 1.0]}, "x", "y").axes
    assert axes.get_ylim()[0] < -1


def test_series_over_words_and_marks():
    (axes,) = plot_series(["early", "late"], {"a": [1, 2]}, "when", "y", marks={"here": 0.5}, log=True).axes
    assert [t.get_text() for t in axes.get_xticklabels()] == ["early", "late"]
    assert "here" in {t.get_text() for t in axes.texts} and axes.get_yscale() == "log"


def test_magnitudes_share_one_scale_and_keep_their_values():
    low, high = torch.full((4, 2, 3), 0.5), torch.full((4, 2, 3), 2.0)
    figure = plot_magnitudes(VIDEO, {"low": low, "high": high}, boxes=torch.tensor([[[2.0, 2, 9, 9]] * 4]))
    heats = [image for axes in figure.axes for image in axes.images if image.get_cmap().name == "YlGnBu"]
    assert len(heats) == 8 and {heat.norm.vmax for heat in heats} == {2.0}
    assert sorted({float(heat.get_array().max()) for heat in heats}) == [0.5, 2.0]
    assert {"low", "high", "length"} <= texts(figure)


def test_magnitudes_name_their_columns():
    maps = {"attention": torch.ones(4, 2, 3)}
    named = plot_magnitudes(VIDEO, maps, column="latent")
    assert [axes.get_title() for axes in named.axes][:4] == ["latent 0", "1", "2", "3"]
    assert plot_magnitudes(VIDEO, maps).axes[0].get_title() == "frame 0"


def test_magnitudes_of_zero_can_be_drawn():
    assert plot_magnitudes(VIDEO, {"nothing": torch.zeros(4, 2, 3)})._repr_png_()


def test_landscape_marks_the_lowest_place_of_each_panel():
    losses = torch.ones(3, 4)
    losses[2, 1] = 0.25
    figure = plot_landscape({"flat": torch.ones(3, 4), "valley": losses}, [0, 8, 16, 24], [-8, 0, 8], truth=(8, 8))
    panel = next(axes for axes in figure.axes if axes.get_title() == "valley")
    crosses = [line for line in panel.get_lines() if line.get_marker() == "x"]
    assert all((line.get_xdata()[0], line.get_ydata()[0]) == (8, 8) for line in crosses)
    assert float(panel.images[0].get_array().min()) == 0.25
    # a place's colour lies around the place: the extent reaches half a step beyond the first and the last
    assert panel.images[0].get_extent() == [-4, 28, 12, -12]


def test_gallery_shows_each_picture_under_its_label():
    pictures = {f"r = {i}": VIDEO[i] for i in range(4)}
    figure = plot_gallery(pictures, boxes=torch.tensor([[2.0, 2.0, 9.0, 9.0]]))
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == list(pictures)
    assert np.allclose(shown[2].images[0].get_array(), VIDEO[2].permute(1, 2, 0).numpy())
    assert len([axes for axes in plot_gallery({str(i): VIDEO[0] for i in range(8)}).axes if axes.get_visible()]) == 8
    nine = plot_gallery({str(i): VIDEO[0] for i in range(9)}, columns=3)
    assert nine.axes[0].get_subplotspec().get_gridspec().get_geometry() == (3, 3)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot_series([1], {}, "x", "y"), "no series"),
        (lambda: plot_series([1, 2], {"a": [1.0]}, "x", "y"), "one value for each of 2"),
        (lambda: plot_magnitudes(VIDEO, {}), "no maps"),
        (lambda: plot_landscape({}, [0, 1], [0, 1]), "no landscape"),
        (lambda: plot_landscape({"a": torch.zeros(2, 3)}, [0, 1], [0, 1]), "the landscape 'a'"),
        (lambda: plot_gallery({}), "no pictures"),
        (lambda: plot_gallery({"a": VIDEO[0]}, columns=0), "columns is 0"),
        (lambda: plot_gallery({"a": VIDEO[0], "b": torch.zeros(3, 8, 8)}), "the picture 'b'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, message):
    with pytest.raises(InputError, match=message):
        draw()
