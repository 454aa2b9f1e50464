import pytest

from sgi2v_lab.bench.full_size import full_size


@pytest.mark.slow
def test_the_miniature_passes():
    """The comparison that `make full-size` makes of SVD itself."""
    record = full_size("fp32", "cpu", name="miniature", width=64, height=64, frames=3)
    assert record["passed"], record
    assert 0 < record["gradient_error"] < 1e-5 and record["step_error"] < 1e-5
