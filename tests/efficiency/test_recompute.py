import copy
import dataclasses

import pytest
import torch

from sgi2v_lab.efficiency.recompute import RECOMPUTE_MODES, recomputing
from sgi2v_lab.errors import InputError
from sgi2v_lab.models.model import Model
from tests.helpers.tiny import FRAMES, noisy_latents, tiny_model

pytestmark = pytest.mark.slow


def double_model() -> Model:
    """Where rounding is no excuse."""
    return dataclasses.replace(tiny_model(), unet=copy.deepcopy(tiny_model().unet).double())


def forward(model: Model) -> tuple[torch.Tensor, torch.Tensor]:
    """The UNet's output and a gradient of its input; the token is drawn, so that it differs from all others."""
    generator = torch.Generator().manual_seed(3)
    latents = noisy_latents(1.0).double().repeat(1, 2, 1, 1).requires_grad_()
    token = torch.randn(1, 1, 16, generator=generator).double()
    output = model.unet(
        latents[None], torch.tensor(0.7), encoder_hidden_states=token, added_time_ids=torch.ones(1, 3).double()
    ).sample
    direction = torch.randn(output.shape, generator=generator).double()
    return output.detach(), torch.autograd.grad((output * direction).sum(), latents)[0]


@pytest.fixture(scope="module")
def plain():
    return forward(double_model())


@pytest.mark.parametrize("mode", RECOMPUTE_MODES)
def test_what_is_computed_again_is_the_same(mode, plain):
    model = double_model()
    with recomputing(model, mode):
        again = forward(model)
    for a, b in zip(again, plain, strict=True):
        assert (a - b).norm() < 1e-9 * b.norm()
    assert not any("forward" in vars(module) for module in model.unet.modules())


def test_the_layer_in_which_a_forward_ends_is_not_computed_again():
    model = double_model()
    block, runs = model.unet.up_blocks[2], []
    for number, layer in enumerate(block.resnets):
        layer.spatial_res_block.register_forward_hook(lambda *_, number=number: runs.append(number))
    with recomputing(model, "full", (2, 1)):
        forward(model)
    assert sorted(runs) == [0, 0, 1, 2, 2]


def test_another_librarys_forward_comes_back():
    model = double_model()
    unet = model.unet
    hooked = unet.conv_in.forward
    unet.conv_in.forward = hooked
    with recomputing(model, "selective"):
        assert unet.conv_in.forward is not hooked
    assert unet.conv_in.forward is hooked


def test_weights_that_learn_keep_what_they_learn_from():
    """A convolution whose weights want a gradient is left alone."""
    model = dataclasses.replace(tiny_model(), unet=copy.deepcopy(tiny_model().unet))
    unet = model.unet
    unet.conv_in.requires_grad_(True)
    x = torch.randn(FRAMES, 8, 8, 16)
    with recomputing(model, "selective"):
        unet.conv_in(x).sum().backward()
        assert "forward" in vars(unet.conv_out)
    assert (unet.conv_in.weight.grad != 0).any()


def test_unknown_modes_are_refused():
    with pytest.raises(InputError, match=r"'most'.*fast, selective, full"), recomputing(tiny_model(), "most"):
        pass
