import warnings

import pytest
import torch

import sgi2v_lab as sg
from sgi2v_lab.efficiency.memory import MEMORY_MODES
from tests.rehearsal.calls import CALLS, NEEDS_RUN, ON_THE_CPU
from tests.rehearsal.conftest import boxes, on_device, parts

SLOW = ("evaluate", "generate", "load")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in CALLS]
)
def test_a_public_call_on_a_device(name, small, device, run, tmp_path, note):
    names, call = CALLS[name]
    call(small, run if name in NEEDS_RUN else tmp_path)
    note(*names)


def test_no_public_name_is_left_out():
    covered = {name for names, _ in CALLS.values() for name in names}
    assert {*sg.__all__} - covered - {*ON_THE_CPU} == set()


@pytest.mark.slow
def test_a_run_falls_back_where_the_device_is_full(small, note):
    """Until the capacity suffices; the weights are on the device again at the end."""
    trajectories = boxes(small.settings.width, small.settings.height)
    given = (small, torch.zeros(3, small.settings.height, small.settings.width), trajectories)
    peaks = {}
    for mode in MEMORY_MODES:
        device = on_device(small)
        steps = sg.generate_steps(*given, memory=mode)
        with device.in_use():
            next(steps)
            device.forget()
            next(steps)
            peaks[mode] = device.peak
            steps.close()
    assert peaks["fast"] > peaks["selective"] > peaks["full"] > peaks["offload"]
    device = on_device(small)
    steps = sg.generate_steps(*given, memory="fast")
    with device.in_use(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        next(steps)
        device.capacity = 0.95 * peaks["selective"]  # a network this small takes more for encoding
        next(steps)
        device.capacity = 1e15
        assert [step.index for step in steps] == [2]
    assert [mode for mode in MEMORY_MODES if repr(mode) in str([w.message for w in said])] == ["selective", "full"]
    assert {tensor.device.type for tensor in parts(small)} == {"meta"}
    note("fall-back from out of memory")
