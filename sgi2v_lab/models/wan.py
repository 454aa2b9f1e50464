"""Wan: a video transformer's parts, the two ways in which its first frame enters, and where its attention sits.

Wan team 2025, "Wan: Open and Advanced Large-Scale Video Generative Models" (arXiv 2503.20314), in diffusers'
WanImageToVideoPipeline format. This is the only file that knows the network; the stages call the methods of `Model`.

It differs from Stable Video Diffusion in what it learnt and in how it looks at a video:

* Flow matching. Latents at noise level sigma are x = (1 - sigma) z + sigma n, and the network predicts v = n - z, so
  the guess of the clean latents is x - sigma v.
* The VAE is causal: the first latent is the first frame, and each later one some frames (usually four) after it.
* Self-attention spans space and time at once, and knows places by rotary positions.
* It reads a text.
* The first frame enters as extra channels of every latent (Wan 2.1, and 2.2 with 14 billion parameters), or as the
  first latent itself, which is clean and has time 0 (`expand_timesteps`: Wan 2.2 TI2V with 5 billion).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import torch
from diffusers import SchedulerMixin, UniPCMultistepScheduler, WanImageToVideoPipeline, WanTransformer3DModel
from diffusers.models.attention import FeedForward
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteSchedulerOutput
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float
from torch import Tensor, nn
from transformers import CLIPImageProcessor, CLIPVisionModel, PreTrainedModel, PreTrainedTokenizerBase

from sgi2v_lab.errors import InputError
from sgi2v_lab.images.read import to_pil
from sgi2v_lab.models.model import Attend, Layer, Model, Observer, Tokens
from sgi2v_lab.models.precision import precise_vae
from sgi2v_lab.models.presets import Presets
from sgi2v_lab.settings import FEATURE_KINDS, Settings
from sgi2v_lab.shapes import Image, Latents, Video

__all__ = ["WAN_PRESETS", "WAN_SETTINGS", "PlacedAttention", "Wan", "WanConditioning"]

# Size, frames, rate and guidance are those of Wan 2.1 at 480p. Layers, steps and rate are a guess that nobody has
# measured on a real checkpoint: DragStream (arXiv 2510.03550) takes blocks 12 to 15 of the 30 of Wan 2.1 1.3B.
WAN_SETTINGS = Settings(
    width=832,
    height=480,
    num_frames=81,
    fps=16,
    min_guidance_scale=5.0,
    max_guidance_scale=5.0,
    layers=(12, 13, 14, 15),
    learning_rate=0.02,
)
WAN_PRESETS: Presets = {
    "own": {},
    "fast": {"num_inference_steps": 25, "control_steps": (2, 7)},
    "paper": {},
    "best": {},
}


@dataclass(frozen=True)
class WanConditioning:
    """What the transformer is given of the text and of the first frame."""

    text: Float[Tensor, "batch tokens _channels"]
    negative: Float[Tensor, "1 tokens _channels"]  # what classifier-free guidance leads away from
    # extra channels of every latent (a mask, and the frame encoded with grey after it), or the first latent alone
    picture: Float[Tensor, "1 _channels _frames h w"]
    picture_tokens: Float[Tensor, "1 _tokens _channels"] | None  # CLIP's, in Wan 2.1

    def with_unconditional(self) -> "WanConditioning":
        """A batch of two, the first with the negative text; both are given the first frame."""
        return replace(self, text=torch.cat([self.negative, self.text]))


@dataclass
class Wan(Model):
    """The parts of a Wan checkpoint: `vae`, `scheduler` and `transformer`, and those that not every one has."""

    transformer: WanTransformer3DModel
    transformer_2: WanTransformer3DModel | None  # for the lower noise levels, in Wan 2.2 with 14 billion parameters
    text_encoder: PreTrainedModel | None
    tokenizer: PreTrainedTokenizerBase | None
    image_encoder: CLIPVisionModel | None
    image_processor: CLIPImageProcessor | None
    expand_timesteps: bool
    boundary_ratio: float | None  # `transformer_2` runs below this noise level

    @classmethod
    def from_pipeline(
        cls, pipeline: WanImageToVideoPipeline, name: str, settings: Settings, presets: Presets = WAN_PRESETS
    ) -> "Wan":
        """Take the parts of a diffusers pipeline; their weights are frozen. InputError if it takes no first frame."""
        config, transformer = pipeline.config, pipeline.transformer
        channels = transformer.config.in_channels if transformer is not None else 0
        latents = pipeline.vae.config.z_dim
        if channels != (
            latents if config.expand_timesteps else 2 * latents + pipeline.vae.config.scale_factor_temporal
        ):
            raise InputError(
                f"{name} is no image-to-video model that is known here: its transformer takes {channels} channels, and "
                f"its latents have {latents}"
            )
        parts = {part: getattr(pipeline, part) for part in _PARTS}
        model = cls(
            name=name,
            settings=settings,
            presets=presets,
            expand_timesteps=config.expand_timesteps,
            boundary_ratio=config.boundary_ratio,
            **parts,
        )
        for network in model.networks.values():
            network.eval().requires_grad_(False)
        return model

    @property
    def networks(self) -> dict[str, nn.Module]:
        """VAE, transformer, and where it has them a second transformer, text encoder and image encoder."""
        found = {part: getattr(self, part) for part in _PARTS}
        return {part: network for part, network in found.items() if isinstance(network, nn.Module)}

    @property
    def denoiser(self) -> nn.Module:
        """The transformer; the first of two."""
        return self.transformer

    @property
    def denoisers(self) -> tuple[WanTransformer3DModel, ...]:
        """One transformer, or two."""
        return (self.transformer,) if self.transformer_2 is None else (self.transformer, self.transformer_2)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The blocks."""
        return tuple(range(len(self.transformer.blocks)))

    @property
    def all_layers(self) -> tuple[Layer, ...]:
        """The same: the features of every block may control."""
        return self.layers

    @property
    def feature_kinds(self) -> tuple[str, ...]:
        """All but temporal attention, which is no layer of its own."""
        return tuple(kind for kind in FEATURE_KINDS if kind != "temporal")

    @property
    def latent_channels(self) -> int:
        """16, and 48 for TI2V."""
        return self.vae.config.z_dim

    @property
    def vae_factor(self) -> int:
        """8, and 16 for TI2V."""
        return self.vae.config.scale_factor_spatial

    @property
    def size_step(self) -> int:
        """A token is a patch of 2 x 2 latent cells; diffusers wants a multiple of 16 in any case."""
        return max(16, self.vae_factor * self.transformer.config.patch_size[1])

    @property
    def frames_per_latent(self) -> int:
        """4."""
        return self.vae.config.scale_factor_temporal

    @property
    def frame_step(self) -> int:
        """4, whatever a latent holds: diffusers gives the VAE the first frame, and then four at a time."""
        return 4

    def num_frames(self, settings: Settings) -> int:
        """The settings', or 81. InputError unless it is 4n + 1."""
        frames = settings.num_frames or WAN_SETTINGS.num_frames
        if frames % 4 != 1:
            near = 4 * (frames // 4) + 1
            raise InputError(
                f"num_frames is {frames}: expected a multiple of 4 and one more, such as {max(near, 5)} or {near + 4}"
            )
        return frames

    # --- pixels, latents, noise ---

    def to_latents(self, pixels: Video, chunk: int | None) -> Latents:
        """(E(pixels) - mean) / std, each latent from its own frames and those before it; `chunk` plays no part."""
        latents = self.vae.encode(pixels.transpose(0, 1)[None]).latent_dist.mode()
        mean, std = self._statistics(latents)
        return ((latents - mean) * std)[0].transpose(0, 1)

    def to_pixels(self, latents: Latents, chunk: int | None) -> Iterator[Video]:
        """One latent after the other, as its convolutions over time need what came before; `chunk` plays no part."""
        z = latents.transpose(0, 1)[None].to(self.vae.dtype)
        mean, std = self._statistics(z)
        yield self.vae.decode(z / std + mean, return_dict=False)[0][0].transpose(0, 1)

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        config = self.vae.config
        mean, std = (
            torch.tensor(each).view(1, -1, 1, 1, 1).to(like) for each in (config.latents_mean, config.latents_std)
        )
        return mean, 1.0 / std  # as diffusers, to the bit

    @property
    def decoding_size(self) -> int:
        """A multiple, fitted to counts, of the channels of the decoder's last level at every pixel of its frames."""
        config = self.vae.config
        pixels = self.vae_factor**2 // (config.patch_size or 1) ** 2 * self.frames_per_latent
        return (22 if config.is_residual else 13) * (config.decoder_base_dim or config.base_dim) * pixels

    @property
    def decodes_in_pieces(self) -> bool:
        """The VAE goes through the latents one by one by itself."""
        return False

    def noisy(self, clean: Latents, noise: Latents, sigma: float | Tensor) -> Latents:
        """Flow matching: (1 - sigma) z + sigma n (Lipman et al. 2022, arXiv 2210.02747)."""
        return (1 - sigma) * clean + sigma * noise

    def spread(self, sigma: Tensor) -> Tensor:
        """1, as between clean latents and noise variance hardly changes, and diffusers begins with unit noise."""
        return torch.ones_like(sigma)

    def draw_noise(self, settings: Settings, generator: torch.Generator) -> Latents:
        """Channels before frames, and in fp32 whatever the model's precision."""
        frames, channels, h, w = self.latent_shape(settings)
        return randn_tensor((channels, frames, h, w), generator=generator, dtype=torch.float32).transpose(0, 1)

    # --- text and first frame ---

    @torch.no_grad()
    def encode_first_frame(self, image: Image, settings: Settings, generator: torch.Generator) -> WanConditioning:
        """Diffusers' own steps. Without a text encoder the text is zeros; `generator` plays no part."""
        pipeline = self._pipeline()
        text, negative = self._read(settings.text, "text"), self._read(settings.negative_text, "negative_text")
        if self.transformer.config.image_dim is None and not text.any() and not negative.any():
            # one token of zeros says what 512 of them say
            text, negative = text[:, :1], negative[:, :1]
        tokens = None
        if self.transformer.config.image_dim is not None:
            tokens = pipeline.encode_image(to_pil(image), self.device).to(self.dtype)
        frames, channels, h, w = self.latent_shape(settings)
        with precise_vae(self.vae):
            _, picture, *_ = pipeline.prepare_latents(
                # the memory layout that diffusers' pipeline arrives at; convolutions round differently in another one
                (2.0 * image[None].float().clone(memory_format=torch.channels_last) - 1.0).to(self.device),
                1,
                channels,
                settings.height,
                settings.width,
                self.num_frames(settings),
                torch.float32,
                self.device,
                latents=torch.empty(1, channels, frames, h, w),  # in place of noise
            )
        return WanConditioning(text, negative, picture, tokens)

    def random_conditioning(self, settings: Settings, noise: Callable[..., Tensor]) -> WanConditioning:
        """See `Model.random_conditioning`; 512 tokens of text, and 257 of the picture where it has an image encoder."""
        config = self.transformer.config
        frames, channels, h, w = self.latent_shape(settings)
        shape = (channels, 1) if self.expand_timesteps else (config.in_channels - channels, frames)
        text = noise(1, 512, config.text_dim)
        tokens = None if config.image_dim is None else noise(1, 257, config.image_dim)
        return WanConditioning(text, text, noise(1, *shape, h, w), tokens)

    def _pipeline(self) -> WanImageToVideoPipeline:
        ways = {"expand_timesteps": self.expand_timesteps, "boundary_ratio": self.boundary_ratio}
        return WanImageToVideoPipeline(**{part: getattr(self, part) for part in _PARTS}, **ways)

    def _read(self, words: str, name: str) -> Tensor:
        """As diffusers reads a prompt, but for ftfy's repairs of mistaken encodings: zeros follow the text's tokens."""
        if self.text_encoder is not None:
            size = {"max_length": 512, "padding": "max_length", "truncation": True}
            given = self.tokenizer([" ".join(words.split())], return_tensors="pt", **size).to(self.text_encoder.device)
            hidden = self.text_encoder(given.input_ids, given.attention_mask).last_hidden_state
            return (hidden * given.attention_mask[..., None]).to(self.device, self.dtype)
        if words:
            raise InputError(f"{name} is {words!r}, but {self.name} has no text encoder; leave it out")
        # diffusers tells tokens of the text from those of the picture by their number
        tokens = 1 if self.transformer.config.image_dim is None else 512
        return torch.zeros(1, tokens, self.transformer.config.text_dim, device=self.device, dtype=self.dtype)

    # --- a pass of the transformer ---

    def predict(self, scaled: Tensor, timestep: Tensor, conditioning: WanConditioning) -> Tensor:
        """V (batch, frames, channels, h, w); videos of a batch one after the other, as diffusers' pipeline does."""
        videos = scaled.transpose(1, 2)
        if self.expand_timesteps:
            videos = _with_first(videos, conditioning.picture)
            per_token = torch.ones_like(videos[0, 0, :, ::2, ::2], dtype=torch.float32)
            per_token[0] = 0
            time = (per_token * timestep).flatten()[None]
        else:
            videos = torch.cat([videos, conditioning.picture.expand(len(videos), -1, -1, -1, -1)], dim=1)
            time = timestep.expand(1)
        second = self.transformer_2 is not None and timestep < self.boundary_ratio * self._steps
        transformer = self.transformer_2 if second else self.transformer
        predictions = [
            transformer(video[None].to(self.dtype).contiguous(), time, text[None], conditioning.picture_tokens, False)[
                0
            ]
            for video, text in zip(videos, conditioning.text, strict=True)
        ]
        return torch.cat(predictions).transpose(1, 2)

    @property
    def _steps(self) -> int:
        return self.scheduler.config.num_train_timesteps

    def run_conditional(self, latents: Latents, sigma: float | Tensor, conditioning: WanConditioning) -> None:
        """As `predict`, at the time 1000 sigma that the schedule gives to that level."""
        sigma = float(sigma)
        if conditioning is not None and latents.shape[-2:] != conditioning.picture.shape[-2:]:
            wanted = tuple(conditioning.picture.shape[-2:])
            raise InputError(
                f"the latents have {tuple(latents.shape[-2:])} cells: expected {wanted}, the conditioning's"
            )
        if not 0 < sigma <= 1:
            raise InputError(f"sigma is {sigma:g}: expected a noise level above 0 and up to 1, as in flow matching")
        time = sigma * self._steps
        if isinstance(self.scheduler, UniPCMultistepScheduler):
            time = int(time)  # as its schedule has it
        # written by the device itself: a copy of a number would wait for its other work
        self.predict(latents[None], torch.full((), time, device=latents.device), conditioning)

    def scale_input(self, schedule: SchedulerMixin, videos: Tensor, timestep: Tensor) -> Tensor:
        """As they are."""
        return videos

    def step(
        self, schedule: SchedulerMixin, prediction: Tensor, index: int, videos: Tensor, conditioning: WanConditioning
    ) -> EulerDiscreteSchedulerOutput:
        """The scheduler's own step; with `expand_timesteps`, both results begin with the clean first latent."""
        clean = videos - schedule.sigmas[index] * prediction
        following = schedule.step(prediction, schedule.timesteps[index], videos, return_dict=False)[0]
        if self.expand_timesteps:
            results = (_with_first(x.transpose(1, 2), conditioning.picture).transpose(1, 2) for x in (following, clean))
            following, clean = results
        return EulerDiscreteSchedulerOutput(prev_sample=following, pred_original_sample=clean)

    def for_one_video(self) -> AbstractContextManager[None]:
        """There are no short cuts."""
        return nullcontext()

    # --- where its attention sits ---

    def heads(self, layer: Layer, where: str = "spatial") -> int:
        """As many in every block."""
        return self.transformer.config.num_attention_heads

    @contextmanager
    def attend_with(self, layer: Layer, function: Attend, where: str = "spatial") -> Iterator[None]:
        """See `Model.attend_with`; the tokens are (videos, frames * h * w, channels), as attention spans all frames."""
        if where == "temporal":
            raise InputError(f"{self.name} has no temporal attention: its own spans space and time at once")
        with ExitStack() as undo:
            for transformer in self.denoisers:
                grid: list[int] = []
                undo.callback(transformer.register_forward_pre_hook(partial(_measure, grid)).remove)
                attention = transformer.blocks[layer].attn1
                processor = attention.processor

                def compute(attention, hidden, text, mask, rotary, grid=grid, processor=processor):
                    usual = partial(processor, attention, hidden, text, mask, rotary)
                    return function(PlacedAttention(attention, rotary), hidden, tuple(grid), usual)

                undo.callback(setattr, attention, "processor", processor)
                attention.processor = compute
            yield

    @contextmanager
    def watch(self, layer: Layer, look: Observer, where: str = "spatial") -> Iterator[None]:
        """See `Model.watch`. Of two transformers, whichever runs is watched."""

        def see(attention: nn.Module | None, hidden: Tokens, grid: Sequence[int]) -> None:
            look(attention, hidden if where == "own" else hidden.unflatten(1, (grid[0], -1))[0], (grid[1], grid[2]))

        def see_first(attention: nn.Module, hidden: Tokens, grid: Sequence[int], usual: Callable[[], Tokens]) -> Tokens:
            see(attention, hidden, grid)
            return usual()

        with ExitStack() as undo:
            if where != "block":
                undo.enter_context(self.attend_with(layer, see_first, where))
            for transformer in self.denoisers if where == "block" else ():
                grid: list[int] = []
                undo.callback(transformer.register_forward_pre_hook(partial(_measure, grid)).remove)
                hook = lambda _block, _args, output, grid=grid: see(None, output, grid)  # noqa: E731
                undo.callback(transformer.blocks[layer].register_forward_hook(hook).remove)
            yield

    # --- what a backward pass keeps ---

    def modules_to_recompute(self, mode: str, last: Layer | None) -> Iterator[nn.Module]:
        """Feed-forward networks ("selective"), or whole blocks but the one in which the pass ends ("full")."""
        for transformer in self.denoisers:
            if mode == "selective":
                yield from (module for module in transformer.modules() if isinstance(module, FeedForward))
            elif mode == "full":
                yield from (block for number, block in enumerate(transformer.blocks) if number != last)

    def kept_size(self, settings: Settings, mode: str) -> int:
        """Channels times tokens, over all blocks to the last; the numbers of times are fitted to counts.

        Where every token has a time of its own, so it has six scales and shifts in fp32.
        """
        _, _, h, w = self.latent_shape(settings)
        times = {"fast": 21, "selective": 17, "full": 2}[mode] + 12 * (self.expand_timesteps and mode != "full")
        return times * (1 + max(settings.layers)) * self._width * h * w // 4

    def layer_cell(self, layers: tuple[Layer, ...]) -> int:
        """A token's, in every block."""
        return self.vae_factor * self.transformer.config.patch_size[1]

    def feature_channels(self, layers: tuple[Layer, ...]) -> int:
        """As many as a token has, in each block."""
        return len(layers) * self._width

    @property
    def _width(self) -> int:
        return self.transformer.config.num_attention_heads * self.transformer.config.attention_head_dim


# the arguments of diffusers' pipeline
_PARTS = (
    *("vae", "scheduler", "transformer", "transformer_2"),
    *("text_encoder", "tokenizer", "image_encoder", "image_processor"),
)


def _measure(grid: list[int], transformer: WanTransformer3DModel, args: tuple) -> None:
    """Write (frames, h, w) of the tokens of a pass."""
    _, height, width = transformer.config.patch_size
    grid[:] = args[0].shape[2], args[0].shape[3] // height, args[0].shape[4] // width


def _with_first(videos: Tensor, first: Tensor) -> Tensor:
    """Videos (batch, channels, frames, h, w) that begin with a clean latent, through which no gradient flows."""
    return torch.cat([first.to(videos).expand(len(videos), -1, -1, -1, -1), videos[:, :, 1:]], dim=2)


class PlacedAttention(nn.Module):
    """A block's self-attention as features take it apart: projections, with norms and rotary positions.

    Tokens are (n, length, channels), in the order of the video's: their positions are those of the first n * length.
    """

    def __init__(self, attention: nn.Module, rotary: tuple[Tensor, Tensor], positions: str = "own"):
        super().__init__()
        self.attention, self.heads, self.to_out = attention, attention.heads, attention.to_out
        self.rotary = rotary  # cosines and sines of every position, each twice
        self.positions = positions  # or "same time": queries take the first frame's; or "none"

    def placed(self, positions: str) -> "PlacedAttention":
        """The same layer with other positions."""
        return PlacedAttention(self.attention, self.rotary, positions)

    def to_q(self, hidden: Tensor) -> Tensor:
        """Queries, normed and placed."""
        return self._rotated(self.attention.norm_q(self.attention.to_q(hidden)), self.positions == "same time")

    def to_k(self, hidden: Tensor) -> Tensor:
        """Keys, normed and placed."""
        return self._rotated(self.attention.norm_k(self.attention.to_k(hidden)))

    def to_v(self, hidden: Tensor) -> Tensor:
        """Values, which have no position."""
        return self.attention.to_v(hidden)

    def _rotated(self, tokens: Tensor, first_frame: bool = False) -> Tensor:
        """The arithmetic of diffusers' WanAttnProcessor."""
        if self.positions == "none":
            return tokens
        frames, places = tokens.shape[:2]
        cos, sin = (each[0, : places if first_frame else frames * places, :, 0::2] for each in self.rotary)
        cos, sin = (each.unflatten(0, (-1, places)) for each in (cos, sin))
        x, y = tokens.unflatten(2, (self.heads, -1, 2)).unbind(-1)
        turned = torch.stack([x * cos - y * sin, x * sin + y * cos], dim=-1)
        return turned.flatten(2).type_as(tokens)
