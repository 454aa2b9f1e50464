"""Faults put in on purpose: the rehearsal would find each of them."""

import pytest
import torch

import sgi2v_lab as sg
import sgi2v_lab.loss
import sgi2v_lab.sampling
from sgi2v_lab.bench.stages import workload
from sgi2v_lab.efficiency.memory import Memory
from sgi2v_lab.models.svd import StableVideoDiffusion
from tests.rehearsal import test_waits
from tests.rehearsal.calls import Given
from tests.rehearsal.conftest import given, parts
from tests.rehearsal.device import Mismatch


def test_a_tensor_left_on_the_cpu(small, device, monkeypatch):
    monkeypatch.setattr(sgi2v_lab.loss, "upload", lambda tensor, *_: tensor)
    with pytest.raises(Mismatch, match="on the CPU") as caught:
        list(sg.control_step(*workload(small).given()))
    assert "loss.py" in {frame.path.name for frame in caught.traceback}  # with its place


def test_two_precisions_in_one_product(small, device, monkeypatch):
    predict = StableVideoDiffusion.predict
    monkeypatch.setattr(StableVideoDiffusion, "predict", lambda self, x, *rest: predict(self, x.float(), *rest))
    monkeypatch.setattr(StableVideoDiffusion, "dtype", torch.float32)
    with pytest.raises(Mismatch, match=r"float16 and torch\.float32"):
        list(sg.denoise(small, Given(small).conditioning, Given(small).noise, small.settings))


def test_a_wait_in_an_iteration(small, device, monkeypatch):
    loss = sgi2v_lab.loss.trajectory_loss

    def looks_first(features, *rest):
        assert features.isfinite().all()
        return loss(features, *rest)

    monkeypatch.setattr("sgi2v_lab.optimize.trajectory_loss", looks_first)
    with pytest.raises(AssertionError, match="optimize.py"):
        test_waits.test_no_iteration_waits_for_the_device(small, device)


@pytest.mark.slow
def test_a_part_not_brought_back(small, device, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Memory, "restore", lambda _: None)
        sg.generate(*given(small, 3), memory="offload", progress=False)
        assert {tensor.device.type for tensor in parts(small)} == {"cpu", "meta"}  # what `device` asserts at its end
        with pytest.raises(Mismatch, match="on the CPU"):
            sg.generate(*given(small, 3), memory="fast", progress=False)
    for part in small.networks.values():
        part.to("meta")


@pytest.mark.slow
def test_a_double_move(small, device, monkeypatch):
    offload = Memory._offload_unused

    def twice(self):
        offload(self)
        self.restore()
        offload(self)

    monkeypatch.setattr(Memory, "_offload_unused", twice)
    with pytest.raises(AssertionError):
        test_waits.test_offload_moves_each_part_out_and_back_once(small, device)
