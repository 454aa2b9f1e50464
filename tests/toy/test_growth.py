"""A larger denoiser that computes what the smaller one did."""

import pytest
import torch
from diffusers import UNetSpatioTemporalConditionModel

from sgi2v_lab.errors import InputError
from sgi2v_lab.toy.network.architecture import LATENT_CHANNELS, NUM_FRAMES, UNetShape
from sgi2v_lab.toy.training.growth import grown

OLD = UNetShape((64, 32, 32, 32), (1, 1, 1, 1), (2, 1, 1, 1))


@pytest.fixture(scope="module")
def old() -> UNetSpatioTemporalConditionModel:
    torch.manual_seed(0)
    return UNetSpatioTemporalConditionModel(
        sample_size=16,
        in_channels=16,
        out_channels=8,
        block_out_channels=OLD.channels,
        layers_per_block=OLD.layers,
        num_attention_heads=OLD.heads,
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=96,
        cross_attention_dim=64,
        num_frames=NUM_FRAMES,
    ).eval()


@torch.no_grad()
def difference(old: UNetSpatioTemporalConditionModel, new: UNetSpatioTemporalConditionModel) -> float:
    torch.manual_seed(1)
    noisy, first = torch.randn(2, 1, NUM_FRAMES, LATENT_CHANNELS, 16, 16)
    rest = {"encoder_hidden_states": torch.randn(1, 1, 64), "added_time_ids": torch.tensor([[6.0, 100.0, 0.02]])}
    was = old(torch.cat([noisy[:, :, :8], first[:, :, :8]], dim=2), torch.tensor(0.3), **rest).sample
    now = new.eval()(torch.cat([noisy, first], dim=2), torch.tensor(0.3), **rest).sample[:, :, :8]
    return ((now - was).pow(2).mean() / was.pow(2).mean()).item()


@pytest.mark.parametrize("layers", [(1, 1, 1, 1), (2, 1, 1, 1)])
def test_a_deeper_network_computes_the_same(old, layers):
    assert difference(old, grown(old, UNetShape(OLD.channels, layers, OLD.heads))) < 1e-6


def test_more_heads_cost_little(old):
    assert 0 < difference(old, grown(old, UNetShape(OLD.channels, (2, 1, 1, 1), (4, 1, 1, 1)))) < 0.1


@pytest.mark.parametrize(
    "shape", [UNetShape((96, 32, 32, 32), (1, 1, 1, 1), (2, 1, 1, 1)), UNetShape(OLD.channels, (3, 1, 1, 1), OLD.heads)]
)
def test_what_cannot_grow_so_is_refused(old, shape):
    with pytest.raises(InputError, match="cannot grow"):
        grown(old, shape)
