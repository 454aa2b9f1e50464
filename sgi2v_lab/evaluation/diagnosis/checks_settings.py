"""Could it have worked at all? Checks of the paths, the loss, the control steps and the layers."""

import math
from collections.abc import Iterator, Sequence

from sgi2v_lab.evaluation.diagnosis.finding import Finding, Unjudged
from sgi2v_lab.evaluation.diagnosis.judged import JudgedVideo
from sgi2v_lab.evaluation.diagnosis.path_faults import PathFault, outside, too_fast, too_small
from sgi2v_lab.evaluation.diagnosis.pictures import ASKED, FOUND, Shown, curves, pictures
from sgi2v_lab.images.resize import Fit

__all__ = ["control", "layers", "loss", "paths"]

FALLEN = 0.95  # of its first value, that is left of the loss after a control step, on average: 5% is hardly a fall
NOISY = 1.0  # noise level below which the noise is weaker than the latents (of unit variance): places are settled


def paths(judged: JudgedVideo, found: Sequence[Finding]) -> Iterator[Finding | Unjudged]:
    """Paths that are off the picture, too small for a latent cell, or too fast, of objects with another finding.

    An object that did what it was asked to proves its path possible, so nothing is said of it.
    """
    settings = judged.settings
    for k in sorted({finding.index for finding in found if finding.index is not None}):
        box, plan = judged.boxes[k : k + 1], Fit.plan(judged.size, judged.size, "stretch")
        faults: list[PathFault] = [*outside(box, plan), *too_small(box, judged.cell)]
        if settings is not None:
            faults += too_fast(box, judged.size, settings.motion_bucket_id, settings.fps)
        shown = Shown(
            judged.video[0],
            boxes=[(box[0, 0], ASKED), (box[0, -1], FOUND)],
            paths=[(judged.asked[k], ASKED)],
        )
        for fault in faults:
            yield Finding(
                *("path", "hint", f"{judged.name(k)} {fault.what}: this may be why."),
                *(fault.value, fault.threshold, fault.unit, fault.advice, k),
                drawing=pictures({"what was asked for": shown}, "black: first box; orange: last box"),
            )


def loss(judged: JudgedVideo, found: Sequence[Finding]) -> Iterator[Finding | Unjudged]:
    """A loss that did not fall at the control steps, or is not finite."""
    if judged.boxes is None and judged.camera is None:
        return
    steps = {step: list(losses) for step, losses in judged.losses.items() if len(losses) > 1}
    if not steps:
        reason = "the losses are not known" if not judged.losses else "one iteration a step shows no fall"
        yield Unjudged("loss", reason)
        return
    broken = [step for step, losses in steps.items() if not all(map(math.isfinite, losses))]
    shares = {step: losses[-1] / losses[0] for step, losses in steps.items() if losses[0] > 0}
    ordered = sorted(shares)
    value = math.nan if broken else (sum(shares.values()) / len(shares) if shares else 0.0)
    if not broken and value <= FALLEN:
        return
    if broken:
        sentence = f"The loss is not finite at step {broken[0]}."
        advice = "Lower the learning rate by ten; on a GPU, try fp32."
    elif value > 1:
        sentence = f"The loss rose: a control step multiplies it by {value:.2f} on average."
        advice = "Lower the learning rate: the steps overshoot the minimum."
    else:
        sentence = f"The loss hardly fell: {value:.2f} of it is left after a control step, on average."
        advice = "Raise the learning rate or the iterations; see that the boxes hold something with an outline."
    drawing = curves(
        {"left of the loss": [shares[step] for step in ordered]},
        *("share", FALLEN),
        x=ordered,
        x_label="control step",
    )
    yield Finding(
        *("loss", "severe" if broken else "moderate", sentence, value, FALLEN, "of its first value", advice),
        drawing=drawing,
    )


def control(judged: JudgedVideo, found: Sequence[Finding]) -> Iterator[Finding | Unjudged]:
    """Control that cannot change anything: no iterations, no rate, no low frequencies kept, or steps too late."""
    settings = judged.settings
    if judged.boxes is None and judged.camera is None:
        return
    if settings is None:
        yield Unjudged("control", "the settings are not known")
        return
    for name, words in (
        ("iterations", "there are no iterations"),
        ("learning_rate", "the learning rate is 0"),
        ("cutoff", "the cut-off is 0, so nothing of what was optimised is kept"),
    ):
        if getattr(settings, name) == 0:
            yield Finding(
                *("control", "severe", f"Control cannot work: {words}.", 0.0, 0.0, name.replace("_", " ")),
                f"Set {name} to the model's own value.",
            )
    first, last = settings.control_steps
    if first < len(judged.sigmas):
        highest = judged.sigmas[first]
        if highest < NOISY:
            yield Finding(
                *("control", "moderate"),
                f"All control steps come late: from step {first} on the noise is weaker than the picture, in which "
                "things have found their places.",
                *(highest, NOISY, "noise level", "Use earlier control steps."),
                drawing=curves(
                    {"noise level": list(judged.sigmas)},
                    *("sigma", NOISY),
                    x_label=f"step; control steps: {first} to {last}",
                ),
            )
    else:
        yield Unjudged("control", "the steps' noise levels are not known, so whether they come too late is not either")


def layers(judged: JudgedVideo, found: Sequence[Finding]) -> Iterator[Finding | Unjudged]:
    """Layers whose own cells are larger than a box: they cannot tell where in them it is."""
    if judged.settings is None or judged.boxes is None:
        return
    if judged.model is None:
        yield Unjudged("layers", "the model is not given, so how fine its layers are is not known: pass model=")
        return
    blocks = 1 + max(block for block, _ in judged.model.layers)
    finest = min(blocks - 1 - block for block, _ in judged.settings.layers if block < blocks)
    cell = judged.cell * 2**finest
    for k in judged.objects:
        least = (judged.boxes[k, :, 2:] - judged.boxes[k, :, :2]).min().item()
        if least < cell and finest > 0:
            sentence = f"{judged.name(k)} is smaller than one cell of the finest compared layer ({cell} px)."
            advice = "Compare features of a finer layer, or draw a larger box."
            yield Finding(*("layers", "hint", sentence, least, float(cell), "px", advice, k))
