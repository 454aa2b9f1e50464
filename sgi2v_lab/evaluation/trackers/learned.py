"""What all trackers that are trained networks share: the call, the checks, and the messages of a failed load."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.trackers.tracks import Tracks
from sgi2v_lab.shapes import Video

__all__ = ["LearnedTracker", "existing", "first_line"]


class LearnedTracker(ABC):
    """A `PointTracker` made of a module. A subclass converts pixels and coordinates to the module's and back.

    Where the module says that a point is hidden, its guess of the position is kept, as published figures do.
    """

    name: str
    seen_at: int  # place of the visibility in what the module returns; its tracks come first
    threshold: float  # visibility above which a point counts as seen, where the module gives numbers

    def __init__(self, module: nn.Module):
        self.module = module.eval()

    @abstractmethod
    def ask(self, video: Video, points: Float[Tensor, "n 2"]) -> Sequence[object]:
        """What the module returns: tracks (1, frames, n, 2) first, and visibility (1, frames, n[, 1]) at `seen_at`."""

    @abstractmethod
    def place(self, found: Float[Tensor, "frames n 2"], video: Video) -> Float[Tensor, "frames n 2"]:
        """The module's positions as (x, y) in pixels of the video."""

    @torch.no_grad()
    def __call__(self, video: Video, points: Float[Tensor, "n 2"]) -> Tracks:
        """Follow points (n, 2), in pixels of the first frame, on the module's device; tracks come back on the CPU.

        Raises:
            InputError: The module returns tensors of other shapes.
        """
        frames, count = len(video), len(points)
        if count == 0:
            return Tracks(torch.zeros(0, frames, 2), torch.zeros(0, frames, dtype=torch.bool), self.name)
        held = next((each for each in (*self.module.parameters(), *self.module.buffers())), torch.zeros(()))
        found = self.ask(video.detach().float().clamp(0, 1).to(held.device), points.detach().float().to(held.device))
        shapes = [tuple(each.shape) if isinstance(each, Tensor) else None for each in found]
        wanted = (1, frames, count, 2), (1, frames, count)
        if shapes[:1] != [wanted[0]] or shapes[self.seen_at : self.seen_at + 1] not in ([wanted[1]], [(*wanted[1], 1)]):
            expected = f"expected tracks {wanted[0]} and visibility {wanted[1]} as {self.name} gives"
            raise InputError(f"the tracker's module returned shapes {shapes}; {expected}: wrap it so that it does")
        visible = found[self.seen_at].reshape(frames, count).cpu()
        visible = visible if visible.dtype == torch.bool else visible > self.threshold
        places = self.place(found[0][0].float().cpu(), video)
        return Tracks(places.transpose(0, 1), visible.T.contiguous(), self.name)


def first_line(error: Exception) -> str:
    """The first line of an error's message, at most 200 characters."""
    return (str(error) or type(error).__name__).splitlines()[0][:200]


def existing(file: str | Path, urls: str) -> Path:
    """The file as a path; InputError, with where to get it, if there is none."""
    if not Path(file).is_file():
        raise InputError(f"there is no file {str(file)!r}; download {urls} and give its path")
    return Path(file)
