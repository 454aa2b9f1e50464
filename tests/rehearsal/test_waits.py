"""What a GPU would be kept waiting by, and needless copies, counted at full size where that costs nothing."""

from collections import Counter

import pytest
import torch

import sgi2v_lab as sg
from sgi2v_lab.bench.stages import workload
from sgi2v_lab.efficiency.recompute import recomputing
from tests.rehearsal.conftest import boxes, given, on_device
from tests.rehearsal.device import aten


@pytest.mark.slow
def test_no_iteration_waits_for_the_device(small, device):
    work = workload(small, boxes=2)
    for changes, waits in (({}, 0), ({"optimizer": "sgd", "features": "block"}, 0), ({"early_stop": 0.5}, 1)):
        device.forget()
        for _ in sg.control_step(*work.given(small.settings.replace(iterations=3, **changes))):
            # with early stop, the loss decides whether there is another iteration
            assert device.waits.total() == waits, device.waits
            device.forget()


@pytest.mark.slow
def test_a_step_waits_once_at_most(small, device):
    """For the losses, all at once; steps without control never wait."""
    trajectories = boxes(small.settings.width, small.settings.height)
    picture = torch.zeros(3, small.settings.height, small.settings.width)
    for given_boxes, wanted in ((trajectories, {1: 1, 2: 0}), (None, {1: 0, 2: 0})):
        steps, waits = sg.generate_steps(small, picture, given_boxes, memory="fast"), {}
        next(steps)  # encodes too
        device.forget()
        for step in steps:
            if step.index in wanted:
                waits[step.index] = device.waits.total()
            device.forget()
        assert waits == wanted
        steps.close()


@pytest.mark.parametrize(("mode", "before"), [("fast", 99), ("full", 183)])
def test_half_of_the_casts_of_an_iteration_are_gone(mode, before, svd, note):
    """`before`: as diffusers blends, with a mask of frames that are single images, where none is."""
    device, work = on_device(svd), workload(svd)
    with device.in_use(), recomputing(svd, mode, max(svd.settings.layers)):
        next(sg.control_step(*work.given()))
    note(f"casts in a control iteration of svd, {mode}: {device.casts.total()}, before {before}")
    assert device.casts.total() <= before / 2


def test_all_attention_is_fused(small, device, monkeypatch):
    """No softmax of a matrix of weights: every layer calls scaled_dot_product_attention."""
    seen = Counter()
    check = type(device)._check
    monkeypatch.setattr(
        type(device), "_check", lambda self, op, *rest: (seen.update([op.overloadpacket]), check(self, op, *rest))
    )
    sg.generate(*given(small, 3), progress=False)
    assert seen[aten._scaled_dot_product_flash_attention_for_cpu] > 10
    assert seen[aten._softmax] == seen[aten._safe_softmax] == 0


@pytest.mark.slow
def test_offload_moves_each_part_out_and_back_once(small, device):
    def sizes(*names: str) -> int:
        return sum(t.nbytes for name in names for t in (*small.networks[name].parameters(),))

    made = [sg.generate(*given(small, 3), memory="fast", progress=False)]
    fast = dict(device.moved)
    device.forget()
    made.append(sg.generate(*given(small, 3), memory="offload", progress=False))
    everything = sizes("vae", "unet", "image_encoder")
    for way in ("in", "out"):
        assert device.moved[way] - fast[way] == pytest.approx(everything, rel=1e-3), way
