"""How accurate is a tracker? Its errors on scenes of the toy's world, whose motion is known."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.evaluation.trackers.track import track_boxes
from sgi2v_lab.evaluation.trackers.tracks import PointTracker
from sgi2v_lab.shapes import Boxes
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render, true_boxes
from sgi2v_lab.trajectories.boxes import shared_area


def validate_tracker(tracker: str | PointTracker | None, seeds: Iterable[int], size: int = 128) -> dict[str, object]:
    """Errors of a tracker in pixels, over the later frames of random scenes of size x size pixels, one per seed.

    A position counts where the truth can be seen: the sprite's centre is in the picture, and boxes drawn later cover
    less than half of its box. Where the tracker has lost the sprite, its last known position (or its guess) counts.

    Args:
        tracker: a name in `trackers.track.TRACKERS`, or a `PointTracker`; None for the default.
        seeds: of the scenes; in some of them a sprite must be seen.
        size: side of the clips in pixels.

    Returns:
        `tracker`, `objects`, `positions`; `median`, `mean` and `p95` of the errors; `precision`, the share of positions
        reported as seen that can be seen; `recall`, the share of those that can be seen that are reported as seen.
    """
    name, objects, errors, said, true = "", 0, [], [], []
    for seed in seeds:
        scene = sample_scene(seed)
        boxes = true_boxes(scene, size)
        if not len(boxes):
            continue
        tracks = track_boxes(render(scene, size), boxes[:, 0], tracker)
        name = tracks.tracker
        centres = (boxes[..., :2] + boxes[..., 2:]) / 2
        inside = ((centres > 0) & (centres < size)).all(dim=-1)
        free = torch.stack([_covered(boxes, k) for k in range(len(boxes))]) < 0.5
        objects += len(boxes)
        errors.append((tracks.points - centres).norm(dim=-1)[:, 1:].flatten())
        said.append(tracks.visible[:, 1:].flatten())
        true.append((inside & free)[:, 1:].flatten())
    there, seen = torch.cat(true), torch.cat(said)
    error = torch.cat(errors)[there]
    figures = {
        "median": error.median(),
        "mean": error.mean(),
        "p95": error.quantile(0.95),
        "precision": (seen & there).sum() / seen.sum().clamp(min=1),
        "recall": (seen & there).sum() / there.sum(),
    }
    found = {key: round(value.item(), 3) for key, value in figures.items()}
    return {"tracker": name, "objects": objects, "positions": len(error), **found}


def _covered(boxes: Boxes, k: int) -> Float[Tensor, "frames"]:
    """The largest share of box k that a box drawn later covers in each frame, 0..1."""
    mine, later = boxes[k], boxes[k + 1 :]
    if not len(later):
        return torch.zeros(len(mine))
    return (shared_area(mine, later) / (mine[:, 2:] - mine[:, :2]).prod(dim=-1)).amax(dim=0)
