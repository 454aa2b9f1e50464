"""What the Studio says of each setting: its name, the course's symbol, a plain sentence, how it is entered.

A slider's ends are those of what is worth trying; a number typed beyond them is accepted as far as `Settings` does.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.model import Model
from sgi2v_lab.settings import FEATURE_KINDS, OPTIMIZERS, PRECISIONS, SAMPLERS, Settings

__all__ = ["FIELDS", "Field", "groups", "plain", "usable_presets"]


@dataclass(frozen=True)
class Field:
    """One control. `kind`: "number", "range" (two step numbers), "choice", "switch", "layers"."""

    name: str
    label: str
    symbol: str
    help: str
    kind: str = "number"
    low: float | int = 0
    high: float | int = 1
    step: float | int = 1
    choices: tuple[str, ...] = ()
    none: str = ""  # what leaving it empty means; empty: it may not be left empty


FIELDS: dict[str, tuple[Field, ...]] = {
    "Where in time": (
        Field("num_inference_steps", "Denoising steps", "T", "From noise to video; more are slower.", high=100, low=1),
        Field("sampler", "Sampler", "", "DPM-Solver++ needs fewer steps.", kind="choice", choices=SAMPLERS),
        Field(
            "control_steps",
            "Guided steps",
            "t",
            "First and last step whose latents are optimised. Early steps lay out the motion; late ones spoil detail.",
            kind="range",
        ),
    ),
    "Optimisation": (
        Field("iterations", "Iterations", "K", "Optimiser iterations at each guided step.", high=20),
        Field("learning_rate", "Learning rate", "η", "How far one iteration may push the latents.", high=1, step=0.01),
        Field(
            "scale_lr_by_sigma",
            "Rate relative to σ",
            "η·σ",
            "Multiply the learning rate by the step's noise level.",
            kind="switch",
        ),
        Field("optimizer", "Optimiser", "", "Takes the latents down the gradient.", kind="choice", choices=OPTIMIZERS),
        Field("carry_optimizer", "Carry it on", "", "From one guided step to the next.", kind="switch"),
        Field(
            "early_stop",
            "Enough",
            "",
            "A guided step ends once its loss is below this share of the first loss. Off: never.",
            step=0.05,
            none="off",
        ),
        Field("weight_decay", "Weight decay", "λ", "Of AdamW: pulls the latents towards zero.", high=0.1, step=0.005),
    ),
    "Features and loss": (
        Field(
            "features",
            "Features",
            "F",
            "Aligned: every frame looks at the first frame's keys and values. The others are for comparison.",
            kind="choice",
            choices=FEATURE_KINDS,
        ),
        Field("layers", "Layers", "l", "Up block and transformer of each recorded attention layer.", kind="layers"),
        Field(
            "gaussian_sigma",
            "Gaussian weight",
            "σ",
            "Width of the weight over a box, in half-sizes of it. Off: every cell weighs the same.",
            low=0.05,
            high=2,
            step=0.05,
            none="off",
        ),
    ),
    "Frequencies": (
        Field(
            "cutoff",
            "Cut-off",
            "r",
            "Frequencies below it come from the optimised latents. 0 changes nothing, 1 keeps nearly everything.",
            step=0.05,
        ),
        Field("butterworth_order", "Order", "n", "How steeply the filter falls at the cut-off.", low=1, high=16),
    ),
    "What the model is told": (
        Field("motion_bucket_id", "Motion bucket", "", "How much motion is asked for.", high=255),
        Field("fps", "Frames per second", "", "Also the speed at which the video is played.", low=1, high=30),
        Field("noise_aug_strength", "Noise on the picture", "", "Added before it is encoded.", high=0.5, step=0.01),
        Field(
            "min_guidance_scale",
            "Guidance, first frame",
            "w₁",
            "Classifier-free guidance; 1 is none.",
            high=8,
            step=0.1,
        ),
        Field("max_guidance_scale", "Guidance, last frame", "w_F", "Linear in between.", high=8, step=0.1),
        Field("guidance_first_step", "Guidance from step", "", "Steps before it take half the time.", high=49),
        Field("guidance_last_step", "Guidance to step", "", "Empty: to the end.", high=49, none="end"),
    ),
    "Size and memory": (
        Field("width", "Width", "W", "Pixels of the video.", low=64, high=1280, step=64),
        Field("height", "Height", "H", "Pixels of the video.", low=64, high=1280, step=64),
        Field("num_frames", "Frames", "F", "Empty: what the model was trained for.", low=2, high=32, none="model's"),
        Field(
            "precision",
            "Precision",
            "",
            "In which the networks compute. Half precision is faster where the hardware has it.",
            kind="choice",
            choices=PRECISIONS,
        ),
        Field(
            "decode_chunk_size", "Decode at a time", "", "Frames; fewer need less memory.", low=1, high=32, none="all"
        ),
        Field(
            "checkpointing",
            "Recompute activations",
            "",
            "Less memory in the backward pass, more time.",
            kind="switch",
        ),
    ),
}


def groups(layers: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    """The controls as plain values for the browser; `layers` are those that the model has."""
    names = ["name", "label", "symbol", "help", "kind", "low", "high", "step", "choices", "none"]
    found = []
    for title, fields in FIELDS.items():
        rows = [{key: getattr(field, key) for key in names} for field in fields]
        for row in rows:
            row["choices"] = list(layers) if row["kind"] == "layers" else list(row["choices"])
            row["paper"] = getattr(Settings, row["name"])
        found.append({"title": title, "fields": rows})
    return found


def usable_presets(model: Model) -> dict[str, Settings]:
    """The model's presets by name, without those that ask for what it has not got."""
    found = {}
    for name in model.presets:
        with suppress(InputError):
            preset = model.preset(name)
            model.check_layers(preset.layers)
            found[name] = preset
    return found


def plain(settings: Settings) -> dict[str, Any]:
    """Values as JSON has them."""
    values = settings.as_dict()
    return {
        **values,
        "control_steps": list(values["control_steps"]),
        "layers": [list(pair) for pair in values["layers"]],
    }
