import math

import pytest
import torch
import torch.nn.functional as F

from sgi2v_lab.errors import InputError
from sgi2v_lab.pca import fit_pca, similarity_maps


def maps(seed: int = 0, frames: int = 3, channels: int = 8, h: int = 4, w: int = 6) -> torch.Tensor:
    """Unequal spread per channel, so that components are well apart, and a common part, as features have."""
    spread = torch.linspace(1, 4, channels).view(1, -1, 1, 1)
    return 5 + spread * torch.randn(frames, channels, h, w, generator=torch.Generator().manual_seed(seed))


def test_components_are_those_of_the_covariance():
    features = maps()
    tokens = torch.stack([features[f, :, y, x] for f in range(3) for y in range(4) for x in range(6)]).double()
    centred = tokens - tokens.mean(dim=0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / (len(tokens) - 1))
    basis = fit_pca(features)
    assert basis.explained == pytest.approx((values.flip(0)[:3] / values.sum()).tolist(), rel=1e-4)
    for k in range(3):
        mine = torch.from_numpy(basis.pca.components_[k]).double()
        assert abs(mine @ vectors[:, -1 - k]).item() == pytest.approx(1, abs=1e-4)
        assert mine[mine.abs().argmax()] > 0  # the sign that is otherwise arbitrary


def test_colours_cell_by_cell():
    features = maps()
    basis = fit_pca(features)
    rgb = basis.rgb(features)
    assert rgb.shape == (3, 3, 4, 6)
    mean = features.permute(0, 2, 3, 1).reshape(-1, 8).mean(dim=0)
    parts = torch.empty(3, 3, 4, 6)
    for f in range(3):
        for y in range(4):
            for x in range(6):
                for k in range(3):
                    parts[f, k, y, x] = (features[f, :, y, x] - mean) @ torch.from_numpy(basis.pca.components_[k])
    for k in range(3):
        low, high = parts[:, k].quantile(0.02), parts[:, k].quantile(0.98)
        expected = ((parts[:, k] - low) / (high - low)).clamp(0, 1)
        assert torch.allclose(rgb[:, k], expected, atol=1e-4)
    assert rgb.min() == 0
    assert rgb.max() == 1


def test_the_same_data_give_the_same_colours():
    assert torch.equal(fit_pca(maps()).rgb(maps()), fit_pca(maps()).rgb(maps()))
    # the order of frames, or in which maps they come, changes a basis by no more than rounding
    for other in (fit_pca(maps()[[2, 0, 1]]), fit_pca(maps()[2:], maps()[:2])):
        assert torch.allclose(other.rgb(maps()), fit_pca(maps()).rgb(maps()), atol=1e-3)
    doubled = fit_pca(maps(), maps()).pca.components_
    assert doubled == pytest.approx(fit_pca(maps()).pca.components_, abs=1e-4)


def test_equal_features_have_equal_colours_wherever_they_are():
    features = maps()
    basis = fit_pca(features, maps(1))
    other = maps(2, h=3, w=5)
    other[1, :, 2, 4] = features[0, :, 1, 2]
    assert torch.allclose(basis.rgb(other)[1, :, 2, 4], basis.rgb(features)[0, :, 1, 2], atol=1e-5)
    assert torch.allclose(basis.rgb(features[:1]), basis.rgb(features)[:1], atol=1e-5)


def test_constant_features_have_a_colour_too():
    rgb = fit_pca(maps()).rgb(torch.zeros(1, 8, 2, 2))
    assert rgb.isfinite().all()
    flat = torch.ones(2, 5, 3, 3)
    basis = fit_pca(flat)
    assert basis.rgb(flat).isfinite().all()
    assert basis.explained == (0, 0, 0)


def test_features_are_taken_off_the_graph_and_in_any_precision():
    features = maps().requires_grad_()
    rgb = fit_pca(features).rgb(features.bfloat16())
    assert not rgb.requires_grad
    assert (rgb - fit_pca(features).rgb(features)).abs().max() < 0.05


def test_what_has_no_basis():
    with pytest.raises(InputError):
        fit_pca()
    with pytest.raises(InputError, match="8, 7"):
        fit_pca(maps(), maps(channels=7))
    with pytest.raises(InputError, match="3"):
        fit_pca(maps(channels=2))
    with pytest.raises(InputError, match="3"):
        fit_pca(maps(frames=1, h=1, w=2))
    with pytest.raises(InputError, match="7 channels.*8"):
        fit_pca(maps()).rgb(maps(channels=7))


def slow_similarity(features: torch.Tensor, frame: int, cells: list[tuple[int, int]]) -> torch.Tensor:
    frames, channels, h, w = features.shape
    mean = [features[:, c].mean().item() for c in range(channels)]
    unit = {}
    for f in range(frames):
        for y in range(h):
            for x in range(w):
                vector = [features[f, c, y, x].item() - mean[c] for c in range(channels)]
                length = math.sqrt(sum(v * v for v in vector))
                unit[f, y, x] = [v / length for v in vector]
    query = [sum(unit[frame, y, x][c] for y, x in cells) / len(cells) for c in range(channels)]
    length = math.sqrt(sum(q * q for q in query))
    result = torch.empty(frames, h, w)
    for (f, y, x), vector in unit.items():
        result[f, y, x] = sum(a * b for a, b in zip(vector, query, strict=True)) / length
    return result


def test_similarity_cell_by_cell():
    features = maps()
    to_cell = similarity_maps(features, point=(2.5, 1.5), frame=1)
    assert torch.allclose(to_cell, slow_similarity(features, 1, [(1, 2)]), atol=1e-5)
    to_box = similarity_maps(features, box=(1, 2, 3, 4), frame=2)
    assert torch.allclose(to_box, slow_similarity(features, 2, [(2, 1), (2, 2), (3, 1), (3, 2)]), atol=1e-5)


def test_nothing_is_as_similar_as_the_place_itself():
    features = maps()
    for y in range(4):
        for x in range(6):
            similar = similarity_maps(features, point=(x + 0.5, y + 0.5), frame=2)
            assert similar.shape == (3, 4, 6)
            assert similar.argmax() == 2 * 24 + y * 6 + x
            assert similar.max().item() == pytest.approx(1, abs=1e-5)
            assert similar.min() >= -1.00001


def test_a_place_in_pixels_of_a_picture():
    features = maps()
    in_pixels = similarity_maps(features, point=(47.9, 8), picture_size=(96, 32))  # 16 and 8 px a cell
    assert torch.equal(in_pixels, similarity_maps(features, point=(2, 1)))
    in_pixels = similarity_maps(features, box=(16, 0, 64, 17), picture_size=(96, 32))
    assert torch.equal(in_pixels, similarity_maps(features, box=(1, 0, 4, 2)))
    # the part of a box that is outside does not count, and a box within one cell is that cell
    assert torch.equal(similarity_maps(features, box=(-9, -9, 2, 2)), similarity_maps(features, box=(0, 0, 2, 2)))
    assert torch.equal(similarity_maps(features, box=(1.2, 1.2, 1.4, 1.4)), similarity_maps(features, point=(1, 1)))


def test_a_shifted_copy_is_found():
    features = maps()
    features[1] = features[0].roll(2, dims=-1)
    similar = similarity_maps(features, point=(1, 2))
    assert divmod(similar[1].argmax().item(), 6) == (2, 3)
    assert F.cosine_similarity(similar[0].flatten(), similar[1].roll(-2, dims=-1).flatten(), dim=0) > 0.9999


@pytest.mark.parametrize(
    "place",
    [
        {},
        {"point": (1, 1), "box": (0, 0, 1, 1)},
        {"point": (6, 1)},
        {"point": (1, -0.5)},
        {"point": (1, math.nan)},
        {"box": (6, 0, 8, 2)},
        {"box": (-3, -3, 0, 0)},
        {"point": (1, 1), "frame": 3},
        {"point": (1, 1), "frame": -1},
    ],
)
def test_places_that_are_none(place):
    with pytest.raises(InputError):
        similarity_maps(maps(), **place)
