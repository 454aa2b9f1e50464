"""A GPU that is not there: tensors on "meta" have shapes, precisions and a device, and nothing is computed.

While a `Device` is open, it watches every operation. It refuses what a GPU refuses: operands on two devices, two
precisions in one product. It counts what costs: waits, casts, bytes alive at once. It runs out of memory at its
capacity. Tensors on the CPU are real, so boxes, schedules and pictures have their values; what comes back from the
device is zeros, and a number read from it is 1.
"""

import sys
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import EulerDiscreteScheduler
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import sgi2v_lab.efficiency.memory
from sgi2v_lab.bench.count_bytes import _fused_attention
from tests.helpers.remembered_shapes import each, shaped, tensors_of

__all__ = ["Device", "Mismatch"]

aten = torch.ops.aten
PRODUCTS = (aten.convolution, aten.convolution_backward, aten.mm, aten.addmm, aten.bmm, aten.baddbmm)
ONE_PRECISION = (
    *PRODUCTS,
    aten._scaled_dot_product_flash_attention_for_cpu,
    aten.native_group_norm,
    aten.native_layer_norm,
)
NO_MIXED_SCALARS = (aten.cat, aten.stack)
INDEXING = (aten.index, aten.index_put, aten.index_put_, aten._unsafe_index)
SHAPE_FROM_VALUES = (aten.nonzero, aten.masked_select, aten._unique2)


class Mismatch(RuntimeError):
    """Operands on two devices, or in two precisions."""


class Device(TorchDispatchMode):
    """Watches operations on "meta".

    Attributes:
        capacity: bytes of memory.
        now: bytes alive.
        peak: the most bytes alive at once since `forget`.
        waits: how often the CPU waited for the device, by place in the code.
        casts: how many tensors were copied into another precision, by place.
        moved: bytes copied "in" and "out".
    """

    def __init__(self, capacity: float = 1e15):
        super().__init__()
        self.capacity = capacity
        self.waits: Counter[str] = Counter()
        self.casts: Counter[str] = Counter()
        self.moved: Counter[str] = Counter()
        self._sizes: dict[int, int] = {}
        self.now = self.peak = 0

    def hold(self, *tensors: Tensor) -> None:
        """Count tensors that were on the device before, such as weights."""
        for tensor in tensors:
            self._alive(tensor)

    def forget(self) -> None:
        """Begin counting again, from what is alive."""
        self.peak = self.now
        self.waits.clear()
        self.casts.clear()
        self.moved.clear()

    @contextmanager
    def in_use(self) -> Iterator["Device"]:
        """While open, this is the machine's GPU; attention is fused, as it is there."""
        free = lambda device: int(self.capacity - self.now) if device.type == "meta" else 2**40  # noqa: E731
        with (
            mock.patch.object(sgi2v_lab.efficiency.memory, "free_bytes", free),
            mock.patch.object(F, "scaled_dot_product_attention", _fused_attention),
            mock.patch.object(EulerDiscreteScheduler, "set_timesteps", _set_timesteps),
            self,
        ):
            yield self

    def _alive(self, tensor: Tensor) -> Tensor:
        if tensor.device.type == "meta":
            storage = tensor.untyped_storage()
            if storage._cdata not in self._sizes:
                size = self._sizes[storage._cdata] = storage.nbytes()
                weakref.finalize(storage, self._gone, storage._cdata)
                self.now += size
                if self.now > self.capacity:
                    raise torch.OutOfMemoryError(f"the device is out of memory: {size} bytes asked for")
                self.peak = max(self.peak, self.now)
        return tensor

    def _gone(self, name: int) -> None:
        self.now -= self._sizes.pop(name)

    def __torch_dispatch__(self, operation, _types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [*tensors_of((args, *kwargs.values()))]
        target = kwargs.get("device")
        if not any(t.device.type == "meta" for t in tensors) and (target is None or target.type != "meta"):
            return operation(*args, **kwargs)
        kind = operation.overloadpacket
        if kind is aten._local_scalar_dense:
            self._wait()
            value = not getattr(args[0], "asks_for_any", False)  # nothing is wrong anywhere: no NaN, all finite
            return value if args[0].dtype == torch.bool else 1.0 if args[0].is_floating_point() else 1
        if kind is aten.equal:
            self._wait()
            return True
        if kind in SHAPE_FROM_VALUES:
            raise NotImplementedError(f"{operation} has a shape that depends on values: the CPU would wait for them")
        if kind is aten._to_copy:
            there = target or args[0].device
            if args[0].device != there:
                self.moved["out" if there.type == "cpu" else "in"] += args[0].nbytes
                if there.type == "cpu" or not kwargs.get("non_blocking"):
                    self._wait()
                if there.type == "cpu":
                    return _zeros(args[0].shape, kwargs.get("dtype") or args[0].dtype)
            elif kwargs.get("dtype") not in (None, args[0].dtype):
                self.casts[_place()] += 1
        elif kind is aten.copy_ and args[0].device != args[1].device:
            if args[0].device.type == "cpu" or not (args[2:] and args[2]):
                self._wait()
            return args[0]
        else:
            self._check(operation, tensors, args)
            if kind in INDEXING:
                args = each(Tensor, lambda t: t.to("meta"), args)
        result = each(Tensor, self._alive, shaped(operation, args, kwargs))
        if kind is aten.any:
            result.asks_for_any = True
        return result

    def _check(self, operation, tensors: list[Tensor], args: tuple) -> None:
        kind = operation.overloadpacket
        here = [t for t in tensors if t.device.type == "cpu" and (t.dim() or kind in NO_MIXED_SCALARS)]
        if here and kind in INDEXING:
            self._wait()  # indices from the CPU are copied first
            here = [t for t in here if not any(t is index for index in args[1])]
        if here:
            raise Mismatch(f"{operation}: a tensor {tuple(here[0].shape)} is on the CPU, others on the device")
        if kind in INDEXING and any(index is not None and index.dtype == torch.bool for index in args[1]):
            self._wait()
        precisions = {t.dtype for t in tensors if t.is_floating_point()}
        if kind in ONE_PRECISION and len(precisions) > 1:
            raise Mismatch(f"{operation}: operands are {' and '.join(sorted(map(str, precisions)))}")

    def _wait(self) -> None:
        self.waits[_place()] += 1


def _zeros(shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Zeros that take no memory before they are written: weights that are moved out are 4 GB."""
    return torch.from_numpy(np.zeros(shape.numel() * dtype.itemsize, np.uint8)).view(dtype).view(shape)


_set_timesteps_there = EulerDiscreteScheduler.set_timesteps


def _set_timesteps(schedule: EulerDiscreteScheduler, steps: int, device: torch.device | None = None) -> None:
    """On the CPU, and then to the device: torch.Tensor([...]), which it calls, goes past every dispatch mode."""
    _set_timesteps_there(schedule, steps)
    schedule.timesteps = schedule.timesteps.to(device)


def _place() -> str:
    """The innermost line of the package, or else of a library, that is being run."""
    frame = sys._getframe(2)
    outer = None
    while frame is not None:
        path = frame.f_code.co_filename
        if "/sgi2v_lab/" in path:
            name = path[path.rindex("/sgi2v_lab/") + 11 :]
            return f"{name}:{frame.f_lineno}" + (f" ({outer})" if outer else "")
        if "/diffusers/" in path or "/transformers/" in path:
            outer = outer or f"{path.rsplit('/', 1)[1]}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"
