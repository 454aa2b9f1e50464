import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sgi2v_lab.baselines import METHODS
from sgi2v_lab.baselines.copy_features import copied
from sgi2v_lab.baselines.copy_paste import paste_along
from sgi2v_lab.baselines.drag import motion_supervision
from sgi2v_lab.baselines.freetraj import flow_noise
from sgi2v_lab.baselines.regions import covered, nearest_cells, paint_order
from sgi2v_lab.errors import InputError
from sgi2v_lab.latents import decode_latents, encode_video
from sgi2v_lab.models.load import TOY, load_model
from sgi2v_lab.pipeline import Run, generate
from sgi2v_lab.sampling import denoise
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from tests.helpers import tiny_wan as wan
from tests.helpers.tiny import FRAMES, HEIGHT, WIDTH, conditioning, noisy_latents, picture
from tests.helpers.tiny import TINIER as SETTINGS
from tests.helpers.tiny import tinier_model as tiny_model

pytestmark = pytest.mark.slow

MOVING = Trajectories((WIDTH, HEIGHT), (Trajectory.move((16, 8, 48, 40), by=(48, 16)),))
BOXES = MOVING.boxes(FRAMES)
CELLS = (BOXES / 8).long()
QUICK = SETTINGS.replace(num_inference_steps=2, control_steps=(0, 0), iterations=1)
DIFFUSING = ("none", "copy_features", "time_to_move", "freetraj", "drag", "sgi2v")


def run(name: str, trajectories=MOVING, settings=SETTINGS, seed: int = 817, **options) -> Run:
    return generate(tiny_model(), picture(), trajectories, settings, method=name, seed=seed, progress=False, **options)


@pytest.fixture(scope="module")
def plain():
    return run("none")


# --- what holds for every method -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_every_method_makes_a_run_that_a_seed_repeats(name):
    first, again = run(name, settings=QUICK), run(name, settings=QUICK)
    assert first.video.shape == (FRAMES, 3, HEIGHT, WIDTH)
    assert first.video.isfinite().all()
    assert first.video.min() >= 0 and first.video.max() <= 1
    assert first.latents.shape == (FRAMES, 4, HEIGHT // 8, WIDTH // 8)
    assert torch.equal(first.boxes, BOXES)
    assert torch.equal(first.image, picture())
    assert (first.settings, first.model, first.seed) == (QUICK, "tiny", 817)
    assert torch.equal(first.video, again.video)
    assert all(value >= 0 for value in first.seconds.values())
    if name in DIFFUSING:
        assert not torch.equal(first.latents, run(name, settings=QUICK, seed=1).latents)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_whose_it_is(name):
    method = METHODS[name]
    assert method.name == name
    assert method.title and method.source
    if name != "copy_paste":
        assert "arXiv" in method.source
    if method.needs_boxes:
        assert inspect.getmodule(method.make).__doc__.strip()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"settings": SETTINGS.replace(width=100)}, "width is 100"),
        ({"trajectories": Trajectories((WIDTH, HEIGHT))}, "no trajectories"),
        ({"trajectories": Trajectories((64, 64), tuple(MOVING))}, "64 x 64"),
        ({"strength": 0.5}, "no option 'strength'"),
    ],
)
def test_every_method_refuses_what_generate_refuses(name, changes, complaint):
    with pytest.raises(InputError, match=complaint):
        run(name, **changes)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.needs_boxes])
def test_a_method_that_needs_boxes_says_so(name):
    with pytest.raises(InputError, match="no trajectories"):
        run(name, trajectories=None)


def test_an_unknown_method_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"'magic'.*time_to_move.*sgi2v"):
        run("magic")


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("time_to_move", {"weak": 0.5, "strong": 0.4}, "weak 0.5 and strong 0.4"),
        ("time_to_move", {"weak": -0.1}, "weak -0.1"),
        ("time_to_move", {"strong": 1.5}, "strong 1.5"),
        ("time_to_move", {"weak": 1.0, "strong": 1.0}, "none of the 4 steps"),
        ("freetraj", {"cutoff": 2.0}, "cutoff is 2.0"),
        ("drag", {"at": 1.0}, "at is 1.0"),
        ("drag", {"at": -0.5}, "at is -0.5"),
        ("drag", {"iterations": -1}, "iterations is -1"),
        ("drag", {"rate": math.nan}, "rate is nan"),
        ("drag", {"keep": -1.0}, "keep is -1.0"),
    ],
)
def test_options_out_of_range_are_refused(name, options, complaint):
    with pytest.raises(InputError, match=complaint):
        run(name, **options)


def test_options_are_the_methods_own():
    assert METHODS["none"].options == {}
    assert METHODS["time_to_move"].options == {"weak": 0.32, "strong": 0.42}
    assert set(METHODS["drag"].options) == {"at", "iterations", "rate", "keep"}


# --- the two ends ----------------------------------------------------------------------------------------------------


def test_none_is_generate_without_boxes(plain):
    mine = generate(tiny_model(), picture(), None, SETTINGS, progress=False)
    assert torch.equal(plain.video, mine.video)
    assert mine.boxes is None and torch.equal(plain.boxes, BOXES)


def test_sgi2v_is_the_default():
    mine, theirs = run("sgi2v", settings=QUICK), generate(tiny_model(), picture(), MOVING, QUICK, progress=False)
    assert torch.equal(mine.video, theirs.video)
    assert mine.losses == theirs.losses


# --- copy and paste --------------------------------------------------------------------------------------------------


def test_the_content_is_pasted_unchanged_and_the_rest_stands_still():
    video, pasted = paste_along(picture(), BOXES)
    assert torch.equal(video[0], picture())
    assert torch.allclose(video[1, :, 16:48, 40:72], picture()[:, 8:40, 16:48], atol=1e-5)
    assert torch.allclose(video[2, :, 24:56, 64:96], picture()[:, 8:40, 16:48], atol=1e-5)
    assert pasted[2].sum() == 32 * 32 and pasted[2, 24:56, 64:96].all()
    assert torch.equal(video[2, :, :, 100:], picture()[:, :, 100:])
    assert not torch.allclose(video[2, :, 8:40, 16:48], picture()[:, 8:40, 16:48], atol=0.1)


def test_a_hole_is_filled_with_what_is_around_it():
    image = torch.full((3, 64, 128), 0.2)
    image[:, 10:38, 18:46] = 1.0
    video, _ = paste_along(image, BOXES)
    assert torch.allclose(video[2, :, 8:40, 16:48], torch.full((3, 32, 32), 0.2), atol=0.05)


def test_a_box_that_stays_leaves_no_hole():
    video, pasted = paste_along(picture(), Trajectories((WIDTH, HEIGHT), (Trajectory.pin((80, 32, 128, 64)),)).boxes(3))
    assert torch.allclose(video, picture().expand(3, -1, -1, -1), atol=1e-5)
    assert pasted[:, 32:, 80:].all()


def test_a_box_that_grows_is_stretched():
    image = torch.linspace(0, 1, 128).expand(3, 64, 128)
    growing = torch.tensor([[[16.0, 16, 32, 32], [48, 0, 112, 64]]])
    video, _ = paste_along(image, growing)
    assert torch.allclose(video[1, 0, 30, 50:110].diff(), torch.full((59,), 1 / 127 / 4), atol=1e-4)


def test_what_was_never_seen_is_not_pasted():
    _, pasted = paste_along(picture(), torch.tensor([[[-16.0, 8, 16, 40], [40, 8, 72, 40]]]))
    assert pasted[1, 8:40, 56:72].all()
    assert pasted[1].sum() == 32 * 16


def test_a_large_box_carries_no_copy_of_a_smaller_one_that_moves():
    image = torch.full((3, 64, 128), 0.2)
    image[:, 20:36, 20:36] = 1.0
    small, large = torch.tensor([[18.0, 18, 38, 38]] * 2), torch.tensor([[4.0, 4, 60, 60]] * 2)
    small[1] += torch.tensor([80.0, 0, 80, 0])
    large[1] += torch.tensor([8.0, 0, 8, 0])
    for order in ([small, large], [large, small]):
        video, _ = paste_along(image, torch.stack(order))
        bright = (video[1, 0] > 0.6).nonzero()
        assert bright[:, 1].min() >= 98


def test_a_box_around_everything_can_be_moved():
    video, _ = paste_along(picture(), torch.tensor([[[0.0, 0, 128, 64], [8, 0, 136, 64]]]))
    assert torch.allclose(video[1, :, :, 8:], picture()[:, :, :120], atol=1e-5)


def test_the_video_is_what_the_vae_makes_of_it():
    made = run("copy_paste")
    latents = encode_video(tiny_model(), paste_along(picture(), BOXES)[0])
    assert torch.equal(made.latents, latents)
    assert torch.equal(made.video, decode_latents(tiny_model(), latents))


# --- Time-to-Move ----------------------------------------------------------------------------------------------------


def test_time_to_move_skips_the_steps_before_its_first_clock(plain):
    for weak, steps in ((0.0, 4), (0.5, 2), (0.75, 1)):
        assert run("time_to_move", weak=weak, strong=0.75).sigmas == plain.sigmas[4 - steps :]


def test_time_to_move_holds_the_boxes_and_frees_the_rest():
    reference = run("copy_paste").latents
    mask = covered(CELLS, HEIGHT // 8, WIDTH // 8).any(dim=0)[:, None].expand_as(reference)
    free, held = (run("time_to_move", weak=0.25, strong=strong).latents for strong in (0.25, 0.75))
    assert (held - reference)[mask].norm() < 0.5 * (free - reference)[mask].norm()
    assert not torch.allclose(held[~mask], reference[~mask], atol=0.1)


# --- copied features -------------------------------------------------------------------------------------------------


def test_features_are_copied_into_the_boxes_and_nowhere_else():
    maps, cells = torch.randn(2, FRAMES, HEIGHT // 8, WIDTH // 8, 3), CELLS
    result = copied(maps, cells)
    inside = covered(cells, *maps.shape[2:4]).any(dim=0)
    for frame in range(1, FRAMES):
        x0, y0, x1, y1 = cells[0, frame].tolist()
        u0, v0, u1, v1 = cells[0, 0].tolist()
        assert torch.equal(result[:, frame, y0:y1, x0:x1], maps[:, 0, v0:v1, u0:u1])
        assert torch.equal(result[:, frame, ~inside[frame]], maps[:, frame, ~inside[frame]])
    assert torch.equal(result[:, 0], maps[:, 0])


def test_a_coarser_map_takes_the_nearest_cells():
    maps = torch.arange(2 * 2 * 4.0).reshape(1, 2, 2, 4, 1)
    result = copied(maps, torch.tensor([[[0, 0, 4, 4], [4, 0, 8, 4]]]), 2)
    assert torch.equal(result[0, 1, :, 2:], maps[0, 0, :, :2])
    assert torch.equal(result[0, 1, :, :2], maps[0, 1, :, :2])


def test_features_are_copied_at_control_steps_only(plain):
    assert torch.equal(run("copy_features", settings=SETTINGS.replace(iterations=0)).latents, plain.latents)
    assert not torch.equal(run("copy_features").latents, plain.latents)


@pytest.mark.parametrize("way", wan.WAYS)
def test_a_video_transformers_features_are_copied_too(way):
    path = Trajectories((wan.WIDTH, wan.HEIGHT), (Trajectory.move((16, 16, 48, 48), by=(32, 0)),))
    made = [
        generate(wan.tiny_wan(way), wan.picture(), path, method=method, seed=1, progress=False).latents
        for method in ("none", "copy_features")
    ]
    assert made[1].isfinite().all() and not torch.equal(*made)


# --- FreeTraj --------------------------------------------------------------------------------------------------------


def test_noise_flows_with_the_box():
    noise = noisy_latents(1.0)
    flowed = flow_noise(noise, CELLS)
    assert torch.equal(flowed[0], noise[0])
    assert torch.equal(flowed[2, :, 3:7, 8:12], noise[0, :, 1:5, 2:6])
    outside = ~covered(CELLS, 8, 16)[0][:, None].expand_as(noise)
    assert torch.equal(flowed[outside], noise[outside])


def test_no_noise_comes_from_beyond_the_grid():
    noise = noisy_latents(1.0)
    flowed = flow_noise(noise, torch.tensor([[[-2, 0, 2, 4], [4, 0, 8, 4], [14, 6, 18, 10]]]))
    assert torch.equal(flowed[1, :, 0:4, 6:8], noise[0, :, 0:4, 0:2])
    assert torch.equal(flowed[1, :, :, 4:6], noise[1, :, :, 4:6])
    assert torch.equal(flowed[2], noise[2])  # only what was never seen reaches into the grid


def test_without_a_cutoff_freetraj_is_no_control(plain):
    assert torch.equal(run("freetraj", cutoff=0.0).latents, plain.latents)
    assert not torch.equal(run("freetraj").latents, plain.latents)


# --- dragging --------------------------------------------------------------------------------------------------------


def test_drag_without_iterations_is_no_control(plain):
    still = run("drag", iterations=0)
    assert torch.equal(still.latents, plain.latents)
    assert still.losses == {}


def test_drag_makes_its_loss_fall_at_one_step():
    dragged = run("drag", iterations=6, at=0.5, rate=0.1, keep=0.0)
    assert list(dragged.losses) == [2]
    assert len(dragged.losses[2]) == 6
    assert dragged.losses[2][-1] < 0.9 * dragged.losses[2][0]


def test_drag_makes_as_many_iterations_as_sg_i2v():
    settings = SETTINGS.replace(num_inference_steps=3)
    ours = sum(map(len, run("sgi2v", settings=settings).losses.values()))
    assert ours == 4 and sum(map(len, run("drag", settings=settings).losses.values())) == ours


def test_what_is_kept_changes_less(plain):
    mask = ~covered(CELLS, 8, 16)[0][:, None].expand_as(plain.latents)
    changes = [
        (run("drag", at=0.75, iterations=5, keep=keep).latents - plain.latents)[mask].norm() for keep in (0.0, 10.0)
    ]
    assert changes[1] < 0.7 * changes[0]


def test_recomputing_changes_no_drag():
    plain, frugal = (run("drag", memory=mode, iterations=2) for mode in ("fast", "full"))
    assert torch.allclose(plain.latents, frugal.latents, atol=1e-3)


def test_motion_supervision_is_zero_where_the_features_have_moved():
    before = torch.randn(3, 5, 8, 16, generator=torch.Generator().manual_seed(3))
    after = before.clone()
    for frame in (1, 2):
        x0, y0, x1, y1 = CELLS[0, frame].tolist()
        after[frame, :, y0:y1, x0:x1] = before[frame, :, 1:5, 2:6]
    assert motion_supervision(after, before, CELLS).total == 0
    result = motion_supervision(before, before, CELLS)
    assert result.terms[0, 0] == 0 and (result.terms[0, 1:] > 0).all()
    assert result.weights.tolist() == [[0, 16, 16]]


# --- regions, and the loop's hooks -----------------------------------------------------------------------------------


def test_cells_are_covered_as_latent_cells_counts_them():
    mask = covered(torch.tensor([[[2, 1, 6, 5], [-3, 6, 2, 12]]]), 8, 16)
    assert mask[0, 0].nonzero().amin(0).tolist() == [1, 2] and mask[0, 0].nonzero().amax(0).tolist() == [4, 5]
    assert mask[0, 1].sum() == 2 * 2


def test_small_boxes_lie_on_large_ones():
    boxes = torch.tensor([[[0, 0, 2, 2]], [[0, 0, 9, 9]], [[3, 3, 5, 5]]])
    assert paint_order(boxes) == [1, 0, 2]


@given(st.integers(-5, 20), st.integers(1, 9), st.integers(-5, 20), st.integers(1, 9))
def test_nearest_cells_stay_in_their_boxes(low, size, first, length):
    to, source = nearest_cells(torch.tensor([low, low + size]), torch.tensor([first, first + length]), 16)
    assert len(to) == len(source)
    for found, start, cells in ((to, low, size), (source, first, length)):
        assert all(max(start, 0) <= cell < min(start + cells, 16) for cell in found.tolist())
    assert (source.diff() >= 0).all()
    if size == length:
        assert torch.equal(to - low, source - first)


def test_an_edit_sees_every_step_and_is_what_is_denoised():
    seen = []

    def edit(index, sigma, latents):
        seen.append((index, sigma))
        return latents + index

    steps = list(denoise(tiny_model(), conditioning(), noisy_latents(1.0), SETTINGS, edit=edit))
    assert seen == [(step.index, step.sigma) for step in steps]
    assert all(torch.equal(step.mixed, step.before + step.index) for step in steps)


def test_a_later_first_step_begins_at_its_own_noise_level():
    noise = noisy_latents(1.0)
    whole = list(denoise(tiny_model(), conditioning(), noise, SETTINGS))
    later = list(denoise(tiny_model(), conditioning(), noise, SETTINGS, first_step=2))
    assert [step.sigma for step in later] == [step.sigma for step in whole[2:]]
    assert torch.allclose(later[0].before, noise * math.hypot(later[0].sigma, 1), rtol=1e-4, atol=1e-4)
    for wrong in (-1, 4):
        with pytest.raises(InputError, match=f"first_step is {wrong}"):
            next(denoise(tiny_model(), conditioning(), noise, SETTINGS, first_step=wrong))


# --- on the bundled model --------------------------------------------------------------------------------------------


@pytest.mark.skipif(not TOY.is_dir(), reason="the toy's trained checkpoint is not in this folder")
def test_time_to_move_moves_things_on_the_toy():
    toy = load_model("toy", device="cpu")
    settings = toy.settings.replace(num_inference_steps=5, control_steps=(0, 0))
    image = torch.full((3, 128, 128), 0.3)
    image[0, 48:80, 16:48] = 0.9
    asked = Trajectories((128, 128), (Trajectory.move((16, 48, 48, 80), by=(64, 0)),))
    made = generate(toy, image, asked, settings, method="time_to_move", seed=1, progress=False, weak=0.4, strong=0.8)
    red = made.video[-1, 0] - made.video[-1, 1]
    assert red[48:80, 80:112].mean() > red[48:80, 16:48].mean() + 0.2
