"""How much a pass of the denoiser keeps for its backward pass. Most of what is not kept is computed again.

| mode | kept | computed again |
|---|---|---|
| fast | all | nothing |
| selective | all but feed-forward networks, temporal residual blocks, convolutions' inputs | networks and blocks |
| full | what goes into each layer (residual block or transformer) | everything |

Convolutions need no inputs at all, since their weights are frozen. Put in place for the length of a `with` block;
results change by rounding at most.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.identity_blocks import forward_as
from sgi2v_lab.models.model import Layer, Model

__all__ = ["RECOMPUTE_MODES", "recomputing"]

RECOMPUTE_MODES = ("fast", "selective", "full")


@contextmanager
def recomputing(model: Model, mode: str, last: Layer | None = None) -> Iterator[None]:
    """Keep less for the backward pass, which must be made inside the block too; modes as above.

    `last` is the layer in which passes with a gradient end, the last of those that are recorded; None where they run
    to the end. InputError for an unknown mode.
    """
    if mode not in RECOMPUTE_MODES:
        raise InputError(f"unknown way to keep activations {mode!r}: expected one of {', '.join(RECOMPUTE_MODES)}")
    with ExitStack() as undo:
        for module in model.modules_to_recompute(mode, last):
            lean = partial(_checkpointed, module.forward)
            undo.enter_context(forward_as(module, partial(_with_gradient, lean, module.forward)))
        modules = (module for part in model.denoisers for module in part.modules())
        for module in modules if mode != "fast" else ():
            if isinstance(module, nn.Conv2d | nn.Conv3d) and _is_plain(module):
                lean = partial(_frozen_convolution, module)
                undo.enter_context(forward_as(module, partial(_with_gradient, lean, module.forward)))
        yield


def _with_gradient(lean: Callable, plain: Callable, *args: object, **kwargs: object) -> object:
    return (lean if torch.is_grad_enabled() else plain)(*args, **kwargs)


def _checkpointed(forward: Callable, *args: object, **kwargs: object) -> object:
    # nothing here is random, so the generators' states need not be kept
    return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)


def _is_plain(module: nn.Conv2d | nn.Conv3d) -> bool:
    frozen = not any(weight.requires_grad for weight in module.parameters())
    return frozen and module.padding_mode == "zeros" and module.groups == 1 and not isinstance(module.padding, str)


def _frozen_convolution(module: nn.Conv2d | nn.Conv3d, x: Tensor) -> Tensor:
    return _Convolution.apply(x, module.weight, module.bias, module.stride, module.padding, module.dilation)


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
        wanted = (True, False, False)  # the input's gradient, not the weight's, not the bias's
        back = torch.ops.aten.convolution_backward(
            gradient, shape_only, weight, None, *ctx.how, False, [0] * len(ctx.how[0]), 1, wanted
        )
        return back[0], *[None] * (2 + len(ctx.how))
