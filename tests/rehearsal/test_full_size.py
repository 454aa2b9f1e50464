from dataclasses import replace

import pytest

import sgi2v_lab as sg
from tests.rehearsal.calls import CALLS, NEEDS_RUN, SMALL_ONLY
from tests.rehearsal.conftest import given, on_device

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", sorted(set(CALLS) - set(SMALL_ONLY)))
def test_a_public_call_at_full_size(name, svd, note):
    """Of four frames: more are the same operations. Loading and widgets are left out; `generate` is in test_memory.

    Evaluation works on the CPU.
    """
    names, call = CALLS[name]
    svd = replace(svd, settings=svd.settings.replace(num_frames=4))
    with on_device(svd).in_use():
        run = None
        if name in NEEDS_RUN:
            run = sg.generate(*given(svd, 4, decode_chunk_size=1), trace=("latents", "optimization"), progress=False)
        call(svd, run)
    note(*(f"{each} (full size)" for each in names))
