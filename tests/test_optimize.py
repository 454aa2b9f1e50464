import inspect
import itertools
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sgi2v_lab.efficiency.recompute import RECOMPUTE_MODES, recomputing
from sgi2v_lab.errors import InputError
from sgi2v_lab.features import assemble, features_with_graph
from sgi2v_lab.loss import trajectory_loss
from sgi2v_lab.optimize import OptimizeStep, optimize_latents
from sgi2v_lab.sampling import control_step
from sgi2v_lab.settings import Settings
from tests.helpers.tiny import TINIER as SETTINGS
from tests.helpers.tiny import conditioning, noisy_latents
from tests.helpers.tiny import tinier_model as tiny_model

SIGMA = 30.0
CELLS = torch.tensor([[[2, 1, 6, 5], [4, 1, 8, 5], [7, 2, 11, 6]], [[10, 4, 16, 8]] * 3])


def optimize(settings: Settings, sigma: float = SIGMA, latents: torch.Tensor | None = None) -> list[OptimizeStep]:
    latents = noisy_latents(sigma) if latents is None else latents
    return list(control_step(tiny_model(), latents, sigma, conditioning(), CELLS, settings))


def adamw(x: float, gradients: list[float], rate: float, decay: float) -> list[float]:
    """One number after each step of AdamW (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2)."""
    m = v = 0.0
    path = []
    for step, gradient in enumerate(gradients, start=1):
        x = x - rate * decay * x  # decoupled: not through the moments
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        x = x - rate * (m / (1 - 0.9**step)) / (math.sqrt(v / (1 - 0.999**step)) + 1e-8)
        path.append(x)
    return path


@pytest.mark.parametrize(
    ("changes", "rate", "decay"),
    [
        ({}, 0.21, 0.01),
        ({"learning_rate": 0.05, "scale_lr_by_sigma": True}, 0.05 * SIGMA, 0.01),
        ({"weight_decay": 0.3}, 0.21, 0.3),
        ({"optimizer": "adam"}, 0.21, 0.0),
    ],
)
def test_updates_are_adamws_number_by_number(changes, rate, decay):
    latents = noisy_latents(SIGMA)
    steps = optimize(SETTINGS.replace(iterations=3, **changes), latents=latents)
    assert [step.iteration for step in steps] == [0, 1, 2]
    for frame, channel, y, x in itertools.product((0, 1, 2), (0, 3), (0, 4, 7), (0, 5, 15)):
        place = frame, channel, y, x
        gradients = [step.gradient[place].item() for step in steps]
        for expected, step in zip(adamw(latents[place].item(), gradients, rate, decay), steps, strict=True):
            # a gradient of about 1e-8 is rounded in fp32
            assert step.latents[place].item() == pytest.approx(expected, rel=1e-5, abs=1e-3 * rate)


def test_updates_of_gradient_descent():
    latents = noisy_latents(SIGMA)
    steps = optimize(SETTINGS.replace(optimizer="sgd", learning_rate=1e4), latents=latents)
    x = latents
    for step in steps:
        x = x - 1e4 * step.gradient
        assert torch.allclose(step.latents, x, atol=1e-4)
    assert not torch.allclose(x, latents, atol=1e-4)


def test_updates_of_normalized_gradient_descent():
    """The latent with the largest gradient moves by the rate, in units of sigma if asked; others in proportion."""
    latents = noisy_latents(SIGMA)
    changes = {"optimizer": "normalized", "learning_rate": 0.2, "scale_lr_by_sigma": True, "iterations": 2}
    x = latents
    for step in optimize(SETTINGS.replace(**changes), latents=latents):
        moved = x - step.latents
        assert torch.allclose(moved, 0.2 * SIGMA * step.gradient / step.gradient.abs().max(), atol=1e-5)
        assert moved.abs().max().item() == pytest.approx(0.2 * SIGMA, rel=1e-4)
        x = step.latents


class NoAnswers(TorchDispatchMode):
    """Fails where a program would have to wait for a GPU to know a number or a shape.

    On the GPU is what is given, and all that is computed of it.
    """

    WAITS = ("aten._local_scalar_dense", "aten.nonzero", "aten.equal", "aten.masked_select", "aten.unique")

    def __init__(self, *on_gpu: torch.Tensor):
        super().__init__()
        self.storages = [tensor.untyped_storage() for tensor in on_gpu]  # kept, so that no address is used again
        self.addresses = {storage.data_ptr() for storage in self.storages}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        on_gpu = any(x.untyped_storage().data_ptr() in self.addresses for x in given)
        assert not (on_gpu and str(func).startswith(self.WAITS)), f"{func} waits for its result"
        made = func(*args, **(kwargs or {}))
        for x in tree_leaves(made) if on_gpu else ():
            if isinstance(x, torch.Tensor):
                self.storages.append(x.untyped_storage())
                self.addresses.add(x.untyped_storage().data_ptr())
        return made


@pytest.mark.parametrize("mode", RECOMPUTE_MODES)
def test_nothing_in_an_iteration_waits_for_a_gpu(mode):
    model, latents, given = tiny_model(), noisy_latents(SIGMA), conditioning()
    short = {"layers": SETTINGS.layers, "iterations": 2}
    with recomputing(model, mode, max(SETTINGS.layers)), NoAnswers(latents, *model.unet.parameters()):
        steps = list(optimize_latents(model, latents, torch.tensor(SIGMA), given, CELLS, **short))
        with pytest.raises(AssertionError, match="waits"):
            steps[0].loss_terms.total.item()
    assert all(step.gradient.abs().max() > 0 for step in steps)


def test_the_defaults_are_the_papers():
    paper, mine = Settings(), inspect.signature(optimize_latents).parameters
    for name in ("layers", "features", "gaussian_sigma", "iterations", "learning_rate"):
        assert mine[name].default == getattr(paper, name)
    update = mine["make_optimizer"].default([torch.zeros(1, requires_grad=True)], lr=1)
    assert isinstance(update, torch.optim.AdamW) and update.defaults["weight_decay"] == paper.weight_decay


def test_the_optimiser_is_fresh_each_time():
    settings = SETTINGS.replace(iterations=1)
    once = optimize(settings)[0]
    again = optimize(settings, latents=once.latents)[0]
    together = optimize(SETTINGS.replace(iterations=2))[1]
    assert torch.allclose(again.gradient, together.gradient, rtol=1e-3, atol=1e-9)
    # without memory each first step is as long as the rate, wherever there is a gradient to speak of
    moved = again.latents - once.latents * (1 - 0.21 * 0.01)
    clear = again.gradient.abs() > 1e-6  # a hundred times Adam's epsilon
    assert clear.any()
    assert torch.allclose(moved[clear], -0.21 * again.gradient.sign()[clear], atol=0.21 * 0.02)


def test_gradient_and_loss_are_those_of_the_latents_before_the_update():
    model, latents = tiny_model(), noisy_latents(SIGMA)
    steps = optimize(SETTINGS.replace(iterations=2, gaussian_sigma=0.7))
    for before, step in zip((latents, steps[0].latents), steps, strict=True):
        x = before.clone().requires_grad_()
        with features_with_graph(model, x, SIGMA, conditioning(), SETTINGS.layers) as features:
            loss = trajectory_loss(assemble(features, (8, 16)), CELLS, 0.7)
            loss.total.backward()
        assert step.loss == pytest.approx(loss.total.item(), rel=1e-5)
        assert torch.allclose(step.gradient, x.grad, rtol=1e-4, atol=1e-9)
        assert torch.allclose(step.mean_errors, loss.mean_errors, rtol=1e-4, equal_nan=True)
        assert step.mean_errors.shape == (2, 3)
        assert step.mean_errors[:, 0].isnan().all()


def test_the_gradient_is_the_slope_of_the_loss():
    """By finite differences along the gradient itself."""
    model, latents = tiny_model(), noisy_latents(SIGMA)
    (step,) = optimize(SETTINGS.replace(iterations=1))

    def loss(x: torch.Tensor) -> float:
        with features_with_graph(model, x, SIGMA, conditioning(), SETTINGS.layers) as features:
            # the target carries no gradient, so it stays as it was
            maps = assemble(features, (8, 16))
            with torch.no_grad(), features_with_graph(model, latents, SIGMA, conditioning(), SETTINGS.layers) as at:
                fixed = assemble(at, (8, 16))
            return trajectory_loss(torch.cat([fixed[:1], maps[1:]]), CELLS).total.item()

    # only where the first frame's keys and values, detached too, do not depend on the latents is this exact; they
    # depend on the first frame above all, so only later frames are moved
    direction = step.gradient.clone()
    direction[0] = 0
    length = 0.3 / direction.norm()
    slope = (loss(latents + length * direction) - loss(latents - length * direction)) / (2 * length)
    assert slope == pytest.approx((step.gradient * direction).sum().item(), rel=0.2)


@pytest.mark.parametrize("optimizer", ["adamw", "adam"])
def test_the_loss_falls(optimizer):
    losses = [step.loss for step in optimize(SETTINGS.replace(iterations=8, optimizer=optimizer, learning_rate=1.0))]
    assert losses[-1] < 0.9 * losses[0]
    assert min(losses) == pytest.approx(losses[-1], rel=0.1)


def test_every_kind_of_feature_can_be_followed():
    for kind in ("self-attention", "query", "key", "value", "temporal", "block"):
        (step,) = optimize(SETTINGS.replace(iterations=1, features=kind))
        assert step.loss > 0
        assert step.gradient.isfinite().all()
        assert step.gradient.abs().max() > 0


@pytest.mark.parametrize("mode", ["selective", "full"])
def test_recomputing_gives_the_same_gradients(mode):
    plain = optimize(SETTINGS)
    with recomputing(tiny_model(), mode, max(SETTINGS.layers)):
        lean = optimize(SETTINGS)
    for a, b in zip(plain, lean, strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-4)
        assert torch.allclose(a.gradient, b.gradient, rtol=1e-3, atol=1e-9)


def test_nothing_but_the_result_changes():
    model = tiny_model()
    latents = noisy_latents(SIGMA)
    before = latents.clone()
    weights = {name: weight.clone() for name, weight in model.unet.state_dict().items()}
    steps = optimize(SETTINGS.replace(iterations=2), latents=latents)
    assert torch.equal(latents, before)
    assert not latents.requires_grad
    for name, weight in model.unet.named_parameters():
        assert weight.grad is None
        assert not weight.requires_grad
        assert torch.equal(weight, weights[name])
    # what was yielded does not change when the loop goes on
    assert not torch.equal(steps[0].latents, steps[1].latents)
    for step in steps:
        assert not step.latents.requires_grad
        assert not step.gradient.requires_grad
        assert step.latents.dtype == torch.float32


def test_latents_of_half_precision_are_optimised_in_full():
    (step,) = optimize(SETTINGS.replace(iterations=1), latents=noisy_latents(SIGMA).bfloat16())
    assert step.latents.dtype == step.gradient.dtype == torch.float32


def test_no_iterations_yield_nothing():
    assert optimize(SETTINGS.replace(iterations=0)) == []


def test_leaving_early_leaves_the_unet_as_it_was():
    unet = tiny_model().unet
    processors = dict(unet.attn_processors)

    def steps(cells=CELLS, **changes):
        return optimize_latents(
            tiny_model(), noisy_latents(SIGMA), SIGMA, conditioning(), cells, **{"layers": SETTINGS.layers, **changes}
        )

    for _ in steps():
        assert dict(unet.attn_processors) == processors  # also while the caller looks at a step
        break
    loop = steps()
    next(loop)
    with pytest.raises(ZeroDivisionError):
        loop.throw(ZeroDivisionError())
    with pytest.raises(InputError, match="nothing to follow"):
        next(steps(cells=torch.tensor([[[2, 1, 6, 5], [99, 1, 103, 5], [99, 1, 103, 5]]])))
    with pytest.raises(InputError, match=r"\(0, 0\)"):
        next(steps(layers=((0, 0),)))
    assert dict(unet.attn_processors) == processors
    assert all(not b._forward_hooks for block in unet.up_blocks for b in getattr(block, "attentions", ()))


def test_a_pause_between_iterations_keeps_gradients_off_elsewhere():
    """A generator that switches gradients on must not leave them on while its caller has them off."""
    with torch.no_grad():
        given = (tiny_model(), noisy_latents(SIGMA), SIGMA, conditioning(), CELLS)
        for _ in optimize_latents(*given, layers=SETTINGS.layers, iterations=2):
            assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
