"""Memory modes: how much a run keeps at hand, chosen by what is free, and one less where that was too much.

| mode | what it gives up | what it costs in time |
|---|---|---|
| fast | nothing | |
| selective | insides of feed-forward networks and temporal residual blocks, convolutions' inputs | a third to half |
| full | all but what goes into each layer | two thirds |
| offload | the same; off the GPU too is what a stage does not use, and frames are decoded four at a time | copying |

The first three compute the same video to rounding; their times are those of `sgi2v bench toy` and `miniature` on a CPU.
Decoding in pieces lets the temporal decoder see fewer neighbours.
"""

import gc
import warnings
from collections.abc import Callable
from typing import TypeVar

import psutil
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.latents import decode_latents, vae_precision
from sgi2v_lab.models.load import Model
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Latents, Video

__all__ = ["MEMORY_MODES", "Memory", "choose_mode", "estimate_bytes", "estimate_decoded_bytes", "free_bytes"]

MEMORY_MODES = ("fast", "selective", "full", "offload")
DECODED_AT_ONCE = 4  # frames, where parts are off the GPU
SPARE = 0.85  # of what is free; the rest is for fragments and what was not thought of

# In units of one activation of each layer; fitted to what `bench.stages.count_memory` counts for SVD, its miniature and
# the toy, on the high side. Where an estimate is too low nevertheless, memory runs out once and the next mode goes on.
_KEPT = {"fast": 56, "selective": 19, "full": 9}
_MAPS = 5  # assembled features, their gradient, and what the loss makes of them
_DECODER = (6, 1)  # of the channels of the VAE's first and second level, at every pixel

Result = TypeVar("Result")


class Memory:
    """The mode of a run. It changes by itself where memory runs out: what failed is tried again in the next mode."""

    def __init__(self, model: Model, mode: str = "fast"):
        if mode not in MEMORY_MODES:
            raise InputError(f"memory is {mode!r}, but must be auto, {', '.join(MEMORY_MODES)}")
        self.model, self.mode = model, mode

    @property
    def keep(self) -> str:
        """What a forward pass keeps, as `shortcuts.recomputing` calls it."""
        return "full" if self.mode == "offload" else self.mode

    def attempt(self, work: Callable[[], Result]) -> Result:
        """The result of `work()`, called again after each fall-back; what it changes, it must change at its very end.

        Warns at each fall-back, with the mode and the reason.

        Raises:
            torch.OutOfMemoryError: (or what the device raises in its place) in the leanest mode too.
        """
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                following = MEMORY_MODES.index(self.mode) + 1
                if not _is_out_of_memory(error) or following == len(MEMORY_MODES):
                    raise
                reason = _first_line(error)
            # only here, where the error and all that its frames held are gone, is there anything to free
            self.mode = MEMORY_MODES[following]
            _say(f"out of memory ({reason}); going on from the same step with memory mode {self.mode!r}")
            _let_go()
            self.settle()

    def settle(self) -> None:
        """Take from the GPU what denoising does not use, if the mode says so."""
        if self.mode == "offload" and self.model.device.type != "cpu":
            self.model.vae.to("cpu")
            self.model.image_encoder.to("cpu")
            _let_go()

    def decode(self, latents: Latents, chunk: int | None) -> Video:
        """`decode_latents`, of as many frames at a time as fit, or half as many where memory runs out; warns of it."""
        model, device, whole = self.model, self.model.device, len(latents)
        away = self.mode == "offload" and device.type != "cpu"
        if away:
            model.unet.to("cpu")
            _let_go()
            model.vae.to(device)
        at_once = min(chunk or whole, whole, DECODED_AT_ONCE if self.mode == "offload" else whole)
        try:
            if (fit := self._frames_that_fit(latents)) < at_once:
                at_once = fit
                _say(f"decoding {fit} of {whole} frames at a time, as many as fit; decode_chunk={fit} asks for that")
            while True:
                try:
                    return decode_latents(model, latents, at_once)
                except (RuntimeError, MemoryError) as error:
                    if not _is_out_of_memory(error) or at_once == 1:
                        raise
                    reason = _first_line(error)
                at_once //= 2
                _say(f"out of memory ({reason}); decoding {at_once} frames at a time")
                _let_go()
        finally:
            if away:
                self.restore(device)

    def _frames_that_fit(self, latents: Latents) -> int:
        needed = estimate_decoded_bytes(self.model, *latents.shape[-2:])
        return max(1, int(SPARE * free_bytes(self.model.device) // needed))

    def restore(self, device: torch.device) -> None:
        """Bring every part back to the device, for the next run; nothing to do where none was taken away."""
        for part in (self.model.unet, self.model.vae, self.model.image_encoder):
            part.to(device)


def choose_mode(model: Model, settings: Settings, asked: str = "auto") -> str:
    """The first of `MEMORY_MODES` whose estimate fits into what is free, or the one asked for.

    With `settings.checkpointing` it is "full" at least.

    Raises:
        InputError: an unknown mode.
    """
    if asked != "auto" and asked not in MEMORY_MODES:
        raise InputError(f"memory is {asked!r}, but must be auto, {', '.join(MEMORY_MODES)}")
    least = MEMORY_MODES.index("full") if settings.checkpointing else 0
    if asked != "auto":
        return MEMORY_MODES[max(least, MEMORY_MODES.index(asked))]
    free = SPARE * free_bytes(model.device)
    for mode in MEMORY_MODES[least:]:
        if estimate_bytes(model, settings, mode) <= free:
            return mode
    return MEMORY_MODES[-1]


def free_bytes(device: torch.device) -> int:
    """What a process may still take on the device, without making the computer swap."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return psutil.virtual_memory().available


def estimate_bytes(model: Model, settings: Settings, mode: str) -> int:
    """About how much a guided iteration takes beyond the weights, on the high side: some tens of percent are usual.

    A CPU's lean modes may take twice that, since what is freed does not go back to the system at once.
    """
    frames, _, h, w = model.latent_shape(settings)
    unet, last = model.unet, max(block for block, _ in settings.layers)
    layers = []  # channels times cells of each, down and up again to the last block that is run
    widths = unet.config.block_out_channels
    blocks = [*zip(unet.down_blocks, widths, range(len(widths)), strict=True)]
    blocks += [(unet.mid_block, widths[-1], len(widths) - 1)]
    blocks += [
        (block, widths[-1 - number], len(widths) - 1 - number)
        for number, block in enumerate(unet.up_blocks)
        if number <= last
    ]
    for block, channels, level in blocks:
        layers += [channels * (h * w / 4**level)] * len(block.resnets)
    keep = "full" if mode == "offload" else mode
    units = _KEPT[keep] * sum(layers)
    recorded = sum(widths[-1 - block] for block, _ in settings.layers)
    maps = _MAPS * 4 * frames * recorded * h * w  # in fp32
    weights = sum(
        weight.numel() * weight.element_size()
        for part in (model.vae, model.image_encoder)
        for weight in part.parameters()
    )
    gained = weights if mode == "offload" and model.device.type != "cpu" else 0
    return max(0, int(units * frames * model.dtype.itemsize + maps) - gained)


def estimate_decoded_bytes(model: Model, h: int, w: int) -> int:
    """About how much decoding takes for each frame of (h, w) latents that is decoded at a time."""
    channels = model.vae.config.block_out_channels
    each = sum(times * channels[min(level, len(channels) - 1)] for level, times in enumerate(_DECODER))
    return each * h * w * model.vae_factor**2 * vae_precision(model).itemsize


def _is_out_of_memory(error: Exception) -> bool:
    # torch has its own class for a full GPU, and none for a full computer
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _say(what: str) -> None:
    warnings.warn(what, RuntimeWarning, stacklevel=4)


def _let_go() -> None:
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
