"""CoTracker3 as a point tracker (Karaev et al. 2024, arXiv 2410.11831): published ObjMC and CTD are measured with it.

Its code and weights are not part of this package; their licence, CC-BY-NC 4.0, excludes commercial use.
`load_cotracker` takes them from torch.hub or from a clone of the repository.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.trackers.learned import LearnedTracker, existing, first_line
from sgi2v_lab.shapes import Video

__all__ = ["CoTracker", "load_cotracker"]

REPOSITORY = "facebookresearch/co-tracker"
ENTRY = "cotracker3_offline"
WEIGHTS = "https://huggingface.co/facebook/cotracker3/resolve/main/scaled_offline.pth"
HELP = (
    f"without a network, clone https://github.com/{REPOSITORY}, download {WEIGHTS}, and call "
    "load_cotracker(repository=CLONE, checkpoint=FILE)"
)


class CoTracker(LearnedTracker):
    """A `PointTracker` made of a module with CoTracker's call signature.

    The module is called as `module(video, queries=queries)` with a video (1, frames, 3, h, w) in 0..255 and queries
    (1, n, 3), each (frame, x, y). It returns tracks (1, frames, n, 2) and visibility (1, frames, n[, 1]). The centre of
    its first pixel is (0, 0), and ours is (0.5, 0.5).
    """

    name, seen_at, threshold = "cotracker3", 1, 0.5

    def ask(self, video: Video, points: Float[Tensor, "n 2"]) -> Sequence[object]:
        """Tracks and visibility."""
        queries = torch.cat([torch.zeros_like(points[:, :1]), points - 0.5], dim=1)
        return self.module(video[None] * 255, queries=queries[None])

    def place(self, found: Float[Tensor, "frames n 2"], video: Video) -> Float[Tensor, "frames n 2"]:
        """Half a pixel further."""
        return found + 0.5


def load_cotracker(
    repository: str | Path | None = None, checkpoint: str | Path | None = None, device: str | torch.device = "cpu"
) -> CoTracker:
    """Load CoTracker3 (offline) as a `PointTracker`.

    Without arguments, torch.hub fetches code and weights from GitHub and Hugging Face, or takes them from its cache;
    this runs code from the network. It needs einops and whatever else its `hubconf.py` names.

    Args:
        repository: A folder with CoTracker's `hubconf.py` (a clone, or torch.hub's cache); None for torch.hub.
        checkpoint: Weights, such as scaled_offline.pth; None for those that the repository fetches itself.
        device: Where the module runs.

    Raises:
        InputError: A missing folder or file, no network, missing dependencies, or weights of another network.
    """
    file = None if checkpoint is None else existing(checkpoint, WEIGHTS)
    if repository is not None and not (Path(repository) / "hubconf.py").is_file():
        raise InputError(f"{str(repository)!r} holds no hubconf.py; give a clone of https://github.com/{REPOSITORY}")
    where = REPOSITORY if repository is None else str(repository)
    options = {"trust_repo": True} if repository is None else {"source": "local"}
    try:
        predictor = torch.hub.load(where, ENTRY, pretrained=file is None, **options)
    except (OSError, RuntimeError, ImportError) as error:  # a failed download is an OSError
        raise InputError(f"cannot load CoTracker3 from {where} ({first_line(error)}); {HELP}") from error
    if file is not None:
        try:
            weights = torch.load(file, map_location="cpu", weights_only=True)
            weights = weights.get("model", weights)  # as training writes it
            getattr(predictor, "model", predictor).load_state_dict(weights)  # the predictor wraps the network
        except Exception as error:  # a bad file fails in torch in many ways
            why = f"does not hold CoTracker3's weights ({first_line(error)})"
            raise InputError(f"{file} {why}; get {WEIGHTS}") from error
    return CoTracker(predictor.to(device))
