import copy

import torch
from diffusers.models.resnet import TemporalResnetBlock
from torch import nn

from sgi2v_lab.models.identity_blocks import PassThrough, remove_identities
from tests.helpers.tiny import FRAMES, tiny_model


def test_temporal_blocks_that_add_nothing_are_taken_out_to_the_bit():
    decoder = copy.deepcopy(tiny_model().vae.decoder)
    blocks = [block for block in decoder.modules() if isinstance(block, TemporalResnetBlock)]
    for block in blocks[1:]:
        nn.init.zeros_(block.conv2.weight)
        nn.init.zeros_(block.conv2.bias)
    computed = []
    for block in blocks:
        block.conv1.register_forward_hook(lambda *_, block=block: computed.append(block))
    latents, only = torch.randn(FRAMES, 4, 4, 8), torch.zeros(1, FRAMES)
    whole = decoder(latents, image_only_indicator=only, num_frames=FRAMES)
    computed.clear()
    remove_identities(decoder)
    short = decoder(latents, image_only_indicator=only, num_frames=FRAMES)
    assert computed == blocks[:1] and torch.equal(whole, short)
    assert sum(isinstance(block, PassThrough) for block in decoder.modules()) == len(blocks) - 1
