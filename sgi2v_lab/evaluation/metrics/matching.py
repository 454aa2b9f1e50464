"""Do features find an object again? Matching accuracy of a box across frames, on clips whose motion is known.

SG-I2V's observation (arXiv 2411.04989, section 3) is that self-attention features of one object differ from frame to
frame, while aligned features, which attend to the first frame's keys and values, agree.
"""

from statistics import fmean
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.scenes.scenes import BenchmarkScene
from sgi2v_lab.features import assemble, extract_features
from sgi2v_lab.latents import encode_image, encode_video
from sgi2v_lab.models.model import Model
from sgi2v_lab.sampling import make_schedule
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Features
from sgi2v_lab.trajectories.boxes import latent_cells

__all__ = ["Matching", "match_scene", "matching_accuracy"]


def matching_accuracy(features: Features, cells: Int[Tensor, "boxes steps 4"]) -> tuple[float, float]:
    """How often a cell of a first-frame box finds its way into the same box in a later frame.

    The match of a cell is the cell of the later frame whose feature is nearest, by cosine; it is right inside the true
    box. A box's corners hold background, so that even perfect features stay below 1.

    `cells` are true boxes from `latent_cells`; their parts outside the grid are cut off. Returns the share of right
    matches over boxes, cells and later frames, and that of random matches. InputError: boxes for another number of
    frames, or no box that is seen in the first and a later frame.
    """
    frames, _, h, w = features.shape
    if cells.shape[1] != frames:
        raise InputError(f"the boxes are for {cells.shape[1]} frames, but the features for {frames}; give one each")
    directions = F.normalize(features.float(), dim=1).flatten(2)  # (frames, channels, h * w)
    inside = torch.zeros(len(cells), frames, h, w, dtype=torch.bool)
    for k, box in enumerate(cells.tolist()):
        for f, (x0, y0, x1, y1) in enumerate(box):
            inside[k, f, max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = True
    right, chance = [], []
    for mask in inside.flatten(2):
        start = directions[0][:, mask[0]]
        for f in range(1, frames):
            if mask[0].any() and mask[f].any():
                nearest = (start.T @ directions[f]).argmax(dim=1)
                right.append(mask[f][nearest].float().mean().item())
                chance.append(mask[f].float().mean().item())
    if not right:
        raise InputError("no box is seen in the first and in a later frame, so there is nothing to match")
    return fmean(right), fmean(chance)


class Matching(NamedTuple):
    """How well one kind of features matches at one noise level."""

    sigma: float
    accuracy: float
    chance: float  # accuracy of random matches


@torch.no_grad()
def match_scene(model: Model, scene: BenchmarkScene, step: int, kind: str, settings: Settings) -> Matching:
    """Noise a scene's true clip to the level of one denoising step, and match its features across frames.

    The step counts from 0, the kind is one of `record_features`, and of the settings layers, size and schedule count.
    """
    size = (settings.width, settings.height)
    frames, _, h, w = model.latent_shape(settings)
    settings = settings.replace(num_frames=frames, **scene.motion(frames))
    clip, generator = scene.clip(size, frames), torch.Generator().manual_seed(scene.seed)
    conditioning = encode_image(model, clip[0], settings, generator)
    clean = encode_video(model, clip, settings.decode_chunk_size)
    sigma = make_schedule(model, settings).sigmas[step].to(model.device)
    noisy = clean + sigma * torch.randn(clean.shape, generator=generator).to(clean)
    maps = extract_features(model, noisy, sigma, conditioning, settings.layers, kind)
    cells = latent_cells(scene.asked(size, frames).boxes(frames), model.vae_factor, h, w)
    return Matching(sigma.item(), *matching_accuracy(assemble(maps, (h, w)).cpu(), cells))
