"""Published figures, each with its source, to stand beside those that are measured here.

They do not compare one to one: data, tracker, resolution, model and number of frames differ. What carries over is how a
method stands to its own paper's uncontrolled model, `ratio`.
"""

from dataclasses import dataclass

__all__ = ["PUBLISHED", "TRACKING", "PublishedRow", "TrackingRow", "ratio"]


@dataclass(frozen=True)
class PublishedRow:
    """One row of SG-I2V's table 1 (arXiv 2411.04989), on VIPSeg: FID and FVD, and ObjMC in pixels; lower is better."""

    method: str
    kind: str  # "supervised" or "zero-shot"
    fid: float
    fvd: float
    objmc: float
    width: int
    height: int
    baseline: str | None = None  # the name in METHODS of what we adapted from it
    source: str = "SG-I2V, arXiv 2411.04989, table 1"


@dataclass(frozen=True)
class TrackingRow:
    """What Time-to-Move's paper (arXiv 2511.08633) reports of SVD: CTD as `object`, and BG-Obj CTD as `background`.

    Lower is better for CTD, and higher for BG-Obj CTD, which is low where the background is dragged along.
    """

    method: str
    object: float
    background: float
    baseline: str
    source: str = "Time-to-Move, arXiv 2511.08633, on SVD"


PUBLISHED = (
    PublishedRow("Image Conductor", "supervised", 48.81, 463.21, 21.07, 384, 256),
    PublishedRow("DragNUWA", "supervised", 30.73, 253.57, 10.84, 576, 320),
    PublishedRow("DragAnything", "supervised", 30.81, 268.47, 11.64, 576, 320),
    PublishedRow("SVD, no control", "zero-shot", 30.50, 340.52, 39.59, 1024, 576, "none"),
    PublishedRow("FreeTraj, adapted", "zero-shot", 46.61, 394.14, 36.43, 1024, 576, "freetraj"),
    PublishedRow("DragDiffusion, adapted", "zero-shot", 30.93, 458.29, 31.49, 1024, 576, "drag"),
    PublishedRow("SG-I2V", "zero-shot", 28.87, 298.10, 14.43, 1024, 576, "sgi2v"),
)
TRACKING = (
    TrackingRow("Time-to-Move", 7.97, 35.3, "time_to_move"),
    TrackingRow("SG-I2V", 5.80, 12.0, "sgi2v"),
)


def ratio(row: PublishedRow) -> float | None:
    """A zero-shot row's ObjMC to that of the same model without control; None for others, whose models differ."""
    (plain,) = (each for each in PUBLISHED if each.baseline == "none")
    return row.objmc / plain.objmc if row.kind == plain.kind else None
