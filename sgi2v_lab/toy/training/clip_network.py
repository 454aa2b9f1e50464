"""A small network that says of a clip what is true of the toy scene in it; its 32 features measure quality.

`python -m sgi2v_lab.toy.training.clip_network --out FILE` trains it. It sees 8 frames of 64 x 64 pixels and says
what a scene knows for certain (`scene_truth`). Half of the clips that it learns from are harmed (`harm`), and it says
how much, so its features hold sharpness and steadiness too. It learns from scene seeds below `data.HELD_OUT` only,
never from those that a model is examined on. `frechet` compares the features.
"""

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
import typer
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import default_collate

from sgi2v_lab.errors import InputError
from sgi2v_lab.files import whole_file
from sgi2v_lab.toy.training.optimizers import MuonWithAdamW
from sgi2v_lab.toy.training.training import mixed_precision, update_ema
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import BACKGROUNDS, SHAPES, TEXTURES, Scene, render, true_boxes

__all__ = ["FEATURES", "HARMS", "ClipNetwork", "harm", "load_clip_network", "scene_truth", "to_network_pixels", "train"]

FEATURES, FRAMES, SIDE = 32, 8, 64
HARMS = ("blur", "noise", "flicker", "smear")
WEIGHTS = Path(__file__).with_name("clip_network.safetensors")

# Where there are two sprites, the one that starts further left comes first: an order that a viewer can see.
_SIDES = ("left", "right")
_CLASSES = {
    "count": 3,
    **{f"{side}_shape": len(SHAPES) for side in _SIDES},
    **{f"{side}_texture": len(TEXTURES) for side in _SIDES},
    "background": len(BACKGROUNDS),
}
_NUMBERS = {f"{side}_{what}": n for what, n in (("colour", 3), ("start", 2), ("move", 2)) for side in _SIDES}
_NUMBERS |= {"camera": 3, "harm": len(HARMS)}
_RATE, _BATCH, _POOL, _REUSE = 4e-3, 32, 512, 6  # learning rate, clips per step, clips kept, how often each is used
_KEPT = 256  # scenes just below `HELD_OUT` that are not trained on: they whiten the features


def scene_truth(
    scene: Scene, mirror: bool = False, flip: bool = False, transpose: bool = False, back: bool = False
) -> dict[str, Tensor]:
    """What the network should say of a scene of at most two sprites; it may be mirrored, turned, played backwards.

    Classes are whole numbers, -1 for no such sprite. Measures are floats, NaN where there are none: colours (3,) in
    0..1 (not of photographs), starts and moves (2,) as fractions of the picture, and the camera (3,) as the
    displacement of the picture's middle and the logarithm of its zoom (not over a plain background, which hides it).
    """
    ends = true_boxes(scene, 1)[:, [0, -1]].unflatten(-1, (2, 2)).mean(-2)  # centres, (sprites, 2, xy)
    shift, zoom = scene.camera[-1, :2], scene.camera[-1, 2:]
    camera = torch.cat([-shift * zoom, zoom.log()])
    if back:  # seen from the end, the world's middle goes the other way, and is not enlarged
        ends, camera = ends.flip(1), torch.cat([shift, -zoom.log()])
    signs = torch.tensor([-1.0 if mirror else 1.0, -1.0 if flip else 1.0])
    ends, camera = (ends - 0.5) * signs + 0.5, camera * torch.cat([signs, torch.ones(1)])
    if transpose:
        ends, camera = ends.flip(-1), camera[[1, 0, 2]]
    truth = {name: torch.tensor(-1) for name in _CLASSES}
    truth |= {name: torch.full((n,), float("nan")) for name, n in _NUMBERS.items() if name != "harm"}
    truth["count"], truth["background"] = torch.tensor([len(scene.sprites), BACKGROUNDS.index(scene.background)])
    if scene.background != "plain":
        truth["camera"] = camera
    order = ends[:, 0, 0].argsort().tolist() if len(ends) else []
    for side, i in zip(_SIDES, order, strict=False):
        sprite = scene.sprites[i]
        truth[f"{side}_shape"] = torch.tensor(SHAPES.index(sprite.shape))
        truth[f"{side}_texture"] = torch.tensor(TEXTURES.index(sprite.texture))
        truth[f"{side}_start"], truth[f"{side}_move"] = ends[i, 0], ends[i, 1] - ends[i, 0]
        if sprite.texture != "photo":
            share = {"plain": 0.0, "dotted": 0.3}.get(sprite.texture, 0.5)  # how much of it shows the accent
            truth[f"{side}_colour"] = torch.lerp(torch.tensor(sprite.colour), torch.tensor(sprite.accent), share)
    return truth


def harm(
    video: Float[Tensor, "frames 3 h w"], kind: str, strength: float, generator: torch.Generator | None = None
) -> Float[Tensor, "frames 3 h w"]:
    """Spoil a clip, values 0..1: strength 0 leaves it as it is, 1 is as bad as the network learns from.

    "blur" has a standard deviation of up to 2.5 / 64 of the picture's height, "noise" of up to 0.15, the brightness of
    frames in "flicker" of up to 0.25; in "smear" each frame keeps up to 0.8 of the one before. InputError: another
    kind, or a strength outside 0..1.
    """
    if kind not in HARMS or not 0 <= strength <= 1:
        raise InputError(f"harm {kind!r} of strength {strength}: expected {', '.join(HARMS)} and a strength in 0..1")
    match kind:
        case _ if strength == 0:
            return video
        case "blur":
            sigma = 2.5 / 64 * strength * video.shape[-2]
            reach = min(max(1, round(3 * sigma)), min(video.shape[-2:]) - 1)
            weights = torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * sigma**2)).to(video)
            row = (weights / weights.sum()).expand(3, 1, 1, -1)
            return F.conv2d(F.conv2d(F.pad(video, (reach,) * 4, mode="reflect"), row, groups=3), row.mT, groups=3)
        case "noise":
            return (video + 0.15 * strength * torch.randn(video.shape, generator=generator).to(video)).clamp(0, 1)
        case "flicker":
            light = torch.randn(len(video), 1, 1, 1, generator=generator).to(video)
            return (video * (1 + 0.25 * strength * light)).clamp(0, 1)
        case _:
            trails = accumulate(video, lambda kept, frame: torch.lerp(frame, kept, 0.8 * strength))
            return torch.stack(list(trails))


def to_network_pixels(video: Float[Tensor, "frames 3 h w"]) -> Float[Tensor, "8 3 64 64"]:
    """Bring a clip to what the network looks at: 8 frames, evenly spaced from first to last, of 64 x 64 pixels."""
    picked = torch.linspace(0, len(video) - 1, FRAMES).round().long()
    video = video.float()[picked.to(video.device)]
    return F.interpolate(video, size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def _layer(into: int, out: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> nn.Sequential:
    convolution = nn.Conv3d(into, out, kernel, stride, tuple(k // 2 for k in kernel), bias=False)
    return nn.Sequential(convolution, nn.BatchNorm3d(out), nn.ReLU(inplace=True))


class ClipNetwork(nn.Module):
    """Four 3D convolutions, 32 features, and a head for each answer; a third of a million weights.

    `features` are whitened: over true clips they have mean 0 and variance 1 and are not correlated (`whiten`). As the
    network makes them they mostly repeat what varies most, brightness, and a distance of them would see little else.
    """

    def __init__(self):
        super().__init__()
        self.convolutions = nn.Sequential(
            _layer(3, 16, (1, 5, 5), (1, 2, 2)),
            _layer(16, 32, (3, 3, 3), (1, 2, 2)),
            _layer(32, 64, (3, 3, 3), (2, 2, 2)),
            _layer(64, 96, (3, 3, 3), (2, 1, 1)),
        )
        # the norm keeps the features from all following what they share
        self.bottleneck = nn.Sequential(nn.Linear(96 * (2 * 4 * 4 + 1), FEATURES, bias=False), nn.BatchNorm1d(FEATURES))
        self.hidden = nn.Sequential(nn.SiLU(), nn.Linear(FEATURES, 96), nn.SiLU())
        self.heads = nn.ModuleDict({name: nn.Linear(96, n) for name, n in (_CLASSES | _NUMBERS).items()})
        self.register_buffer("centre", torch.zeros(FEATURES))
        self.register_buffer("whitening", torch.eye(FEATURES))

    def raw_features(self, clips: Float[Tensor, "clips 8 3 64 64"]) -> Float[Tensor, "clips 32"]:
        """The bottleneck's numbers as they are."""
        maps = self.convolutions(clips.transpose(1, 2) * 2 - 1)  # (clips, 96, 2, 8, 8)
        where = F.avg_pool3d(maps, (1, 2, 2)).flatten(1)  # motion takes knowing where things are, and their looks
        return self.bottleneck(torch.cat([where, maps.amax((2, 3, 4))], dim=1))  # only that they are there

    def features(self, clips: Float[Tensor, "clips 8 3 64 64"]) -> Float[Tensor, "clips 32"]:
        """The whitened features of clips in 0..1; the first ones vary most before whitening."""
        return (self.raw_features(clips) - self.centre) @ self.whitening

    def forward(self, clips: Float[Tensor, "clips 8 3 64 64"]) -> dict[str, Tensor]:
        """Every answer: logits (clips, classes), and measures (clips, n) in the units of `scene_truth`."""
        hidden = self.hidden(self.raw_features(clips))
        return {name: head(hidden) for name, head in self.heads.items()}

    @torch.no_grad()
    def whiten(self, clips: Float[Tensor, "clips 8 3 64 64"]) -> None:
        """Set mean 0, variance 1 and no correlation of the features over these clips (at least twice as many as 32)."""
        raw = self.raw_features(clips).double()
        spread, directions = torch.linalg.eigh(raw.T.cov())
        spread = spread.clamp(min=1e-5 * spread[-1])  # what hardly varies is not enlarged without end
        self.centre.copy_(raw.mean(0))
        self.whitening.copy_((directions * spread.rsqrt()).flip(-1))


@cache
def load_clip_network(path: Path = WEIGHTS) -> ClipNetwork:
    """The trained network in full precision, its weights frozen. InputError where the file is missing."""
    if not path.is_file():
        raise InputError(f"{path} is missing; train it: python -m {__name__} --out {path}")
    network = ClipNetwork()
    network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return network.eval().requires_grad_(False)


def _batches(seed: int, size: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Endless batches from a pool of scenes that is renewed as it is used; each clip is varied, every other harmed."""
    from sgi2v_lab.toy.training.data import HELD_OUT  # it brings diffusers along, which to look at a clip does not take

    rng, generator = Random(seed), torch.Generator().manual_seed(seed)
    pool: list[tuple[Tensor, Scene]] = []
    upcoming = rng.randrange(HELD_OUT - _KEPT)
    while True:
        for _ in range(2 * size if not pool else max(1, size // _REUSE)):
            scene = sample_scene(upcoming, FRAMES)
            pool.append(((render(scene, SIDE) * 255).round().byte(), scene))
            upcoming = (upcoming + 1) % (HELD_OUT - _KEPT)
        del pool[:-_POOL]
        clips, truths = [], []
        for pixels, scene in rng.sample(pool, size):
            mirror, flip, transpose, back = (rng.random() < 0.5 for _ in range(4))
            clip = pixels.float().div(255).flip([d for d, do in ((-1, mirror), (-2, flip), (0, back)) if do])
            clip = clip.transpose(-1, -2) if transpose else clip
            strengths = [0.0] * len(HARMS)
            if rng.random() < 0.5:
                for which in rng.sample(range(len(HARMS)), rng.choice((1, 1, 2))):
                    strengths[which] = rng.random()
                    clip = harm(clip, HARMS[which], strengths[which], generator)
            clips.append(clip)
            truth = scene_truth(scene, mirror=mirror, flip=flip, transpose=transpose, back=back)
            truths.append(truth | {"harm": torch.tensor(strengths)})
        yield torch.stack(clips), default_collate(truths)


def _loss(answers: dict[str, Tensor], truth: dict[str, Tensor]) -> Tensor:
    total = torch.zeros(())
    for name, wanted in truth.items():
        said = wanted >= 0 if name in _CLASSES else wanted.isfinite()
        if said.any() and name in _CLASSES:
            total = total + F.cross_entropy(answers[name][said], wanted[said])
        elif said.any():
            total = total + 8 * F.smooth_l1_loss(answers[name][said], wanted[said], beta=0.1)
    return total


def _write(network: ClipNetwork, out: Path, **facts: int) -> None:
    whole = ("centre", "whitening")
    weights = {n: v.half() if v.is_floating_point() and n not in whole else v for n, v in network.state_dict().items()}
    with whole_file(out) as temporary:
        save_file({n: v.contiguous() for n, v in weights.items()}, temporary, {n: str(v) for n, v in facts.items()})


def train(out: Path = Path("runs/clip_network.safetensors"), steps: int = 700, seed: int = 0) -> ClipNetwork:
    """Train the toy Frechet distance's network, and write its averaged weights (safetensors, half precision).

    A step takes 32 clips. The same steps and seed give the same weights on the same machine; the bundled ones have 700
    steps and seed 0. InputError: less than one step.
    """
    from sgi2v_lab.toy.training.data import HELD_OUT

    if steps < 1:
        raise InputError(f"steps={steps}: expected at least 1")
    torch.manual_seed(seed)
    network = ClipNetwork()
    average = deepcopy(network).eval()
    optimizer = MuonWithAdamW(network, first_and_last=("convolutions.0", "heads"))
    for step, (clips, wanted) in zip(range(steps), _batches(seed, _BATCH)):  # noqa: B905
        with mixed_precision():
            answers = network(clips)
        _loss({name: answer.float() for name, answer in answers.items()}, wanted).backward()
        optimizer.step(_RATE * min(1.0, (step + 1) / 20, 0.02 + 1.2 * (1 - step / steps)))
        update_ema(average, network, step + 1, decay=0.98)
        for ours, counted in zip(average.buffers(), network.buffers(), strict=True):
            ours.copy_(counted)  # what batch normalisation counts is an average already
    rounded = deepcopy(average).half().float()  # whitened as it will be read back
    rounded.whiten(torch.stack([render(sample_scene(s, FRAMES), SIDE) for s in range(HELD_OUT - _KEPT, HELD_OUT)]))
    _write(rounded, out, steps=steps, batch=_BATCH, seed=seed)
    return rounded


if __name__ == "__main__":
    typer.run(train)
