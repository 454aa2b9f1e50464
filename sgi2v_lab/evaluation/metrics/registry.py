"""All metrics by name, each with what the reports say of it, and the call that takes those of a video."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.drift import background_drift, bg_obj_ctd
from sgi2v_lab.evaluation.metrics.fidelity import copies_left, fidelity, fidelity_ssim
from sgi2v_lab.evaluation.metrics.first_frame import first_frame_psnr, first_frame_ssim
from sgi2v_lab.evaluation.metrics.flicker import temporal_flickering, warping_error
from sgi2v_lab.evaluation.metrics.frechet import frechet_distance
from sgi2v_lab.evaluation.metrics.frechet_networks import fid, fvd
from sgi2v_lab.evaluation.metrics.measured import Found, Measured, MeasuredVideo
from sgi2v_lab.evaluation.metrics.motion_distance import motion_distance
from sgi2v_lab.evaluation.metrics.spectrum import spectrum_distance
from sgi2v_lab.evaluation.metrics.trajectory_error import ObjMC, box_overlap, ctd, epe
from sgi2v_lab.shapes import Video

__all__ = ["METRICS", "SET_METRICS", "Metric", "measure", "measure_all"]


@dataclass(frozen=True)
class Metric:
    """A metric: how it is called and written, how it is taken, where it comes from, and what it means."""

    name: str
    title: str
    unit: str
    better: str  # "lower" or "higher"
    digits: int  # after the point
    needs: tuple[str, ...]  # what must be known of a video, by the names of `MeasuredVideo`
    function: Callable[..., Found] | None  # of a `MeasuredVideo`, or of true and generated clips
    source: str
    meaning: str

    @property
    def label(self) -> str:
        """The title with its unit, for axes and heads of tables."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    def improves(self, new: float, old: float) -> bool:
        """Whether one value is better than another."""
        return new < old if self.better == "lower" else new > old


def _objmc(given: MeasuredVideo) -> Found:
    found = ObjMC.of(given)
    seen = found.tracks.visible.float().mean().item()
    return found.value, {"per_object": found.per_object.tolist(), "visible": seen, "tracker": found.tracker}


def _spectrum(given: MeasuredVideo) -> Found:
    if given.reference is not None:
        return spectrum_distance(given.video, given.reference), {"to": "true clip"}
    return spectrum_distance(given.video, given.picture[None]), {"to": "picture"}


# fmt: off
_OF_A_VIDEO = (  # in the order of a report's columns
    Metric("objmc", "ObjMC", "px", "lower", 1, ("boxes",), _objmc, "MotionCtrl 2024; SG-I2V 2025, section 4.1",
           "mean distance between the centre of the box asked for and the tracked object, over objects and frames"),
    Metric("ctd", "CTD", "px", "lower", 1, ("boxes",), ctd, "MC-Bench in MotionPro 2025, arXiv 2505.20287",
           "mean distance of the tracked point in the box's middle from its path, after the first frame"),
    Metric("epe", "EPE", "px", "lower", 1, ("reference",), epe, "MoveBench in Wan-Move 2025, arXiv 2512.08765",
           "mean distance between the places of tracked points in the video and in the true clip"),
    Metric("box_iou", "Box IoU", "", "higher", 2, ("boxes",), box_overlap, "Wu et al. 2013",
           "intersection over union of the boxes asked for and the tracked ones, mean over objects and frames"),
    Metric("bg_obj_ctd", "BG-Obj CTD", "px", "higher", 1, ("boxes",), bg_obj_ctd,
           "Time-to-Move 2025, arXiv 2511.08633, appendix B.1",
           "mean distance between the displacements of background and object: 0 where they move together"),
    Metric("background_drift", "Background drift", "px", "lower", 1, (), background_drift, "this package",
           "mean distance of background points from where they belong; not taken where the background is too plain"),
    Metric("fidelity", "Fidelity", "dB", "higher", 1, ("boxes",), fidelity, "this package",
           "PSNR of the object where it was asked to be, to the object in the picture"),
    Metric("fidelity_ssim", "Fidelity, SSIM", "", "higher", 3, ("boxes",), fidelity_ssim, "Wang et al. 2004",
           "structural similarity of the object where it was asked to be to the object in the picture"),
    Metric("copies_left", "Copies left behind", "", "lower", 2, ("boxes",), copies_left, "this package",
           "how much of the object stays at its first place after it should have left: 0 nothing, 1 a whole copy"),
    Metric("first_frame_psnr", "First-frame PSNR", "dB", "higher", 1, ("image",),
           lambda g: (first_frame_psnr(g.video, g.image), {}), "peak signal-to-noise ratio",
           "PSNR of the first frame to the picture that the video was made from; infinite where they are equal"),
    Metric("first_frame_ssim", "First-frame SSIM", "", "higher", 3, ("image",),
           lambda g: (first_frame_ssim(g.video, g.image), {}), "Wang et al. 2004",
           "structural similarity of the first frame to the picture that the video was made from"),
    Metric("temporal_flickering", "Steadiness", "", "higher", 3, (),
           lambda g: (temporal_flickering(g.video), {}), "VBench 2024, temporal flickering",
           "1 minus the mean difference of neighbouring frames; a still video has 1"),
    Metric("warping_error", "Warping error", "", "lower", 4, (),
           lambda g: (warping_error(g.video), {"flow": "DIS"}), "Lai et al. 2018, arXiv 1808.00449",
           "squared difference of neighbouring frames after optical flow has taken the motion out"),
    Metric("spectrum_distance", "Spectrum distance", "dB", "lower", 1, (), _spectrum,
           "Gray and Markel 1976; Durall et al. 2020, arXiv 2003.01826",
           "distance of the radial spectrum from that of the true clip, or of the picture where there is none"),
)
_OF_SETS = (
    Metric("toy_frechet", "Toy Frechet distance", "", "lower", 1, (),
           lambda real, made: (frechet_distance(real, made), {"network": "toy"}), "this package, after FVD",
           "Frechet distance between true and generated clips, by a network that knows the toy's world"),
    Metric("motion_distance", "Motion distance", "", "lower", 3, (), motion_distance,
           "after FVMD 2024, arXiv 2407.16124",
           "Frechet distance between histograms of the velocities and accelerations of tracked points"),
    Metric("fid", "FID", "", "lower", 1, (), fid, "Heusel et al. 2017",
           "Frechet distance between true and generated frames, by the Inception network"),
    Metric("fvd", "FVD", "", "lower", 1, (), fvd, "Unterthiner et al. 2018",
           "Frechet distance between true and generated clips, by the I3D network"),
)
# fmt: on
METRICS: dict[str, Metric] = {metric.name: metric for metric in _OF_A_VIDEO}
SET_METRICS: dict[str, Metric] = {metric.name: metric for metric in _OF_SETS}


def measure(video: Video, names: Iterable[str] | None = None, **known: object) -> dict[str, Measured]:
    """Take some of `METRICS`, by default all, of a video (frames, 3, h, w) in 0..1, each with what it depends on.

    What else is known of the video goes by the names of attributes of `MeasuredVideo`. A metric that cannot be taken
    says why. InputError: an unknown metric or argument; boxes for another number of frames; a picture of another size.
    """
    wanted = list(METRICS if names is None else names)
    if unknown := [name for name in wanted if name not in METRICS]:
        raise InputError(f"unknown metric {unknown[0]!r}; choose some of {', '.join(METRICS)}")
    offered = [field.name for field in fields(MeasuredVideo) if field.name != "video"]
    if unknown := [name for name in known if name not in offered]:
        raise InputError(f"unknown argument {unknown[0]!r}: expected some of {', '.join(offered)}")
    return measure_all(MeasuredVideo(video, **known), wanted)


def measure_all(given: MeasuredVideo, names: Iterable[str] = METRICS) -> dict[str, Measured]:
    """Likewise, of a `MeasuredVideo`, whose tracks are there for others too."""
    found = {}
    for name in names:
        if missing := [each for each in METRICS[name].needs if getattr(given, each) is None]:
            found[name] = Measured(None, f"not known: {', '.join(missing)}")
            continue
        try:
            value, details = METRICS[name].function(given)
        except InputError as error:
            found[name] = Measured(None, str(error))
        else:
            found[name] = Measured(value, details=details)
    return found
