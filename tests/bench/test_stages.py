import copy
import dataclasses

import pytest
import torch
import torch.nn.functional as F

from sgi2v_lab.bench.measure import count_flops
from sgi2v_lab.bench.networks import network
from sgi2v_lab.bench.reference_recipe import reference_gradient, reference_loss, reference_precision, reference_step
from sgi2v_lab.bench.stages import count_stages, one_iteration, workload
from sgi2v_lab.efficiency.recompute import RECOMPUTE_MODES
from sgi2v_lab.errors import InputError
from sgi2v_lab.loss import trajectory_loss
from sgi2v_lab.sampling import control_step
from tests.helpers.remembered_shapes import RememberedShapes

TERA = 1e12


@pytest.fixture(scope="module")
def miniature():
    """At a small size: what is computed is SVD's whole topology all the same."""
    model = network("miniature", "cpu")
    return workload(model, model.settings.replace(width=128, height=64, num_frames=3), boxes=2)


@pytest.fixture(scope="module")
def reference(miniature):
    with reference_precision(miniature.model):
        return reference_gradient(miniature)


@pytest.mark.slow
@pytest.mark.parametrize("mode", RECOMPUTE_MODES)
def test_gradients_are_those_of_the_recipe(mode, miniature, reference):
    gradient = one_iteration(miniature, mode)
    assert reference.abs().max() > 0
    assert (gradient - reference).norm() < 1e-5 * reference.norm()
    assert (gradient - reference).abs().max() < 1e-5 * reference.abs().max()


def test_the_toys_gradients_are_those_of_the_recipe():
    model = network("toy", "cpu")
    work = workload(model, model.settings.replace(num_frames=4), boxes=3)
    with reference_precision(work.model):
        wanted = reference_gradient(work)
    assert (one_iteration(work, "fast") - wanted).norm() < 1e-5 * wanted.norm()


@pytest.mark.slow
def test_a_whole_control_step_is_that_of_the_reference_gradient(miniature):
    settings = miniature.settings.replace(iterations=2, optimizer="adamw")
    given = (miniature.model, miniature.latents, miniature.sigma, miniature.conditioning, miniature.cells, settings)
    wanted = reference_step(dataclasses.replace(miniature, settings=settings))
    done = list(control_step(*given))[-1].latents
    moved = wanted - miniature.latents
    # Adam divides by a gradient's size, so where there is next to none its sign is rounding
    assert ((done - wanted).abs() > 0.05 * settings.learning_rate).float().mean() < 0.01
    assert moved.abs().mean() > 0.5 * settings.learning_rate
    assert not miniature.model.unet.is_gradient_checkpointing


def test_the_recipe_gives_weights_back_in_their_precision(miniature):
    unet = copy.deepcopy(miniature.model.unet).bfloat16()
    model = dataclasses.replace(miniature.model, unet=unet)
    with pytest.raises(ZeroDivisionError), reference_precision(model):
        assert {weight.dtype for weight in unet.parameters()} == {torch.float32}
        raise ZeroDivisionError
    assert {weight.dtype for weight in unet.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    "cells",
    [
        [[[1, 1, 4, 3], [2, 1, 5, 3], [3, 2, 6, 4]]],
        [[[-2, -1, 3, 3], [1, 1, 7, 4], [40, 1, 45, 4]], [[4, 3, 9, 8], [3, -3, 9, 2], [2, 2, 7, 7]]],  # cut, resized
    ],
)
@pytest.mark.parametrize("sigma", [0.4, None])
def test_the_recipes_loss_is_the_loss(cells, sigma):
    features = torch.randn(3, 5, 6, 8, generator=torch.Generator().manual_seed(0))
    wanted = trajectory_loss(features, torch.tensor(cells), sigma).total
    assert reference_loss(features, torch.tensor(cells), sigma).item() == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.slow
def test_counts_of_svd_at_full_size(monkeypatch):
    """36.1 TFLOP a forward, 0.745 of it up to the last recorded attention, 0.805 to the end of its block.

    These figures leave out attention's own products, which PyTorch's counter does not see on a CPU; with them it is
    44.8 TFLOP.
    """
    model = network("svd", "meta")
    assert sum(weight.numel() for weight in model.unet.parameters()) == pytest.approx(1.52e9, rel=0.01)
    work = workload(model)
    inputs = torch.cat([work.latents, work.conditioning.image_latents[0]], dim=1)[None]

    def forward() -> None:
        model.unet(
            inputs,
            torch.zeros((), device="meta"),
            encoder_hidden_states=work.conditioning.embedding,
            added_time_ids=work.conditioning.time_ids,
        )

    def to_the_end_of_the_block() -> None:
        handle = model.unet.up_blocks[3].register_forward_pre_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            forward()
        handle.remove()

    def to_the_last_attention() -> None:
        attention = model.unet.up_blocks[2].attentions[2].transformer_blocks[0].attn1
        handle = attention.register_forward_pre_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            forward()
        handle.remove()

    with torch.no_grad(), RememberedShapes():
        assert count_flops(forward) / TERA == pytest.approx(44.8, abs=0.05)
        monkeypatch.setattr(F, "scaled_dot_product_attention", lambda query, *_, **__: query)
        whole = count_flops(forward)
        assert whole / TERA == pytest.approx(36.1, abs=0.05)
        assert count_flops(to_the_last_attention) / whole == pytest.approx(0.745, abs=0.005)
        assert count_flops(to_the_end_of_the_block) / whole == pytest.approx(0.805, abs=0.005)


@pytest.mark.slow
def test_what_is_needless_is_not_counted_and_counting_leaves_the_model_alone(miniature):
    model = miniature.model
    with RememberedShapes():
        counts = count_stages(model)
    assert model.device.type == "cpu"
    assert {weight.device.type for weight in model.unet.parameters()} == {"cpu"}
    assert all(count > 0 for count in counts.values())
    forward = counts["forward"]
    assert counts["denoising step"] == 2 * forward
    assert counts["control forward"] < 0.75 * forward
    assert counts["control iteration, fast"] < 1.45 * forward
    assert (
        counts["control iteration, fast"] < counts["control iteration, selective"] < counts["control iteration, full"]
    )
    assert counts["control iteration, selective"] < 0.86 * counts["control iteration, reference"]
    assert counts["video"] > 100 * forward + 80 * counts["control iteration, fast"]


def test_unknown_networks():
    with pytest.raises(InputError, match=r"'sdv'.*toy, miniature, svd"):
        network("sdv")
    with pytest.raises(InputError, match="fp8"):
        network("miniature", "cpu", "fp8")
