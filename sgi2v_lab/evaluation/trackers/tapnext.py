"""TAPNext as a point tracker (Zholus et al. 2025, arXiv 2504.05579): free for commercial use, unlike CoTracker.

Its code (Apache-2.0) and weights (CC-BY 4.0) are not part of this package. Install the code, which needs torchvision
and einops, by `pip install git+https://github.com/google-deepmind/tapnet.git`, and download the weights.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.trackers.learned import LearnedTracker, existing, first_line
from sgi2v_lab.shapes import Video

__all__ = ["TapNext", "load_tapnext"]

CODE = "https://github.com/google-deepmind/tapnet"
WEIGHTS = "https://storage.googleapis.com/dm-tapnet/tapnext/bootstapnext_ckpt.npz"
SIDE = 256  # pixels; the published networks see square frames of this size


class TapNext(LearnedTracker):
    """A `PointTracker` made of a module with the call signature of `TAPNext` in tapnet's tapnext_torch.py.

    The module is called as `module(video=video, query_points=queries)` with a video (1, frames, side, side, 3) in -1..1
    and queries (1, n, 3), each (frame, y, x) in pixels of that size. It returns tracks (1, frames, n, 2), each (y, x),
    their logits, the logits of visibility (1, frames, n, 1), and its state. The corner of its first pixel is (0, 0), as
    here. All frames go in at once.
    """

    name, seen_at, threshold = "tapnext", 2, 0.0

    def ask(self, video: Video, points: Float[Tensor, "n 2"]) -> Sequence[object]:
        """Tracks, their logits, logits of visibility, and the module's state."""
        small = F.interpolate(video, size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        points = points * SIDE / torch.tensor([video.shape[-1], video.shape[-2]]).to(points)
        queries = torch.cat([torch.zeros_like(points[:, :1]), points.flip(-1)], dim=1)
        return self.module(video=small.permute(0, 2, 3, 1)[None] * 2 - 1, query_points=queries[None])

    def place(self, found: Float[Tensor, "frames n 2"], video: Video) -> Float[Tensor, "frames n 2"]:
        """Back to (x, y) and the video's size."""
        return found.flip(-1) * torch.tensor([video.shape[-1], video.shape[-2]]) / SIDE


def load_tapnext(checkpoint: str | Path | None = None, device: str | torch.device = "cpu") -> TapNext:
    """Load TAPNext as a `PointTracker`.

    Args:
        checkpoint: bootstapnext_ckpt.npz or tapnext_ckpt.npz (JAX arrays), or TAPNext++'s tapnextpp_ckpt.pt; None for
            bootstapnext_ckpt.npz in torch.hub's folder of checkpoints.
        device: Where the module runs.

    Raises:
        InputError: The package tapnet is not installed, or the file is missing or holds something else.
    """
    try:
        code, utils = (import_module(f"tapnet.tapnext.{name}") for name in ("tapnext_torch", "tapnext_torch_utils"))
    except ImportError as error:
        raise InputError(f"TAPNext's code cannot be imported ({error}); pip install git+{CODE}.git") from error
    file = existing(checkpoint or Path(torch.hub.get_dir()) / "checkpoints" / Path(WEIGHTS).name, WEIGHTS)
    module = code.TAPNext(image_size=(SIDE, SIDE))
    try:
        if file.suffix == ".npz":
            module = utils.restore_model_from_jax_checkpoint(module, str(file))
        else:
            weights = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
            module.load_state_dict({name.removeprefix("tapnext."): value for name, value in weights.items()})
    except Exception as error:  # a bad file fails in numpy or torch in many ways
        raise InputError(f"{file} does not hold TAPNext's weights ({first_line(error)}); get {WEIGHTS}") from error
    return TapNext(module.to(device))
