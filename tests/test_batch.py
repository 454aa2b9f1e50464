"""Videos made together are those made one by one."""

import pytest
import torch

import sgi2v_lab.batch
from sgi2v_lab.batch import fits_at_once, generate_batch
from sgi2v_lab.boxes import Trajectories, Trajectory
from sgi2v_lab.errors import InputError
from sgi2v_lab.pipeline import generate
from tests.tiny import SETTINGS, picture, tiny_model

QUICK = SETTINGS.replace(num_steps=4, guided_steps=(1, 2), iterations=2)


def moving(dx: float, *more: Trajectory) -> Trajectories:
    return Trajectories((128, 64), (Trajectory.move((16, 8, 48, 40), by=(dx, 8)), *more))


GROWING = Trajectory.from_boxes(torch.tensor([[80.0, 20, 100, 40], [76, 16, 104, 44], [70, 10, 110, 50]]))
PATHS = [moving(40), moving(-16, GROWING), moving(24)]


def alike(one, other):
    assert torch.allclose(one.video, other.video, atol=2e-3)
    assert torch.allclose(one.latents, other.latents, rtol=1e-3, atol=5e-3)
    assert one.losses.keys() == other.losses.keys()
    for step in one.losses:
        assert one.losses[step] == pytest.approx(other.losses[step], rel=1e-3)
    assert (one.seed, one.settings, one.sigmas) == (other.seed, other.settings, other.sigmas)
    assert (one.boxes is None and other.boxes is None) or torch.equal(one.boxes, other.boxes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "normalized", "learning_rate": 0.3, "relative_rate": True},
        {"features": "ordinary"},
        {"features": "temporal"},
        {"features": "block"},
        {"max_guidance": 1.0},
        {"sampler": "dpm++", "carry_optimizer": True},
        {"enough": 0.95, "iterations": 4},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())) or "paper",
)
def test_paths_and_seeds_of_one_picture_in_one_pass(changes):
    settings = QUICK.replace(**changes)
    together = generate_batch(tiny_model(), picture(), PATHS, [3, 4, 3], settings, progress=False)
    for run, path, seed in zip(together, PATHS, (3, 4, 3), strict=True):
        alike(run, generate(tiny_model(), picture(), path, settings, seed=seed, progress=False))
    assert not torch.allclose(together[0].video, together[2].video, atol=1e-3)  # the same noise, another path


def test_without_control():
    together = generate_batch(tiny_model(), picture(), None, [1, 2], QUICK, progress=False)
    for run, seed in zip(together, (1, 2), strict=True):
        alike(run, generate(tiny_model(), picture(), None, QUICK, seed=seed, progress=False))


def test_as_many_at_once_as_memory_allows(monkeypatch):
    assert fits_at_once(tiny_model(), QUICK, "fast") > 3
    passes = []
    real = sgi2v_lab.batch.denoise

    def counted(model, conditioning, *args, **kwargs):
        passes.append(conditioning.videos)
        return real(model, conditioning, *args, **kwargs)

    monkeypatch.setattr(sgi2v_lab.batch, "denoise", counted)
    whole = generate_batch(tiny_model(), picture(), PATHS[0], [1, 2, 3], QUICK, progress=False)
    monkeypatch.setattr(sgi2v_lab.batch, "free_bytes", lambda _: 2.5 / 0.85 * needed)
    needed = sgi2v_lab.batch.estimate_bytes(tiny_model(), QUICK, "fast")
    parted = generate_batch(tiny_model(), picture(), PATHS[0], [1, 2, 3], QUICK, memory="fast", progress=False)
    assert passes == [3, 2, 1]
    for one, other in zip(whole, parted, strict=True):
        alike(one, other)
    monkeypatch.setattr(sgi2v_lab.batch, "free_bytes", lambda _: 1)
    assert fits_at_once(tiny_model(), QUICK, "fast") == 1


@pytest.mark.parametrize(
    ("paths", "seeds", "changes", "complaint"),
    [
        (PATHS, [1, 2], {}, "3 trajectories for 2 seeds"),
        (PATHS[0], [], {}, "no seeds"),
        (PATHS, [1, -2, 3], {}, "seed is -2"),
    ],
)
def test_what_cannot_be_made_together_is_refused_before_anything_is_computed(paths, seeds, changes, complaint):
    with pytest.raises(InputError, match=complaint):
        generate_batch(tiny_model(), picture(), paths, seeds, QUICK.replace(**changes), progress=False)
