"""The atlas draws what it was given."""

import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.plots.atlas import plot_atlas

LAYERS, SIGMAS = ("down,0,0", "mid,0,0", "1,0"), (30.0, 2.0)


def test_a_map_for_each_kind_on_one_scale_with_its_best_cell_framed():
    means = {"query": torch.tensor([[0.1, 0.2], [0.3, 0.9], [0.4, torch.nan]]), "block": torch.full((3, 2), torch.nan)}
    means["key"] = torch.tensor([[0.6, 0.2], [0.3, 0.1], [0.4, 0.5]])
    figure = plot_atlas(means, LAYERS, SIGMAS, "matches", chance=0.05)
    query, block, key, bar = figure.axes
    assert [axes.get_title(loc="left") for axes in (query, block, key)] == [
        "query, best 0.90",
        "block",
        "key, best 0.60",
    ]
    assert [p.get_xy() for p in query.patches] == [(0.5, 0.5)] * 2 and [p.get_xy() for p in key.patches] == [
        (-0.5, -0.5)
    ] * 2
    assert not block.patches
    for axes, kind in ((query, "query"), (key, "key")):
        (image,) = axes.images
        assert image.get_array().shape == (3, 2) and image.get_clim() == pytest.approx((0.05, 0.9))
        assert image.get_array()[0, 0] == means[kind][0, 0]
    assert [text.get_text() for text in query.get_yticklabels()] == list(LAYERS)
    assert [text.get_text() for text in query.get_xticklabels()] == ["30", "2"]
    assert bar.get_xlabel() == "matches" and "chance 0.05" in [text.get_text() for text in bar.texts]
    assert figure.get_figwidth() * figure.dpi <= 700


def test_bad_input():
    with pytest.raises(InputError, match=r"query is \(3, 2\): expected \(2, 2\)"):
        plot_atlas({"query": torch.zeros(3, 2)}, LAYERS[:2], SIGMAS, "matches")
    for means in ({}, {"query": torch.full((3, 2), torch.nan)}):
        with pytest.raises(InputError, match="no means"):
            plot_atlas(means, LAYERS, SIGMAS, "matches")
