import pickle
from itertools import islice

import numpy as np
import pytest
import torch

from sgi2v_lab.analysis.clips import FIRST_SEED, tap_vid_clips, toy_clips, tracked_clip
from sgi2v_lab.analysis.pairs import cell_middles, sample_at
from sgi2v_lab.analysis.passes import features_at
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.scenes.scenes import stretched
from sgi2v_lab.evaluation.trackers.track import dis
from sgi2v_lab.evaluation.trackers.tracks import Tracks
from sgi2v_lab.toy.world.origins import true_origins, true_owners
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render, true_boxes
from tests.helpers import tiny_wan
from tests.helpers.tiny import FRAMES, HEIGHT, WIDTH, tiny_model

pytestmark = pytest.mark.slow

H, W = HEIGHT // 8, WIDTH // 8


@pytest.fixture(scope="module")
def clips():
    return [*toy_clips(tiny_model(), 3)]


def test_toy_clips_have_the_models_shape(clips):
    for clip in clips:
        assert clip.video.shape == (FRAMES, 3, HEIGHT, WIDTH)
        assert clip.video.min() >= 0 and clip.video.max() <= 1
        assert clip.world.origins.shape == clip.world.velocity.shape == (FRAMES, H, W, 2)
        assert clip.world.masks.shape == (len(clip.world.boxes), FRAMES, H, W)
        assert clip.pairs.grid == (H, W) and len(clip.pairs)


def test_the_same_number_is_the_same_clip(clips):
    (again,) = toy_clips(tiny_model(), 1, first=2)
    assert again.name == clips[2].name != clips[1].name
    assert torch.equal(again.video, clips[2].video)


def test_clips_of_a_model_whose_latents_hold_several_frames():
    """Means over four frames and the same thing in all of them; the first latent is the first frame."""
    wan, h, w = tiny_wan.tiny_wan(), tiny_wan.HEIGHT // 8, tiny_wan.WIDTH // 8
    for clip in toy_clips(wan, 2):
        seed = next(s for s in range(FIRST_SEED, FIRST_SEED + 100) if torch.equal(video_of(s, wan), clip.video))
        scene = sample_scene(seed, tiny_wan.FRAMES)
        origins, owners = true_origins(scene, (h, w)), true_owners(scene, (h, w))
        assert clip.video.shape == (tiny_wan.FRAMES, 3, tiny_wan.HEIGHT, tiny_wan.WIDTH)
        assert clip.world.origins.shape == clip.world.velocity.shape == (tiny_wan.LATENTS, h, w, 2)
        assert torch.equal(clip.world.origins[0], origins[0])
        one = (owners[5:] == owners[8]).all(dim=0)
        seen = one & ~origins[5:].isnan().any(dim=-1).any(dim=0)
        assert torch.allclose(clip.world.origins[2][seen], origins[5:].mean(dim=0)[seen])
        assert clip.world.origins[2][~seen].isnan().all() and 0 < seen.float().mean() < 1
        assert torch.equal(clip.world.masks[:, 2].any(dim=0), one & (owners[8] >= 0))
        assert clip.pairs.frame.max() <= 2
        assert torch.allclose(
            clip.world.boxes[:, 1], true_boxes(scene, 1)[:, 1:5].mean(dim=1) * torch.tensor([96, 64, 96, 64])
        )


def video_of(seed, model):
    settings = model.settings
    side = max(settings.width, settings.height)
    video = render(sample_scene(seed, settings.num_frames), side)
    return stretched(video, (settings.width, settings.height))


def test_tracks_by_latent():
    tracks = Tracks(torch.arange(18.0).view(1, 9, 2), torch.ones(1, 9, dtype=torch.bool), "planted")
    tracks.visible[0, 7] = False
    wan = tiny_wan.tiny_wan()
    clip = tracked_clip(
        wan, torch.rand(9, 3, tiny_wan.HEIGHT, tiny_wan.WIDTH), "made", lambda video, points: tracks, 0.0
    )
    assert clip.pairs.frame.tolist() == [1]  # in the last latent's frames it is hidden once
    assert torch.allclose(clip.pairs.here * torch.tensor([96, 64]), torch.tensor([[5.0, 6.0]]))


def test_pairs_show_the_same_colour(clips):
    """The colour where a thing is, and where it was; where nothing moves, colours differ."""
    for clip in clips:
        pairs = clip.pairs
        first = sample_at(clip.video[0], pairs.origin)
        now = torch.stack([sample_at(clip.video[f], x[None])[0] for f, x in zip(pairs.frame, pairs.here, strict=True)])
        unmoved = sample_at(clip.video[0], pairs.here)
        assert (now - first).abs().mean() < 0.5 * (now - unmoved).abs().mean()


def test_what_the_world_knows_fits_together(clips):
    here = cell_middles((H, W)).view(H, W, 2)
    for clip in clips:
        world = clip.world
        assert not (world.masks.sum(dim=0) > 1).any()  # one thing is seen in a cell
        assert torch.allclose(world.origins[0], here)
        # in two frames: what comes from an origin went there by its velocity
        back = world.origins[1] - here + world.velocity[0].view(-1, 2)[_cells(world.origins[1])].view(H, W, 2)
        same = world.masks[:, 1] == world.masks[:, 0].flatten(1)[:, _cells(world.origins[1])].view(-1, H, W)
        error = back[same.all(dim=0) & ~back.isnan().any(dim=-1)].abs()
        assert len(error) > 10 and error.max() < 0.05
        for mask, box in zip(world.masks, world.boxes, strict=True):
            for frame in range(FRAMES):
                y, x = mask[frame].nonzero().T
                x0, y0, x1, y1 = box[frame] / 8
                assert (x + 0.5 >= x0 - 0.1).all() and (x + 0.5 <= x1 + 0.1).all()
                assert (y + 0.5 >= y0 - 0.1).all() and (y + 0.5 <= y1 + 0.1).all()


def _cells(places: torch.Tensor) -> torch.Tensor:
    column, row = (places.nan_to_num(0) * torch.tensor([W, H])).long().clamp(max=torch.tensor([W, H]) - 1).unbind(-1)
    return (row * W + column).flatten()


def test_a_clip_is_looked_into_at_any_noise_level(clips):
    inspection = clips[0].inspect(tiny_model(), sigmas=(0.5, 3.0), seed=5)
    assert inspection.sigmas == (0.5, 3.0)
    assert inspection.settings.fps == clips[0].motion["fps"]
    noise = [z - inspection.latents[0] for z in inspection.latents]
    assert noise[1].std() == pytest.approx(2.5, rel=0.1)
    layers = (("down", 0, 1), ("mid", 0, 0), (3, 2))
    found = features_at(inspection, 0, layers, ("aligned", "block"))
    assert [*found] == ["aligned", "block"] and {*found["block"]} == {*layers}
    assert found["block"][3, 2].shape == (FRAMES, 32, H, W)
    with pytest.raises(InputError, match=r"step is 2.*0\.\.1"):
        features_at(inspection, 2, layers, ("aligned",))


def test_several_kinds_of_one_pass_are_those_of_single_passes(clips):
    inspection, layers = clips[0].inspect(tiny_model(), sigmas=(2.0,)), (("mid", 0, 0), (2, 1))
    kinds = ("self-attention", "aligned", "query", "temporal")
    together = features_at(inspection, 0, layers, kinds)
    for kind in kinds:
        for layer, maps in features_at(inspection, 0, layers, (kind,))[kind].items():
            assert torch.equal(maps, together[kind][layer])


def test_films_with_tracks(tmp_path):
    dice = np.random.default_rng(0)
    video = dice.integers(0, 256, (7, 30, 40, 3), dtype=np.uint8)
    points = np.tile(np.linspace(0.1, 0.9, 7, dtype=np.float32)[None, :, None], (2, 1, 2))
    occluded = np.zeros((2, 7), bool)
    occluded[1, 3:] = True
    path = tmp_path / "films.pkl"
    path.write_bytes(pickle.dumps({"a": {"video": video, "points": points, "occluded": occluded}}))
    (clip,) = tap_vid_clips(tiny_model(), path, stride=2)
    assert clip.name == "a" and clip.world is None
    assert clip.video.shape == (FRAMES, 3, HEIGHT, WIDTH)
    assert clip.pairs.frame.tolist() == [1, 2, 1]
    assert clip.pairs.here[:, 0].tolist() == pytest.approx([points[0, 2, 0], points[0, 4, 0], points[0, 2, 0]])
    (spread,) = tap_vid_clips(tiny_model(), path, stride=None)
    assert spread.pairs.here[1, 0] == pytest.approx(0.9)
    with pytest.raises(InputError, match="7 frames"):
        [*tap_vid_clips(tiny_model(), path, stride=4)]


def test_a_tracker_stands_in_for_the_truth():
    """On known motion optical flow is nearly right, so its pairs are those of the world; what it loses is left out."""
    from sgi2v_lab.analysis.matching import matching_accuracy
    from tests.helpers.planted import features_of, shifted

    picture = torch.rand(3, HEIGHT // 4, WIDTH // 4 + 12, generator=torch.Generator().manual_seed(0))
    picture = torch.nn.functional.interpolate(picture[None], scale_factor=4, mode="bicubic")[0].clamp(0, 1)
    video = torch.stack([picture[:, :, 8 * (FRAMES - f) : 8 * (FRAMES - f) + WIDTH] for f in range(FRAMES)])
    clip = tracked_clip(tiny_model(), video, "mine")
    assert clip.world is None and clip.run is None and clip.pairs.grid == (H, W)
    assert len(clip.pairs) > 500
    assert set(tracked_clip(tiny_model(), video, "far", least_motion=1.5).pairs.frame.tolist()) == {2}  # 2 cells
    assert matching_accuracy(features_of(shifted(FRAMES, H, W)), clip.pairs).accuracy[1] > 0.95
    with pytest.raises(InputError, match="'none'"):
        tracked_clip(tiny_model(), video, "mine", "none")


def test_a_run_shows_its_own_latents():
    from tests.test_explore import traced

    run = traced("latents")
    clip = tracked_clip(tiny_model(), run, "made", lambda video, points: dis(video, points))
    assert clip.run is run and torch.equal(clip.video, run.video)
    inspection = clip.inspect(tiny_model(), (run.sigmas[2] * 1.01, run.sigmas[0]))
    assert inspection.sigmas == (run.sigmas[2], run.sigmas[0]) and not inspection.made_noisy
    assert torch.equal(inspection.latents[0], run.trace[2].before)
    assert len(clip.inspect(tiny_model()).sigmas) == len(run.sigmas)
    with pytest.raises(InputError, match=r"no step at noise level 1234"):
        clip.inspect(tiny_model(), (1234.0,))
    assert tracked_clip(tiny_model(), traced(), "made").inspect(tiny_model(), (1.0,)).made_noisy


def test_held_out():
    from sgi2v_lab.analysis import clips as module
    from sgi2v_lab.evaluation.scenes import scenes, variations

    used = [seed for seeds in scenes.SEEDS.values() for seed in seeds] + [variations.FIRST]
    assert max(used) + 1_000_000 < module.FIRST_SEED
    assert next(islice(toy_clips(tiny_model()), 1)).name == "toy-0"
