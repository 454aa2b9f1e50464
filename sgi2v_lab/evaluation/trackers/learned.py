"""Trained networks as point trackers: CoTracker3 and TAPNext. Their code and weights are not part of this package.

CoTracker3 (Karaev et al. 2024, arXiv 2410.11831): published ObjMC and CTD are measured with it. Its licence, CC-BY-NC
4.0, excludes commercial use. `load_cotracker` takes it from torch.hub or from a clone of the repository.

TAPNext (Zholus et al. 2025, arXiv 2504.05579): free for commercial use; code Apache-2.0, weights CC-BY 4.0. Install the
code, which needs torchvision and einops, by `pip install git+https://github.com/google-deepmind/tapnet.git`, and
download the weights.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.trackers.tracks import PointTracker, Tracks
from sgi2v_lab.shapes import Video

__all__ = ["cotracker", "load_cotracker", "load_tapnext", "tapnext"]

COTRACKER = "facebookresearch/co-tracker"
COTRACKER_WEIGHTS = "https://huggingface.co/facebook/cotracker3/resolve/main/scaled_offline.pth"
TAPNEXT = "https://github.com/google-deepmind/tapnet"
TAPNEXT_WEIGHTS = "https://storage.googleapis.com/dm-tapnet/tapnext/bootstapnext_ckpt.npz"
SIDE = 256  # pixels; the published TAPNext networks see square frames of this size


def cotracker(module: nn.Module) -> PointTracker:
    """A point tracker made of a module with CoTracker's call signature.

    The module is called as `module(video, queries=queries)` with a video (1, frames, 3, h, w) in 0..255 and queries
    (1, n, 3), each (frame, x, y). It returns tracks (1, frames, n, 2) and visibility (1, frames, n[, 1]). The centre of
    its first pixel is (0, 0), and ours is (0.5, 0.5).
    """

    def ask(video: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        queries = torch.cat([torch.zeros_like(points[:, :1]), points - 0.5], dim=1)
        found = module(video[None] * 255, queries=queries[None])
        tracks, visibility = _checked(found, 1, len(video), len(points), "cotracker3")
        return tracks + 0.5, visibility > 0.5

    return _tracker("cotracker3", module, ask)


def tapnext(module: nn.Module) -> PointTracker:
    """A point tracker made of a module with the call signature of `TAPNext` in tapnet's tapnext_torch.py.

    The module is called as `module(video=video, query_points=queries)` with a video (1, frames, side, side, 3) in -1..1
    and queries (1, n, 3), each (frame, y, x) in pixels of that size. It returns tracks (1, frames, n, 2), each (y, x),
    their logits, the logits of visibility (1, frames, n, 1), and its state. The corner of its first pixel is (0, 0), as
    here. All frames go in at once.
    """

    def ask(video: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        size = torch.tensor([video.shape[-1], video.shape[-2]])
        small = F.interpolate(video, size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        points = points * SIDE / size.to(points)
        queries = torch.cat([torch.zeros_like(points[:, :1]), points.flip(-1)], dim=1)
        found = module(video=small.permute(0, 2, 3, 1)[None] * 2 - 1, query_points=queries[None])
        tracks, visibility = _checked(found, 2, len(video), len(points), "tapnext")
        return tracks.flip(-1) * size / SIDE, visibility > 0

    return _tracker("tapnext", module, ask)


def load_cotracker(
    repository: str | Path | None = None, checkpoint: str | Path | None = None, device: str | torch.device = "cpu"
) -> PointTracker:
    """Load CoTracker3 (offline) as a `PointTracker`.

    Without arguments, torch.hub fetches code and weights from GitHub and Hugging Face, or takes them from its cache;
    this runs code from the network. It needs einops and whatever else its `hubconf.py` names.

    Args:
        repository: a folder with CoTracker's `hubconf.py` (a clone, or torch.hub's cache); None for torch.hub.
        checkpoint: weights, such as scaled_offline.pth; None for those that the repository fetches itself.
        device: where the module runs.

    Raises:
        InputError: a missing folder or file, no network, missing dependencies, or weights of another network.
    """
    file = None if checkpoint is None else _existing(checkpoint, COTRACKER_WEIGHTS)
    if repository is not None and not (Path(repository) / "hubconf.py").is_file():
        raise InputError(f"{str(repository)!r} holds no hubconf.py; give a clone of https://github.com/{COTRACKER}")
    where = COTRACKER if repository is None else str(repository)
    options = {"trust_repo": True} if repository is None else {"source": "local"}
    try:
        predictor = torch.hub.load(where, "cotracker3_offline", pretrained=file is None, **options)
    except (OSError, RuntimeError, ImportError) as error:  # a failed download is an OSError
        raise InputError(
            f"cannot load CoTracker3 from {where} ({_first_line(error)}); without a network, clone "
            f"https://github.com/{COTRACKER}, download {COTRACKER_WEIGHTS}, and call load_cotracker(repository=CLONE, "
            "checkpoint=FILE)"
        ) from error
    if file is not None:
        try:
            weights = torch.load(file, map_location="cpu", weights_only=True)
            weights = weights.get("model", weights)  # as training writes it
            getattr(predictor, "model", predictor).load_state_dict(weights)  # the predictor wraps the network
        except Exception as error:  # a bad file fails in torch in many ways
            why = f"does not hold CoTracker3's weights ({_first_line(error)})"
            raise InputError(f"{file} {why}; get {COTRACKER_WEIGHTS}") from error
    return cotracker(predictor.to(device))


def load_tapnext(checkpoint: str | Path | None = None, device: str | torch.device = "cpu") -> PointTracker:
    """Load TAPNext as a `PointTracker`.

    Args:
        checkpoint: bootstapnext_ckpt.npz or tapnext_ckpt.npz (JAX arrays), or TAPNext++'s tapnextpp_ckpt.pt; None for
            bootstapnext_ckpt.npz in torch.hub's folder of checkpoints.
        device: where the module runs.

    Raises:
        InputError: the package tapnet is not installed, or the file is missing or holds something else.
    """
    try:
        code, utils = (import_module(f"tapnet.tapnext.{name}") for name in ("tapnext_torch", "tapnext_torch_utils"))
    except ImportError as error:
        raise InputError(f"TAPNext's code cannot be imported ({error}); pip install git+{TAPNEXT}.git") from error
    usual = Path(torch.hub.get_dir()) / "checkpoints" / Path(TAPNEXT_WEIGHTS).name
    file = _existing(checkpoint or usual, TAPNEXT_WEIGHTS)
    module = code.TAPNext(image_size=(SIDE, SIDE))
    try:
        if file.suffix == ".npz":
            module = utils.restore_model_from_jax_checkpoint(module, str(file))
        else:
            weights = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
            module.load_state_dict({name.removeprefix("tapnext."): value for name, value in weights.items()})
    except Exception as error:  # a bad file fails in numpy or torch in many ways
        why = f"does not hold TAPNext's weights ({_first_line(error)})"
        raise InputError(f"{file} {why}; get {TAPNEXT_WEIGHTS}") from error
    return tapnext(module.to(device))


def _tracker(name: str, module: nn.Module, ask: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> PointTracker:
    """A tracker that runs on the module's device; `ask` gives tracks (frames, n, 2) in pixels, and what can be seen.

    Where the module says that a point is hidden, its guess of the position is kept, as published figures do.
    """
    module.eval()

    @torch.no_grad()
    def follow(video: Video, points: Float[Tensor, "n 2"]) -> Tracks:
        if not len(points):
            return Tracks(torch.zeros(0, len(video), 2), torch.zeros(0, len(video), dtype=torch.bool), name)
        held = next((each for each in (*module.parameters(), *module.buffers())), torch.zeros(()))
        tracks, visible = ask(
            video.detach().float().clamp(0, 1).to(held.device), points.detach().float().to(held.device)
        )
        return Tracks(tracks.transpose(0, 1), visible.T.contiguous(), name)

    return follow


def _checked(found: Sequence[object], seen_at: int, frames: int, count: int, name: str) -> tuple[Tensor, Tensor]:
    """Tracks (frames, count, 2) and visibility (frames, count) on the CPU; InputError where a module gives others."""
    shapes = [tuple(each.shape) if isinstance(each, Tensor) else None for each in found]
    tracks, seen = (1, frames, count, 2), (1, frames, count)
    if shapes[:1] != [tracks] or shapes[seen_at : seen_at + 1] not in ([seen], [(*seen, 1)]):
        expected = f"expected tracks {tracks} and visibility {seen} as {name} gives"
        raise InputError(f"the tracker's module returned shapes {shapes}; {expected}: wrap it so that it does")
    return found[0][0].float().cpu(), found[seen_at].reshape(frames, count).cpu()


def _first_line(error: Exception) -> str:
    """The first line of an error's message, at most 200 characters."""
    return (str(error) or type(error).__name__).splitlines()[0][:200]


def _existing(file: str | Path, url: str) -> Path:
    """The file as a path; InputError, with where to get it, if there is none."""
    if not Path(file).is_file():
        raise InputError(f"there is no file {str(file)!r}; download {url} and give its path")
    return Path(file)
