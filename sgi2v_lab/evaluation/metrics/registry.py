"""All metrics by name, and one call that takes all of them that can be taken of a video."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.drift import background_drift
from sgi2v_lab.evaluation.metrics.first_frame import first_frame_psnr, first_frame_ssim
from sgi2v_lab.evaluation.metrics.flicker import temporal_flickering, warping_error
from sgi2v_lab.evaluation.metrics.frechet import frechet_distance
from sgi2v_lab.evaluation.metrics.frechet_networks import fid, fvd
from sgi2v_lab.evaluation.metrics.overlap import box_overlap
from sgi2v_lab.evaluation.metrics.spectrum import spectrum_distance
from sgi2v_lab.evaluation.metrics.trajectory_error import check_boxes, objmc
from sgi2v_lab.evaluation.trackers.track import PointTracker
from sgi2v_lab.shapes import Video

__all__ = ["METRICS", "MeasuredVideo", "Metric", "measure"]


@dataclass(frozen=True)
class MeasuredVideo:
    """A video and what is known of it. All lengths are in pixels of the video; what is None is not known.

    Attributes:
        video: (frames, 3, h, w) in 0..1.
        image: the picture (3, h, w) that it was made from.
        boxes: of the objects, as asked for, (boxes, frames, 4).
        camera: boxes on the background that were asked to move as the camera does, likewise.
        reference: the true clip (frames, 3, h, w), where there is one.
        real: a set of true clips, for distances between sets.
        generated: the set of generated clips, of the same shape.
        inception: the file or module of FID's network; None looks in torch.hub's folder.
        i3d: the file or module of FVD's network, likewise.
        tracker: a name in `trackers.track.TRACKERS` or a `PointTracker`, for everything that is tracked; None for each
            metric's own default.
    """

    video: Video
    image: Float[Tensor, "3 _ _"] | None = None
    boxes: Float[Tensor, "boxes _ 4"] | None = None
    camera: Float[Tensor, "others _ 4"] | None = None
    reference: Float[Tensor, "_ 3 _ _"] | None = None
    real: Sequence[Tensor] | Tensor | None = None
    generated: Sequence[Tensor] | Tensor | None = None
    inception: str | Path | nn.Module | None = None
    i3d: str | Path | nn.Module | None = None
    tracker: str | PointTracker | None = None


Measured = dict[str, object]  # "value", and what it depends on


@dataclass(frozen=True)
class Metric:
    """A metric: its function, its unit, which way is better, what it needs to know of a video, and its source.

    The function returns the value, as "value", with what it depends on.
    """

    function: Callable[[MeasuredVideo], Measured]
    unit: str
    better: str  # "lower" or "higher"
    needs: tuple[str, ...]
    source: str


# --- from a video to a value -----------------------------------------------------------------------------------------


def _objmc(given: MeasuredVideo) -> Measured:
    found = objmc(given.video, given.boxes, given.tracker).as_dict()
    return {"value": found.pop("objmc")} | {
        name: found[name] for name in ("per_object", "visible", "tracker", "follow")
    }


def _overlap(given: MeasuredVideo) -> Measured:
    found = box_overlap(given.video, given.boxes, given.tracker).as_dict()
    return {name: found[name] for name in ("value", "per_object", "tracker", "size_tracked")}


def _drift(given: MeasuredVideo) -> Measured:
    return background_drift(given.video, given.boxes, given.camera, given.tracker or "lk").as_dict()


def _spectrum(given: MeasuredVideo) -> Measured:
    if given.reference is not None:
        return {"value": spectrum_distance(given.video, given.reference), "to": "true clip"}
    return {"value": spectrum_distance(given.video, given.image[None]), "to": "picture"}


def _toy_frechet(given: MeasuredVideo) -> Measured:
    value = frechet_distance(given.real, given.generated)
    return {"value": value, "network": "toy", "real": len(given.real), "generated": len(given.generated)}


METRICS: dict[str, Metric] = {
    "objmc": Metric(_objmc, "px", "lower", ("boxes",), "Wang et al. 2024, MotionCtrl"),
    "box_iou": Metric(_overlap, "1", "higher", ("boxes",), "Wu et al. 2013"),
    "background_drift": Metric(_drift, "px", "lower", ("boxes",), "ours, after Time-to-Move 2025"),
    "first_frame_psnr": Metric(
        lambda s: {"value": first_frame_psnr(s.video, s.image)}, "dB", "higher", ("image",), "peak signal to noise"
    ),
    "first_frame_ssim": Metric(
        lambda s: {"value": first_frame_ssim(s.video, s.image)}, "1", "higher", ("image",), "Wang et al. 2004"
    ),
    "temporal_flickering": Metric(
        lambda s: {"value": temporal_flickering(s.video)}, "1", "higher", (), "Huang et al. 2024, VBench"
    ),
    "warping_error": Metric(
        lambda s: {"value": warping_error(s.video), "flow": "DIS"}, "1", "lower", (), "Lai et al. 2018"
    ),
    "spectrum_distance": Metric(_spectrum, "dB", "lower", ("image",), "Gray and Markel 1976; Durall et al. 2020"),
    "toy_frechet": Metric(_toy_frechet, "1", "lower", ("real", "generated"), "ours, after Unterthiner et al. 2018"),
    "fid": Metric(
        lambda s: fid(s.real, s.generated, s.inception).as_dict(),
        *("1", "lower", ("real", "generated"), "Heusel et al. 2017"),
    ),
    "fvd": Metric(
        lambda s: fvd(s.real, s.generated, s.i3d).as_dict(),
        *("1", "lower", ("real", "generated"), "Unterthiner et al. 2018"),
    ),
}


def measure(video: Video, names: Iterable[str] | None = None, **known: object) -> dict[str, dict[str, object]]:
    """Take all metrics of a video that can be taken, each with what it depends on.

    Args:
        video: (frames, 3, h, w) in 0..1.
        names: some of `METRICS`; None for all.
        known: what else is known of it, by the names of `MeasuredVideo`: image, boxes, camera, reference, real,
            generated, inception, i3d, tracker.

    Returns:
        Each metric's name with "value", "unit", "better" ("lower" or "higher"), "resolution" ([width, height]) and
        "frames" of what was measured, and what else it depends on, such as the tracker. Where a metric cannot be taken
        its value is None, and "reason" says why: nothing else is put in its place. PSNR is infinite for equal pictures.

    Raises:
        InputError: an unknown metric or argument; boxes for another number of frames; a picture of another size.
    """
    wanted = list(METRICS) if names is None else list(names)
    if unknown := [name for name in wanted if name not in METRICS]:
        raise InputError(f"unknown metric {unknown[0]!r}; choose some of {', '.join(METRICS)}")
    offered = [field.name for field in fields(MeasuredVideo)][1:]
    if unknown := [name for name in known if name not in offered]:
        raise InputError(f"nothing is to be known of a video as {unknown[0]!r}; expected some of {', '.join(offered)}")
    given = replace(MeasuredVideo(video), **known)
    for name in ("boxes", "camera"):
        boxes = getattr(given, name)
        if boxes is not None and len(boxes):  # no box at all is for each metric to judge
            check_boxes(video, boxes, name)
    for name in ("image", "reference"):
        other = getattr(given, name)
        if other is not None and other.shape[-2:] != video.shape[-2:]:
            raise InputError(
                f"the {name} has {other.shape[-1]}x{other.shape[-2]} px but the video {video.shape[-1]}x"
                f"{video.shape[-2]}; resize it"
            )
    return {name: _taken(METRICS[name], given) for name in wanted}


def _taken(metric: Metric, given: MeasuredVideo) -> dict[str, object]:
    facts = {"unit": metric.unit, "better": metric.better}
    if missing := [name for name in metric.needs if getattr(given, name) is None]:
        return {"value": None, **facts, "reason": f"not known: {', '.join(missing)}"}
    try:
        found = metric.function(given)
    except InputError as error:
        return {"value": None, **facts, "reason": str(error)}
    video = given.video if "generated" not in metric.needs else given.generated[0]
    return {**facts, "resolution": [video.shape[-1], video.shape[-2]], "frames": len(video)} | found
