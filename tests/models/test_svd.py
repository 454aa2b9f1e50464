import copy
import dataclasses

import torch
from torch import nn

from sgi2v_lab.models.svd import SVDConditioning
from tests.helpers.tiny import conditioning, noisy_latents, tiny_model


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
