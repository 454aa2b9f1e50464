"""`torch.compile` for the layers that do most of the work; optional, since it takes minutes before the first step.

What is compiled are the UNet's residual blocks and feed-forward networks, each by itself: the transformers around them
hold the attention that features are recorded from, and at which a guided iteration stops. So it goes together with
everything in `shortcuts`, and the results differ by rounding.
"""

import copy
from collections.abc import Callable
from dataclasses import replace

import torch
import torch._dynamo
from diffusers.models.attention import FeedForward
from diffusers.models.resnet import SpatioTemporalResBlock

from sgi2v_lab.models import Model

__all__ = ["COMPILED", "compile_layers"]

COMPILED = (SpatioTemporalResBlock, FeedForward)
VARIANTS = 256  # of one layer's code: each place in the network, with gradients and without, in each memory mode


def compile_layers(model: Model, backend: str | Callable = "inductor", mode: str | None = None) -> Model:
    """The same model, whose UNet's layers compile themselves when they are first used, once for each size.

    The model given and the one returned share their weights; the former stays as it is.

    Args:
        model: from `load_model`.
        backend: as in `torch.compile`; "inductor" needs a C++ compiler on a CPU, and Triton on a GPU.
        mode: as there: "reduce-overhead" replays CUDA graphs, which helps where a GPU waits for Python.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, VARIANTS)
    unet = _twin(model.unet)
    for module in unet.modules():
        if isinstance(module, COMPILED):
            module.compile(backend=backend, mode=mode, dynamic=False)
    return replace(model, unet=unet)


def _twin(module: torch.nn.Module) -> torch.nn.Module:
    """A copy with the same weights, not copies of them."""
    memo = {id(tensor): tensor for tensor in [*module.parameters(), *module.buffers()]}
    return copy.deepcopy(module, memo)
