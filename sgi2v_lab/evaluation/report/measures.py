"""The numbers that a report tells of a video: how they are called, their units, and which way is better."""

from dataclasses import dataclass

__all__ = ["MEASURES", "Measure"]


@dataclass(frozen=True)
class Measure:
    """A number that is taken of a video: how it is called and written, and which way is better."""

    name: str
    title: str
    unit: str
    better: str  # "lower" or "higher"
    digits: int
    meaning: str

    @property
    def label(self) -> str:
        """The title with its unit, for axes and heads of tables."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    def improves(self, new: float, old: float) -> bool:
        """Whether one value is better than another."""
        return new < old if self.better == "lower" else new > old


MEASURES = {
    measure.name: measure
    for measure in (
        Measure(
            "objmc",
            "ObjMC",
            "px",
            "lower",
            1,
            "mean distance, over objects and frames, between the middle of the box asked for and the place where the "
            "tracker finds the object, in pixels of the video",
        ),
        Measure(
            "box_iou",
            "Box IoU",
            "",
            "higher",
            2,
            "intersection over union of the boxes asked for and those that the tracker finds, mean over frames",
        ),
        Measure(
            "background_drift",
            "Background drift",
            "px",
            "lower",
            1,
            "how far points of the background have moved from where they belong; not taken where the background is too "
            "plain to be followed",
        ),
        Measure(
            "psnr",
            "First-frame PSNR",
            "dB",
            "higher",
            1,
            "peak signal-to-noise ratio of the first frame to the picture that the video was made from; above 60 dB it "
            "counts as 60",
        ),
        Measure("ssim", "First-frame SSIM", "", "higher", 3, "structural similarity of the first frame, likewise"),
        Measure(
            "temporal_flickering",
            "Steadiness",
            "",
            "higher",
            3,
            "1 minus the mean difference of neighbouring frames (VBench's temporal flickering); a still picture has 1",
        ),
        Measure(
            "warping_error",
            "Warping error",
            "",
            "lower",
            4,
            "what changes from frame to frame besides motion: the squared difference to the frame before, carried "
            "along by optical flow",
        ),
        Measure(
            "spectrum_distance",
            "Spectrum distance",
            "dB",
            "lower",
            1,
            "how far the radial spectrum is from that of the true clip (of a photograph: of the picture)",
        ),
        Measure("seconds", "Time", "s", "lower", 1, "to make one video, on this machine, whatever else it did"),
    )
}
