"""Figures for a generated video: did things go where they were asked to, and is the picture still the picture?

Each module holds one concept and says what it measures, in which unit, in which direction, and by whose definition;
`registry` lists all of them, and `measure` takes all that can be taken of a video.
"""

from sgi2v_lab.evaluation.metrics.drift import Drift, background_drift
from sgi2v_lab.evaluation.metrics.first_frame import first_frame_psnr, first_frame_ssim, psnr, ssim
from sgi2v_lab.evaluation.metrics.flicker import temporal_flickering, warping_error
from sgi2v_lab.evaluation.metrics.frechet_networks import FrechetScore, fid, fvd
from sgi2v_lab.evaluation.metrics.overlap import BoxOverlap, box_overlap
from sgi2v_lab.evaluation.metrics.registry import METRICS, MeasuredVideo, Metric, measure
from sgi2v_lab.evaluation.metrics.spectrum import spectrum_distance
from sgi2v_lab.evaluation.metrics.trajectory_error import ObjMC, objmc

__all__ = [
    "METRICS",
    "BoxOverlap",
    "Drift",
    "FrechetScore",
    "MeasuredVideo",
    "Metric",
    "ObjMC",
    "background_drift",
    "box_overlap",
    "fid",
    "first_frame_psnr",
    "first_frame_ssim",
    "fvd",
    "measure",
    "objmc",
    "psnr",
    "spectrum_distance",
    "ssim",
    "temporal_flickering",
    "warping_error",
]
