"""What the stages know of a model. Each kind of network is one subclass in one file; no stage asks which it is."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Protocol, runtime_checkable

import torch
from diffusers import SchedulerMixin
from jaxtyping import Float
from torch import Tensor, nn

from sgi2v_lab.errors import InputError
from sgi2v_lab.images.resize import check_size
from sgi2v_lab.models.presets import SVD_PRESETS, Presets
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Image, Latents

__all__ = ["DTYPES", "Attend", "Conditioning", "Layer", "Model", "Observer", "Tokens"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Layer = tuple[int | str, ...]  # the model gives it a meaning; SVD's (2, 1): the third up block's second transformer


@runtime_checkable
class Conditioning(Protocol):
    """What a model's denoiser is given of the first frame; only the model itself looks inside."""

    def with_unconditional(self) -> "Conditioning":
        """A batch of two for classifier-free guidance: first unconditional, then conditional."""


Tokens = Float[Tensor, "_n _length _channels"]
# an attention layer (as diffusers has them, with to_q, to_k, to_v, to_out and heads), the tokens that it was given, and
# the (h, w) of its grid
Observer = Callable[[nn.Module | None, Tokens, tuple[int, int]], None]
# the same with (frames, h, w), and what computes the layer's output as always; gives the output
Attend = Callable[[nn.Module, Tokens, tuple[int, int, int], Callable[[], Tokens]], Tokens]


@dataclass
class Model(ABC):
    """An image-to-video diffusion model with frozen weights on one device, and its default settings.

    One run at a time: while it is watched or a run recomputes activations, parts of it have other forwards.
    """

    name: str  # what the user called it
    vae: nn.Module  # from pixels to latents and back
    scheduler: SchedulerMixin  # diffusers' own, whose configuration makes a run's schedule
    settings: Settings  # the defaults for this model
    presets: Presets = field(default_factory=lambda: SVD_PRESETS, kw_only=True)  # other settings by name
    copies: dict[torch.dtype, "Model"] = field(default_factory=dict, init=False, repr=False)  # in other precisions

    # --- what each kind of network says of itself ---

    @property
    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """Every part that has weights, by the name of its attribute; the denoiser is one of them."""

    @property
    @abstractmethod
    def denoiser(self) -> nn.Module:
        """The network that is run at every step."""

    @property
    @abstractmethod
    def layers(self) -> tuple[Layer, ...]:
        """The layers whose features may control (`Settings.layers`), in the order in which they are computed."""

    @property
    @abstractmethod
    def all_layers(self) -> tuple[Layer, ...]:
        """Every layer that can be watched, `layers` among them, in the order in which they are computed."""

    @property
    @abstractmethod
    def latent_channels(self) -> int:
        """Channels of the latents (4 for SVD)."""

    @property
    @abstractmethod
    def vae_factor(self) -> int:
        """Pixels per latent cell, in each direction (8 for SVD)."""

    @property
    @abstractmethod
    def size_step(self) -> int:
        """Width and height are multiples of this, in pixels."""

    @abstractmethod
    def num_frames(self, settings: Settings) -> int:
        """The frames of a video: the settings', or else what the model was trained for."""

    @abstractmethod
    def encode_first_frame(self, image: Image, settings: Settings, generator: torch.Generator) -> Conditioning:
        """What the denoiser is told about the first frame."""

    @abstractmethod
    def predict(self, scaled: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser's output for scaled noisy videos (batch, frames, channels, h, w), in its own parametrisation."""

    @abstractmethod
    def for_one_video(self) -> AbstractContextManager[None]:
        """While open, passes take the short cuts that hold for a single video; a backward pass belongs inside too."""

    @abstractmethod
    def run_conditional(self, latents: Latents, sigma: float | Tensor, conditioning: Conditioning) -> None:
        """Run the denoiser for those who `watch`: the conditional branch alone, on latents at noise level sigma."""

    @abstractmethod
    def heads(self, layer: Layer, where: str = "spatial") -> int:
        """How many heads a layer's "spatial" or "temporal" self-attention has."""

    @abstractmethod
    def attend_with(self, layer: Layer, function: Attend, where: str = "spatial") -> AbstractContextManager[None]:
        """While open, `function` computes the layer's "spatial" or "temporal" self-attention.

        It is given the tokens of the whole batch, (videos * frames, h * w, channels) or (videos * h * w, frames,
        channels). Functions nest: the one given last is called first, and what it calls as usual is the one before.
        """

    @abstractmethod
    def watch(self, layer: Layer, look: Observer, where: str = "spatial") -> AbstractContextManager[None]:
        """While open, `look` is called whenever the layer runs.

        With `where` "spatial" or "temporal" it is given that attention and its tokens, (frames, h * w, channels) or
        (h * w, frames, channels), before the attention is computed; with "block" the layer's output (frames, h * w,
        channels), and no attention. Of a batch it sees the last video, which under classifier-free guidance is the
        conditional one.
        """

    @abstractmethod
    def modules_to_recompute(self, mode: str, last: Layer | None) -> Iterator[nn.Module]:
        """The parts whose insides a memory mode does not keep, in a pass that ends in layer `last` or goes on."""

    @abstractmethod
    def activation_size(self, settings: Settings) -> int:
        """Elements in one activation of each layer, per frame, in a pass that ends in the last of `settings.layers`."""

    @abstractmethod
    def feature_channels(self, layers: tuple[Layer, ...]) -> int:
        """Channels of the features of some layers, together."""

    # --- what they have in common ---

    def preset(self, name: str) -> Settings:
        """The settings of a preset: "own", "fast", "paper" or "best"; InputError for another name."""
        if name not in self.presets:
            raise InputError(f"unknown preset {name!r}; the presets are {', '.join(self.presets)}")
        return self.settings.replace(**self.presets[name])

    def in_precision(self, name: str) -> "Model":
        """The model with its networks in a precision of `settings.PRECISIONS`: itself, or a copy, which it keeps."""
        dtype = self.dtype if name == "own" else DTYPES[name]
        if dtype == self.dtype:
            return self
        if dtype not in self.copies:
            self.copies[dtype] = replace(self, **{k: deepcopy(part).to(dtype) for k, part in self.networks.items()})
        return self.copies[dtype]

    @property
    def device(self) -> torch.device:
        """Where the denoiser's weights are."""
        return self.denoiser.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the denoiser's weights."""
        return self.denoiser.dtype

    def size_like(self, picture: Sequence[float | int], settings: Settings | None = None) -> tuple[int, int]:
        """The (width, height) of a video in a picture's own shape, as nearly as the model's steps allow.

        Its area is about that of the settings, for which the model was trained: of all sizes within a step of
        (sqrt(A a), sqrt(A / a)), with area A and the picture's aspect a, it is the one with the least
        |log(width / height / a)| + |log(width * height / A)| / 4. An aspect beyond 1:2 or 2:1 is taken for these.
        """
        width, height = check_size(picture, "the picture's size")
        settings = self.settings if settings is None else settings
        area, aspect = settings.width * settings.height, min(max(width / height, 0.5), 2.0)
        ideal = (math.sqrt(area * aspect), math.sqrt(area / aspect))
        steps = [{max(1, f(side / self.size_step)) * self.size_step for f in (math.floor, math.ceil)} for side in ideal]

        def misfit(size: tuple[int, int]) -> float:
            w, h = size
            return abs(math.log(w / h / aspect)) + abs(math.log(w * h / area)) / 4

        return min(product(*(sorted(sides) for sides in steps)), key=misfit)

    def latent_shape(self, settings: Settings) -> tuple[int, int, int, int]:
        """(frames, channels, h, w) of a video's latents; InputError where the picture's size does not divide."""
        for name in ("width", "height"):
            if getattr(settings, name) % self.size_step:
                raise InputError(
                    f"{name} is {getattr(settings, name)}, but {self.name} needs a multiple of {self.size_step} pixels"
                )
        height, width = settings.height // self.vae_factor, settings.width // self.vae_factor
        return self.num_frames(settings), self.latent_channels, height, width

    def check_layers(self, layers: tuple[Layer, ...], known: tuple[Layer, ...] | None = None) -> None:
        """InputError for a layer that is not among the `known`, by default those that may control, or for none."""
        known = self.layers if known is None else known
        have = ", ".join(map(str, known))
        if not layers:
            raise InputError(f"no layer is given; {self.name} has {have}")
        for layer in layers:
            if (tuple(layer) if isinstance(layer, list) else layer) not in known:
                raise InputError(f"{self.name} has no layer {layer}; it has {have}")
