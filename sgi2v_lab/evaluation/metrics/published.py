"""Published figures, each with its source, to stand beside those that are measured here.

They do not compare one to one: data, tracker, resolution, model and number of frames differ. What carries over is how a
method stands to its own paper's uncontrolled model, `ratio`.
"""

from dataclasses import dataclass

__all__ = ["PUBLISHED", "PublishedRow"]

VIPSEG = "SG-I2V, arXiv 2411.04989, table 1: VIPSeg"
SVD = "Time-to-Move, arXiv 2511.08633: SVD"
PLAIN = 39.59  # ObjMC of SVD without control, in SG-I2V's table 1


@dataclass(frozen=True)
class PublishedRow:
    """What a paper reports of a method: ObjMC, CTD and BG-Obj CTD in pixels, FID and FVD; None for what it does not.

    Lower is better, but for BG-Obj CTD, which is low where the background is dragged along.
    """

    method: str
    kind: str  # "supervised" or "zero-shot"
    source: str
    size: str = ""  # of the videos, in pixels
    objmc: float | None = None
    fid: float | None = None
    fvd: float | None = None
    ctd: float | None = None
    bg_obj_ctd: float | None = None

    @property
    def ratio(self) -> float | None:
        """A zero-shot row's ObjMC to that of the same model without control; None for others, whose models differ."""
        return round(self.objmc / PLAIN, 2) if self.objmc and self.kind == "zero-shot" else None


PUBLISHED = (
    PublishedRow("Image Conductor", "supervised", VIPSEG, "384 × 256", 21.07, 48.81, 463.21),
    PublishedRow("DragNUWA", "supervised", VIPSEG, "576 × 320", 10.84, 30.73, 253.57),
    PublishedRow("DragAnything", "supervised", VIPSEG, "576 × 320", 11.64, 30.81, 268.47),
    PublishedRow("SVD, no control", "zero-shot", VIPSEG, "1024 × 576", PLAIN, 30.50, 340.52),
    PublishedRow("FreeTraj, adapted", "zero-shot", VIPSEG, "1024 × 576", 36.43, 46.61, 394.14),
    PublishedRow("DragDiffusion, adapted", "zero-shot", VIPSEG, "1024 × 576", 31.49, 30.93, 458.29),
    PublishedRow("SG-I2V", "zero-shot", VIPSEG, "1024 × 576", 14.43, 28.87, 298.10),
    PublishedRow("Time-to-Move", "zero-shot", SVD, ctd=7.97, bg_obj_ctd=35.3),
    PublishedRow("SG-I2V", "zero-shot", SVD, ctd=5.80, bg_obj_ctd=12.0),
)
