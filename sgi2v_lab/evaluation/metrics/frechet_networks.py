"""FID and FVD: Frechet distances in the feature spaces of the networks that published figures are measured with.

Neither network is part of this package, and nothing takes their place: without the file there is no figure. Both files
are TorchScript and hold code as well as weights: take them from where they are published. torchmetrics collects the
moments and computes the distance, of clips as of pictures.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.frechet import Clips, check_clips
from sgi2v_lab.evaluation.metrics.measured import Found

__all__ = ["I3D", "INCEPTION", "FeatureNetwork", "fid", "find_network", "fvd"]


@dataclass(frozen=True)
class FeatureNetwork:
    """A published network: where its file is found, and what it gives and needs."""

    name: str
    url: str
    features: int
    least_frames: int


# The TensorFlow Inception of Heusel et al. 2017 as StyleGAN2-ADA ships it, which resizes and scales pictures itself.
NVIDIA = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt"
INCEPTION = FeatureNetwork("Inception v3 (2015-12-05)", NVIDIA, features=2048, least_frames=1)
# The I3D of Unterthiner et al. 2018, trained on Kinetics-400, as StyleGAN-V ships it; its features are the 400 logits.
# It halves time three times and then averages pairs, hence at least nine frames.
DROPBOX = "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1"
I3D = FeatureNetwork("I3D (Kinetics-400)", DROPBOX, features=400, least_frames=9)


def fid(real: Clips, generated: Clips, inception: str | Path | nn.Module | None = None) -> Found:
    """FID, the Frechet Inception distance (Heusel et al. 2017), of all frames; 0 and more, lower is better.

    The squared Wasserstein distance of two Gaussians, fitted to the 2048 features of Inception's last pooling layer. It
    sees looks, not motion. It depends on the resolution and on the number of frames: it falls as they become more, and
    with fewer frames than features it is far too large.

    Clips are (frames, 3, h, w) in 0..1, all of one shape. The network is inception-2015-12-05.pt (TorchScript), or a
    module called as `module(bytes, return_features=True)` with (n, 3, h, w) in 0..255; None looks in torch.hub's folder
    of checkpoints. InputError: no file, another network, clips that do not compare, or fewer than two frames.
    """
    return _score(INCEPTION, real, generated, inception)


def fvd(real: Clips, generated: Clips, i3d: str | Path | nn.Module | None = None) -> Found:
    """FVD, the Frechet video distance (Unterthiner et al. 2018, arXiv 1812.01717); 0 and more, lower is better.

    As `fid`, of whole clips of at least 9 frames, by the 400 logits of an I3D network that was trained to name actions.
    It depends on the number of clips, on their frames, rate and resolution: compare equal ones only. The file is
    i3d_torchscript.pt; a module is called as `module(clips, rescale=True, resize=True, return_features=True)` with
    (n, 3, frames, h, w) in 0..255.
    """
    return _score(I3D, real, generated, i3d)


def find_network(kind: FeatureNetwork, path: str | Path | None = None) -> Path:
    """The network's file: the given one, or that in torch.hub's folder of checkpoints; InputError if it is missing."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(kind.url.split("?")[0]).name
    file = cached if path is None else Path(path)
    if not file.is_file():
        todo = f"download {kind.url} and pass its path, or keep it as {str(cached)!r}"
        raise InputError(f"there is no {str(file)!r}, which holds {kind.name}; {todo}")
    return file


class _Features(nn.Module):
    """A network as torchmetrics calls it: with the frames of a clip as bytes, or with a batch of clips as floats."""

    def __init__(self, kind: FeatureNetwork, network: nn.Module):
        super().__init__()
        self.kind, self.network, self.num_features = kind, network, kind.features

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> Tensor:
        kind, scaling = self.kind, {"rescale": True, "resize": True} if pixels.ndim == 5 else {}
        try:
            found = self.network(pixels, return_features=True, **scaling).double()
        except (torch.jit.Error, RuntimeError, TypeError, AttributeError) as error:
            line = str(error).strip().splitlines()[-1][:200]  # TorchScript says last what is wrong
            raise InputError(f"the network fails as {kind.name} ({line}); get {kind.url}") from error
        if tuple(found.shape) != (len(pixels), kind.features):
            wanted = f"{kind.name} gives ({len(pixels)}, {kind.features}): get {kind.url}"
            raise InputError(f"the network gives {tuple(found.shape)}, but {wanted}")
        return found


def _score(kind: FeatureNetwork, real: Clips, generated: Clips, network: str | Path | nn.Module | None) -> Found:
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance
    except ImportError as error:  # also where torch-fidelity is installed without the torchvision that it needs
        raise InputError(f"torchmetrics cannot be imported ({error}); install sgi2v_lab[evaluation], or it") from error
    check_clips(real, generated)
    frames, whole = len(real[0]), kind is I3D
    if frames < kind.least_frames:
        raise InputError(f"the clips have {frames} frames, but {kind.name} needs at least {kind.least_frames}")
    counts = [len(clips) * (1 if whole else frames) for clips in (real, generated)]
    if min(counts) < 2:
        raise InputError("one picture or clip has no covariance; give at least two true and two generated ones")
    if isinstance(network, nn.Module):
        module, name = network.eval(), type(network).__name__
    else:
        file = find_network(kind, network)
        name = file.name
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is what these networks come as
                module = torch.jit.load(file, map_location="cpu").eval()
        except RuntimeError as error:
            raise InputError(f"{file} is not TorchScript, such as pytorch-fid's .pth; get {kind.url}") from error
    distance = FrechetInceptionDistance(feature=_Features(kind, module))
    for clip, true in [*((clip, True) for clip in real), *((clip, False) for clip in generated)]:
        pixels = (clip.detach().float().cpu().clamp(0, 1) * 255).round().byte()
        distance.update(pixels.transpose(0, 1)[None].float() if whole else pixels, real=true)
    details = {"network": name, "features": kind.features, "real": counts[0], "generated": counts[1]}
    return max(0.0, distance.compute().item()), details
