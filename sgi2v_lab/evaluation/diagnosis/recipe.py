"""Could the run succeed? Its paths, losses, control steps and layers."""

import math
from collections.abc import Sequence

from sgi2v_lab.evaluation.diagnosis.finding import Finding, Found, Unjudged, curve
from sgi2v_lab.evaluation.diagnosis.judged import JudgedVideo
from sgi2v_lab.evaluation.diagnosis.objects import both_paths
from sgi2v_lab.evaluation.diagnosis.path_faults import outside, too_fast, too_small
from sgi2v_lab.images.resize import Fit

__all__ = ["control", "layers", "loss", "paths"]

FALLEN = 0.95  # of its first value, that a control step leaves of the loss on average
NOISY = 1.0  # noise level; below it the noise is weaker than the latents (variance 1), and places are settled


def paths(judged: JudgedVideo, found: Sequence[Finding]) -> Found:
    """Paths that leave the picture, are too small or too fast, of objects that have another finding."""
    size = judged.size
    for k in sorted({finding.index for finding in found if finding.index is not None}):
        box = judged.boxes[k : k + 1]
        faults = [*outside(box, Fit.plan(size, size, "stretch")), *too_small(box, judged.cell)]
        if judged.settings is not None:
            faults += too_fast(box, size, judged.settings.motion_bucket_id, judged.settings.fps)
        for fault in faults:
            sentence = f"{judged.name(k)} {fault.what}: this may be the reason."
            known = (fault.value, fault.threshold, fault.unit, fault.advice, k)
            yield Finding("path", sentence, *known, both_paths(judged, k), hint=True)


def loss(judged: JudgedVideo, found: Sequence[Finding]) -> Found:
    """A loss that does not fall at the control steps, or is not finite."""
    if judged.boxes is None and judged.camera is None:
        return
    shares = {step: some[-1] / some[0] if some[0] else 0.0 for step, some in judged.losses.items() if len(some) > 1}
    if not shares:
        yield Unjudged("loss", "no control step has two known losses to compare")
        return
    value = sum(shares.values()) / len(shares)
    if value <= FALLEN:
        return
    if not math.isfinite(value):
        sentence = f"The loss is not finite at step {next(t for t, x in shares.items() if not math.isfinite(x))}."
        advice = "Divide the learning rate by ten; on a GPU, try fp32."
    elif value > 1:
        sentence = f"The loss rose: a control step multiplies it by {value:.2f} on average."
        advice = "Lower the learning rate: the steps overshoot the minimum."
    else:
        sentence = f"The loss hardly fell: a control step leaves {value:.2f} of it on average."
        advice = "Raise the learning rate or the iterations; check that the boxes hold something with an outline."
    drawing = curve(list(shares.values()), "share left of the loss", FALLEN, list(shares), "control step")
    yield Finding("loss", sentence, value, FALLEN, "of its first value", advice, drawing=drawing)


def control(judged: JudgedVideo, found: Sequence[Finding]) -> Found:
    """Control that cannot work: no iterations, learning rate or low frequencies, or steps that come too late."""
    if judged.boxes is None and judged.camera is None:
        return
    if judged.settings is None:
        yield Unjudged("control", "the settings are not known")
        return
    for name in ("iterations", "learning_rate", "cutoff"):
        if getattr(judged.settings, name) == 0:
            advice = f"Set {name} to the model's default."
            yield Finding("control", f"Control cannot work: {name} is 0.", 0.0, 0.0, name, advice)
    first, last = judged.settings.control_steps
    if first >= len(judged.sigmas):
        yield Unjudged("control", "the noise levels are not known, so the control steps may come too late")
    elif judged.sigmas[first] < NOISY:
        sentence = f"The control steps come too late: from step {first} on, the noise is weaker than the picture."
        x_label = f"step; control steps: {first} to {last}"
        drawing = curve(judged.sigmas, "noise level", NOISY, range(len(judged.sigmas)), x_label)
        advice = "Use earlier control steps, at which the places of things are still open."
        yield Finding("control", sentence, judged.sigmas[first], NOISY, "noise level", advice, drawing=drawing)


def layers(judged: JudgedVideo, found: Sequence[Finding]) -> Found:
    """Layers with cells larger than a box: their features cannot tell where in the cell it is."""
    if judged.settings is None or judged.boxes is None:
        return
    if judged.model is None:
        yield Unjudged("layers", "the model is not given, so the size of its layers is not known; pass model=")
        return
    cell = judged.model.layer_cell(judged.settings.layers)
    for k, least in enumerate((judged.boxes[..., 2:] - judged.boxes[..., :2]).amin(dim=(1, 2)).tolist()):
        if least < cell and cell > judged.cell:
            sentence = f"{judged.name(k)} is smaller than a cell of the finest layer compared ({cell} px)."
            advice = "Compare features of a finer layer, or draw a larger box."
            yield Finding("layers", sentence, least, float(cell), "px", advice, k, hint=True)
