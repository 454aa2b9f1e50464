"""Figures of a study: what they draw, against what they were given."""

import pytest
import torch

from figures.sample_grid import Strips, plot_sample_grid
from figures.study_figures import BAD, GOOD, PLAIN, Bar, plot_bars, plot_claims, plot_samples, plot_scores
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.plan import TRUTH
from sgi2v_lab.evaluation.report.study import read_study
from tests.helpers import studies
from tests.helpers.studies import methods, study, variant


def test_bars_are_green_below_their_target_and_red_above():
    bars = [Bar("a", 0.3, 0.2, 0.4, target=0.5), Bar("b", 0.6, target=0.5), Bar("c", 0.4, marked=True)]
    axes = plot_bars({"ObjMC": bars, "nothing": []}, "ratio", "lower is better").axes
    assert len(axes) == 1 and axes[0].get_xlabel() == "ratio (lower is better)"
    dots = [line for line in axes[0].lines if len(line.get_xdata()) == 1]
    assert [(line.get_xdata()[0], line.get_color()) for line in dots] == [
        *((0.3, GOOD), (0.5, "#222222"), (0.6, BAD), (0.5, "#222222"), (0.4, PLAIN))
    ]
    with pytest.raises(InputError, match="no figures"):
        plot_bars({}, "ratio")


def test_a_sample_grid_shows_the_first_frame_large_and_every_video():
    boxes = torch.tensor([[[1.0, 1, 4, 4]] * 3])
    true, made = torch.zeros(3, 3, 8, 8), torch.ones(3, 3, 8, 8)
    scenes = [Strips("both", boxes, {"true": true, "made": made}), Strips("one", boxes, {"made": made})]
    figure = plot_sample_grid(scenes, columns=len(scenes))
    assert [len(axes.images) for axes in figure.axes] == [1 + 2 * 3, 1 + 3]
    assert [float(axes.images[0].get_array().max()) for axes in figure.axes] == [0, 1]
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["both", "one"]
    with pytest.raises(InputError, match="nothing to show"):
        plot_sample_grid([Strips("none", boxes, {})])
    with pytest.raises(InputError, match="shape of other is"):
        plot_sample_grid([Strips("sizes", boxes, {"one": made, "other": made[..., :4]})])


def test_every_sample_is_a_film_strip_by_objmc(tmp_path):
    none, ours = [30, 40, 20, 50, 25, 35, 45, 55], [10, 12, 9, 20, 11, 13, 14, 15]
    found = read_study(methods(tmp_path, {TRUTH: [0.1] * 8, "none": none, "sgi2v": ours}))
    sheet = plot_samples(found, columns=3, pictures={"single-2": torch.rand(3, 48, 64)})
    titles = [axes.get_title(loc="left") for axes in sheet.axes]
    assert len(titles) == 8 and titles[0] == "2: 20.0 → 9.0 px" and titles[-1] == "3: 50.0 → 20.0 px"
    pictures = [axes.images[0].get_array().shape[:2] for axes in sheet.axes]
    assert pictures[0] == (48, 64) and (48, 64) not in pictures[1:]


def test_scores_have_a_line_for_each_category(tmp_path):
    figures = {"none": [10.0, 20, 10], "sgi2v": [3.0, 6, 7]}
    found = read_study(methods(tmp_path, figures, categories=["single", "two", "photo"]))
    labels = [text.get_text() for axes in plot_scores(found).axes for text in axes.get_yticklabels()]
    assert labels == ["single", "two", "photo"]


def test_claims_have_a_panel_for_each_setting(tmp_path):
    arms = [
        studies.method("none"),
        variant("base", "base"),
        variant("cutoff 0", "cutoff", cutoff=0.0),
        variant("cutoff 1", "cutoff", cutoff=1.0),
        variant("features self-attention", "features", features="self-attention"),
    ]
    figures = {arm.label: [10.0 * k + x for x in (0, 2, 4)] for k, arm in enumerate(arms)}
    found = read_study(study(tmp_path, arms, figures, reference="base"))
    panels = {axes.get_title(loc="left"): axes for axes in plot_claims(found).axes}
    assert list(panels) == ["Cutoff", "Features"]
    assert [text.get_text() for text in panels["Cutoff"].get_yticklabels()] == ["base", "cutoff 0", "cutoff 1"]
