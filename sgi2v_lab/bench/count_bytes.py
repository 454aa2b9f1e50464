"""Count memory without using it: the bytes of all tensors alive at once, also on the device "meta"."""

import weakref
from collections.abc import Callable, Iterable
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["count_bytes"]


def count_bytes(function: Callable[[], object], held: Iterable[Tensor] = ()) -> int:
    """The most bytes of tensors that `function()` has at once, beyond those that existed before.

    It is what PyTorch's own allocator hands out for the same work on a CPU, to within 5%
    (tests/bench/test_count_bytes.py). Attention counts as a fused kernel that never writes down its weights, as GPUs
    have one. What a library takes for itself while it computes, and gaps between tensors, do not count, so a process
    takes more than that.

    Args:
        function: is called once; on the device "meta" nothing is computed.
        held: tensors that existed before and that the function may free, such as weights that it casts.
    """
    counter = _MemoryCounter()
    for tensor in held:
        counter.add(tensor)
    before = counter.highest = counter.now
    with mock.patch.object(F, "scaled_dot_product_attention", _fused_attention), counter:
        function()
    return counter.highest - before


class _MemoryCounter(TorchDispatchMode):
    """Adds each storage when an operation returns it, and removes it when the last tensor on it is gone."""

    def __init__(self):
        super().__init__()
        self.sizes: dict[int, int] = {}
        self.now = self.highest = 0

    def add(self, tensor: Tensor, size: int | None = None) -> Tensor:
        """`size` is that of the storage if left out."""
        storage = tensor.untyped_storage()
        name = storage._cdata
        if name not in self.sizes:
            self.sizes[name] = storage.nbytes() if size is None else size
            self.now += self.sizes[name]
            self.highest = max(self.highest, self.now)
            weakref.finalize(storage, self.remove, name)
        return tensor

    def remove(self, name: int) -> None:
        self.now -= self.sizes.pop(name)

    def __torch_dispatch__(self, operation: Callable, _: object, args: tuple = (), kwargs: dict | None = None):
        kwargs = kwargs or {}
        # an unknown tensor existed before and costs nothing; nor does a view of it, such as a transposed weight
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, Tensor):
                self.add(value, 0)
        results = operation(*args, **kwargs)
        for value in tree_leaves(results):
            if isinstance(value, Tensor):
                self.add(value)
        return results


def _fused_attention(query: Tensor, key: Tensor, value: Tensor, *_: object, **__: object) -> Tensor:
    # chosen by name: left to itself, PyTorch writes out all weights on "meta"
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value)[0]
