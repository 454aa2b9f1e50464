"""The optimiser of the toy's UNet: Muon for the layers' matrices, AdamW for everything else.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) replaces a matrix's gradient step by the nearest
matrix with orthonormal rows, so that no direction is learned much faster than the others. A convolution counts as the
matrix of its kernels. First and last layers, norms, biases and embeddings are AdamW's, as its authors advise.
"""

from collections import defaultdict
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["Muon", "MuonWithAdamW", "orthogonalised"]


def orthogonalised(matrices: Tensor, steps: int = 5) -> Tensor:
    """Nearly the nearest matrices with orthonormal rows or columns, of each of a stack (n, rows, columns), in bfloat16.

    Newton and Schulz's iteration with the coefficients of Muon's authors: singular values end between 0.7 and 1.2.
    """
    x = matrices.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = 3.4445 * x + (2.0315 * gram @ gram - 4.7750 * gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """`torch.optim.Muon` (nesterov, `match_rms_adamw`) for many small matrices and several processes.

    Matrices of one shape are orthogonalised as one stack, and each process of a data-parallel run takes its share of
    them; gradients are to be the same in all processes.
    """

    def __init__(self, matrices: list[nn.Parameter], *, momentum: float = 0.95, weight_decay: float = 0.01):
        super().__init__(matrices, {"lr": 1e-3, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        """Update all matrices that have a gradient."""
        for group in self.param_groups:
            stacks: dict[tuple[int, ...], list[nn.Parameter]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    stacks[tuple(p.shape)].append(p)
            for (rows, columns), matrices in stacks.items():
                updates = [self._with_momentum(p, group["momentum"]) for p in matrices]
                rate = group["lr"] * 0.2 * max(rows, columns) ** 0.5
                for p, update in zip(matrices, _shared(torch.stack(updates)), strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=rate)

    def _with_momentum(self, p: nn.Parameter, momentum: float) -> Tensor:
        state = self.state[p]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(p)
        buffer = state["momentum_buffer"].lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(buffer, momentum)


def _shared(matrices: Tensor) -> Tensor:
    """`orthogonalised`, the work shared by the processes of a data-parallel run."""
    if not (dist.is_available() and dist.is_initialized()):
        return orthogonalised(matrices).float()
    world = dist.get_world_size()
    share = -(-len(matrices) // world)  # the last process may have less to do; all send as much
    mine = torch.zeros_like(matrices[:1]).repeat(share, 1, 1)
    own = matrices[share * dist.get_rank() : share * (dist.get_rank() + 1)]
    if len(own):
        mine[: len(own)] = orthogonalised(own).float()
    parts = [torch.empty_like(mine) for _ in range(world)]
    dist.all_gather(parts, mine)
    return torch.cat(parts)[: len(matrices)]


class MuonWithAdamW:
    """`Muon` over the inner matrices of `model` and `torch.optim.AdamW` over the rest.

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
        self._muon = Muon([view for _, view in self._pairs], weight_decay=weight_decay)
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
