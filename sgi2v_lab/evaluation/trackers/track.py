"""Where did things go? Point trackers behind one small interface, and boxes tracked with them.

* `ncc`: finds the first frame's patch again by normalised correlation (`trackers.template`). The default for boxes: it
  errs least on known motion (see evaluation/README.md), and it alone nearly always notices that an object is gone.
* `lk`: pyramidal Lucas-Kanade with a forward-backward check. A little more precise than `ncc` where nothing goes wrong;
  it needs texture or corners.
* `dis`: dense DIS optical flow, chained from frame to frame, with the same check.
* `cotracker3` and `tapnext`: trained networks, whose code and weights are not part of this package.

A point that the first three lose stays at its last known position, with `visible` False. All of them can lose a plain
thing that fills little of its box and has the colour of what is behind it.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError, needs
from sgi2v_lab.evaluation.trackers.learned import load_cotracker, load_tapnext
from sgi2v_lab.evaluation.trackers.template import find_box
from sgi2v_lab.evaluation.trackers.tracks import PointTracker, Tracks, unit_grid
from sgi2v_lab.shapes import Video
from sgi2v_lab.video import as_frames

__all__ = ["TRACKERS", "NamedTracker", "dis", "dis_flow", "get_tracker", "lk", "loaded_once", "ncc", "track_boxes"]

DEFAULT = "ncc"
PER_SIDE = 16  # points along each side of a box, and of the picture
PATCH = 0.09  # half-size of ncc's patch around a point, in picture sides
ROUND_TRIP = 0.75 / 128  # largest forward-backward error of a good step, in picture sides
STATIC = 1.5 / 128  # a point that leaves the background by more, in picture sides, belongs to something that moves


# --- points ----------------------------------------------------------------------------------------------------------

Step = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]  # two frames, points -> points, ok


def lk(video: Video, points: Float[Tensor, "n 2"]) -> Tracks:
    """Pyramidal Lucas-Kanade (Bouguet 2001), frame to frame, with a forward-backward check (Kalal et al. 2010)."""
    with needs("evaluation"):
        import cv2
    side = min(video.shape[-2:])
    levels = max(1, int(np.log2(side / 16)))
    options = {"winSize": (13, 13), "maxLevel": levels, "minEigThreshold": 1e-3}

    def step(now: np.ndarray, then: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        there, found, _ = cv2.calcOpticalFlowPyrLK(now, then, at, None, **options)
        back, returned, _ = cv2.calcOpticalFlowPyrLK(then, now, there, None, **options)
        round_trip = np.linalg.norm(back - at, axis=-1)
        return there, (found[:, 0] > 0) & (returned[:, 0] > 0) & (round_trip < ROUND_TRIP * side)

    return _chain(video, points, step, "lk")


def dis(video: Video, points: Float[Tensor, "n 2"]) -> Tracks:
    """Dense inverse search flow (Kroeger et al. 2016), chained, with a forward-backward check."""
    with needs("evaluation"):
        import cv2
    side = min(video.shape[-2:])
    flow = dis_flow(side)

    def at_points(field: np.ndarray, at: np.ndarray) -> np.ndarray:
        sampled = cv2.remap(field, at[:, None, 0], at[:, None, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return sampled.reshape(-1, 2)

    def step(now: np.ndarray, then: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        there = at + at_points(flow(now, then), at)
        back = there + at_points(flow(then, now), there)
        return there, np.linalg.norm(back - at, axis=-1) < 2 * ROUND_TRIP * side

    return _chain(video, points, step, "dis")


def dis_flow(side: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """DIS optical flow from one RGB picture in bytes to another, whose shorter side this is."""
    with needs("evaluation"):
        import cv2
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if side <= 256:
        flow.setFinestScale(0)  # small pictures can afford full resolution
    return lambda *pair: flow.calc(*(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in pair), None)


def ncc(video: Video, points: Float[Tensor, "n 2"]) -> Tracks:
    """The first frame's patch around each point, found again by normalised correlation (`trackers.template`)."""
    half = PATCH * min(video.shape[-2:])
    return _match_boxes(video, torch.cat([points - half, points + half], dim=-1))


def _chain(video: Video, points: Tensor, step: Step, name: str) -> Tracks:
    """Carry points from frame to frame. One that fails a step or leaves the picture is lost for good."""
    frames = as_frames(video).numpy()
    at = points.detach().float().cpu().numpy().astype(np.float32) - 0.5  # OpenCV's origin is the first pixel's centre
    size = np.array([video.shape[-1], video.shape[-2]])
    alive = np.ones(len(at), dtype=bool)
    path, seen = [at], [alive]
    for now, then in itertools.pairwise(frames):
        if len(at):
            there, good = step(now, then, at)
            alive = alive & good & ((there > -0.5) & (there < size - 0.5)).all(axis=-1)
            at = np.where(alive[:, None], there, at).astype(np.float32)
        path.append(at)
        seen.append(alive)
    return Tracks(torch.from_numpy(np.stack(path, axis=1)) + 0.5, torch.from_numpy(np.stack(seen, axis=1)), name)


def loaded_once(load: Callable[..., PointTracker]) -> PointTracker:
    """A tracker whose network is loaded, with its usual files, at the first call."""
    loaded = cache(lambda: load(device="cuda" if torch.cuda.is_available() else "cpu"))
    return lambda video, points: loaded()(video, points)


@dataclass(frozen=True)
class NamedTracker:
    """A tracker, and the licence of the code and weights that it runs."""

    follow: PointTracker
    licence: str


TRACKERS = {
    "ncc": NamedTracker(ncc, "MIT, part of this package"),
    "lk": NamedTracker(lk, "Apache-2.0, OpenCV"),
    "dis": NamedTracker(dis, "Apache-2.0, OpenCV"),
    "cotracker3": NamedTracker(loaded_once(load_cotracker), "CC-BY-NC 4.0, not for commercial use"),
    "tapnext": NamedTracker(loaded_once(load_tapnext), "Apache-2.0, weights CC-BY 4.0"),
}


def get_tracker(tracker: str | PointTracker | None) -> PointTracker:
    """A point tracker from its name (None: the default); InputError for a name that is not in `TRACKERS`."""
    if callable(tracker):
        return tracker
    name = DEFAULT if tracker is None else tracker
    if name not in TRACKERS:
        raise InputError(f"unknown tracker {name!r}; choose one of {', '.join(TRACKERS)} or pass a callable")
    return TRACKERS[name].follow


# --- boxes -----------------------------------------------------------------------------------------------------------


def track_boxes(video: Video, boxes: Float[Tensor, "n 4"], tracker: str | PointTracker | None = None) -> Tracks:
    """Follow the centres of boxes (n, 4), given in pixels of the first frame.

    With "ncc" the box is the template. With any other tracker a grid of points in each box is followed, together with
    points outside all boxes that tell the background's motion. If some points in the box move against the background,
    only they speak for the object; the box's centre goes where the similarity transform that most of them agree on
    (RANSAC; the median shift where there are few) takes it, and its size is that transform's scale. An object with no
    speaking points left is not visible. With "ncc" no sizes are tracked.

    InputError: an unknown tracker, or a box that lies outside the first frame.
    """
    follow = get_tracker(tracker)
    height, width = video.shape[-2:]
    for k, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        if not (x0 < min(x1, width) and y0 < min(y1, height) and x1 > 0 and y1 > 0):
            box = f"box {k} ({x0:g}, {y0:g}, {x1:g}, {y1:g})"
            raise InputError(f"{box} has no part inside the {width}x{height} first frame; give x0 < x1 and y0 < y1")
    return _match_boxes(video, boxes) if follow is ncc or not len(boxes) else _follow_points(video, boxes, follow)


def _match_boxes(video: Video, boxes: Tensor) -> Tracks:
    if not len(boxes):
        return Tracks(torch.zeros(0, len(video), 2), torch.zeros(0, len(video), dtype=torch.bool), "ncc")
    paths, seen = zip(*(find_box(video, box) for box in boxes), strict=True)
    return Tracks(torch.stack(paths), torch.stack(seen), "ncc")


def _follow_points(video: Video, boxes: Tensor, follow: PointTracker) -> Tracks:
    height, width = video.shape[-2:]
    boxes = boxes.detach().float().cpu()
    in_box = unit_grid(PER_SIDE) * 0.95 + 0.025
    inner = boxes[:, None, :2] + in_box * (boxes[:, None, 2:] - boxes[:, None, :2])  # (n, points, 2)
    outer = unit_grid(PER_SIDE) * torch.tensor([width, height])
    covered = ((outer[:, None] > boxes[:, :2]) & (outer[:, None] < boxes[:, 2:])).all(dim=-1).any(dim=-1)
    outer = outer[~covered]
    tracks = follow(video, torch.cat([inner.flatten(0, 1), outer]))
    count = len(boxes) * len(in_box)
    paths, seen = tracks.points.detach().cpu(), tracks.visible.cpu()

    background = [_similarity(outer, paths[count:, f], seen[count:, f]) for f in range(len(video))]
    weight = torch.exp(-0.5 * ((in_box - 0.5) / 0.3).pow(2).sum(dim=-1))  # the Gaussian of the loss is similar
    found = []
    each = (part[:count].unflatten(0, (len(boxes), len(in_box))) for part in (paths, seen))
    for box, start, path, alive in zip(boxes, inner, *each, strict=True):
        carried = torch.stack([_apply(m, start) for m in background], dim=1)  # where the background would have gone
        apart = ((path - carried).norm(dim=-1) * alive).amax(dim=1) > STATIC * min(height, width)
        if (weight * apart).sum() > 0.15 * weight.sum():
            alive = alive & apart[:, None]
        alive = alive & (weight > 0.1)[:, None]
        visible = alive.sum(dim=0) >= 3
        moves = [_similarity(start, path[:, f], alive[:, f]) for f in range(len(video))]
        moves[0], visible[0] = np.eye(2, 3), True
        last = torch.where(visible, torch.arange(len(video)), 0).cummax(dim=0).values  # frame in which it was last seen
        center = (box[None, :2] + box[None, 2:]) / 2
        scale = torch.tensor([np.hypot(*m[:, 0]) for m in moves], dtype=torch.float32)
        found.append((torch.cat([_apply(m, center) for m in moves])[last], visible, scale[last]))
    centers, visible, scales = (torch.stack(parts) for parts in zip(*found, strict=True))
    return Tracks(centers, visible, tracks.tracker, scales)


def _similarity(start: Tensor, end: Tensor, use: Tensor) -> np.ndarray:
    """The 2x3 similarity that takes most of the used points from start to end; a median shift where that is unsafe."""
    with needs("evaluation"):
        import cv2
    a, b = start[use].numpy().astype(np.float64), end[use].numpy().astype(np.float64)
    shift = np.median(b - a, axis=0) if len(a) else np.zeros(2)
    fallback = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    if len(a) < 6:
        return fallback
    matrix, _ = cv2.estimateAffinePartial2D(a, b, method=cv2.RANSAC, ransacReprojThreshold=1.0)
    if matrix is None or not 0.6 < np.hypot(matrix[0, 0], matrix[0, 1]) < 1.7:
        return fallback
    return matrix


def _apply(matrix: np.ndarray, points: Tensor) -> Tensor:
    m = torch.from_numpy(matrix).float()
    return points @ m[:, :2].T + m[:, 2]
