"""Stable Video Diffusion: its five parts, how its first frame enters, and where its attention sits.

Blattmann et al. 2023, "Stable Video Diffusion" (arXiv 2311.15127), in diffusers' StableVideoDiffusionPipeline format.
This is the only file that knows the network; the stages call the methods of `Model`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from diffusers import StableVideoDiffusionPipeline, UNetSpatioTemporalConditionModel
from diffusers.models.attention import BasicTransformerBlock, FeedForward, TemporalBasicTransformerBlock
from diffusers.models.resnet import AlphaBlender, SpatioTemporalResBlock, TemporalResnetBlock
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float
from torch import Tensor, nn
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.identity_blocks import forward_as
from sgi2v_lab.models.model import Attend, Layer, Model, Observer, Tokens
from sgi2v_lab.models.precision import precise_vae
from sgi2v_lab.models.presets import SVD_PRESETS, Presets
from sgi2v_lab.settings import FEATURE_KINDS, Settings
from sgi2v_lab.shapes import Image, Latents, Video

__all__ = ["SVDConditioning", "StableVideoDiffusion"]


@dataclass(frozen=True)
class SVDConditioning:
    """What SVD's UNet is given of the first frame."""

    embedding: Float[Tensor, "batch 1 embedding"]  # CLIP's token, for cross-attention
    image_latents: Float[Tensor, "batch frames channels h w"]  # the first frame's, for every frame; not scaled
    time_ids: Float[Tensor, "batch 3"]  # fps - 1, motion bucket, noise augmentation

    def with_unconditional(self) -> "SVDConditioning":
        """A batch of two; the unconditional video is given neither the first frame's token nor its latents."""
        return SVDConditioning(
            embedding=torch.cat([torch.zeros_like(self.embedding), self.embedding]),
            image_latents=torch.cat([torch.zeros_like(self.image_latents), self.image_latents]),
            time_ids=torch.cat([self.time_ids, self.time_ids]),
        )


@dataclass
class StableVideoDiffusion(Model):
    """The parts of a Stable Video Diffusion checkpoint: `vae` and `scheduler`, and these three."""

    unet: UNetSpatioTemporalConditionModel
    image_encoder: CLIPVisionModelWithProjection
    feature_extractor: CLIPImageProcessor

    @classmethod
    def from_pipeline(
        cls, pipeline: StableVideoDiffusionPipeline, name: str, settings: Settings, presets: Presets = SVD_PRESETS
    ) -> "StableVideoDiffusion":
        """Take the parts of a diffusers pipeline; their weights are frozen."""
        names = ("vae", "unet", "image_encoder", "scheduler", "feature_extractor")
        for part in (pipeline.vae, pipeline.unet, pipeline.image_encoder):
            part.eval().requires_grad_(False)
        parts = {part: getattr(pipeline, part) for part in names}
        return cls(name=name, settings=settings, presets=presets, **parts)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """VAE, UNet and image encoder."""
        return {"vae": self.vae, "unet": self.unet, "image_encoder": self.image_encoder}

    @property
    def denoiser(self) -> nn.Module:
        """The UNet."""
        return self.unet

    @property
    def layers(self) -> tuple[Layer, ...]:
        """(up block, transformer) of every transformer in the decoding half."""
        return tuple(layer for layer in self.all_layers if len(layer) == 2)

    @property
    def all_layers(self) -> tuple[Layer, ...]:
        """("down", block, transformer), then ("mid", 0, transformer), then (up block, transformer)."""
        return tuple(self._transformers())

    def _transformers(self) -> dict[Layer, TransformerSpatioTemporalModel]:
        blocks: list[tuple[Layer, nn.Module]] = [(("down", b), block) for b, block in enumerate(self.unet.down_blocks)]
        blocks += [(("mid", 0), self.unet.mid_block), *(((b,), block) for b, block in enumerate(self.unet.up_blocks))]
        return {(*name, t): each for name, block in blocks for t, each in enumerate(getattr(block, "attentions", ()))}

    @property
    def feature_kinds(self) -> tuple[str, ...]:
        """All but those that change rotary positions, which SVD has not."""
        return tuple(kind for kind in FEATURE_KINDS if not kind.startswith("aligned-"))

    @property
    def latent_channels(self) -> int:
        """4 for SVD, 8 for the toy."""
        return self.unet.config.out_channels

    @property
    def vae_factor(self) -> int:
        """The VAE halves the picture between its levels."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def size_step(self) -> int:
        """Every level of the UNet halves the latents, except the last; sizes that do not divide break its skips."""
        return self.vae_factor * 2 ** (len(self.unet.config.block_out_channels) - 1)

    def num_frames(self, settings: Settings) -> int:
        """14 for SVD, 25 for SVD-XT, unless the settings say otherwise."""
        return settings.num_frames or self.unet.config.num_frames

    # --- pixels, latents, noise ---

    def to_latents(self, pixels: Video, chunk: int | None) -> Latents:
        """scaling_factor * E(pixels); each frame is encoded by itself."""
        pieces = [self.vae.encode(piece).latent_dist.mode() for piece in pixels.split(chunk or len(pixels))]
        return self.vae.config.scaling_factor * torch.cat(pieces)

    def to_pixels(self, latents: Latents, chunk: int | None) -> Iterator[Video]:
        """With fewer frames at a time the temporal decoder sees fewer neighbours."""
        scaled = (1 / self.vae.config.scaling_factor * latents).to(self.vae.dtype)
        for piece in scaled.split(chunk or len(scaled)):
            yield self.vae.decode(piece, num_frames=len(piece)).sample

    @property
    def decoding_size(self) -> int:
        """Six times the channels of the VAE's first level and once those of the second, at every pixel."""
        channels = self.vae.config.block_out_channels
        return (6 * channels[0] + channels[min(1, len(channels) - 1)]) * self.vae_factor**2

    def noisy(self, clean: Latents, noise: Latents, sigma: float | Tensor) -> Latents:
        """Variance explodes: z + sigma n (Karras et al. 2022, arXiv 2206.00364)."""
        return clean + sigma * noise

    def spread(self, sigma: Tensor) -> Tensor:
        """sqrt(sigma^2 + 1), as clean latents have about unit variance."""
        return (sigma**2 + 1).sqrt()

    # --- the first frame ---

    @torch.no_grad()
    def encode_first_frame(self, image: Image, settings: Settings, generator: torch.Generator) -> SVDConditioning:
        """CLIP turns the picture into one token; the VAE turns it, with a little noise, into latents.

        The noise is drawn from `generator` on the CPU, so that a seed means the same on every device.
        """
        # the memory layout that diffusers' pipeline arrives at; convolutions round differently in another one
        image = image[None].float().clone(memory_format=torch.channels_last)
        small = (_resize_with_antialiasing(image * 2 - 1, (224, 224)) + 1) / 2
        pixels = self.feature_extractor(
            images=small,
            do_normalize=True,
            do_center_crop=False,
            do_resize=False,
            do_rescale=False,
            return_tensors="pt",
        ).pixel_values
        embedding = self.image_encoder(pixels.to(self.device, self.dtype)).image_embeds[:, None]

        noise = randn_tensor(image.shape, generator=generator, dtype=image.dtype)
        noisy = (2.0 * image - 1.0) + settings.noise_aug_strength * noise
        with precise_vae(self.vae):
            latents = self.vae.encode(noisy.to(self.device, self.vae.dtype)).latent_dist.mode()
        ids = [settings.fps - 1, settings.motion_bucket_id, settings.noise_aug_strength]
        return SVDConditioning(
            embedding=embedding,
            image_latents=latents.to(self.dtype).repeat(self.num_frames(settings), 1, 1, 1)[None],
            time_ids=torch.tensor([ids], dtype=self.dtype, device=self.device),
        )

    def random_conditioning(self, settings: Settings, noise: Callable[..., Tensor]) -> SVDConditioning:
        """See `Model.random_conditioning`."""
        return SVDConditioning(
            embedding=noise(1, 1, self.unet.config.cross_attention_dim),
            image_latents=noise(1, *self.latent_shape(settings)),
            time_ids=torch.tensor([[6.0, 127.0, 0.02]]).to(self.device, self.dtype),
        )

    # --- a pass of the UNet ---

    def predict(self, scaled: Tensor, timestep: Tensor, conditioning: SVDConditioning) -> Tensor:
        """V (batch, frames, channels, h, w) for scaled noisy videos of the same shape."""
        return self.unet(
            torch.cat([scaled, conditioning.image_latents], dim=2),
            timestep,
            encoder_hidden_states=conditioning.embedding,
            added_time_ids=conditioning.time_ids,
            return_dict=False,
        )[0]

    def run_conditional(self, latents: Latents, sigma: float | Tensor, conditioning: SVDConditioning) -> None:
        """As `predict`, scaled as SVD's scheduler does: the input by 1 / sqrt(sigma^2 + 1), the time ln(sigma) / 4."""
        sigma = torch.as_tensor(sigma, dtype=torch.float32, device="cpu")
        if conditioning is not None and latents.shape != conditioning.image_latents.shape[1:]:
            wanted = tuple(conditioning.image_latents.shape[1:])
            raise InputError(f"the latents have shape {tuple(latents.shape)}: expected {wanted}, the conditioning's")
        if not sigma > 0:
            raise InputError(f"sigma is {sigma:g}: expected a noise level above 0, as at every step of a schedule")
        scaled = (latents / (sigma**2 + 1).sqrt()).to(self.dtype)
        # written by the device itself: a copy of a number would wait for its other work
        time = torch.full((), (0.25 * sigma.log()).item(), device=latents.device)
        self.predict(scaled[None], time, conditioning)

    @contextmanager
    def for_one_video(self) -> Iterator[None]:
        """Cross-attention to one token is that token's value everywhere, since a softmax over one key is 1.

        So queries and keys are skipped, and the value is computed once: 5% of a control iteration's operations.
        Spatial and temporal results are blended by one number for all frames, as none of them is a single image; that
        takes two of three casts out of an iteration.
        """
        transformers = BasicTransformerBlock | TemporalBasicTransformerBlock
        with ExitStack() as undo:
            for block in self.unet.modules():
                if isinstance(block, AlphaBlender):
                    undo.enter_context(forward_as(block, partial(_blend, block)))
                elif isinstance(block, transformers) and block.attn2 is not None:
                    undo.callback(setattr, block.attn2, "processor", block.attn2.processor)
                    block.attn2.processor = _Processor(_value_of_one_token)
                    undo.enter_context(forward_as(block.norm2, lambda hidden: hidden))  # only queries are made of it
            yield

    # --- where its attention sits ---

    def _attention(self, layer: Layer, where: str) -> nn.Module:
        """Spatial self-attention belongs to a transformer's first half, temporal to its second."""
        transformer = self._transformers()[layer]
        half = transformer.temporal_transformer_blocks if where == "temporal" else transformer.transformer_blocks
        return half[0].attn1

    def heads(self, layer: Layer, where: str = "spatial") -> int:
        """The UNet's, by level."""
        return self._attention(layer, where).heads

    @contextmanager
    def attend_with(self, layer: Layer, function: Attend, where: str = "spatial") -> Iterator[None]:
        """See `Model.attend_with`. The function stands in for diffusers' attention processor."""
        attention = self._attention(layer, where)
        processor = attention.processor
        grid: dict[str, int] = {}

        def measure(_module: nn.Module, args: tuple, kwargs: dict) -> None:
            grid["frames"] = kwargs["image_only_indicator"].shape[-1]
            grid["h"], grid["w"] = args[0].shape[-2:]

        def compute(attention: nn.Module, hidden: Tensor, *args: object, **kwargs: object) -> Tensor:
            usual = partial(processor, attention, hidden, *args, **kwargs)
            return function(attention, hidden, (grid["frames"], grid["h"], grid["w"]), usual)

        with ExitStack() as undo:
            transformer = self._transformers()[layer]
            undo.callback(transformer.register_forward_pre_hook(measure, with_kwargs=True).remove)
            undo.callback(setattr, attention, "processor", processor)
            attention.processor = _Processor(compute)
            yield

    @contextmanager
    def watch(self, layer: Layer, look: Observer, where: str = "spatial") -> Iterator[None]:
        """See `Model.watch`."""

        def see(
            attention: nn.Module, hidden: Tokens, grid: tuple[int, int, int], usual: Callable[[], Tokens]
        ) -> Tokens:
            frames, h, w = grid
            look(attention, hidden[-(h * w if where == "temporal" else frames) :], (h, w))
            return usual()

        def see_output(_module: nn.Module, _args: tuple, kwargs: dict, output: tuple[Tensor, ...]) -> None:
            maps = output[0][-kwargs["image_only_indicator"].shape[-1] :]
            look(None, maps.flatten(2).transpose(1, 2), tuple(maps.shape[-2:]))

        with ExitStack() as undo:
            if where == "block":
                transformer = self._transformers()[layer]
                undo.callback(transformer.register_forward_hook(see_output, with_kwargs=True).remove)
            else:
                undo.enter_context(self.attend_with(layer, see, where))
            yield

    # --- what a backward pass keeps ---

    def modules_to_recompute(self, mode: str, last: Layer | None) -> Iterator[nn.Module]:
        """Feed-forward networks and temporal residual blocks ("selective"), or whole layers ("full").

        The layer in which the pass ends is kept: its recomputation would come first, while everything else is still
        stored, and so would not lower the peak.
        """
        kinds = {
            "fast": (),
            "selective": (FeedForward, TemporalResnetBlock),
            "full": (SpatioTemporalResBlock, TransformerSpatioTemporalModel),
        }[mode]
        spared: tuple[nn.Module, ...] = ()
        if mode == "full" and last is not None:
            block = self.unet.up_blocks[last[0]]
            spared = block.resnets[last[1]], block.attentions[last[1]]
        yield from (module for module in self.unet.modules() if isinstance(module, kinds) and module not in spared)

    def kept_size(self, settings: Settings, mode: str) -> int:
        """Channels times cells, summed over residual blocks, down and up again to the last block that is run.

        How many times that is fitted to counts for SVD, its miniature and the toy.
        """
        _, _, h, w = self.latent_shape(settings)
        widths, last = self.unet.config.block_out_channels, max(block for block, _ in settings.layers)
        levels = [*zip(self.unet.down_blocks, range(len(widths)), strict=True), (self.unet.mid_block, len(widths) - 1)]
        levels += [(block, len(widths) - 1 - n) for n, block in enumerate(self.unet.up_blocks) if n <= last]
        one = sum(len(block.resnets) * widths[level] * (h * w) // 4**level for block, level in levels)
        return {"fast": 56, "selective": 19, "full": 9}[mode] * one

    def layer_cell(self, layers: tuple[Layer, ...]) -> int:
        """A latent cell in the last up block, and twice as many pixels in each one before it."""
        blocks = len(self.unet.up_blocks)
        return self.vae_factor * 2 ** min(blocks - 1 - block for block, _ in layers if block < blocks)

    def feature_channels(self, layers: tuple[Layer, ...]) -> int:
        """As many as the up block has."""
        return sum(self.unet.config.block_out_channels[-1 - block] for block, _ in layers)


@dataclass(frozen=True)
class _Processor:
    """A function as diffusers' attention processor.

    At each attention diffusers inspects the processor's `__call__`: a method's in 0.02 ms, a function's in 0.5 ms.
    """

    function: Callable[..., Tensor]

    def __call__(self, *args: object, **kwargs: object) -> Tensor:
        return self.function(*args, **kwargs)


def _value_of_one_token(attention: nn.Module, hidden: Tensor, encoder_hidden_states: Tensor, **_: object) -> Tensor:
    value = attention.to_out[0](attention.to_v(encoder_hidden_states[:1]))
    return value.expand(*hidden.shape[:2], -1)


def _blend(blender: AlphaBlender, x_spatial: Tensor, x_temporal: Tensor, image_only_indicator: Tensor) -> Tensor:
    alpha = blender.mix_factor.sigmoid()
    return alpha * x_spatial + (1.0 - alpha) * x_temporal
