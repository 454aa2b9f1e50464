"""CoTracker3 as a point tracker (Karaev et al. 2024, arXiv 2410.11831): what published ObjMC figures are measured with.

Its code and weights are not part of this package. They come from torch.hub, from a clone of its repository, or as a
module that somebody made; `load_cotracker` takes any of them.
"""

from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.trackers.tracks import Tracks
from sgi2v_lab.shapes import Video

__all__ = ["CoTracker", "cotracker3", "load_cotracker"]

REPOSITORY = "facebookresearch/co-tracker"
ENTRY = "cotracker3_offline"
WEIGHTS = "https://huggingface.co/facebook/cotracker3/resolve/main/scaled_offline.pth"
HELP = (
    f"where there is no network, clone https://github.com/{REPOSITORY}, download {WEIGHTS}, and pass "
    "load_cotracker(repository=CLONE, checkpoint=FILE)"
)
SEEN = 0.5  # least visibility that counts as seen, of a module that gives numbers; CoTracker's own gives yes or no


class CoTracker:
    """A `PointTracker` made of a module with CoTracker's call signature.

    The module is called as `module(video, queries=queries)` with a video (1, frames, 3, h, w) in 0..255 and queries
    (1, points, 3), each (frame, x, y); it returns tracks (1, frames, points, 2) and visibility (1, frames, points), or
    with one axis of length 1 more. In its coordinates the middle of the first pixel is (0, 0), here it is (0.5, 0.5):
    half a pixel is taken off on the way in and put back on the way out.

    Where the module says that a point is hidden, its guess of the position is kept, as published figures do.
    """

    def __init__(self, module: nn.Module, name: str = "cotracker3"):
        self.module, self.name = module.eval(), name

    @torch.no_grad()
    def __call__(self, video: Video, points: Float[Tensor, "n 2"]) -> Tracks:
        """Follow points (n, 2), in pixels of the first frame, on the module's device; tracks come back on the CPU.

        Raises:
            InputError: the module returns something of another form.
        """
        frames, count = len(video), len(points)
        if count == 0:
            return Tracks(torch.zeros(0, frames, 2), torch.zeros(0, frames, dtype=torch.bool), self.name)
        held = next((p for p in (*self.module.parameters(), *self.module.buffers())), torch.zeros(()))
        clip = (video.detach().float().clamp(0, 1) * 255)[None].to(held.device)
        queries = torch.cat([torch.zeros(count, 1), points.detach().float().cpu() - 0.5], dim=1)[None]
        found = self.module(clip, queries=queries.to(held.device))
        shapes = [tuple(each.shape) for each in found] if isinstance(found, tuple | list) else [type(found).__name__]
        wanted = [(1, frames, count, 2), (1, frames, count)]
        if shapes[:2] not in (wanted, [wanted[0], (*wanted[1], 1)]):
            raise InputError(
                f"the tracker's module returned {shapes}; expected tracks {wanted[0]} and visibility {wanted[1]}, as "
                "CoTracker gives: wrap it so that it does"
            )
        visible = found[1].reshape(frames, count).cpu()
        visible = visible if visible.dtype == torch.bool else visible > SEEN
        return Tracks(found[0][0].float().cpu().transpose(0, 1) + 0.5, visible.T.contiguous(), self.name)


def load_cotracker(
    repository: str | Path | None = None,
    checkpoint: str | Path | None = None,
    device: str | torch.device = "cpu",
) -> CoTracker:
    """Load CoTracker3 (offline) as a `PointTracker`.

    With no argument, torch.hub fetches code and weights from GitHub and Hugging Face, or takes them from its cache:
    code from the network is then run on this machine. It needs einops and what else its `hubconf.py` names.

    Args:
        repository: a folder with CoTracker's `hubconf.py` (a clone, or torch.hub's cache); None for torch.hub.
        checkpoint: weights, such as scaled_offline.pth; None for those that the repository fetches itself.
        device: where the module is to run.

    Raises:
        InputError: a missing folder or file, no network, missing dependencies, or weights of another network.
    """
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise InputError(f"there is no file {str(checkpoint)!r}; give CoTracker3's weights, {WEIGHTS}")
    if repository is not None and not (Path(repository) / "hubconf.py").is_file():
        raise InputError(f"{str(repository)!r} holds no hubconf.py; give a clone of https://github.com/{REPOSITORY}")
    where = REPOSITORY if repository is None else str(repository)
    options = {"trust_repo": True} if repository is None else {"source": "local"}
    try:
        predictor = torch.hub.load(where, ENTRY, pretrained=checkpoint is None, **options)
    except (OSError, RuntimeError, ImportError) as error:  # a failed download is an OSError
        raise InputError(f"cannot load CoTracker3 from {where} ({_line(error)}); {HELP}") from error
    if checkpoint is not None:
        _load_weights(predictor, Path(checkpoint))
    return CoTracker(predictor.to(device))


def _load_weights(predictor: nn.Module, file: Path) -> None:
    try:
        weights = torch.load(file, map_location="cpu", weights_only=True)
        weights = weights.get("model", weights)  # as training writes it
        getattr(predictor, "model", predictor).load_state_dict(weights)  # the predictor wraps the network
    except Exception as error:  # a bad file fails in torch in many ways
        raise InputError(f"{file} does not hold CoTracker3's weights ({_line(error)}); get {WEIGHTS}") from error


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]


@cache
def _from_hub() -> CoTracker:
    return load_cotracker(device="cuda" if torch.cuda.is_available() else "cpu")


def cotracker3(video: Video, points: Float[Tensor, "n 2"]) -> Tracks:
    """CoTracker3 from torch.hub, loaded at the first call; InputError as `load_cotracker`."""
    return _from_hub()(video, points)
