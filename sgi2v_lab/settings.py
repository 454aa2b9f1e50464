"""Every hyperparameter in one frozen record, with the paper's defaults and where each comes from."""

import dataclasses
import json
import math
import numbers
from dataclasses import dataclass
from pathlib import Path

from sgi2v_lab.errors import InputError

__all__ = ["CONTROL_FIELDS", "FEATURE_KINDS", "OPTIMIZERS", "PRECISIONS", "SAMPLERS", "Settings"]

FEATURE_KINDS = ("aligned", "ordinary", "query", "key", "value", "temporal", "block")
SAMPLERS = ("euler", "dpm++")
PRECISIONS = ("own", "fp32", "bf16", "fp16")
OPTIMIZERS = ("adamw", "adam", "sgd", "normalized")
# the fields of Settings that play no part in a video without control
CONTROL_FIELDS = (
    *("guided_steps", "iterations", "learning_rate", "relative_rate", "optimizer", "weight_decay"),
    *(
        "carry_optimizer",
        "enough",
        "features",
        "layers",
        "gaussian_sigma",
        "cutoff",
        "butterworth_order",
        "checkpointing",
    ),
)


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of SG-I2V (arXiv 2411.04989, section 4 and appendix) and of SVD (arXiv 2311.15127).

    The defaults are the paper's, for Stable Video Diffusion at 576 x 1024. Another model's own defaults lie beside its
    weights, in `settings.json`; `load_model` reads them into `Model.settings`.
    """

    width: int = 1024  # pixels of the video (SVD's training size)
    height: int = 576  # pixels of the video
    num_frames: int | None = None  # none: what the UNet was trained for (14 for SVD, 25 for SVD-XT)
    num_steps: int = 50  # denoising steps of the whole run
    sampler: str = "euler"  # or dpm++, which needs fewer steps
    guided_steps: tuple[int, int] = (5, 20)  # first and last optimised step, 0-indexed, inclusive (count-down 45..30)
    iterations: int = 5  # optimiser iterations per guided step
    learning_rate: float = 0.21  # of the optimiser, in units of the latents (appendix)
    relative_rate: bool = False  # True: the learning rate is multiplied by the step's sigma
    optimizer: str = "adamw"  # fresh at every guided step, unless carried
    weight_decay: float = 0.01  # AdamW's default
    carry_optimizer: bool = False  # from one guided step to the next: what Adam knows of the gradients goes on
    enough: float | None = None  # share of the first loss of all, below which a guided step ends; none: never
    features: str = "aligned"  # aligned: keys and values of the first frame (section 3.2)
    layers: tuple[tuple[int, int], ...] = ((2, 1), (2, 2))  # (up block, transformer), 0-indexed (section 4.3)
    gaussian_sigma: float | None = 0.4  # in half-sizes of the box; none: every cell weighs the same
    cutoff: float = 0.5  # of the Butterworth low-pass; 0 keeps the original latents, 1 nearly the optimised ones
    butterworth_order: int = 4  # how steeply the low-pass falls
    min_guidance: float = 1.0  # classifier-free guidance of the first frame ...
    max_guidance: float = 3.0  # ... and of the last, linear in between (SVD's defaults)
    guidance_first_step: int = 0  # first step with classifier-free guidance (an interval: arXiv 2404.07724)
    guidance_last_step: int | None = None  # last step with classifier-free guidance; none: that of the run
    fps: int = 7  # what the model is told about the frame rate (SVD's default)
    motion_bucket: int = 127  # how much motion the model is asked for, 0..255 (SVD's default)
    noise_augmentation: float = 0.02  # noise added to the first frame before it is encoded (SVD's default)
    precision: str = "own"  # in which the networks compute: as the model was loaded, or another; the loss is fp32
    decode_chunk: int | None = None  # frames decoded at a time; none: all
    checkpointing: bool = False  # recompute activations in the backward pass: less memory, more time

    def __post_init__(self) -> None:
        """Check every type and range; lists, as JSON has them, become tuples."""
        for name, value in _typed(vars(self)).items():
            object.__setattr__(self, name, value)
        for name, low, high in (
            ("width", 16, 8192),
            ("height", 16, 8192),
            ("num_frames", 2, 1000),
            ("num_steps", 1, 1000),
            ("iterations", 0, 1000),
            ("learning_rate", 0, 1e6),
            ("weight_decay", 0, 1e6),
            ("enough", 0, 1),
            ("cutoff", 0, 1),
            ("butterworth_order", 1, 64),
            ("min_guidance", 0, 100),
            ("max_guidance", 0, 100),
            ("guidance_first_step", 0, 999),
            ("guidance_last_step", 0, 999),
            ("fps", 1, 240),
            ("motion_bucket", 0, 255),
            ("noise_augmentation", 0, 10),
            ("decode_chunk", 1, 1000),
        ):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise InputError(f"{name} is {value}, but must lie between {low:g} and {high:g}")
        if self.gaussian_sigma is not None and not (math.isfinite(self.gaussian_sigma) and self.gaussian_sigma > 0):
            raise InputError(f"gaussian_sigma is {self.gaussian_sigma}, but must be above 0, or none for equal weights")
        if self.features not in FEATURE_KINDS:
            raise InputError(f"features is {self.features!r}, but must be one of {', '.join(FEATURE_KINDS)}")
        if self.sampler not in SAMPLERS:
            raise InputError(f"sampler is {self.sampler!r}, but must be one of {', '.join(SAMPLERS)}")
        if self.precision not in PRECISIONS:
            raise InputError(f"precision is {self.precision!r}, but must be one of {', '.join(PRECISIONS)}")
        if self.optimizer not in OPTIMIZERS:
            raise InputError(f"optimizer is {self.optimizer!r}, but must be one of {', '.join(OPTIMIZERS)}")
        if not self.layers:
            raise InputError("layers is empty, but must hold at least one pair (up block, transformer), such as (2, 1)")
        if len(set(self.layers)) != len(self.layers):
            raise InputError(f"layers is {self.layers}, but a layer may be named only once")
        if self.guidance_last_step is not None and self.guidance_last_step < self.guidance_first_step:
            raise InputError(
                f"guidance_last_step is {self.guidance_last_step}, but the first is {self.guidance_first_step}; "
                "for none at all make max_guidance 1"
            )
        first, last = self.guided_steps
        if not 0 <= first <= last:
            raise InputError(f"guided_steps is {first}..{last}, but must be first..last with 0 <= first <= last")
        if last >= self.num_steps:
            raise InputError(f"guided_steps ends at {last}, but there are only steps 0..{self.num_steps - 1}")

    def has_guidance(self, step: int) -> bool:
        """Whether a denoising step, 0-indexed, has classifier-free guidance, and so takes two forward passes."""
        last = self.num_steps - 1 if self.guidance_last_step is None else self.guidance_last_step
        within = self.guidance_first_step <= step <= last
        return within and max(self.min_guidance, self.max_guidance) > 1

    def replace(self, **changes) -> "Settings":
        """A copy with some fields changed; InputError for an unknown field, another type or a value out of range."""
        known = {f.name for f in dataclasses.fields(self)}
        if unknown := set(changes) - known:
            raise InputError(f"unknown setting {sorted(unknown)[0]!r}; the settings are {', '.join(sorted(known))}")
        return dataclasses.replace(self, **_typed(changes))

    def as_dict(self) -> dict:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def load(cls, path: Path) -> "Settings":
        """Read `settings.json`; fields that are left out have the paper's values."""
        try:
            given = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is no settings file ({error}); expected one JSON object of settings") from error
        if not isinstance(given, dict):
            raise InputError(f"{path} holds a {type(given).__name__}, but one JSON object of settings is expected")
        return cls().replace(**given)


def _typed(values: dict) -> dict:
    """The values as Python's own types; InputError for one that is of another kind than its field."""
    return {name: _typed_value(name, value) for name, value in values.items()}


def _typed_value(name: str, value: object) -> object:
    whole, fraction = _is(value, numbers.Integral), _is(value, numbers.Real)
    match Settings.__annotations__[name]:
        case kind if value is None and kind in (int | None, float | None):
            return None
        case kind if kind in (int, int | None):
            wanted, read = "a whole number", int(value) if whole else None
        case kind if kind in (float, float | None):
            wanted, read = "a number", float(value) if fraction else None
        case kind if kind is bool:
            wanted, read = "true or false", value if isinstance(value, bool) else None
        case kind if kind is str:
            wanted, read = "a word", value if isinstance(value, str) else None
        case _ if name == "guided_steps":
            wanted, read = "two whole numbers, first and last", _whole_pair(value)
        case _:
            pairs = tuple(map(_whole_pair, value)) if isinstance(value, list | tuple) else (None,)
            wanted, read = "pairs (up block, transformer), such as (2, 1)", None if None in pairs else pairs
    if read is None:
        raise InputError(f"{name} is {value!r}, but must be {wanted}")
    return read


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)  # which Python counts among the whole numbers


def _whole_pair(value: object) -> tuple[int, int] | None:
    """Two whole numbers, or None if it is anything else."""
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(_is(v, numbers.Integral) for v in value):
        return None
    return int(value[0]), int(value[1])
