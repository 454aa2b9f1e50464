"""One pass of the denoiser over a video that is looked into, with as many recorders as wanted.

An `Inspection` (`sgi2v_lab.explore`) is a true clip made noisy, a generated run, or a user's own video: what is said of
a pass here can be said of all of them.
"""

from contextlib import ExitStack

import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.explore import Inspection
from sgi2v_lab.features import LayerMaps, record_features
from sgi2v_lab.models.model import Layer

__all__ = ["features_at", "run_pass"]


@torch.no_grad()
def run_pass(inspection: Inspection, step: int) -> None:
    """Run the conditional branch on the noisy latents of a step, for whatever watches the inspection's model.

    Raises:
        InputError: there is no such step.
    """
    if not 0 <= step < len(inspection.sigmas):
        raise InputError(f"step is {step}, but there are steps 0..{len(inspection.sigmas) - 1}")
    model = inspection.model
    latents = inspection.latents[step].to(model.device)
    with model.for_one_video():
        model.run_conditional(latents, inspection.sigmas[step], inspection.conditioning)


def features_at(
    inspection: Inspection, step: int, layers: tuple[Layer, ...], kinds: tuple[str, ...]
) -> dict[str, LayerMaps]:
    """Several kinds of features of several layers, from one pass; kinds and errors as in `record_features`.

    Returns {kind: {layer: (frames, channels, h', w')}}, in the model's precision and on its device. Channels of all
    kinds but "block" are those of one head after the other: `maps.unflatten(1, (heads, -1))`, with `Model.heads`.
    """
    with ExitStack() as recording:
        found = {kind: recording.enter_context(record_features(inspection.model, layers, kind)) for kind in kinds}
        run_pass(inspection, step)
    return found
