"""How accurate is a tracker? Its errors, and what it says of visibility, on clips whose motion is known.

Three kinds of square clips: the toy's scenes (sprites over backgrounds, a moving camera in a third of them),
photographs in which a box is followed, and photographs in which single points are (`evaluation.known_motion`). On a
clip of one's own, where the truth is not known, `validate_on_clip` asks whether tracks shift as the picture does.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.trackers.known_motion import imposed_clip, photograph_clip, shaken
from sgi2v_lab.evaluation.trackers.track import PointTracker, get_tracker, track_boxes
from sgi2v_lab.shapes import Boxes, Video
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render, true_boxes

__all__ = ["KINDS", "validate_on_clip", "validate_tracker", "validation_table"]

KINDS = ("uncovered", "all", "photographs", "points")
FIGURES = ("positions", "median", "mean", "p95", "mean_seen", "precision", "recall")


def validate_tracker(
    tracker: str | PointTracker | None,
    seeds: Iterable[int],
    size: int = 128,
    kinds: Sequence[str] = KINDS,
) -> dict[str, object]:
    """Errors of a tracker, in pixels of clips of size x size, over the later frames of clips with known motion.

    For each seed there is one clip of each kind. Toy sprites are counted twice: all of them, and those that no other
    sprite covers at any time (`uncovered`), since the box of a covered object holds two things. "points" are followed
    singly; of the other kinds it is boxes (`track_boxes`).

    **Visibility.** Errors are taken wherever the truth can be seen, whatever the tracker says of it: where it has lost
    something, its last known position (or its guess) counts, in all figures but `mean_seen`. Of what the tracker
    reports as seen, `precision` is the share that truly can be seen; of what truly can be seen, `recall` is the share
    that it reports. A point can be seen within the picture and under nothing; of a box the centre must be in the
    picture, and more than half of it free.

    Args:
        tracker: a name in `trackers.track.TRACKERS`, or a `PointTracker`; None for the default.
        seeds: of the clips.
        size: side of the clips in pixels.
        kinds: some of `KINDS`.

    Returns:
        {"tracker", "resolution", and for each kind {"objects", "positions", "median", "mean", "p95", "mean_seen",
        "precision", "recall", "visible"}}, where `visible` is the share of all positions that the tracker reports as
        seen. None stands for a figure of nothing.

    Raises:
        InputError: an unknown tracker or kind.
    """
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise InputError(f"there are no {unknown[0]!r} clips; choose some of {', '.join(KINDS)}")
    found: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {kind: [] for kind in kinds}
    name = ""

    def add(kind: str, error: Tensor, said: Tensor, true: Tensor) -> None:
        if kind in found:
            found[kind].append((error[..., 1:], said[..., 1:], true[..., 1:]))

    for seed in seeds:
        boxed = {}
        if {"uncovered", "all"} & set(kinds):
            scene = sample_scene(seed)
            boxed["all"] = (render(scene, size), true_boxes(scene, size))
        if "photographs" in kinds:
            boxed["photographs"] = photograph_clip(seed, size)
        for kind, (video, boxes) in boxed.items():
            tracks = track_boxes(video, boxes[:, 0], tracker)
            name = tracks.tracker
            error = (tracks.points - (boxes[..., :2] + boxes[..., 2:]) / 2).norm(dim=-1)
            for k in range(len(boxes)):
                covered = _covered(boxes, k)
                true = _center_inside(boxes[k], size) & (covered < 0.5)
                add(kind, error[k], tracks.visible[k], true)
                if kind == "all" and covered.max() <= 0.02:
                    add("uncovered", error[k], tracks.visible[k], true)
        if "points" in kinds:
            known = imposed_clip(seed, size)
            tracks = get_tracker(tracker)(known.video, known.points[:, 0])
            name = tracks.tracker
            error = (tracks.points - known.points).norm(dim=-1)
            for k in range(len(error)):
                add("points", error[k], tracks.visible[k], known.visible[k])
    return {"tracker": name, "resolution": f"{size}x{size}", **{kind: _summary(each) for kind, each in found.items()}}


def validate_on_clip(
    tracker: str | PointTracker | None, video: Video, size: int = 128, seed: int = 0, per_side: int = 6
) -> dict[str, object]:
    """Does a tracker find the same in a clip when the picture is shaken? Errors in pixels, on a clip of one's own.

    A grid of points is followed in a window of the clip that stays, and in one that wanders by known shifts: the tracks
    must differ by just those. The error is what they differ by else, over positions reported as seen in both; so this
    tells how steady a tracker is on real pictures, while an error that it makes twice stays hidden. `recall` is the
    share of positions seen in the still window that are seen in the other one too, among those that lie in it.

    Args:
        tracker: a name in `trackers.track.TRACKERS`, or a `PointTracker`; None for the default.
        video: (frames, 3, h, w) in 0..1, larger than `size`: `sgi2v_lab.video.read_video` reads one.
        size: side of the windows.
        seed: of the wandering path.
        per_side: points along each side of the window.

    Raises:
        InputError: as `known_motion.shaken`, or an unknown tracker.
    """
    still, wandering, shift = shaken(video, seed, size)
    axis = (torch.arange(per_side) + 0.5) / per_side * size
    points = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).flatten(0, 1)
    follow = get_tracker(tracker)
    calm, moved = follow(still, points), follow(wandering, points)
    expected = calm.points + shift
    inside = ((expected > 0) & (expected < size)).all(dim=-1) & calm.visible
    error = (moved.points - expected).norm(dim=-1)[:, 1:]
    both = (inside & moved.visible)[:, 1:]
    figures = _figures(error[both], error[both]) | {"precision": None, "recall": _share(both, inside[:, 1:])}
    return {"tracker": calm.tracker, "resolution": f"{size}x{size}", "clip": figures | {"objects": len(points)}}


def validation_table(reports: Sequence[dict[str, object]]) -> str:
    """What `validate_tracker` and `validate_on_clip` return, as a Markdown table with a line for each kind of clips."""
    lines = [
        "| tracker | size | clips | positions | median px | mean px | 95% px | mean where seen | precision | recall |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for report in reports:
        for kind, figures in report.items():
            if isinstance(figures, dict):
                cells = ["–" if figures.get(name) is None else f"{figures[name]:g}" for name in FIGURES]
                lines.append(f"| {report['tracker']} | {report['resolution']} | {kind} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _summary(found: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, object]:
    if not found:
        return {"objects": 0}
    error, said, true = (torch.cat(each) for each in zip(*found, strict=True))
    shares = {
        "precision": _share(said & true, said),
        "recall": _share(said & true, true),
        "visible": _share(said, torch.ones_like(said)),
    }
    return {"objects": len(found)} | _figures(error[true], error[true & said]) | shares


def _figures(error: Tensor, seen: Tensor) -> dict[str, object]:
    """Of the errors wherever the truth can be seen, and of those among them where the tracker says so."""
    if len(error) == 0:
        return {"positions": 0} | dict.fromkeys(("median", "mean", "p95", "mean_seen"))
    figures = {"median": error.median(), "mean": error.mean(), "p95": error.quantile(0.95), "mean_seen": seen.mean()}
    return {"positions": len(error)} | {
        name: round(value.item(), 3) if value.isfinite() else None for name, value in figures.items()
    }


def _share(part: Tensor, whole: Tensor) -> float | None:
    return round((part.sum() / whole.sum()).item(), 3) if whole.any() else None


def _center_inside(box: Tensor, size: int) -> Tensor:
    center = (box[:, :2] + box[:, 2:]) / 2
    return ((center > 0) & (center < size)).all(dim=-1)


def _covered(boxes: Boxes, k: int) -> Tensor:
    """How much of box k each frame's later-drawn boxes cover at most, (frames,) in 0..1."""
    mine, later = boxes[k], boxes[k + 1 :]
    if not len(later):
        return torch.zeros(len(mine))
    common = torch.minimum(mine[:, 2:], later[..., 2:]) - torch.maximum(mine[:, :2], later[..., :2])
    return (common.clamp(min=0).prod(dim=-1) / (mine[:, 2:] - mine[:, :2]).prod(dim=-1)).amax(dim=0)
