"""Temporal flicker: does the picture jump where nothing moves?"""

import numpy as np

from sgi2v_lab.errors import needs
from sgi2v_lab.evaluation.metrics.measured import check_later
from sgi2v_lab.evaluation.trackers.track import dis_flow
from sgi2v_lab.shapes import Video

__all__ = ["temporal_flickering", "warping_error"]


def temporal_flickering(video: Video) -> float:
    """VBench's temporal flickering (Huang et al. 2024, arXiv 2311.17982), 0..1; higher is better, 1 is a still video.

    One less the mean absolute difference of neighbouring frames, for values in 0..1: (255 - MAE) / 255 of bytes. It
    sees motion as flicker too, so VBench takes it of videos of static scenes only: compare it between videos with the
    same motion, or see `warping_error`. InputError: a single frame.
    """
    check_later(video)
    return 1 - video.detach().float().diff(dim=0).abs().mean().item()


def warping_error(video: Video) -> float:
    """Flicker with motion taken out: the warping error of Lai et al. 2018 (arXiv 1808.00449), 0..1; lower is better.

    The mean squared difference, for values in 0..1, between each frame and the next one, carried back by the optical
    flow between the two, over the pixels that can be seen in both:

        E = mean_t  sum_i M_i |V_t - warp(V_t+1)|_i^2 / (3 sum_i M_i)

    Pixels are out of the mask M where flow forth and back disagree (Sundaram et al. 2010), which is where things cover
    one another. The flow is DIS (Kroeger et al. 2016) and not that paper's FlowNet 2, so values compare with one
    another, not with published ones. A pair of frames without a single common pixel counts as wholly different.
    InputError: a single frame.
    """
    check_later(video)
    frames = video.detach().float().cpu().clamp(0, 1).permute(0, 2, 3, 1).contiguous().numpy()
    pictures, flow = (frames * 255).round().astype(np.uint8), dis_flow(min(video.shape[-2:]))
    errors = []
    for t in range(len(frames) - 1):
        forth, back = flow(pictures[t], pictures[t + 1]), flow(pictures[t + 1], pictures[t])
        seen = _seen_in_both(forth, _carried_back(back, forth))
        difference = np.square(frames[t] - _carried_back(frames[t + 1], forth)).mean(axis=-1)
        errors.append(float(difference[seen].mean()) if seen.any() else 1.0)
    return float(np.mean(errors))


def _carried_back(array: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """What the array holds where the flow leads, (h, w, channels)."""
    with needs("evaluation"):
        import cv2
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return cv2.remap(array, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _seen_in_both(forth: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Pixels (h, w) whose flow leads into the picture and back to where it began."""
    height, width = forth.shape[:2]
    y, x = np.mgrid[:height, :width] + forth.transpose(2, 0, 1)[::-1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    gap = np.square(forth + back).sum(axis=-1)
    return inside & (gap < 0.01 * (np.square(forth) + np.square(back)).sum(axis=-1) + 0.5)
