"""The precision of a VAE: SVD's overflows in fp16, and says so in its configuration (`force_upcast`)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["precise_vae", "vae_precision"]


def vae_precision(vae: nn.Module) -> torch.dtype:
    """What the VAE computes in."""
    return torch.float32 if vae.dtype == torch.float16 and vae.config.get("force_upcast", True) else vae.dtype


@contextmanager
def precise_vae(vae: nn.Module) -> Iterator[None]:
    """While open, the VAE's weights are in `vae_precision`."""
    before, needed = vae.dtype, vae_precision(vae)
    if needed != before:
        nn.Module.to(vae, dtype=needed)  # without diffusers' remark about precision
    try:
        yield
    finally:
        if needed != before:
            nn.Module.to(vae, dtype=before)
