"""The optimiser of the toy's UNet: Muon for the layers' matrices, AdamW for everything else.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) replaces a matrix's gradient step by the nearest
matrix with orthonormal rows, so that no direction is learned much faster than the others. A convolution counts as the
matrix of its kernels. First and last layers, norms, biases and embeddings are AdamW's, as its authors advise.
"""

from collections.abc import Iterator

import torch
from torch import nn

__all__ = ["MuonWithAdamW"]


class MuonWithAdamW:
    """`torch.optim.Muon` over the inner matrices of `model` and `torch.optim.AdamW` over the rest.

    `first_and_last` are the prefixes of the names of the layers that touch the data. Muon's updates are scaled to the
    size of AdamW's (Liu et al. 2025, arXiv 2502.16982), so that one learning rate serves both.
    """

    def __init__(self, model: nn.Module, first_and_last: tuple[str, ...], weight_decay: float = 0.01):
        matrices, rest = [], []
        for name, p in model.named_parameters():
            inner = p.ndim >= 2 and min(p.shape[0], p[0].numel()) >= 16 and not name.startswith(first_and_last)
            (matrices if inner else rest).append(p)
        # Muon takes matrices only: it is given views that share the kernels' memory
        self._pairs = [(p, nn.Parameter(p.data.view(len(p), -1))) for p in matrices]
        self._muon = torch.optim.Muon(
            [view for _, view in self._pairs], weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        )
        self._adamw = torch.optim.AdamW(rest, betas=(0.9, 0.99), weight_decay=weight_decay)

    def parts(self) -> Iterator[torch.optim.Optimizer]:
        """The two optimisers."""
        yield self._muon
        yield self._adamw

    def step(self, learning_rate: float) -> None:
        """Update the weights from their gradients, and clear these."""
        for p, view in self._pairs:
            view.grad = None if p.grad is None else p.grad.view_as(view)
        for part in self.parts():
            for group in part.param_groups:
                group["lr"] = learning_rate
            part.step()
            part.zero_grad(set_to_none=True)
        for p, _ in self._pairs:
            p.grad = None

    def state_dict(self) -> dict[str, dict]:
        """Both optimisers' states."""
        return {"muon": self._muon.state_dict(), "adamw": self._adamw.state_dict()}

    def load_state_dict(self, state: dict[str, dict]) -> None:
        """Go on from `state_dict()`."""
        self._muon.load_state_dict(state["muon"])
        self._adamw.load_state_dict(state["adamw"])
