import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from sgi2v_lab.bench.stages import one_iteration, workload
from sgi2v_lab.compilation import COMPILED, compile_layers
from sgi2v_lab.shortcuts import RECOMPUTED
from tests.tiny import tiny_model

# "aot_eager" traces as the others do, forwards and backwards, but needs no compiler


@pytest.fixture(scope="module")
def compiled():
    return compile_layers(tiny_model(), backend="aot_eager")


@pytest.mark.parametrize("mode", RECOMPUTED)
def test_gradients_are_the_same_in_every_memory_mode(compiled, mode):
    wanted, found = one_iteration(workload(tiny_model()), mode), one_iteration(workload(compiled), mode)
    assert (found - wanted).norm() < 1e-5 * wanted.norm()


def test_weights_are_shared_and_the_model_given_stays_as_it_is(compiled):
    for ours_, theirs in zip(compiled.unet.parameters(), tiny_model().unet.parameters(), strict=True):
        assert ours_ is theirs
    assert compiled.unet is not tiny_model().unet
    assert not any(module._compiled_call_impl for module in tiny_model().unet.modules())


def test_layers_of_one_size_are_compiled_once_for_all_and_never_again():
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("eager")
    model = compile_layers(tiny_model(), backend=counter)
    one_iteration(workload(model), "fast")
    first = counter.frame_count
    assert 0 < first < sum(isinstance(module, COMPILED) for module in model.unet.modules())
    one_iteration(workload(model), "fast")
    assert counter.frame_count == first
