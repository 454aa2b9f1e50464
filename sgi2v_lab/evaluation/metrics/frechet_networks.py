"""FID and FVD: Frechet distances in the feature spaces of the networks that published figures are measured with.

Neither network is part of this package, and nothing here takes their place: without the file there is no figure (the
toy's own distance, `evaluation.frechet`, has its own name). Both files are TorchScript and hold code as well as
weights: take them from where they are published.
"""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.frechet import Clips, squared_frechet

__all__ = ["I3D", "INCEPTION", "FeatureNetwork", "FrechetScore", "fid", "find_network", "fvd"]


@dataclass(frozen=True)
class FeatureNetwork:
    """A published network: its usual file, where that is found, how many features it gives, and of what."""

    name: str
    argument: str  # by which `measure` takes it
    file: str
    url: str
    features: int
    least_frames: int
    batch: int


# The TensorFlow Inception of Heusel et al. 2017 as StyleGAN2-ADA ships it. It takes bytes (n, 3, h, w) of any size, and
# resizes to 299 x 299 and scales to -1..1 itself.
INCEPTION = FeatureNetwork(
    name="Inception v3 (2015-12-05)",
    argument="inception",
    file="inception-2015-12-05.pt",
    url="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
    features=2048,
    least_frames=1,
    batch=16,
)
# The I3D of Unterthiner et al. 2018, trained on Kinetics-400, as StyleGAN-V ships it: (n, 3, frames, h, w) in 0..255,
# resized to 224 x 224 and scaled to -1..1 by itself when asked to; its features are the 400 logits. It halves time
# three times and then averages pairs, hence at least nine frames.
I3D = FeatureNetwork(
    name="I3D (Kinetics-400)",
    argument="i3d",
    file="i3d_torchscript.pt",
    url="https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
    features=400,
    least_frames=9,
    batch=4,
)


@dataclass(frozen=True)
class FrechetScore:
    """A Frechet distance and what it depends on: the network's file and its SHA-256, and how much was compared.

    With fewer pictures or clips than features (`full_rank` is False) covariances say less than they should, and the
    distance comes out larger than that of many.
    """

    value: float
    network: str
    sha256: str | None  # None for a module that was given
    features: int
    real: int
    generated: int
    frames: int
    resolution: tuple[int, int]  # width, height

    @property
    def full_rank(self) -> bool:
        """Whether there were more pictures or clips than features in both sets."""
        return min(self.real, self.generated) > self.features

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return vars(self) | {"resolution": list(self.resolution), "full_rank": self.full_rank}


def fid(real: Clips, generated: Clips, inception: str | Path | nn.Module | None = None) -> FrechetScore:
    """FID, the Frechet Inception distance (Heusel et al. 2017), of all frames; 0 and more, lower is better.

    The squared Wasserstein distance of two Gaussians, fitted to the 2048 features that Inception's last pooling layer
    gives of the frames of true and of generated clips (`frechet.squared_frechet`). It sees looks, not motion: the order
    of frames does not matter. It depends on the number of frames (it falls as they become more), on the resolution,
    and a little on how pictures are resized, which is left to the network's file, as StyleGAN2-ADA does.

    Args:
        real: true clips (frames, 3, h, w) in 0..1, all of one shape.
        generated: the clips to judge, of the same shape.
        inception: inception-2015-12-05.pt (TorchScript); or a module called as `module(bytes, return_features=True)`
            with (n, 3, h, w) in 0..255; None looks in torch.hub's folder of checkpoints.

    Raises:
        InputError: no file, one that is not this network, clips that do not compare, or fewer than two frames.
    """
    return _score(INCEPTION, real, generated, inception, _inception_features)


def fvd(real: Clips, generated: Clips, i3d: str | Path | nn.Module | None = None) -> FrechetScore:
    """FVD, the Frechet video distance (Unterthiner et al. 2018, arXiv 1812.01717); 0 and more, lower is better.

    As `fid`, of whole clips, by the 400 logits of an I3D network that was trained to name actions. The order of frames
    matters. It depends on the number of clips, on the frames of each, on their rate and on the resolution: compare
    equal ones only. Resizing and scaling are left to the network's file, as StyleGAN-V does.

    Args:
        real: true clips (frames, 3, h, w) in 0..1, all of one shape, of at least 9 frames.
        generated: the clips to judge, of the same shape.
        i3d: i3d_torchscript.pt; or a module called as `module(clips, rescale=True, resize=True,
            return_features=True)` with (n, 3, frames, h, w) in 0..255; None looks in torch.hub's folder of checkpoints.

    Raises:
        InputError: no file, one that is not this network, clips that do not compare or are too short, or fewer than
            two of them.
    """
    return _score(I3D, real, generated, i3d, _i3d_features)


def find_network(kind: FeatureNetwork, path: str | Path | None = None) -> Path:
    """The network's file: the given one, or that in torch.hub's folder of checkpoints.

    Raises:
        InputError: it is not there; the message says where to get it and how to pass it.
    """
    cached = Path(torch.hub.get_dir()) / "checkpoints" / kind.file
    file = cached if path is None else Path(path)
    if not file.is_file():
        raise InputError(
            f"there is no {str(file)!r}, which holds {kind.name}; download {kind.url} and pass its path as "
            f"{kind.argument}=, or keep it as {str(cached)!r}"
        )
    return file


@lru_cache(maxsize=2)
def _load(kind: FeatureNetwork, file: Path, changed: float) -> tuple[nn.Module, str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is what these networks come as
            network = torch.jit.load(file, map_location="cpu").eval()
    except RuntimeError as error:
        raise InputError(
            f"{file} is not TorchScript (pytorch-fid's .pth holds weights without a network); get {kind.url}"
        ) from error
    return network, hashlib.sha256(file.read_bytes()).hexdigest()


def _score(
    kind: FeatureNetwork, real: Clips, generated: Clips, network: object, features: Callable[..., Tensor]
) -> FrechetScore:
    shapes = {tuple(clip.shape) for clip in (*real, *generated)}
    if not (len(real) and len(generated)) or len(shapes) != 1:
        raise InputError(
            f"{len(real)} true and {len(generated)} generated clips of shapes {sorted(shapes)} do not compare; give "
            "some of each, all of one shape"
        )
    frames, _, height, width = next(iter(shapes))
    if frames < kind.least_frames:
        raise InputError(f"the clips have {frames} frames, but {kind.name} needs at least {kind.least_frames}")
    if isinstance(network, nn.Module):
        module, name, digest = network.eval(), type(network).__name__, None
    else:
        file = find_network(kind, network)
        module, digest = _load(kind, file, file.stat().st_mtime)
        name = file.name
    tables = [features(kind, module, clips).double() for clips in (real, generated)]
    if min(len(table) for table in tables) < 2:
        raise InputError("one picture or clip has no covariance; give at least two true and two generated ones")
    return FrechetScore(
        value=squared_frechet(*tables).item(),
        network=name,
        sha256=digest,
        features=kind.features,
        real=len(tables[0]),
        generated=len(tables[1]),
        frames=frames,
        resolution=(width, height),
    )


def _inception_features(kind: FeatureNetwork, module: nn.Module, clips: Clips) -> Tensor:
    parts = []
    for clip in clips:
        for frames in _bytes(clip).split(kind.batch):
            parts.append(_run(kind, module, frames, return_features=True))
    return torch.cat(parts)


def _i3d_features(kind: FeatureNetwork, module: nn.Module, clips: Clips) -> Tensor:
    parts = []
    for some in _batches(clips, kind.batch):
        stack = torch.stack([_bytes(clip) for clip in some]).transpose(1, 2).float()
        parts.append(_run(kind, module, stack, rescale=True, resize=True, return_features=True))
    return torch.cat(parts)


@torch.no_grad()
def _run(kind: FeatureNetwork, module: nn.Module, pixels: Tensor, **options: bool) -> Tensor:
    held = next((p for p in (*module.parameters(), *module.buffers())), torch.zeros(()))
    try:
        found = module(pixels.to(held.device), **options).cpu()
    except (torch.jit.Error, RuntimeError, TypeError, AttributeError) as error:
        line = str(error).strip().splitlines()[-1][:200]  # TorchScript says last what is wrong
        raise InputError(f"the network fails as {kind.name} ({line}); get {kind.url}") from error
    if tuple(found.shape) != (len(pixels), kind.features):
        raise InputError(
            f"the network gives {tuple(found.shape)}, but {kind.name} gives ({len(pixels)}, {kind.features}); what it "
            f"would measure has another name: get {kind.url}"
        )
    return found


def _bytes(clip: Tensor) -> Tensor:
    low, high = clip.aminmax()
    if not (low >= -0.01 and high <= 1.01):  # so written, NaN fails too
        raise InputError(f"a clip has values {low:.3g}..{high:.3g}; expected 0..1: scale or clamp it")
    return (clip.detach().float().cpu().clamp(0, 1) * 255).round().byte()


def _batches(clips: Clips, size: int) -> Iterator[Sequence[Tensor]]:
    for start in range(0, len(clips), size):
        yield clips[start : start + size]
