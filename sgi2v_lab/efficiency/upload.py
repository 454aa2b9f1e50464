"""Small tensors to the device, such as weights and masks that are made on the CPU."""

import torch
from torch import Tensor

__all__ = ["upload"]


def upload(tensor: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor on the device, without waiting for the work that the device still has to do.

    A plain `to` waits for all of it. MPS reads the CPU's memory later, so there it has to.
    """
    return tensor.to(device, dtype, non_blocking=device.type != "mps")
