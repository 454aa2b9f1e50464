"""Clips with a truth that a network's features can be held to: of the toy's world, with tracks of points, or any video.

The toy's world knows all of it, for every cell of every frame; films with tracks know it of their points. Of a user's
video or a generated one nobody knows it: a point tracker, by default optical flow, stands in for the truth.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sgi2v_lab.analysis.pairs import Pairs, cell_middles
from sgi2v_lab.analysis.tap_vid import read_tap_vid
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.clips import pick_frames
from sgi2v_lab.evaluation.scenes.scenes import stretched
from sgi2v_lab.evaluation.trackers.track import get_tracker
from sgi2v_lab.evaluation.trackers.tracks import PointTracker, unit_grid
from sgi2v_lab.explore import Inspection, inspect_latents, inspect_run
from sgi2v_lab.latents import encode_video
from sgi2v_lab.models.model import Model
from sgi2v_lab.pipeline import Run
from sgi2v_lab.shapes import Boxes, Video
from sgi2v_lab.toy.training.data import HELD_OUT
from sgi2v_lab.toy.world.origins import true_origins, true_owners
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import motion_bucket, render, true_boxes

__all__ = ["Clip", "WorldTruth", "tap_vid_clips", "toy_clips", "tracked_clip"]

FIRST_SEED = HELD_OUT + 30_000_000  # far from the benchmark's seeds and those of its variations
PER_SIDE = 32  # points along each side of the picture that a tracker follows


@dataclass(frozen=True)
class WorldTruth:
    """What the toy's world knows of a clip. Cells are those of the latents; lengths are in sides of the picture.

    Frames are the latents', too. Of a latent that holds several frames, means are given; a cell in which they show
    different things counts as not visible.

    Attributes:
        origins: where in frame 0 is what is seen in a cell; NaN where it is not visible there.
        masks: whether an object is what is seen in a cell. Objects are ordered from back to front, which is their depth
            order; where there is none, the background is seen.
        velocity: how far what is seen in a cell goes until the next frame (for the last frame: has come since the one
            before); NaN where it is not visible there.
        boxes: of the objects, in pixels of the video.
        shapes: the objects' names, such as "star".
    """

    origins: Float[Tensor, "frames h w 2"]
    masks: Bool[Tensor, "objects frames h w"]
    velocity: Float[Tensor, "frames h w 2"]
    boxes: Boxes
    shapes: tuple[str, ...]


@dataclass(frozen=True)
class Clip:
    """A video of a model's size and number of frames, and what is known of it."""

    name: str
    video: Video
    pairs: Pairs  # what moved: places of later frames, and where the same was in frame 0
    world: WorldTruth | None = None  # None where the toy's world did not make it
    motion: Mapping[str, int] = field(default_factory=dict)  # the settings `fps` and `motion_bucket_id` that suit it
    run: Run | None = None  # that generated the video

    def inspect(self, model: Model, sigmas: tuple[float, ...] | None = None, seed: int = 817) -> Inspection:
        """The clip at noise levels `sigmas`, by default those of the model's steps, to look into.

        A generated clip shows its run's own latents, if the run was made with `trace=["latents"]`, at the steps nearest
        to `sigmas`. All others are made noisy: `seed` is that of the noise, one drawing of which serves all levels.

        Raises:
            InputError: as `inspect_latents`; or the run has no step within 10% of a noise level.
        """
        if self.run is not None and self.run.trace and self.run.trace[0].before is not None:
            return _at_levels(inspect_run(model, self.run), sigmas)
        frames, _, height, width = self.video.shape
        settings = model.settings.replace(width=width, height=height, num_frames=frames, **self.motion)
        latents = encode_video(model, self.video)
        return inspect_latents(model, self.video[0], latents, settings, seed=seed, video=self.video, sigmas=sigmas)


def _at_levels(run: Inspection, sigmas: tuple[float, ...] | None) -> Inspection:
    if sigmas is None:
        return run
    steps = [min(range(len(run.sigmas)), key=lambda k: abs(math.log(run.sigmas[k] / sigma))) for sigma in sigmas]
    for sigma, step in zip(sigmas, steps, strict=True):
        if not 0.9 < run.sigmas[step] / sigma < 1.1:
            have = ", ".join(f"{each:.3g}" for each in run.sigmas)
            raise InputError(f"the run has no step at noise level {sigma:g}: expected some of {have}")
    return replace(run, sigmas=tuple(run.sigmas[k] for k in steps), latents=tuple(run.latents[k] for k in steps))


def toy_clips(model: Model, count: int = 64, first: int = 0) -> Iterator[Clip]:
    """True clips of the toy's world, held out of its training and of the benchmark, of the model's size and frames.

    One or two objects, some of them still; in a third of the clips the camera moves as well. Scenes in which nothing
    that is visible moves from its cell are passed over. The world is square, and stretched to the model's shape.

    Args:
        model: for its size and its number of frames.
        count: how many.
        first: pass over so many; the same number always gives the same clip.
    """
    frames, held, (*_, h, w) = _shape(model)
    width, height = model.settings.width, model.settings.height
    found, seed = 0, FIRST_SEED
    while found < first + count:
        scene, seed = sample_scene(seed, frames), seed + 1
        owners = true_owners(scene, (h, w))
        same = _by_latent((owners == owners[_last_frames(frames, held)]).float(), held) == 1
        origins = _by_latent(true_origins(scene, (h, w)), held).where(same[..., None], torch.nan)
        pairs = Pairs.of_origins(origins)
        if not scene.sprites or not len(pairs):
            continue
        found += 1
        if found <= first:
            continue
        yield Clip(
            name=f"toy-{found - 1}",
            video=stretched(render(scene, max(width, height)), (width, height)),
            pairs=pairs,
            world=WorldTruth(
                origins=origins,
                masks=torch.stack([same & (owners[::held] == number) for number in range(len(scene.sprites))]),
                velocity=_by_latent(_velocity(scene, (h, w)), held).where(same[..., None], torch.nan),
                boxes=_by_latent(true_boxes(scene, 1), held, dim=1) * torch.tensor([width, height] * 2),
                shapes=tuple(sprite.shape for sprite in scene.sprites),
            ),
            motion={"fps": scene.fps, "motion_bucket_id": motion_bucket(scene)},
        )


def _shape(model: Model) -> tuple[int, int, tuple[int, ...]]:
    """Of a model's clips: frames, how many of them a latent holds, and the latents' shape."""
    return model.num_frames(model.settings), model.frames_per_latent, model.latent_shape(model.settings)


def _last_frames(frames: int, held: int) -> list[int]:
    """For each frame, the last one in its latent; a causal VAE's first latent holds the first frame alone."""
    return [-(-frame // held) * held for frame in range(frames)]


def _by_latent(truth: Tensor, held: int, dim: int = 0) -> Tensor:
    """What is known of frames, averaged over those that a latent holds."""
    first, others = truth.split([1, truth.shape[dim] - 1], dim)
    return torch.cat([first, others.unflatten(dim, (-1, held)).mean(dim + 1)], dim)


def _velocity(scene: object, grid: tuple[int, int]) -> Tensor:
    here, last = cell_middles(grid).view(*grid, 2), scene.num_frames - 1
    after = [true_origins(scene, grid, frame + 1)[frame] - here for frame in range(last)]
    return torch.stack([*after, here - true_origins(scene, grid, max(0, last - 1))[last]])


# --- tracks of points ------------------------------------------------------------------------------------------------


def tap_vid_clips(model: Model, path: str | Path, stride: int | None = 1) -> Iterator[Clip]:
    """Films with tracks of points, in the layout of TAP-Vid, stretched to the model's size and cut to its frames.

    Args:
        model: for its size, its number of frames and its latents' grid.
        path: as in `read_tap_vid`.
        stride: of the frames that are taken, from the first on; None spreads them over the clip.

    Raises:
        InputError: as `read_tap_vid`; or a film is too short.
    """
    frames, held, (*_, h, w) = _shape(model)
    size = model.settings.width, model.settings.height
    for name, (video, points, occluded) in read_tap_vid(path).items():
        picked = pick_frames(len(video), frames, stride, Path(path) / name)
        pixels = torch.from_numpy(video[picked]).permute(0, 3, 1, 2).float() / 255
        points, occluded = torch.from_numpy(points[:, picked]), torch.from_numpy(occluded[:, picked])
        yield Clip(name, stretched(pixels, size), Pairs.of_tracks(*_tracks_by_latent(points, occluded, held), (h, w)))


def tracked_clip(
    model: Model, source: Run | Video, name: str, tracker: str | PointTracker = "dis", least_motion: float = 0.5
) -> Clip:
    """A clip whose truth is what a tracker says: of a run of `generate`, or of any video of the model's size.

    Matching accuracy is then the agreement with that tracker, by default with optical flow (OpenCV's DIS). DiffTrack
    holds generated videos to CoTracker in the same way.

    Args:
        model: for its latents' grid.
        source: the run, or a video (frames, 3, height, width), 0..1.
        name: of the clip.
        tracker: a name in `evaluation.trackers.track.TRACKERS`, or a tracker; it follows 32 x 32 points.
        least_motion: leave out what goes so many cells or less, as in `Pairs`. Generated backgrounds drift; 2 leaves
            only what clearly moves.

    Raises:
        InputError: an unknown tracker, or a size that does not suit the model.
    """
    run = source if isinstance(source, Run) else None
    video = source if run is None else run.video
    size = torch.tensor([video.shape[-1], video.shape[-2]])
    grid = model.latent_shape(model.settings.replace(width=size[0].item(), height=size[1].item()))[-2:]
    tracks = get_tracker(tracker)(video, unit_grid(PER_SIDE) * size)
    points, occluded = _tracks_by_latent(tracks.points / size, ~tracks.visible, model.frames_per_latent)
    return Clip(name, video, Pairs.of_tracks(points, occluded, grid, least_motion), run=run)


def _tracks_by_latent(points: Tensor, occluded: Tensor, held: int) -> tuple[Tensor, Tensor]:
    """Points (tracks, frames, 2) and whether they are hidden, by latent: hidden in one of its frames is hidden."""
    return _by_latent(points.float(), held, dim=1), _by_latent(occluded.float(), held, dim=1) > 0
