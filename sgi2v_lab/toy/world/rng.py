"""Random draws that a seed fixes on every machine."""

from collections.abc import Sequence
from typing import Any

import torch

__all__ = ["Rng"]


class Rng:
    """Draws of Python numbers from one torch generator."""

    def __init__(self, seed: int):
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number in low..high."""
        return low + (high - low) * torch.rand((), generator=self.generator).item()

    def choice(self, options: Sequence, weights: Sequence[float] | None = None) -> Any:
        """One of the options, each as likely as its weight."""
        weights = torch.ones(len(options)) if weights is None else torch.tensor(weights)
        return options[torch.multinomial(weights, 1, generator=self.generator).item()]
