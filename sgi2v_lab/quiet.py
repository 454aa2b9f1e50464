"""Notices of other libraries that a user can do nothing about, silenced in one place."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["no_progress_bars", "quiet_libraries"]


def quiet_libraries() -> None:
    """Drop transformers' notice that CLIP's pre-processing uses Pillow where torchvision is missing.

    Pillow is what the toy and the tests were made with. `import sgi2v_lab` calls this, as transformers says it while it
    is imported. All other warnings and errors stay.
    """
    logging.getLogger("transformers.utils.import_utils").addFilter(_is_wanted)


def _is_wanted(record: logging.LogRecord) -> bool:
    return "requires torchvision (not installed); falling back to" not in record.getMessage()


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """While open, diffusers and transformers show no progress bars of loading files; the hub's, of downloads, stay."""
    import diffusers.utils.logging
    import transformers.utils.logging

    shown = [each for each in (diffusers.utils.logging, transformers.utils.logging) if each.is_progress_bar_enabled()]
    for each in shown:
        each.disable_progress_bar()
    try:
        yield
    finally:
        for each in shown:
            each.enable_progress_bar()
