"""Figures for a generated video: did things go where they were asked to, and is the picture still the picture?

Each module says what it measures, in which unit, in which direction, and by whose definition. `registry` lists all
metrics: `measure` takes those of one video, and the functions of `SET_METRICS` compare sets of clips.
"""

from sgi2v_lab.evaluation.metrics.first_frame import first_frame_psnr, psnr
from sgi2v_lab.evaluation.metrics.registry import METRICS, SET_METRICS, measure
from sgi2v_lab.evaluation.metrics.trajectory_error import ObjMC, objmc

__all__ = ["METRICS", "SET_METRICS", "ObjMC", "first_frame_psnr", "measure", "objmc", "psnr"]
