"""The toy's world and its training: known motion really is known, and what is trained loads in unmodified diffusers."""

import json

import pytest
import torch
from diffusers import StableVideoDiffusionPipeline
from hypothesis import given
from hypothesis import strategies as st

from sgi2v_lab.errors import InputError
from sgi2v_lab.features import layers_of
from sgi2v_lab.images import to_pil
from sgi2v_lab.toy import unet_stage, vae_stage
from sgi2v_lab.toy.architecture import NUM_FRAMES, SIZE, make_unet, make_vae, skip_temporal_layers
from sgi2v_lab.toy.data import HELD_OUT, to_clip_pixels
from sgi2v_lab.toy.export import export, unpack
from sgi2v_lab.toy.random_scenes import sample_scene
from sgi2v_lab.toy.scenes import SHAPES, TEXTURES, Scene, Sprite, motion_bucket, render, true_boxes
from sgi2v_lab.toy.training import Clock, load_checkpoint, save_checkpoint, update_ema


def still(frames: int = 4) -> torch.Tensor:
    return torch.tensor([0.0, 0.0, 1.0]).repeat(frames, 1)


@given(st.integers(0, 2**31))
def test_a_seed_is_a_scene(seed):
    one, two = sample_scene(seed), sample_scene(seed)
    assert torch.equal(render(one, 32), render(two, 32))
    assert 0 <= motion_bucket(one) <= 255


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("texture", TEXTURES)
def test_a_sprite_changes_pixels_in_its_true_box_only(shape, texture):
    path = torch.linspace(0.3, 0.7, 4)[:, None].repeat(1, 2)
    camera = still()
    camera[:, 0], camera[:, 2] = torch.linspace(0, 0.1, 4), torch.linspace(1, 1.2, 4)
    sprite = Sprite(shape, texture, (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), 0.15, path, angle=0.4)
    with_sprite = Scene((sprite,), camera, "clouds", ((0.2, 0.8, 0.2),) * 3)
    changed = (render(with_sprite, 64) - render(Scene((), camera, "clouds", ((0.2, 0.8, 0.2),) * 3), 64)).abs().sum(1)
    boxes = true_boxes(with_sprite, 64)[0]
    for frame, (x0, y0, x1, y1) in zip(changed, boxes.tolist(), strict=True):
        rows, columns = (frame > 0.02).nonzero().unbind(1)
        assert len(rows) > 20
        assert columns.min() >= x0 - 1.5 and columns.max() <= x1 + 0.5
        assert rows.min() >= y0 - 1.5 and rows.max() <= y1 + 0.5
        # and it is in the middle of its box
        assert abs((columns.float().mean() + 0.5 - (x0 + x1) / 2).item()) < 3.5
        assert abs((rows.float().mean() + 0.5 - (y0 + y1) / 2).item()) < 3.5


def test_the_camera_moves_the_background():
    camera = still(2)
    camera[1, 0] = 8 / 64
    first, second = render(Scene((), camera, "clouds", ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), seed=3), 64)
    assert torch.allclose(first[:, :, 8:], second[:, :, :-8], atol=1e-4)


def test_motion_bucket_grows_with_speed():
    def bucket(length: float) -> int:
        path = torch.tensor([[0.1, 0.5]]).repeat(4, 1)
        path[:, 0] += torch.linspace(0, length, 4)
        return motion_bucket(Scene((Sprite("circle", "plain", (1, 0, 0), (0, 0, 1), 0.1, path),), still()))

    assert bucket(0.0) == 0
    assert bucket(0.1) < bucket(0.2) < bucket(0.4)


def test_unknown_shapes_are_named():
    sprite = Sprite("blob", "plain", (1, 0, 0), (0, 0, 1), 0.1, torch.full((4, 2), 0.5))
    with pytest.raises(ValueError, match="blob"):
        render(Scene((sprite,), still()), 16)


def test_layers_have_svds_addresses():
    assert layers_of(make_unet()) == ((1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (3, 0), (3, 1))


@torch.no_grad()
def test_fresh_temporal_layers_are_identities():
    torch.manual_seed(0)
    vae = make_vae().eval()
    z = torch.randn(3, 4, 8, 8)
    together = vae.decode(z, num_frames=3).sample
    alone = torch.cat([vae.decode(frame[None], num_frames=1).sample for frame in z])
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(together, skip_temporal_layers(vae).decode(z, num_frames=3).sample, atol=1e-5)


def test_the_loss_is_that_of_v_prediction():
    """A denoiser that answers with the true v costs nothing; one that answers zero costs the target's power."""

    class Oracle(torch.nn.Module):
        answer = None

        def forward(self, x, sigma, batch, keep):
            return self.answer

    torch.manual_seed(0)
    z, n = torch.randn(2, 3, 4, 4, 4), torch.randn(2, 3, 4, 4, 4)
    sigma = torch.tensor([0.5, 7.0])
    batch = unet_stage.Batch(z, z[:, 0], torch.rand(2, 3, 8, 8), torch.zeros(2, 3))
    oracle = Oracle()
    x, s = z + sigma.view(2, 1, 1, 1, 1) * n, sigma.view(2, 1, 1, 1, 1)
    # the v with which diffusers' scheduler recovers z:  z = x / (s^2 + 1) - v * s / sqrt(s^2 + 1)
    oracle.answer = (x / (s**2 + 1) - z) * (s**2 + 1).sqrt() / s
    assert unet_stage.denoising_loss(oracle, batch, sigma, n, torch.ones(2)).max() < 1e-10
    oracle.answer = torch.zeros_like(z)
    expected = ((n - s * z) ** 2 / (1 + s**2)).mean(dim=(1, 2, 3, 4))
    assert torch.allclose(unet_stage.denoising_loss(oracle, batch, sigma, n, torch.ones(2)), expected)


def test_noise_levels_cover_the_distribution():
    sigmas = torch.cat([unet_stage.draw_sigmas(16) for _ in range(200)]).log()
    assert abs(sigmas.mean() - unet_stage.LOG_SIGMA_MEAN) < 0.05
    assert abs(sigmas.std() - unet_stage.LOG_SIGMA_STD) < 0.05


def test_clip_pixels_are_normalised():
    pixels = to_clip_pixels(torch.full((1, 3, 16, 16), 0.5))
    assert pixels.shape == (1, 3, 224, 224)
    assert abs(pixels[0, 0].mean().item() - (0.5 - 0.48145466) / 0.26862954) < 1e-3


def test_the_clock_counts_across_restarts_and_cools_down():
    fresh, late = Clock(100), Clock(100, spent=99)
    assert late.fraction > 0.98 and fresh.fraction < 0.02
    assert fresh.learning_rate(1.0, step=0, warmup=10) == pytest.approx(0.1, rel=0.05)
    assert fresh.learning_rate(1.0, step=100, warmup=10) > 0.95
    assert late.learning_rate(1.0, step=100, warmup=10) < 0.05


def test_checkpoints_are_whole_or_absent(tmp_path):
    path = tmp_path / "a.pt"
    assert load_checkpoint(path) is None
    save_checkpoint(path, step=1)

    class Unpicklable:
        def __reduce__(self):
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        save_checkpoint(path, step=Unpicklable())
    assert load_checkpoint(path) == {"step": 1}


def test_ema_moves_towards_the_weights():
    a, b = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    before = (a.weight - b.weight).abs().sum().item()
    for step in range(50):
        update_ema(a, b, step, decay=0.9)
    assert (a.weight - b.weight).abs().sum().item() < 0.05 * before


def test_train_export_load_and_resume(tmp_path):
    """Seconds of training of both stages give a folder that unmodified diffusers samples from, and go on."""
    run, cpu = tmp_path / "run", torch.device("cpu")
    options = {"rank": 0, "processes": 1, "device": cpu, "out": run, "batch_size": 1, "peak": 1e-3}
    with pytest.raises(FileNotFoundError, match="train the VAE first"):
        unet_stage.train(**options, seconds=0.1, first_seed=0)
    with pytest.raises(InputError, match=r"vae\.pt"):
        export(run, tmp_path / "none")
    vae_stage.train(**options, seconds=0.5)
    unet_stage.train(**options, seconds=0.5, first_seed=0)
    before = load_checkpoint(run / "unet.pt")
    unet_stage.train(**options, seconds=before["elapsed"] + 0.5, first_seed=0)
    assert load_checkpoint(run / "unet.pt")["step"] > before["step"] > 0
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert {line["stage"] for line in log} == {"vae", "unet"}
    assert (run / "sheets" / "unet.png").stat().st_size > 1000

    folder = tmp_path / "pipeline"
    export(run, folder, settings={"width": SIZE, "height": SIZE})
    pipeline = StableVideoDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    picture = to_pil(render(sample_scene(HELD_OUT), SIZE, slice(0, 1))[0])
    frames = pipeline(picture, height=SIZE, width=SIZE, num_inference_steps=2, output_type="pt").frames
    assert frames.shape == (1, NUM_FRAMES, 3, SIZE, SIZE)
    assert frames.isfinite().all()

    again = tmp_path / "again"
    unpack(folder, again)
    first, back = load_checkpoint(run / "unet.pt")["average"], load_checkpoint(again / "unet.pt")["average"]
    assert all(torch.allclose(first[name], back[name], atol=2e-3, rtol=2e-3) for name in first)
    unet_stage.train(**options | {"out": again}, seconds=0.2, first_seed=0)
    assert load_checkpoint(again / "unet.pt")["step"] > 0
    with pytest.raises(InputError, match="already has"):
        unpack(folder, again)
