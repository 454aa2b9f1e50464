"""No control: what the model makes of the picture by itself.

The lower bound that every figure is read against (SVD's own row in table 1 of SG-I2V, arXiv 2411.04989). The boxes
play no part in the video. They are kept in the run, so that it can be measured against them as any other.
"""

from dataclasses import replace

import PIL.Image

from sgi2v_lab.models.load import Model
from sgi2v_lab.pipeline import Run, generate, prepare
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Image
from sgi2v_lab.trajectories.boxes import Trajectories

__all__ = ["uncontrolled"]


def uncontrolled(
    model: Model,
    image: PIL.Image.Image | Image | str,
    trajectories: Trajectories,
    settings: Settings | None = None,
    *,
    seed: int = 817,
    fit: str = "stretch",
    progress: bool = True,
) -> Run:
    """`generate` without the boxes: the same video, to the bit. Arguments and errors are those of `generate`."""
    prepared = prepare(model, image, trajectories, settings, seed=seed, fit=fit)
    run = generate(model, image, None, settings, seed=seed, fit=fit, progress=progress)
    return replace(run, boxes=prepared.boxes)
