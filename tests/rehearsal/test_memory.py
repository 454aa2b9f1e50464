"""Memory of SVD and SVD-XT at full size, in whole runs."""

import warnings

import pytest

import sgi2v_lab as sg
from sgi2v_lab.bench import stages
from sgi2v_lab.efficiency.memory import DECODED_AT_ONCE, MEMORY_MODES
from tests.helpers.remembered_shapes import RememberedShapes
from tests.rehearsal.conftest import given, on_device, parts

pytestmark = pytest.mark.slow
FRAMES = {"svd": 14, "svd-xt": 25}  # the networks are alike
GB = 1e9


def test_memory_of_each_stage_and_mode_is_what_is_counted(svd, note, monkeypatch):
    """Of a whole run of SVD in each mode, from its peaks: within 3% of `sgi2v bench svd --count-only`."""
    name, chunk = "svd", 3
    monkeypatch.setattr(stages, "has_reference", lambda _: False)  # whose memory is not in question here
    with RememberedShapes():
        counts = stages.count_memory(
            svd, svd.settings.replace(num_frames=FRAMES[name], decode_chunk_size=chunk), boxes=2
        )
    weights = {part: sum(t.nbytes for t in module.parameters()) for part, module in svd.networks.items()}
    rows = {}
    for mode in MEMORY_MODES:
        device = on_device(svd)
        steps = sg.generate_steps(*given(svd, FRAMES[name], decode_chunk_size=chunk), memory=mode)
        with device.in_use():
            next(steps)
            peaks = {"first step": device.peak}
            for stage in ("control", "decode"):
                device.forget()
                next(steps, None)
                peaks[stage] = device.peak
        lean = mode == "offload"
        held = {"first step": sum(weights.values()), "control": weights["unet"] if lean else sum(weights.values())}
        held["decode"] = weights["vae"] if lean else sum(weights.values())
        wanted = {
            "control": held["control"] + counts[f"control step, {'full' if lean else mode}"],
            "decode": held["decode"] + counts["decode"] * (DECODED_AT_ONCE / chunk if lean else 1),
        }
        if not lean:
            wanted["first step"] = held["first step"] + counts["denoising step"]
        for stage, bytes_ in wanted.items():
            rows[mode, stage] = peaks[stage], bytes_
    note(f"generate, {name}, in each memory mode")
    for (mode, stage), (found, counted) in rows.items():
        note(f"{name:7} {mode:10} {stage:11} {found / GB:6.2f} GB  counted {counted / GB:6.2f} GB")
    for (mode, stage), (found, counted) in rows.items():
        assert found == pytest.approx(counted, rel=0.03), (mode, stage)


@pytest.mark.parametrize(
    ("name", "capacity", "mode", "ends_in"),
    [("svd", 16 * GB, "fast", "full"), ("svd", 12 * GB, "auto", None), ("svd-xt", 16 * GB, "auto", None)],
)
def test_a_controlled_video_fits(name, capacity, mode, ends_in, svd, note):
    """Within the card's memory: by choosing a mode, or by falling back until one fits."""
    device = on_device(svd, capacity)
    with device.in_use(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = sg.generate(*given(svd, FRAMES[name]), memory=mode, progress=False)
    assert made.video.shape == (FRAMES[name], 3, 576, 1024)
    assert {tensor.device.type for tensor in parts(svd)} == {"meta"}
    fallen = [word for word in MEMORY_MODES if f"mode {word!r}" in str([w.message for w in said])]
    assert fallen[-1:] == [ends_in] * (ends_in is not None)
    note(f"{name} from encoding to decoding within {capacity / GB:.0f} GB: {device.peak / GB:.2f} GB at most")
