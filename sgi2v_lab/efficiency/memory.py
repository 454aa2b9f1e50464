"""Memory modes: a run adapts to the memory that is free, and goes on in a leaner mode where that was too much.

| mode | what it gives up | what it costs in time |
|---|---|---|
| fast | nothing | |
| selective | insides of feed-forward networks and temporal residual blocks, convolutions' inputs | a third to half |
| full | all but what goes into each layer | two thirds |
| offload | the same; what a stage does not use leaves the GPU too, and frames are decoded two at a time | copying |

The first three compute the same video to rounding; their times are those of `sgi2v bench toy` and `miniature` on a CPU.
Decoding in pieces lets the temporal decoder see fewer neighbours.
"""

import gc
import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

import psutil
import torch

from sgi2v_lab.efficiency.recompute import recomputing
from sgi2v_lab.errors import InputError
from sgi2v_lab.latents import decode_latents
from sgi2v_lab.models.model import Model
from sgi2v_lab.models.precision import vae_precision
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Latents, Video

__all__ = ["MEMORY_MODES", "Memory", "choose_mode", "estimate_bytes", "estimate_decoded_bytes", "free_bytes"]

MEMORY_MODES = ("fast", "selective", "full", "offload")
DECODED_AT_ONCE = 2  # frames, where parts are off the GPU
SPARE = 0.85  # of what is free; the rest is for fragments and for what the estimates miss

_MAPS = 5  # assembled features, their gradient, and what the loss makes of them

Step = TypeVar("Step")


class Memory:
    """The mode of a run, which becomes leaner where memory runs out.

    Attributes:
        mode: one of `MEMORY_MODES`.
    """

    def __init__(self, model: Model, settings: Settings, mode: str = "auto"):
        self.model, self.settings, self.device = model, settings, model.device
        self.mode = choose_mode(model, settings, mode)

    def run(self, start: Callable[[Step | None], Iterator[Step]]) -> Iterator[Step]:
        """The steps of `start(None)`; where memory runs out, those of `start(last step)` in the next mode.

        Warns at each fall-back, with the mode and the reason.

        Raises:
            torch.OutOfMemoryError: (or what the device raises in its place) in the leanest mode too.
        """
        last = steps = None
        while True:
            try:
                if steps is None:
                    self._offload_unused()
                    steps = start(last)
                kept = "full" if self.mode == "offload" else self.mode
                with recomputing(self.model, kept, max(self.settings.layers)):
                    step = next(steps, None)
            except (RuntimeError, MemoryError) as error:
                leaner = MEMORY_MODES[MEMORY_MODES.index(self.mode) + 1 :]
                if not _is_out_of_memory(error) or not leaner:
                    raise
                reason = _first_line(error)
            else:
                if step is None:
                    return
                last = step
                yield step
                continue
            # only here, where the error and all that its frames held are gone, can memory be freed
            self.mode, steps = leaner[0], None
            _warn(f"out of memory ({reason}); going on from the same step with memory mode {self.mode!r}")
            _free_caches()

    @property
    def _moves_parts(self) -> bool:
        return self.mode == "offload" and self.device.type != "cpu"

    def _offload_unused(self) -> None:
        """Take from the GPU what denoising does not use, if the mode says so."""
        if self._moves_parts:
            for part in self.model.networks.values():
                if part not in self.model.denoisers:
                    part.to("cpu")
            _free_caches()

    def decode(self, latents: Latents) -> Video:
        """`decode_latents`, of as many frames at a time as fit, or half as many where memory runs out; warns of it."""
        whole = len(latents) if self.model.decodes_in_pieces else 1
        if self._moves_parts:
            for part in self.model.denoisers:
                part.to("cpu")
            _free_caches()
            self.model.vae.to(self.device)
        most = DECODED_AT_ONCE if self.mode == "offload" else whole
        at_once = min(self.settings.decode_chunk_size or whole, whole, most)
        needed = estimate_decoded_bytes(self.model, *latents.shape[-2:])
        if (fit := max(1, int(SPARE * free_bytes(self.device) // needed))) < at_once:
            at_once = fit
            _warn(f"decoding {fit} of {whole} frames at a time, as many as fit; decode_chunk_size={fit} asks for that")
        while True:
            try:
                return decode_latents(self.model, latents, at_once)
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error) or at_once == 1:
                    raise
                reason = _first_line(error)
            at_once //= 2
            _warn(f"out of memory ({reason}); decoding {at_once} frames at a time")
            _free_caches()

    def restore(self) -> None:
        """Bring every part back to the device, for the next run; nothing to do where none was taken away."""
        for part in self.model.networks.values():
            part.to(self.device)


def choose_mode(model: Model, settings: Settings, asked: str = "auto") -> str:
    """The first of `MEMORY_MODES` whose estimate fits into what is free, or the one asked for.

    Raises:
        InputError: an unknown mode.
    """
    if asked in MEMORY_MODES:
        return asked
    if asked != "auto":
        raise InputError(f"memory is {asked!r}: expected auto, {', '.join(MEMORY_MODES)}")
    free = SPARE * free_bytes(model.device)
    return next((m for m in MEMORY_MODES if estimate_bytes(model, settings, m) <= free), MEMORY_MODES[-1])


def free_bytes(device: torch.device) -> int:
    """What a process may still take on the device, without making the computer swap."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return psutil.virtual_memory().available


def estimate_bytes(model: Model, settings: Settings, mode: str) -> int:
    """About how much a control iteration takes beyond the weights, on the high side: some tens of percent are usual.

    A CPU's lean modes may take twice that, since what is freed does not go back to the system at once.
    """
    frames, _, h, w = model.latent_shape(settings)
    kept = model.kept_size(settings, "full" if mode == "offload" else mode) * model.dtype.itemsize
    maps = _MAPS * 4 * model.feature_channels(settings.layers) * h * w  # in fp32
    gained = 0
    if mode == "offload" and model.device.type != "cpu":
        away = [part for part in model.networks.values() if part not in model.denoisers]
        gained = sum(weight.numel() * weight.element_size() for part in away for weight in part.parameters())
    return max(0, frames * (kept + maps) - gained)


def estimate_decoded_bytes(model: Model, h: int, w: int) -> int:
    """About how much decoding takes for each frame of (h, w) latents that is decoded at a time."""
    return model.decoding_size * h * w * vae_precision(model.vae).itemsize


def _is_out_of_memory(error: Exception) -> bool:
    # torch has its own class for a full CUDA device, and none for a full Mac or a full computer
    said = ("can't allocate memory", "out of memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in str(error) for words in said)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _warn(what: str) -> None:
    warnings.warn(what, RuntimeWarning, stacklevel=4)


def _free_caches() -> None:
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
