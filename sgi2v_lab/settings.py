"""Every hyperparameter, in one frozen record: default, range, and where each comes from.

This is the one place that knows them. The command line's options and the Studio's fields are made from it.
"""

import json
import math
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sgi2v_lab.errors import InputError
from sgi2v_lab.files import as_path

__all__ = ["CONTROL_FIELDS", "FEATURE_KINDS", "OPTIMIZER_NAMES", "PRECISIONS", "Settings", "renamed_settings"]

FEATURE_KINDS = (
    *("aligned", "aligned-same-time", "aligned-unplaced"),
    *("self-attention", "query", "key", "value", "temporal", "block"),
)
OPTIMIZER_NAMES = ("adamw", "adam", "sgd", "normalized")
PRECISIONS = ("own", "fp32", "bf16", "fp16")


def _setting(
    default: Any,
    label: str,
    description: str,
    group: str,
    *,
    symbol: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    slider: tuple[float, float, float] | None = None,
    none: str = "",
) -> Any:
    """A hyperparameter; `slider` is what is worth trying (low, high, step), `none` what leaving it out means."""
    extra = {"label": label, "group": group, "symbol": symbol, "choices": choices, "slider": slider, "none": none}
    return Field(default, description=description, json_schema_extra={**extra, "low": low, "high": high})


class Settings(BaseModel):
    """Hyperparameters of SG-I2V (arXiv 2411.04989, section 4 and appendix) and of SVD (arXiv 2311.15127).

    The defaults are the paper's, for Stable Video Diffusion at 576 x 1024. Another model's own defaults lie beside its
    weights, in `settings.json`; `load_model` reads them into `Model.settings`.

    Raises:
        InputError: a value of another type or out of range.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    num_inference_steps: int = _setting(
        50, "Denoising steps", "Denoising steps of the whole run; more are slower.", "Denoising",
        symbol="T", low=1, high=1000, slider=(1, 100, 1)
    )  # fmt: skip
    control_steps: tuple[int, int] = _setting(
        (5, 20), "Control steps", "First and last step whose latents are optimised, counted from 0. Early steps decide "
        "the motion, late ones the detail.", "Optimisation", symbol="t"
    )  # fmt: skip
    iterations: int = _setting(
        5, "Iterations", "Optimiser iterations at each control step.", "Optimisation",
        symbol="K", low=0, high=1000, slider=(0, 20, 1)
    )  # fmt: skip
    learning_rate: float = _setting(
        0.21, "Learning rate", "Learning rate of the optimiser, in units of the latents.", "Optimisation",
        symbol="η", low=0, high=1e6, slider=(0, 1, 0.01)
    )  # fmt: skip
    scale_lr_by_sigma: bool = _setting(
        False, "Rate times σ", "Multiply the learning rate by the step's noise level.", "Optimisation", symbol="η·σ"
    )
    optimizer: str = _setting(
        "adamw", "Optimiser", "Optimiser of the latents; it starts afresh at every control step.", "Optimisation",
        choices=OPTIMIZER_NAMES
    )  # fmt: skip
    weight_decay: float = _setting(
        0.01, "Weight decay", "Weight decay of AdamW, which pulls the latents towards zero.", "Optimisation",
        symbol="λ", low=0, high=1e6, slider=(0, 0.1, 0.005)
    )  # fmt: skip
    early_stop: float | None = _setting(
        None, "Early stop", "End a control step once its loss is below this fraction of the run's first loss.",
        "Optimisation", low=0, high=1, slider=(0, 1, 0.05), none="off"
    )  # fmt: skip
    features: str = _setting(
        "aligned", "Features", "Features that are compared. Aligned: all frames attend to the first frame's keys "
        "and values.", "Features and loss", symbol="F", choices=FEATURE_KINDS
    )  # fmt: skip
    layers: tuple[tuple[int, int] | int, ...] = _setting(
        ((2, 1), (2, 2)), "Layers", "Attention layers whose features are compared: up block and transformer, or a "
        "video transformer's block, counted from 0.", "Features and loss", symbol="l"
    )  # fmt: skip
    gaussian_sigma: float | None = _setting(
        0.4, "Gaussian weight", "Width of the Gaussian weight over a box, in half-sizes of the box.",
        "Features and loss", symbol="σ", low=0, high=1e6, slider=(0.05, 2, 0.05), none="off"
    )  # fmt: skip
    cutoff: float = _setting(
        0.5, "Cut-off", "Frequencies below this come from the optimised latents: none at 0, nearly all at 1.",
        "Frequencies", symbol="r", low=0, high=1, slider=(0, 1, 0.05)
    )  # fmt: skip
    butterworth_order: int = _setting(
        4, "Order", "Order of the low-pass filter: how steeply it falls at the cut-off.", "Frequencies",
        symbol="n", low=1, high=64, slider=(1, 16, 1)
    )  # fmt: skip
    motion_bucket_id: int = _setting(
        127, "Motion bucket", "Amount of motion that the model is asked for.", "What the model is told",
        low=0, high=255, slider=(0, 255, 1)
    )  # fmt: skip
    fps: int = _setting(
        7, "Frames per second", "Frames per second that the model is told, and at which the video is played.",
        "What the model is told", low=1, high=240, slider=(1, 30, 1)
    )  # fmt: skip
    text: str = _setting(
        "", "Text", "What the video shows, for a model that reads text; SVD does not.", "What the model is told"
    )
    negative_text: str = _setting(
        "", "Negative text", "What classifier-free guidance leads away from, for a model that reads text.",
        "What the model is told"
    )  # fmt: skip
    noise_aug_strength: float = _setting(
        0.02, "Noise on the picture", "Noise added to the first frame before the VAE encodes it.",
        "What the model is told", low=0, high=10, slider=(0, 0.5, 0.01)
    )  # fmt: skip
    min_guidance_scale: float = _setting(
        1.0, "Guidance, first frame", "Scale of classifier-free guidance at the first frame; 1 is no guidance.",
        "Denoising", symbol="w₁", low=0, high=100, slider=(0, 8, 0.1)
    )  # fmt: skip
    max_guidance_scale: float = _setting(
        3.0, "Guidance, last frame", "Scale of classifier-free guidance at the last frame; linear in between.",
        "Denoising", symbol="w_N", low=0, high=100, slider=(0, 8, 0.1)
    )  # fmt: skip
    cfg_steps: tuple[int, int] | None = _setting(
        None, "Guidance steps", "First and last step with classifier-free guidance, which doubles the time of a "
        "step (a limited interval: arXiv 2404.07724).", "Denoising", none="all"
    )  # fmt: skip
    width: int = _setting(
        1024, "Width", "Width of the video in pixels.", "Size and memory",
        symbol="W", low=16, high=8192, slider=(64, 1280, 64)
    )  # fmt: skip
    height: int = _setting(
        576, "Height", "Height of the video in pixels.", "Size and memory",
        symbol="H", low=16, high=8192, slider=(64, 1280, 64)
    )  # fmt: skip
    num_frames: int | None = _setting(
        None, "Frames", "Number of frames per run of the model; by default as many as it was trained for.",
        "Size and memory", symbol="N", low=2, high=1000, slider=(2, 32, 1), none="model's"
    )  # fmt: skip
    precision: str = _setting(
        "own", "Precision",
        "Convert the networks to this precision for the run; own keeps the one they were loaded in.",
        "Size and memory", choices=PRECISIONS
    )  # fmt: skip
    decode_chunk_size: int | None = _setting(
        None, "Decode at a time", "Frames decoded at a time; fewer need less memory.", "Size and memory",
        low=1, high=1000, slider=(1, 32, 1), none="all"
    )  # fmt: skip

    def __init__(self, **values: Any):
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name, value = first["loc"][0] if first["loc"] else "settings", first["input"]
            if first["type"] == "extra_forbidden":
                raise InputError(_unknown(name)) from None
            if first["type"] == "value_error":
                raise InputError(str(first["ctx"]["error"])) from None
            wanted = _WORDS[type(self).model_fields[name].annotation]
            raise InputError(f"{name} is {values.get(name, value)!r}, but must be {wanted}") from None

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Lists, as JSON has them, become tuples, and other libraries' numbers Python's."""
        return {name: _plain_value(value, cls.model_fields.get(name)) for name, value in values.items()}

    @model_validator(mode="after")
    def _in_range(self) -> "Settings":
        for name, field in type(self).model_fields.items():
            value, extra = getattr(self, name), field.json_schema_extra
            if extra["choices"] and value not in extra["choices"]:
                raise ValueError(f"{name} is {value!r}, but must be one of {', '.join(extra['choices'])}")
            if value is None or extra["low"] is None:
                continue
            if not (math.isfinite(value) and extra["low"] <= value <= extra["high"]):
                raise ValueError(f"{name} is {value}, but must lie between {extra['low']:g} and {extra['high']:g}")
        if self.gaussian_sigma == 0:
            raise ValueError("gaussian_sigma is 0, but must be above 0, or none for equal weights")
        if not self.layers:
            raise ValueError("layers is empty, but must hold at least one pair (up block, transformer) or block")
        if len(set(self.layers)) != len(self.layers):
            raise ValueError(f"layers is {self.layers}, but a layer may be named only once")
        for name in ("control_steps", "cfg_steps"):
            first, last = getattr(self, name) or (0, 0)
            if not 0 <= first <= last:
                raise ValueError(f"{name} is {first}..{last}, but must be first..last with 0 <= first <= last")
        if self.control_steps[1] >= self.num_inference_steps:
            steps = self.num_inference_steps
            raise ValueError(
                f"control_steps ends at {self.control_steps[1]}, but there are only steps 0..{steps - 1}; "
                "change control_steps too"
            )
        return self

    def is_control_step(self, step: int) -> bool:
        """Whether the latents are optimised at a denoising step, counted from 0."""
        return self.iterations > 0 and self.control_steps[0] <= step <= self.control_steps[1]

    def has_guidance(self, step: int) -> bool:
        """Whether a denoising step, counted from 0, has classifier-free guidance, and so takes two forward passes."""
        first, last = self.cfg_steps or (0, self.num_inference_steps - 1)
        within = first <= step <= min(last, self.num_inference_steps - 1)
        return within and max(self.min_guidance_scale, self.max_guidance_scale) > 1

    def replace(self, **changes: Any) -> "Settings":
        """A copy with some fields changed; InputError for an unknown field, another type or a value out of range."""
        return type(self)(**{**dict(self), **changes})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return self.model_dump()

    @classmethod
    def load(cls, path: str | Path, usual: "Settings | None" = None) -> "Settings":
        """Read `settings.json`; fields that are left out are as usual, by default the paper's; old names are read."""
        path = as_path(path, "a file of settings")
        try:
            given = json.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is no settings file ({error}): expected one JSON object of settings") from error
        if not isinstance(given, dict):
            raise InputError(f"{path} holds a {type(given).__name__}, but one JSON object of settings is expected")
        try:
            return cls(**{**dict(usual or {}), **renamed_settings(given)})
        except InputError as error:
            raise InputError(f"{path}: {error}") from None


CONTROL_GROUPS = ("Optimisation", "Features and loss", "Frequencies")
# the fields that play no part in a video without control
CONTROL_FIELDS = tuple(
    name for name, field in Settings.model_fields.items() if field.json_schema_extra["group"] in CONTROL_GROUPS
)

_WORDS = {
    int: "a whole number",
    int | None: "a whole number, or none",
    float: "a number",
    float | None: "a number, or none",
    bool: "true or false",
    str: "a word",
    tuple[int, int]: "two whole numbers, first and last",
    tuple[int, int] | None: "two whole numbers, first and last, or none",
    tuple[tuple[int, int] | int, ...]: "pairs (up block, transformer), such as (2, 1), or blocks, such as 12",
}


def _unknown(name: str) -> str:
    if name in _RENAMED:
        return f"unknown setting {name!r}; it is called {_RENAMED[name]} now"
    return f"unknown setting {name!r}; the settings are {', '.join(sorted(Settings.model_fields))}"


def _plain_value(value: Any, field: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_plain_value(each, None) for each in value)
    if getattr(value, "shape", None) == ():  # a number of NumPy's or PyTorch's
        value = value.item()
    wants_float = field is not None and field.annotation in (float, float | None)
    return float(value) if wants_float and type(value) is int else value


_RENAMED = {
    "num_steps": "num_inference_steps",
    "guided_steps": "control_steps",
    "relative_rate": "scale_lr_by_sigma",
    "enough": "early_stop",
    "min_guidance": "min_guidance_scale",
    "max_guidance": "max_guidance_scale",
    "motion_bucket": "motion_bucket_id",
    "noise_augmentation": "noise_aug_strength",
    "decode_chunk": "decode_chunk_size",
}
_GONE = ("sampler", "carry_optimizer", "checkpointing")  # their defaults are what there is now


def renamed_settings(given: dict[str, Any]) -> dict[str, Any]:
    """Settings from a file of any version, under today's names.

    Raises:
        InputError: the file asks for something that is gone: another sampler than Euler's, or a carried optimiser.
    """
    found = {_RENAMED.get(name, name): value for name, value in given.items() if name not in _GONE}
    if given.get("sampler", "euler") != "euler" or given.get("carry_optimizer"):
        gone = "sampler" if given.get("sampler", "euler") != "euler" else "carry_optimizer"
        raise InputError(f"the setting {gone} is {given[gone]!r}, which is gone; leave it out")
    first, last = found.pop("guidance_first_step", 0), found.pop("guidance_last_step", None)
    if first or last is not None:
        found["cfg_steps"] = (first, 999 if last is None else last)
    if found.get("features") == "ordinary":
        found["features"] = "self-attention"
    return found
