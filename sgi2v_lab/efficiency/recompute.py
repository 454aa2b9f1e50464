"""Forward passes without what is needless: frozen weights' gradients, a single token's attention, identities.

All of this is put in place for the length of a `with` block and changes results by rounding at most. How much memory
the UNet's pass keeps for its backward is a choice, since what is not kept has to be computed again:

| mode | kept | computed again |
|---|---|---|
| fast | all | nothing |
| selective | all but feed-forward networks, temporal residual blocks, convolutions' inputs | these networks, blocks |
| full | what goes into each layer (residual block or transformer) | everything |
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from diffusers import UNetSpatioTemporalConditionModel
from diffusers.models.attention import BasicTransformerBlock, FeedForward, TemporalBasicTransformerBlock
from diffusers.models.resnet import SpatioTemporalResBlock, TemporalResnetBlock
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.identity_blocks import forward_as

__all__ = ["RECOMPUTED", "one_image_token", "recomputing"]

RECOMPUTED = {
    "fast": (),
    "selective": (FeedForward, TemporalResnetBlock),
    "full": (SpatioTemporalResBlock, TransformerSpatioTemporalModel),
}


@contextmanager
def recomputing(
    unet: UNetSpatioTemporalConditionModel, mode: str, last: tuple[int, int] | None = None
) -> Iterator[None]:
    """Keep less for the backward pass, which must be made inside the block too; modes as above.

    Where the forward pass ends in the transformer `last` (up block, transformer in it), "full" keeps the insides of
    this layer all the same: they would be computed again first thing, when all that is kept of the others is there too.

    Raises:
        InputError: an unknown mode.
    """
    if mode not in RECOMPUTED:
        raise InputError(f"unknown way to keep activations {mode!r}; expected one of {', '.join(RECOMPUTED)}")
    spared = ()
    if last is not None and mode == "full":
        block = unet.up_blocks[last[0]]
        spared = block.resnets[last[1]], block.attentions[last[1]]
    with ExitStack() as stack:
        for module in unet.modules():
            if isinstance(module, RECOMPUTED[mode]) and module not in spared:
                stack.enter_context(forward_as(module, _checkpointed(module.forward)))
            elif mode != "fast" and isinstance(module, nn.Conv2d | nn.Conv3d) and _is_frozen(module):
                stack.enter_context(forward_as(module, _frozen_convolution(module)))
        yield


@contextmanager
def one_image_token(unet: UNetSpatioTemporalConditionModel) -> Iterator[None]:
    """Cross-attention to the one token of *one* video: a softmax over one key is 1, so nobody need ask for it.

    What comes out is the token's value, everywhere the same: no queries, no keys, and the value once instead of in
    every cell of every frame. On SVD that is 5% of a guided iteration's operations.
    """
    with ExitStack() as stack:
        for block in unet.modules():
            if not isinstance(block, BasicTransformerBlock | TemporalBasicTransformerBlock) or block.attn2 is None:
                continue
            stack.callback(setattr, block.attn2, "processor", block.attn2.processor)
            block.attn2.processor = _OneToken()
            stack.enter_context(forward_as(block.norm2, lambda hidden: hidden))  # only queries are made of it
        yield


class _OneToken:
    """An attention processor that gives every query the value of the first of equal tokens."""

    def __call__(self, attention: nn.Module, hidden: Tensor, encoder_hidden_states: Tensor, **_: object) -> Tensor:
        value = attention.to_out[0](attention.to_v(encoder_hidden_states[:1]))
        return value.expand(*hidden.shape[:2], -1)


def _checkpointed(forward: Callable) -> Callable:
    def run(*args: object, **kwargs: object) -> object:
        # nothing here is random, so the generators' states need not be kept
        return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)

    return run


def _is_frozen(module: nn.Module) -> bool:
    return not any(weight.requires_grad for weight in module.parameters()) and module.padding_mode == "zeros"


def _frozen_convolution(module: nn.Conv2d | nn.Conv3d) -> Callable:
    def run(x: Tensor) -> Tensor:
        return _Convolution.apply(x, module.weight, module.bias, module.stride, module.padding, module.dilation)

    return run if module.groups == 1 and not isinstance(module.padding, str) else module.forward


class _Convolution(torch.autograd.Function):
    """A convolution that does not keep its input, which only its weights' gradient would need."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, *how: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.how = x.shape, how
        return torch.ops.aten.convolution(x, weight, bias, *how, False, [0] * len(how[0]), 1)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        shape_only = gradient.new_empty(1).expand(ctx.shape)
        back = torch.ops.aten.convolution_backward(
            *(gradient, shape_only, weight, None, *ctx.how, False, [0] * len(ctx.how[0]), 1, (True, False, False))
        )
        return back[0], *[None] * (2 + len(ctx.how))
