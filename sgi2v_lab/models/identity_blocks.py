"""Temporal blocks that change nothing, as in a decoder that was trained on single frames; they can be left out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from diffusers.models.resnet import TemporalResnetBlock
from torch import nn

__all__ = ["forward_as", "identities", "without_identities"]


@contextmanager
def forward_as(module: nn.Module, forward: Callable) -> Iterator[None]:
    """While open, a module has another forward; a hook that another library had put there comes back afterwards."""
    before = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before


@contextmanager
def without_identities(network: nn.Module, names: Sequence[str] | None = None) -> Iterator[None]:
    """Leave out the temporal residual blocks that add nothing, as in a decoder trained on single frames; to the bit.

    `names` are those of `identities` of another network that is built alike, where this one has no weights.
    """
    with ExitStack() as stack:
        for name in identities(network) if names is None else names:
            stack.enter_context(forward_as(network.get_submodule(name), lambda hidden, *_, **__: hidden))
        yield


def identities(network: nn.Module) -> list[str]:
    """The names of the temporal residual blocks that return what they are given.

    Such a block's last convolution is all zeros, and what it is given has as many channels as what it returns.
    """
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, TemporalResnetBlock) and module.conv_shortcut is None and _is_zero(module.conv2)
    ]


def _is_zero(convolution: nn.Module) -> bool:
    return not any(weight.any() for weight in convolution.parameters())
