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
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteSchedulerOutput
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float
from torch import Tensor, nn

from sgi2v_lab.errors import InputError
from sgi2v_lab.images.resize import check_size
from sgi2v_lab.models.presets import SVD_PRESETS, Presets
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Image, Latents, Video

__all__ = [
    "DTYPES",
    "Attend",
    "Conditioning",
    "Layer",
    "Model",
    "Observer",
    "Tokens",
    "as_layer",
    "layer_name",
    "layer_of",
]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Layer = int | tuple[int | str, ...]  # as the model counts: SVD's (2, 1), the third up block's second transformer


@runtime_checkable
class Conditioning(Protocol):
    """What a model's denoiser is given of the first frame; only the model itself looks inside."""

    def with_unconditional(self) -> "Conditioning":
        """A batch of two for classifier-free guidance: first unconditional, then conditional."""


Tokens = Float[Tensor, "_n _length _channels"]
# an attention layer (as diffusers has them, with to_q, to_k, to_v, to_out and heads), the tokens that it was given, and
# its grid's (h, w); where tokens have rotary positions, to_q and to_k apply them, and `placed` gives it with others
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
    def denoisers(self) -> tuple[nn.Module, ...]:
        """It, and another one that is run in its place at some steps, where there is one."""
        return (self.denoiser,)

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
    def feature_kinds(self) -> tuple[str, ...]:
        """Those of `settings.FEATURE_KINDS` that its layers have."""

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

    @property
    def frames_per_latent(self) -> int:
        """Frames of the video in each latent but the first, which is the first frame's alone (1 for SVD)."""
        return 1

    @property
    def frame_step(self) -> int:
        """A video has a multiple of so many frames, and the first."""
        return 1

    @abstractmethod
    def num_frames(self, settings: Settings) -> int:
        """The frames of a video: the settings', or else what the model was trained for."""

    # --- between pixels and latents ---

    @abstractmethod
    def to_latents(self, pixels: Video, chunk: int | None) -> Latents:
        """Pixels in -1..1 to clean latents as the denoiser knows them, `chunk` frames at a time where that can be."""

    @abstractmethod
    def to_pixels(self, latents: Latents, chunk: int | None) -> Iterator[Video]:
        """The inverse, piece by piece."""

    @property
    @abstractmethod
    def decoding_size(self) -> int:
        """Elements that decoding has at once for each cell of a latent frame."""

    @property
    def decodes_in_pieces(self) -> bool:
        """Whether some frames can be decoded without the others; if not, the VAE does that by itself."""
        return True

    # --- noise ---

    @abstractmethod
    def noisy(self, clean: Latents, noise: Latents, sigma: float | Tensor) -> Latents:
        """Latents at noise level sigma, of clean ones and unit noise."""

    @abstractmethod
    def spread(self, sigma: Tensor) -> Tensor:
        """About the standard deviation of latents at noise level sigma."""

    def draw_noise(self, settings: Settings, generator: torch.Generator) -> Latents:
        """Unit noise in the order and precision in which diffusers' pipeline draws it."""
        return randn_tensor(self.latent_shape(settings), generator=generator, dtype=self.dtype)

    # --- a denoising step ---

    @abstractmethod
    def encode_first_frame(self, image: Image, settings: Settings, generator: torch.Generator) -> Conditioning:
        """What the denoiser is told about the first frame."""

    @abstractmethod
    def random_conditioning(self, settings: Settings, noise: Callable[..., Tensor]) -> Conditioning:
        """As `encode_first_frame`, of `noise(*shape)` and without computing anything: for measurements."""

    def scale_input(self, schedule: SchedulerMixin, videos: Tensor, timestep: Tensor) -> Tensor:
        """Noisy videos (batch, frames, channels, h, w) as the denoiser takes them."""
        return schedule.scale_model_input(videos, timestep)

    @abstractmethod
    def predict(self, scaled: Tensor, timestep: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser's output for scaled noisy videos (batch, frames, channels, h, w), in its own parametrisation."""

    def step(
        self, schedule: SchedulerMixin, prediction: Tensor, index: int, videos: Tensor, conditioning: Conditioning
    ) -> EulerDiscreteSchedulerOutput:
        """Step `index` of a schedule: the videos after it, and the guess of the clean ones, from the prediction."""
        return schedule.step(prediction, schedule.timesteps[index], videos, return_dict=True)

    # --- features ---

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
        (h * w, frames, channels), before the attention is computed; with "own" they are as its own queries and keys
        meet, which in one over space and time is (1, frames * h * w, channels), else as with "spatial"; with "block"
        the layer's output (frames, h * w, channels), and no attention. Of a batch it sees the last video, which under
        classifier-free guidance is the conditional one.
        """

    @abstractmethod
    def modules_to_recompute(self, mode: str, last: Layer | None) -> Iterator[nn.Module]:
        """The parts whose insides a memory mode does not keep, in a pass that ends in layer `last` or goes on."""

    @abstractmethod
    def kept_size(self, settings: Settings, mode: str) -> int:
        """About how many elements are kept for the backward pass in a memory mode, per frame of the latents.

        The pass ends in the last of `settings.layers`. On the high side of what `bench.stages.count_memory` counts;
        where it is too low nevertheless, memory runs out once and the next mode goes on.
        """

    @abstractmethod
    def layer_cell(self, layers: tuple[Layer, ...]) -> int:
        """Pixels in each direction of a cell of the finest of some layers."""

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
        `|log(width / height / a)| + |log(width * height / A)| / 4`. An aspect beyond 1:2 or 2:1 is taken for these.
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
        """(frames, channels, h, w) of a video's latents; InputError where the video's size does not divide."""
        for name in ("width", "height"):
            if getattr(settings, name) % self.size_step:
                raise InputError(
                    f"{name} is {getattr(settings, name)}, but {self.name} needs a multiple of {self.size_step} pixels"
                )
        height, width = settings.height // self.vae_factor, settings.width // self.vae_factor
        frames = 1 + (self.num_frames(settings) - 1) // self.frames_per_latent
        return frames, self.latent_channels, height, width

    def check_layers(self, layers: tuple[Layer, ...], known: tuple[Layer, ...] | None = None) -> None:
        """InputError for a layer that is not among the `known`, by default those that may control, or for none."""
        known = self.layers if known is None else known
        have = ", ".join(map(str, known))
        if not layers:
            raise InputError(f"no layer is given; {self.name} has {have}")
        for layer in layers:
            if as_layer(layer) not in known:
                raise InputError(f"{self.name} has no layer {layer}; it has {have}")


def as_layer(given: object) -> Layer:
    """A layer as JSON has it, with a list for a pair."""
    return tuple(given) if isinstance(given, list) else given


def layer_name(layer: Layer) -> str:
    """A layer as it is typed on the command line: "2,1" or "down,1,0"; a transformer's block "3"."""
    return str(layer) if isinstance(layer, int) else ",".join(map(str, layer))


def layer_of(name: str) -> Layer:
    """The layer of such a name."""
    first, *rest = (int(part) if part.isdigit() else part for part in name.split(","))
    return (first, *rest) if rest else first
