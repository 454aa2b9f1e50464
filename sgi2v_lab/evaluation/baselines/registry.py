"""All methods by name, and one call for any of them, SG-I2V itself included."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import PIL.Image

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.baselines.copy_paste import copy_paste
from sgi2v_lab.evaluation.baselines.drag import drag
from sgi2v_lab.evaluation.baselines.freetraj import freetraj
from sgi2v_lab.evaluation.baselines.time_to_move import time_to_move
from sgi2v_lab.evaluation.baselines.uncontrolled import uncontrolled
from sgi2v_lab.models.load import Model
from sgi2v_lab.pipeline import Run, generate
from sgi2v_lab.settings import Settings
from sgi2v_lab.shapes import Image
from sgi2v_lab.trajectories.boxes import Trajectories

__all__ = ["BASELINES", "Baseline", "generate_with"]

COMMON = ("seed", "fit", "progress")  # what every method takes, besides model, image, trajectories and settings


@dataclass(frozen=True)
class Baseline:
    """A way to make things follow their boxes."""

    name: str
    title: str  # for figures and tables
    source: str  # whose method it is, and where it was published
    function: Callable[..., Run]  # (model, image, trajectories, settings, *, seed, fit, progress, and its own options)

    @property
    def options(self) -> dict[str, object]:
        """The method's own hyperparameters and their defaults."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in COMMON}


BASELINES: dict[str, Baseline] = {
    baseline.name: baseline
    for baseline in (
        Baseline("none", "No control", "the model alone; SVD: Blattmann et al. 2023, arXiv 2311.15127", uncontrolled),
        Baseline("copy_paste", "Copy and paste", "no model; holes: Telea 2004, in OpenCV", copy_paste),
        Baseline(
            "copy_paste_vae",
            "Copy and paste, through the VAE",
            "as copy_paste, there and back through the model's autoencoder",
            partial(copy_paste, through_vae=True),
        ),
        Baseline("time_to_move", "Time-to-Move", "Singer et al., ICLR 2026, arXiv 2511.08633; adapted", time_to_move),
        Baseline("freetraj", "FreeTraj (noise)", "Qiu et al. 2024, arXiv 2406.16863; adapted", freetraj),
        Baseline("drag", "DragDiffusion per frame", "Shi et al., CVPR 2024, arXiv 2306.14435; adapted", drag),
        Baseline("sg-i2v", "SG-I2V", "Namekata et al., ICLR 2025, arXiv 2411.04989", generate),
    )
}


def generate_with(
    name: str,
    model: Model,
    image: PIL.Image.Image | Image | str,
    trajectories: Trajectories | None,
    settings: Settings | None = None,
    *,
    seed: int = 817,
    fit: str = "stretch",
    progress: bool = True,
    **options,
) -> Run:
    """Make a video by the method of that name; with "sg-i2v" it is `generate`, to the bit.

    Args:
        name: one of `BASELINES`.
        model: as in `generate`, and so are the arguments that are not listed here.
        image: see there.
        trajectories: see there; every method needs them, "none" to say what the run is to be measured against.
        settings: see there; each method uses those that concern it.
        seed: see there. The same seed draws the same noise for every method.
        fit: see there.
        progress: show a progress bar.
        **options: the method's own hyperparameters (`BASELINES[name].options`), the published ones by default.

    Raises:
        InputError: an unknown method or option, no trajectories, and all that the method refuses.
    """
    if name not in BASELINES:
        raise InputError(f"unknown method {name!r}; expected one of {', '.join(BASELINES)}")
    baseline = BASELINES[name]
    if unknown := sorted(set(options) - set(baseline.options)):
        known = ", ".join(baseline.options) or "none"
        raise InputError(f"{name} has no option {unknown[0]!r}; it has {known}")
    if trajectories is None:
        raise InputError("there are no trajectories: expected at least one box to move, so draw or load one")
    model = model.in_precision((settings or model.settings).precision)
    return baseline.function(model, image, trajectories, settings, seed=seed, fit=fit, progress=progress, **options)
