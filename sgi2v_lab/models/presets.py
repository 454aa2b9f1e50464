"""Presets: trades of control for time, by name.

"own" is what `settings.json` says: what suits the model. "paper" is the paper's recipe, or what comes nearest to it on
another model than Stable Video Diffusion, whose own settings they are. "fast" takes a fraction of that recipe's time,
"best" is for the closest control, whatever it takes. A model's presets lie beside its weights, in `presets.json`:

    {"fast": {"iterations": 3}, "best": {"iterations": 10}}

Each names what it changes of `settings.json`; "precision" may be "auto" there, which is bf16 on a CPU that multiplies
it and the model's own precision elsewhere. A model without that file has those for Stable Video Diffusion below. Those
have not been measured on Stable Video Diffusion; `sgi2v evaluate --grid presets` measures any model's.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.settings import Settings, renamed_settings

__all__ = ["PRESETS", "SVD_PRESETS", "Presets", "fast_precision", "read_presets"]

PRESETS = ("own", "fast", "paper", "best")
BF16 = ("avx512_bf16", "amx_bf16")  # instructions of CPUs by Intel and AMD; on ARM nothing was measured
Presets = Mapping[str, Mapping[str, object]]  # name -> changes to the model's own settings

SVD_PRESETS: Presets = {
    "own": {},
    "fast": {"num_inference_steps": 25, "control_steps": (2, 7), "iterations": 3, "learning_rate": 0.35},
    "paper": {},
    "best": {"iterations": 10},
}


def read_presets(
    path: Path | None, own: Settings, device: str | torch.device = "cpu", usual: Presets = SVD_PRESETS
) -> Presets:
    """A model's presets from its `presets.json`, or the usual ones where there is no such file.

    A precision of "auto" is decided here, for the device, so that settings and records say what was used.

    Raises:
        InputError: the file is no JSON object of presets, names another one than `PRESETS`, changes something for
            "own", or names a setting that cannot be used.
    """
    if path is None or not path.is_file():
        return usual
    try:
        given = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no file of presets ({error}): expected one JSON object") from error
    if not isinstance(given, dict) or not all(isinstance(changes, dict) for changes in given.values()):
        raise InputError(f"{path} does not hold an object of settings for each preset")
    if unknown := [name for name in given if name not in PRESETS]:
        raise InputError(f"{path}: unknown preset {unknown[0]!r}; the presets are {', '.join(PRESETS)}")
    if given.get("own"):
        raise InputError(f"{path} changes settings for 'own', which are those of settings.json; change them there")
    for name, changes in given.items():
        try:
            given[name] = changes = renamed_settings(changes)
            if changes.get("precision") == "auto":
                changes["precision"] = fast_precision(device)
            own.replace(**changes)
        except InputError as error:
            raise InputError(f"{path}, preset {name!r}: {error}") from error
    return {name: given.get(name, {}) for name in PRESETS}


def fast_precision(device: str | torch.device) -> str:
    """The precision in which a device computes a video soonest, as `settings.precision` has it: "bf16" or "own".

    A CPU without instructions for bf16 emulates them, which takes twice the time of fp32. On a GPU a model is loaded in
    half precision anyway.
    """
    asked = getattr(torch.cpu, "get_capabilities", dict)  # an older PyTorch cannot tell
    has_bf16 = torch.device(device).type == "cpu" and any(asked().get(name) for name in BF16)
    return "bf16" if has_bf16 else "own"
