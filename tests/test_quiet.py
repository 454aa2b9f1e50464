"""Loading says nothing about the inside of other libraries, and their real warnings stay."""

import logging
import subprocess
import sys

import diffusers.utils.logging
import pytest
import transformers.utils.logging

from sgi2v_lab.quiet import no_progress_bars


@pytest.mark.slow
def test_loading_the_toy_is_silent():
    done = subprocess.run(
        [sys.executable, "-c", "from sgi2v_lab import load_model; load_model('toy', 'cpu')"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_other_warnings_of_the_same_logger_are_heard():
    heard = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    logger = logging.getLogger("transformers.utils.import_utils")
    logger.addHandler(handler)
    try:
        logger.warning("`CLIPImageProcessor` requires torchvision (not installed); falling back to Pillow")
        logger.warning("Disabling PyTorch because PyTorch >= 2.4 is required")
    finally:
        logger.removeHandler(handler)
    assert heard == ["Disabling PyTorch because PyTorch >= 2.4 is required"]


def test_progress_bars_come_back():
    both = (diffusers.utils.logging, transformers.utils.logging)
    before = [each.is_progress_bar_enabled() for each in both]
    try:
        diffusers.utils.logging.enable_progress_bar()
        transformers.utils.logging.disable_progress_bar()
        with no_progress_bars():
            assert not any(each.is_progress_bar_enabled() for each in both)
        assert [each.is_progress_bar_enabled() for each in both] == [True, False]
    finally:
        for each, shown in zip(both, before, strict=True):
            (each.enable_progress_bar if shown else each.disable_progress_bar)()
