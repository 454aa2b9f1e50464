"""Third-party notices that a user can do nothing about, silenced in one place."""

import os
import warnings

__all__ = ["quiet_libraries"]


def quiet_libraries() -> None:
    """Silence notices about the inside of transformers and diffusers. Call it before importing either.

    What goes: that CLIP's pre-processing falls back to Pillow without torchvision (which is what the toy and the tests
    were made with), that an argument's name will change in a later release, and progress bars of loading five small
    files. What stays: errors, and the hub's progress bars, since a download of gigabytes should be seen. Whoever sets
    TRANSFORMERS_VERBOSITY or DIFFUSERS_VERBOSITY hears everything again.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", message="`torch_dtype` is deprecated", category=FutureWarning)
    import diffusers.utils.logging
    import transformers.utils.logging

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
