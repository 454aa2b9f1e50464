from dataclasses import replace
from functools import cache

import pytest
import torch
from jaxtyping import config as jaxtyping_config

from sgi2v_lab import explore
from sgi2v_lab.errors import InputError
from sgi2v_lab.frequency import butterworth_mask
from sgi2v_lab.pca import similarity_maps
from sgi2v_lab.pipeline import TRACEABLE, Run, _strip, generate
from sgi2v_lab.sampling import predict_clean_latents
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from tests.helpers.tiny import FRAMES, HEIGHT, SETTINGS, WIDTH, picture, tiny_model

BALL = Trajectory.move((16, 8, 48, 40), by=(48, 8))
AWAY = Trajectory.move((80, 16, 112, 48), by=(64, 0), easing="linear")  # out of sight in the last frame
ASKED = Trajectories((WIDTH, HEIGHT), (BALL, AWAY))
CONTROLLED = range(SETTINGS.control_steps[0], SETTINGS.control_steps[1] + 1)


@cache
def everything(controlled: bool) -> Run:
    asked = ASKED if controlled else None
    return generate(tiny_model(), picture(), asked, SETTINGS, seed=3, trace=TRACEABLE, progress=False)


def traced(*kinds: str, controlled: bool = True) -> Run:
    """A run as it would be if only these kinds had been asked for; generating takes longer than all the rest."""
    run = everything(controlled)
    return replace(run, trace=[_strip(step, set(kinds)) for step in run.trace] if kinds else [])


# --- what is looked into ---------------------------------------------------------------------------------------------


def test_a_run_is_looked_into_as_it_was_made():
    run = traced(*TRACEABLE)
    inspection = explore.inspect_run(tiny_model(), run)
    assert not inspection.made_noisy
    assert inspection.picture == (WIDTH, HEIGHT)
    assert len(inspection.latents) == len(inspection.sigmas) == SETTINGS.num_inference_steps
    for step, kept in enumerate(run.trace):
        assert torch.equal(inspection.latents[step], kept.before)
        # the same conditioning and guidance: the guess is the run's own
        guess = predict_clean_latents(tiny_model(), inspection.conditioning, kept.mixed, inspection.settings, step)
        assert torch.allclose(guess, kept.denoised, atol=1e-5)


def test_clean_latents_are_brought_to_every_noise_level():
    run = traced()
    inspection = explore.inspect_run(tiny_model(), run)
    assert inspection.made_noisy
    assert torch.equal(inspection.boxes, run.boxes)
    assert inspection.sigmas == pytest.approx(run.sigmas)
    noise = (inspection.latents[0] - run.latents) / inspection.sigmas[0]
    assert noise.std().item() == pytest.approx(1, abs=0.1)
    for sigma, latents in zip(inspection.sigmas, inspection.latents, strict=True):
        assert torch.allclose(latents, run.latents + sigma * noise, rtol=1e-4, atol=1e-4 * sigma + 1e-6)
    again = explore.inspect_latents(tiny_model(), run.image, run.latents, SETTINGS, seed=run.seed)
    assert torch.equal(again.latents[1], inspection.latents[1])
    assert again.video.shape == run.video.shape


def test_what_does_not_fit_the_model_is_refused():
    run = traced()
    with pytest.raises(InputError, match=r"image is a Tensor \(3, 32, 32\).*first_frame"):
        explore.inspect_latents(tiny_model(), picture(0, 32, 32), run.latents, SETTINGS)
    with pytest.raises(InputError, match="latents have shape"):
        explore.inspect_latents(tiny_model(), run.image, run.latents[..., :4], SETTINGS)
    with pytest.raises(InputError, match="give the model that made the run"):
        explore.inspect_run(tiny_model(), replace(run, latents=torch.zeros(FRAMES, 7, 8, 16)))


# --- features --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["self-attention", "aligned", "query"])
def test_a_point_is_most_similar_to_itself(kind):
    inspection = explore.inspect_run(tiny_model(), traced(*TRACEABLE))
    layer = tiny_model().layers[-1]
    maps = explore.feature_maps(inspection, 1, layer, kind)
    h, w = maps.shape[-2:]
    point = (41.0, 23.0)
    similar = similarity_maps(maps, point=point, picture_size=inspection.picture)
    x, y = int(41 * w / WIDTH), int(23 * h / HEIGHT)
    assert similar[0, y, x].item() == pytest.approx(1, abs=1e-5)
    best = explore.best_matches(similar, inspection.picture)
    assert best[0].tolist() == [(x + 0.5) * WIDTH / w, (y + 0.5) * HEIGHT / h]
    for frame in range(FRAMES):
        column, row = int(best[frame, 0] * w / WIDTH), int(best[frame, 1] * h / HEIGHT)
        assert similar[frame, row, column] == similar[frame].max()


def test_features_change_with_the_step_and_only_existing_steps_have_them():
    inspection = explore.inspect_run(tiny_model(), traced())
    layer = tiny_model().layers[0]
    assert not torch.allclose(*(explore.feature_maps(inspection, step, layer, "aligned") for step in (0, 3)))
    with pytest.raises(InputError, match=r"step is 4, but there are steps 0\.\.3"):
        explore.feature_maps(inspection, 4, layer, "aligned")


def test_self_attention_and_aligned_share_a_basis_and_others_have_their_own():
    draw = torch.Generator().manual_seed(0)
    one, other = (torch.randn(2, 6, 4, 5, generator=draw) for _ in range(2))
    colours = explore.pca_colours({"aligned": one, "self-attention": one + 0.0, "query": other})
    assert torch.equal(colours["aligned"], colours["self-attention"])
    assert torch.equal(colours["query"], explore.pca_colours({"query": other})["query"])
    # one basis: what is the same in both has the same colour in both, whatever else is in them
    mixed = torch.cat([one[:1], other[:1]])
    colours = explore.pca_colours({"aligned": one, "self-attention": mixed})
    assert torch.equal(colours["aligned"][0], colours["self-attention"][0])


# --- loss ------------------------------------------------------------------------------------------------------------


def test_shares_sum_to_the_loss_of_every_iteration():
    run = traced(*TRACEABLE)
    weights = explore.loss_weights(run)
    assert explore.optimized_steps(run) == tuple(CONTROLLED)
    for step in CONTROLLED:
        iterations = explore.iterations_of(run, step)
        assert [each.loss for each in iterations] == run.losses[step]
        for each in iterations:
            shares = explore.loss_shares(each.mean_errors, weights)
            assert shares.nansum().item() == pytest.approx(each.loss, rel=1e-4)
            # the first frame is the target; the second box has left by the last frame
            counted = torch.tensor([[False, True, True], [False, True, False]])
            assert torch.equal(~shares.isnan(), counted)
    assert weights[:, 0].eq(0).all()
    assert weights[1, -1] == 0


def test_a_run_is_looked_into_in_its_precision():
    settings = SETTINGS.replace(precision="bf16")
    run = generate(tiny_model(), picture(), None, settings, seed=3, trace=["latents"], progress=False)
    assert explore.inspect_run(tiny_model(), run).model.dtype == torch.bfloat16


def test_runs_that_cannot_say_more_are_refused():
    with pytest.raises(InputError, match="without trajectories"):
        explore.optimized_steps(traced(controlled=False))
    for run in (traced(), traced("latents")):
        with pytest.raises(InputError, match=r"trace=\['optimization'\]"):
            explore.iterations_of(run, CONTROLLED[0])
    with pytest.raises(InputError, match="step 0 is no control step; the control steps are 1, 2"):
        explore.iterations_of(traced("latents"), 0)


def test_norms_are_over_channels():
    values = torch.zeros(2, 4, 3, 5)
    values[1, :, 2, 0] = torch.tensor([1.0, -2.0, 2.0, 4.0])
    norms = explore.place_norms(values)
    assert norms.shape == (2, 3, 5)
    assert norms[1, 2, 0] == 5
    assert norms.sum() == 5


# --- frequencies -----------------------------------------------------------------------------------------------------


def test_the_cutoff_decides_what_is_kept():
    draw = torch.Generator().manual_seed(0)
    before, optimized = torch.randn(2, 3, 4, 8, 12, generator=draw)
    nothing = explore.filter_latents(before, optimized, 0)
    assert torch.equal(nothing.latents["mixed"], before)
    assert nothing.spectra["kept"].sum() == 0
    assert nothing.mask.sum() == 0
    energies = [explore.filter_latents(before, optimized, r).spectra["kept"].sum().item() for r in (0, 0.3, 0.6, 1)]
    assert energies == sorted(energies)
    everything = explore.filter_latents(before, optimized, 1, order=16)
    inner = everything.radii < 0.8
    assert torch.allclose(everything.spectra["mixed"][inner], everything.spectra["optimized"][inner], rtol=0.15)
    half = explore.filter_latents(before, optimized, 0.5, 2)
    assert torch.equal(half.mask, butterworth_mask(8, 12, 0.5, 2))
    for name, power in half.spectra.items():
        assert power.shape == half.radii.shape, name
    with pytest.raises(InputError, match="cutoff is 1.5"):
        explore.filter_latents(before, optimized, 1.5)


def test_latents_of_two_shapes_are_refused(monkeypatch):
    monkeypatch.setattr(jaxtyping_config, "jaxtyping_disable", True)  # as for a user
    with pytest.raises(InputError, match="give two of a kind"):
        explore.filter_latents(torch.zeros(2, 4, 8, 8), torch.zeros(2, 4, 8, 6), 0.5)


def test_latents_are_those_of_the_control_steps():
    assert tuple(explore.steps_with_latents(traced("latents"))) == tuple(CONTROLLED)
    for run in (traced(), traced("latents", controlled=False)):
        with pytest.raises(InputError, match="kept no optimised latents"):
            explore.steps_with_latents(run)
