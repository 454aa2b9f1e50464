import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sgi2v_lab.errors import InputError
from sgi2v_lab.sampling import denoise, draw_noise, make_schedule, predict_clean_latents
from tests.helpers.tiny import FRAMES, TINIER, conditioning, tinier_model

CELLS = torch.tensor([[[2, 1, 6, 5], [4, 1, 8, 5], [7, 2, 11, 6]]])


def noise() -> torch.Tensor:
    return draw_noise(tinier_model(), TINIER, torch.Generator().manual_seed(5))


def run(cells=None, **changes):
    return list(denoise(tinier_model(), conditioning(), noise(), TINIER.replace(**changes), cells))


@pytest.fixture(scope="module")
def plain():
    return run()


@pytest.fixture(scope="module")
def controlled():
    return run(CELLS)


def karras(steps: int) -> list[float]:
    """SVD's noise levels (Karras et al., arXiv 2206.00364, equation 5, rho 7), and 0 at the end."""
    low, high = 0.002 ** (1 / 7), 700 ** (1 / 7)
    return [(high + i / (steps - 1) * (low - high)) ** 7 for i in range(steps)] + [0.0]


def slow_step(latents: torch.Tensor, sigma: float, following: float, guidance: list[float]) -> torch.Tensor:
    """One Euler step of v-prediction, the two branches of classifier-free guidance run one after the other."""
    given, unet = conditioning(), tinier_model().unet
    predictions = []
    for on in (0.0, 1.0):
        sample = torch.cat([latents / math.sqrt(sigma**2 + 1), on * given.image_latents[0]], dim=1)
        with torch.no_grad():
            predictions.append(
                unet(
                    sample[None],
                    torch.tensor(0.25 * math.log(sigma)),
                    encoder_hidden_states=on * given.embedding,
                    added_time_ids=given.time_ids,
                ).sample[0]
            )
    result = torch.empty_like(latents)
    for frame, scale in enumerate(guidance):
        v = predictions[0][frame] + scale * (predictions[1][frame] - predictions[0][frame])
        clean = latents[frame] / (sigma**2 + 1) - v * sigma / math.sqrt(sigma**2 + 1)
        result[frame] = latents[frame] + (latents[frame] - clean) / sigma * (following - sigma)
    return result


@pytest.mark.parametrize(("low", "high"), [(1.0, 3.0), (2.0, 2.0), (1.0, 1.0), (0.5, 0.7), (3.0, 1.0)])
def test_steps_are_eulers(low, high):
    steps = run(min_guidance_scale=low, max_guidance_scale=high, num_inference_steps=3)
    sigmas = karras(3)
    guidance = [low + (high - low) * f / (FRAMES - 1) for f in range(FRAMES)]
    if max(guidance) <= 1:
        guidance = [1.0] * FRAMES  # as in diffusers, what would guide away from the picture does not guide
    assert [step.sigma for step in steps] == pytest.approx(sigmas[:-1], rel=1e-4)
    before = noise() * math.sqrt(700**2 + 1)
    for index, step in enumerate(steps):
        assert step.index == index
        assert torch.allclose(step.before, before, rtol=1e-5)
        expected = slow_step(before, sigmas[index], sigmas[index + 1], guidance)
        assert torch.allclose(step.latents, expected, rtol=1e-3, atol=1e-3 * max(sigmas[index + 1], 1))
        assert step.optimized is None
        assert step.iterations == ()
        assert step.losses == []
        assert torch.equal(step.mixed, step.before)
        before = step.latents
    assert torch.allclose(steps[-1].denoised, steps[-1].latents, atol=1e-3)  # nothing is left to remove


def test_guidance_is_for_the_steps_that_have_it():
    batches = []
    handle = tinier_model().unet.register_forward_pre_hook(lambda _, given: batches.append(len(given[0])))
    try:
        some = run(cfg_steps=(1, 2))
        assert batches == [1, 2, 2, 1]
        late = run(cfg_steps=(3, 3))
        assert batches[4:] == [1, 1, 1, 2]
        assert [len(run(cfg_steps=(9, 9))), batches[8:]] == [4, [1] * 4]
    finally:
        handle.remove()
    without, everywhere = run(max_guidance_scale=1.0), run()
    assert torch.equal(some[0].latents, without[0].latents) and not torch.equal(some[0].latents, everywhere[0].latents)
    assert not torch.equal(some[1].latents, without[1].latents)
    assert torch.equal(late[2].latents, without[2].latents) and not torch.equal(late[3].latents, without[3].latents)


def test_denoised_is_the_guess_that_the_euler_step_goes_towards(plain):
    for step, following in zip(plain, karras(4)[1:], strict=True):
        towards = (step.denoised * (step.sigma - following) + step.mixed * following) / step.sigma
        assert torch.allclose(step.latents, towards, rtol=1e-4, atol=1e-3 * max(following, 1))


@pytest.mark.parametrize("guidance", [(1.0, 3.0), (1.0, 1.0)])
def test_the_guess_can_be_had_by_itself_at_any_step(guidance):
    settings = TINIER.replace(min_guidance_scale=guidance[0], max_guidance_scale=guidance[1], iterations=1)
    for step in denoise(tinier_model(), conditioning(), noise(), settings, CELLS):
        guess = predict_clean_latents(tinier_model(), conditioning(), step.mixed, settings, step.index)
        assert torch.equal(guess, step.denoised)
        assert not guess.requires_grad
    for index in (-1, 4):
        with pytest.raises(InputError, match=f"step is {index}, but there are steps 0..3"):
            predict_clean_latents(tinier_model(), conditioning(), noise(), settings, index)


def slow_mix(optimized: torch.Tensor, original: torch.Tensor, cutoff: float) -> torch.Tensor:
    h, w = original.shape[-2:]
    mask = torch.empty(h, w, dtype=torch.double)
    for y in range(h):
        for x in range(w):
            squared = (2 * y / h - 1) ** 2 + (2 * x / w - 1) ** 2
            mask[y, x] = 1 / (1 + (squared / cutoff**2) ** 4)
    low, high = (torch.fft.fftshift(torch.fft.fft2(x.double()), dim=(-2, -1)) for x in (optimized, original))
    return torch.fft.ifft2(torch.fft.ifftshift(mask * low + (1 - mask) * high, dim=(-2, -1))).real.float()


def test_control_steps_start_from_the_optimised_low_frequencies():
    steps = run(CELLS, cutoff=0.3)
    sigmas = karras(4)
    guidance = [1.0, 2.0, 3.0]
    assert [step.index for step in steps if step.iterations] == [1, 2]
    for step, sigma, following in zip(steps, sigmas, sigmas[1:], strict=False):
        if step.index in (1, 2):
            assert [i.iteration for i in step.iterations] == [0, 1]
            assert step.losses == [i.loss for i in step.iterations]
            assert torch.equal(step.optimized, step.iterations[-1].latents)
            assert not torch.equal(step.optimized, step.before)
            mixed = slow_mix(step.optimized, step.before, 0.3)
            assert torch.allclose(step.mixed, mixed, rtol=1e-4, atol=1e-3)
            assert not torch.allclose(step.mixed, step.before, atol=1e-2)
        else:
            assert step.optimized is None
            assert torch.equal(step.mixed, step.before)
        expected = slow_step(step.mixed, sigma, following, guidance)
        assert torch.allclose(step.latents, expected, rtol=1e-3, atol=1e-3 * max(following, 1))
    for step, after in pairwise(steps):
        assert torch.equal(after.before, step.latents)


@pytest.mark.parametrize(
    "changes",
    [{"cutoff": 0, "iterations": 1}, {"iterations": 0}, {"learning_rate": 0, "weight_decay": 0, "iterations": 1}],
)
def test_control_of_strength_zero_is_no_control_to_the_bit(plain, changes):
    for a, b in zip(run(CELLS, **changes), plain, strict=True):
        assert torch.equal(a.latents, b.latents)
        assert torch.equal(a.denoised, b.denoised)


def test_control_changes_nothing_before_the_first_control_step(plain, controlled):
    assert torch.equal(controlled[0].latents, plain[0].latents)
    assert torch.equal(controlled[1].before, plain[1].before)
    assert not torch.allclose(controlled[1].latents, plain[1].latents, atol=1e-2)
    assert not torch.allclose(controlled[3].latents, plain[3].latents, atol=1e-3)


def test_more_of_the_optimised_passes_at_a_higher_cutoff():
    changes = [
        (step.mixed - step.before).norm().item()
        for cutoff in (0.1, 0.4, 1.0)
        for step in run(CELLS, cutoff=cutoff, num_inference_steps=2, control_steps=(0, 0))[:1]
    ]
    assert changes == sorted(changes)
    assert changes[0] < changes[-1]


@pytest.mark.parametrize("guided", [(0, 0), (3, 3), (0, 3)])
def test_any_steps_may_have_control(guided):
    steps = run(CELLS, control_steps=guided, iterations=1)
    assert [step.index for step in steps if step.losses] == list(range(guided[0], guided[1] + 1))
    assert all(step.latents.isfinite().all() for step in steps)


def test_a_run_may_be_left_at_any_step(controlled):
    for step in denoise(tinier_model(), conditioning(), noise(), TINIER, CELLS):
        assert torch.is_grad_enabled()
        if step.index == 1:
            break
    assert torch.equal(step.latents, controlled[1].latents)
    assert torch.is_grad_enabled()


def test_latents_do_not_carry_a_graph_and_the_noise_stays_as_it_was():
    start = noise()
    before = start.clone()
    for step in denoise(
        tinier_model(), conditioning(), start, TINIER.replace(num_inference_steps=2, control_steps=(0, 0)), CELLS
    ):
        assert not step.latents.requires_grad
        assert not step.mixed.requires_grad
    assert torch.equal(start, before)


def test_schedules_are_fresh_and_leave_the_models_alone():
    model = tinier_model()
    config = dict(model.scheduler.config)
    first, second = make_schedule(model, TINIER), make_schedule(model, TINIER.replace(num_inference_steps=7))
    assert first is not model.scheduler
    assert (len(first.timesteps), len(second.timesteps)) == (4, 7)
    assert first.sigmas.tolist() == pytest.approx(karras(4), rel=1e-4, abs=1e-6)
    assert first.timesteps.tolist() == pytest.approx([0.25 * math.log(s) for s in karras(4)[:-1]], rel=1e-4, abs=1e-4)
    assert dict(model.scheduler.config) == config


@given(st.integers(0, 2**32))
def test_noise_is_of_the_seed(seed):
    drawn = [draw_noise(tinier_model(), TINIER, torch.Generator().manual_seed(s)) for s in (seed, seed, seed + 1)]
    assert drawn[0].shape == (FRAMES, 4, 8, 16)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert 0.85 < drawn[0].std() < 1.15


def test_sizes_must_divide():
    for name, value in (("width", 136), ("height", 72)):
        with pytest.raises(InputError, match=f"{name} is {value}.*32"):
            draw_noise(tinier_model(), TINIER.replace(**{name: value}), torch.Generator())


# --- going on, and ending early --------------------------------------------------------------------------------------


def test_a_run_goes_on_after_any_of_its_steps():
    settings = TINIER.replace(early_stop=0.9)
    whole = list(denoise(tinier_model(), conditioning(), noise(), settings, CELLS))
    for index in (0, 1, 3):
        rest = list(denoise(tinier_model(), conditioning(), noise(), settings, CELLS, resume_from=whole[index]))
        assert [step.index for step in rest] == list(range(index + 1, 4))
        for again, step in zip(rest, whole[index + 1 :], strict=True):
            assert torch.equal(again.latents, step.latents)
            assert again.losses == step.losses


@pytest.mark.slow
def test_control_steps_end_when_the_loss_is_low_enough():
    changes = {"num_inference_steps": 4, "control_steps": (2, 3), "iterations": 3, "learning_rate": 0.5, "cutoff": 1.0}
    # never; within a step, and before the first update of the next
    for share, lengths in ((0.0, [3, 3]), (1.0, [2, 1])):
        steps = run(CELLS, early_stop=share, **changes)[2:]
        first = steps[0].losses[0]
        assert [len(step.losses) for step in steps] == lengths
        for step in steps:
            ended = step.losses[-1] < share * first
            assert all(loss >= share * first for loss in step.losses[:-1])
            assert ended or len(step.losses) == 3
            # what was good enough stays as it is
            wanted = (
                step.optimized if not ended else (step.before if len(step.losses) == 1 else step.iterations[-2].latents)
            )
            assert torch.allclose(step.optimized, wanted)
