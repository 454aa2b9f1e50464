import copy
import dataclasses

import pytest
import torch
from torch import nn

from sgi2v_lab.models.svd import SVDConditioning
from tests.helpers.tiny import FRAMES, conditioning, noisy_latents, tiny_model


def test_a_single_token_needs_no_queries():
    """Seen by what is recorded in the last layer, in double precision, where rounding is no excuse."""
    model = dataclasses.replace(tiny_model(), unet=copy.deepcopy(tiny_model().unet).double())
    told = SVDConditioning(*(x.double() for x in vars(conditioning()).values()))
    queries = []
    for block in model.unet.modules():
        if isinstance(getattr(block, "attn2", None), nn.Module):
            block.attn2.to_q.register_forward_hook(lambda *_: queries.append(1))
    seen = []
    with model.watch((3, 2), lambda _, tokens, __: seen.append(tokens), "block"):
        with model.for_one_video():
            model.run_conditional(noisy_latents(3.0).double(), 3.0, told)
        assert not queries
        sigma = torch.tensor(3.0)
        scaled = noisy_latents(3.0).double()[None] / (sigma**2 + 1).sqrt()
        model.predict(scaled, 0.25 * sigma.log(), told)
    assert len(queries) == 2 * 16  # all spatial and temporal transformers, once it is over
    assert (seen[0] - seen[1]).norm() < 1e-9 * seen[1].norm()


@pytest.mark.parametrize(("where", "rows"), [("spatial", 2 * FRAMES), ("temporal", 2 * 2 * 4)])
def test_attention_is_computed_by_whoever_was_attached_last(where, rows):
    """Functions see the tokens of both videos, nest, and leave the network as they found it."""
    model, calls = tiny_model(), []

    def counted(name, change):
        def function(attention, hidden, grid, usual):
            assert (len(hidden), grid, attention.heads) == (rows, (FRAMES, 2, 4), model.heads((1, 1), where))
            calls.append(name)
            return change(usual())

        return function

    @torch.no_grad()
    def predict() -> torch.Tensor:
        videos = torch.stack([noisy_latents(1.0), noisy_latents(1.0, seed=3)])
        return model.predict(videos, torch.tensor(0.3), conditioning().with_unconditional())

    usual = predict()
    with model.attend_with((1, 1), counted("first", lambda out: 2 * out), where):
        doubled = predict()
        with model.attend_with((1, 1), counted("last", lambda out: out / 2), where):
            assert calls == ["first"]
            assert torch.equal(predict(), usual)
        assert calls == ["first", "last", "first"]
    assert not torch.equal(doubled, usual)
    assert torch.equal(predict(), usual)
