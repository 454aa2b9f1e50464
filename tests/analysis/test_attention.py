import math

import pytest
import torch

from sgi2v_lab.analysis.attention import (
    HeadAttention,
    attention_flow,
    attention_to,
    entropy,
    first_frame_share,
    flow_correlation,
    place_attention,
    record_attention,
)
from sgi2v_lab.analysis.massive import massive_channels
from sgi2v_lab.analysis.pairs import Pairs, cell_middles
from sgi2v_lab.errors import InputError
from sgi2v_lab.features import attend, record_features
from tests.helpers.planted import position_code, shifted
from tests.helpers.tiny import FRAMES, conditioning, noisy_latents, tiny_model

LAYERS = (("down", 1, 0), ("mid", 0, 0), (2, 1))
H, W = 6, 8


def planted(sharp: float = 1e5) -> tuple[HeadAttention, torch.Tensor]:
    """Head 0 looks where things came from, head 1 at its own place; both at nothing else if they are sharp."""
    origins = shifted(3, H, W)
    here = cell_middles((H, W)).expand(3, -1, -1)
    key = position_code(here)
    query = sharp * position_code(torch.where(origins.isnan(), 0.5, origins).flatten(1, 2))
    query, key = torch.stack([query, sharp * key], dim=1), torch.stack([key, key], dim=1)
    return HeadAttention(query, key, (H, W), "spatial"), origins


def uniform(where: str) -> HeadAttention:
    rows, length = (3, H * W) if where == "spatial" else (H * W, 3)
    return HeadAttention(torch.zeros(rows, 2, length, 5), torch.randn(rows, 2, length, 5), (H, W), where)


def test_flow_of_planted_attention_is_the_planted_motion():
    attention, origins = planted()
    flow = attention_flow(attention)
    assert flow.shape == (2, 3, H, W, 2)
    seen = ~origins.isnan().any(dim=-1)
    wanted = origins - cell_middles((H, W)).view(H, W, 2)
    assert torch.allclose(flow[0][seen], wanted[seen], atol=1e-4)
    assert torch.allclose(flow[1], torch.zeros(3, H, W, 2), atol=1e-4)


def test_flow_correlates_with_the_motion_it_is_made_of():
    attention, origins = planted()
    pairs = Pairs.of_origins(origins)
    flow = attention_flow(attention)
    both = flow_correlation(torch.stack([flow[0], -flow[0], torch.randn(flow[0].shape)]), pairs)
    assert torch.allclose(both[:2], torch.tensor([1.0, -1.0]), atol=1e-4)
    assert abs(both[2]) < 0.4
    still = flow_correlation(torch.zeros_like(flow[1:]), pairs)
    assert still.isnan().all()


def test_a_place_looks_where_it_was_planted_to():
    attention, _ = planted()
    maps = place_attention(attention, 2, (4.5 / W, 1.5 / H), to=0)
    assert maps.shape == (2, H, W)
    assert maps[0, 1, 2] == pytest.approx(1, abs=1e-3) and maps[1, 1, 4] == pytest.approx(1, abs=1e-3)
    assert torch.allclose(maps.sum(dim=(1, 2)), torch.ones(2))
    over_time = place_attention(uniform("temporal"), 1, (0.0, 0.99))
    assert torch.allclose(over_time, torch.full((2, 3), 1 / 3))


@pytest.mark.parametrize("where", ["spatial", "temporal"])
def test_entropy_of_uniform_attention_is_the_logarithm_of_its_length(where):
    length = H * W if where == "spatial" else 3
    assert torch.allclose(entropy(uniform(where)), torch.full((2,), math.log(length)), atol=1e-5)


def test_entropy_of_attention_to_one_place_is_zero():
    attention, _ = planted(sharp=1e7)
    assert entropy(attention)[1] < 1e-4
    assert entropy(attention, to=0)[1] < 1e-4
    softer, _ = planted(sharp=10)
    assert entropy(softer)[1] > 0.1


def test_share_of_the_first_frame():
    assert torch.allclose(first_frame_share(uniform("temporal")), torch.full((2, 3), 1 / 3))
    key = torch.zeros(H * W, 1, 3, 4)
    key[:, :, 0] = 100.0
    sharp = HeadAttention(torch.ones(H * W, 1, 3, 4), key, (H, W), "temporal")
    assert torch.allclose(first_frame_share(sharp), torch.ones(1, 3))


@pytest.mark.parametrize("where", ["spatial", "temporal"])
def test_recorded_queries_and_keys_make_the_layers_own_attention(where):
    model, kind = tiny_model(), "self-attention" if where == "spatial" else "temporal"
    values = {}
    with (
        torch.no_grad(),
        record_attention(model, LAYERS, where) as recorded,
        record_features(model, LAYERS, kind) as features,
    ):
        for layer in LAYERS:
            half = "transformer_blocks" if where == "spatial" else "temporal_transformer_blocks"
            attention = getattr(model._transformers()[layer], half)[0].attn1
            hook = attention.to_v.register_forward_hook(lambda _m, _i, out, key=layer: values.__setitem__(key, out))
            values[layer, "hook"] = hook
        model.run_conditional(noisy_latents(3.0), 3.0, conditioning())
    for layer in LAYERS:
        values[layer, "hook"].remove()
        found = recorded[layer]
        heads = model.heads(layer, where)
        assert found.query.shape[1] == heads
        weights = torch.stack([found.weights(row) for row in range(len(found.query))])
        out = (weights @ values[layer].unflatten(-1, (heads, -1)).transpose(1, 2)).transpose(1, 2).flatten(2)
        maps = (out if where == "spatial" else out.transpose(0, 1)).transpose(1, 2).unflatten(2, found.size)
        assert maps.shape == features[layer].shape and len(maps) == FRAMES
        assert torch.allclose(maps, features[layer], rtol=1e-3, atol=1e-4)


def test_massive_channels_are_those_made_massive():
    maps = torch.randn(3, 16, H, W, generator=torch.Generator().manual_seed(0))
    assert not massive_channels(maps).any()
    maps[:, 5] *= 20
    maps[:, 9] -= 30
    assert massive_channels(maps).nonzero().flatten().tolist() == [5, 9]
    assert massive_channels(maps, times=30).nonzero().flatten().tolist() == [9]


def test_a_bias_on_keys_is_added_to_their_logits():
    q, k, v = torch.randn(3, 2, 4, 6, generator=torch.Generator().manual_seed(1))
    bias = torch.tensor([[2.0, 0, 0, -1.0]])
    scores = torch.stack([q[:, :, :3] @ k[:, :, :3].mT, q[:, :, 3:] @ k[:, :, 3:].mT]) / 3**0.5 + bias
    wanted = torch.cat([*(scores.softmax(dim=-1) @ torch.stack([v[:, :, :3], v[:, :, 3:]]))], dim=-1)
    assert torch.allclose(attend(2, q, k, v, bias=bias), wanted, atol=1e-6)


def test_bad_input():
    model = tiny_model()
    with pytest.raises(InputError, match="'sideways'"), record_attention(model, LAYERS, "sideways"):
        pass
    with pytest.raises(InputError, match=r"\('mid', 1, 0\)"), record_attention(model, (("mid", 1, 0),)):
        pass
    with pytest.raises(InputError, match="temporal"):
        first_frame_share(uniform("spatial"))
    with pytest.raises(InputError, match="spatial"):
        attention_flow(uniform("temporal"))
    with pytest.raises(InputError, match=r"\(1.0, 0.5\)"):
        place_attention(uniform("spatial"), 0, (1.0, 0.5))


def test_attention_to_a_place_is_all_places_attention_seen_from_it():
    attention, origins = planted()
    column, row = 5, 2
    found = attention_to(attention, ((column + 0.5) / W, (row + 0.5) / H))
    assert found.shape == (2, 3, H, W)
    for frame in range(3):  # the picture moves by a column in each frame; its place does not
        came = origins[frame].sub(cell_middles((H, W))[row * W + column]).abs().amax(dim=-1) < 1e-4
        assert torch.equal(found[0, frame] > 0.9, came)
        assert (found[1, frame] > 0.9).nonzero().tolist() == [[row, column]]
    assert torch.allclose(attention_to(uniform("temporal"), (0.5, 0.5)), torch.full((2, 3, H, W), 1 / 3))
    with pytest.raises(InputError, match="place"):
        attention_to(attention, (1.0, 0.5))
