"""Small tensors to the device, such as weights and masks that are made on the CPU."""

from torch import Tensor

__all__ = ["upload"]


def upload(tensor: Tensor, like: Tensor, keep_type: bool = False) -> Tensor:
    """A tensor where another one is, without waiting for the work that the device still has to do.

    It takes the other one's type, too, unless its own is to be kept. A plain `to` waits for all of the device's work.
    MPS reads the CPU's memory later, so there it has to.
    """
    return tensor.to(like.device, tensor.dtype if keep_type else like.dtype, non_blocking=like.device.type != "mps")
