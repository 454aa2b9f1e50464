import pytest

import sgi2v_lab as sg
from tests.rehearsal.calls import CALLS, NEEDS_RUN, SMALL_ONLY
from tests.rehearsal.conftest import given, on_device

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", sorted(set(CALLS) - set(SMALL_ONLY)))
def test_a_public_call_at_full_size(name, svd, note):
    """But for loading and widgets; evaluation works on the CPU; `generate` is in test_memory."""
    names, call = CALLS[name]
    with on_device(svd).in_use():
        run = None
        if name in NEEDS_RUN:
            run = sg.generate(*given(svd, 14, decode_chunk_size=1), trace=("latents", "optimization"), progress=False)
        call(svd, run)
    note(*(f"{each} (full size)" for each in names))
