"""Temporal blocks that change nothing, as in a decoder that was trained on single frames, are taken out on loading."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from diffusers.models.resnet import TemporalResnetBlock
from torch import Tensor, nn

__all__ = ["PassThrough", "forward_as", "remove_identities"]


class PassThrough(nn.Module):
    """In place of a residual block that adds nothing."""

    def forward(self, hidden: Tensor, *_: object) -> Tensor:
        """What it is given."""
        return hidden


def remove_identities(network: nn.Module) -> None:
    """Replace the temporal residual blocks that add nothing; the network computes the same, to the bit.

    Such a block's last convolution is all zeros, and what it is given has as many channels as what it returns.
    """
    for name, module in [*network.named_modules()]:
        if (
            isinstance(module, TemporalResnetBlock)
            and module.conv_shortcut is None
            and not any(weight.any() for weight in module.conv2.parameters())
        ):
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, PassThrough())


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
