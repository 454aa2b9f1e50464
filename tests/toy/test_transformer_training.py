"""The toy transformer: its quick pass, its loss and teacher, restarts, and that diffusers loads what was trained."""

import json

import pytest
import torch
from diffusers import WanImageToVideoPipeline
from typer.testing import CliRunner

from sgi2v_lab.images.read import to_pil
from sgi2v_lab.latents import encode_image
from sgi2v_lab.models.load import load_model
from sgi2v_lab.pipeline import generate
from sgi2v_lab.toy.network import transformer as parts
from sgi2v_lab.toy.network.clip_code import CHANNELS, encode_clip
from sgi2v_lab.toy.training import clip_decoder_stage, clip_pool, data, train_transformer, transformer_stage
from sgi2v_lab.toy.training.clip_pool import Clips, PairedClipPool, scene_clip
from sgi2v_lab.toy.training.correspondence import CELLS
from sgi2v_lab.toy.training.data import HELD_OUT
from sgi2v_lab.toy.training.fast_transformer import fast_forward, rotary
from sgi2v_lab.toy.training.optimizers import MuonWithAdamW
from sgi2v_lab.toy.training.training import load_checkpoint, save_checkpoint
from sgi2v_lab.toy.training.transformer_stage import (
    FIRST_AND_LAST,
    Teacher,
    draw_sigmas,
    flow_loss,
    loss_weight,
    sample,
)
from sgi2v_lab.toy.world.origins import true_origins
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render

pytestmark = pytest.mark.slow

SMALL = 32  # pixels
LATENTS = 5
CPU = torch.device("cpu")


@pytest.fixture
def short(monkeypatch):
    """Transformers of four narrow blocks, and clips of the world's few frames at 32 px."""
    monkeypatch.setattr(parts, "BLOCKS", 4)
    monkeypatch.setattr(parts, "HEADS", 1)
    for module in (clip_decoder_stage, transformer_stage, clip_pool):
        monkeypatch.setattr(module, "SIZE", SMALL)
    monkeypatch.setattr(clip_decoder_stage, "CROP", 16)


def stirred(seed: int = 0):
    """A transformer whose every weight matters."""
    torch.manual_seed(seed)
    transformer = parts.make_transformer().eval().requires_grad_(False)
    for weight in transformer.parameters():
        weight.add_(0.05 * torch.randn_like(weight))
    return transformer


# --- the quick pass --------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_fast_pass_is_diffusers_own(short):
    transformer, x = stirred(), torch.randn(2, 3, CHANNELS, 8, 8)
    time = torch.tensor([300.0, 800.0])
    per_token = time[:, None].repeat(1, 3 * 16)
    per_token[:, :16] = 0
    theirs = transformer(x.transpose(1, 2), per_token, torch.zeros(2, 1, parts.TEXT)).sample.transpose(1, 2)
    assert theirs.std() > 0.1
    assert torch.allclose(fast_forward(transformer, x, time), theirs, atol=1e-5)


@torch.no_grad()
def test_rotary_positions_are_diffusers_own_and_stretch(short):
    transformer = stirred()
    cos, sin = rotary(transformer, 3, 4, 4)
    theirs = transformer.rope(torch.zeros(1, CHANNELS, 3, 8, 8))
    assert torch.allclose(cos, theirs[0][0, :, 0, ::2], atol=1e-6)
    assert torch.allclose(sin, theirs[1][0, :, 0, ::2], atol=1e-6)
    fine, _ = rotary(transformer, 1, 1, 8)
    stretched, _ = rotary(transformer, 1, 1, 4, stretch=2)
    between = (fine.acos()[4::2] + fine.acos()[5::2]) / 2  # slow angles of x stay below pi
    assert torch.allclose(stretched.acos()[2:, -4:], between[:, -4:], atol=1e-3)


@torch.no_grad()
def test_a_look_sees_the_attention_that_is_computed(short):
    transformer, seen = stirred(), {}
    fast_forward(
        transformer, torch.randn(1, 2, CHANNELS, 8, 8), torch.tensor([500.0]), lambda n, q, k: seen.update({n: (q, k)})
    )
    assert sorted(seen) == [0, 1, 2, 3]
    query, key = seen[1]
    assert query.shape == key.shape == (1, 1, 2 * 16, parts.HEAD)
    norm = query.norm(dim=-1).mean() * parts.HEAD**0.5 / key.norm(dim=-1).mean()
    assert 0.8 < norm < 1.25  # both are RMS-normed; queries are divided by the root of their channels


# --- loss and teacher ------------------------------------------------------------------------------------------------


def test_the_loss_is_that_of_flow_matching(short, monkeypatch):
    """A transformer that answers with the true v costs nothing, and never sees the first latent noisy."""
    torch.manual_seed(0)
    z, n = torch.randn(2, 3, 4, 4, 4), torch.randn(2, 2, 4, 4, 4)
    sigma = torch.tensor([0.25, 0.75])

    def oracle(transformer, x, time, look, stretch):
        assert torch.equal(x[:, 0], z[:, 0]) and torch.equal(time, 1000 * sigma)
        s = sigma.view(-1, 1, 1, 1, 1)
        return torch.cat([x[:, :1], (x[:, 1:] - z[:, 1:]) / s], dim=1)  # x = z + s v

    monkeypatch.setattr(transformer_stage, "fast_forward", oracle)
    clips, transformer = Clips(z, torch.zeros(0)), stirred()
    assert flow_loss(transformer, clips, sigma, n).max() < 1e-10
    monkeypatch.setattr(transformer_stage, "fast_forward", lambda t, x, *_: torch.zeros_like(x))
    assert torch.allclose(flow_loss(transformer, clips, sigma, n), (n - z[:, 1:]).pow(2).mean(dim=(1, 2, 3, 4)))


def test_a_sample_of_an_oracle_is_the_clip(short, monkeypatch):
    torch.manual_seed(0)
    z = torch.randn(1, 3, 4, 4, 4)
    answer = lambda t, x, time, *_: (x - z) / (time / 1000).view(-1, 1, 1, 1, 1)  # noqa: E731
    monkeypatch.setattr(transformer_stage, "fast_forward", answer)
    assert torch.allclose(sample(stirred(), z[:, 0], 3, steps=4), z, atol=1e-5)


def test_noise_levels_cover_the_distribution():
    logits = torch.cat([draw_sigmas(16) for _ in range(200)]).logit()
    assert abs(logits.mean() - transformer_stage.LOGIT_MEAN) < 0.05
    assert abs(logits.std() - transformer_stage.LOGIT_STD) < 0.05


def moving_scene():
    return next(
        s
        for s in map(sample_scene, range(50), [9] * 50)
        if s.sprites and (s.sprites[0].path[-1] - s.sprites[0].path[0]).norm() > 0.4
    )


def test_errors_weigh_more_where_something_moved():
    origins = true_origins(moving_scene(), CELLS)[None]
    weight = loss_weight(origins, 32)
    assert weight.shape == (1, 4, 1, 32, 32)
    assert weight.mean().item() == pytest.approx(1, abs=1e-5)
    assert weight.max() / weight.min() == pytest.approx(transformer_stage.OBJECT_WEIGHT)
    still = loss_weight(true_origins(moving_scene(), CELLS)[None, :1].expand(-1, 9, -1, -1, -1), 16)
    assert torch.equal(still, torch.ones_like(still))


def test_the_teacher_likes_queries_that_are_alike_at_the_origin():
    """Keys that know their place, and queries that know their origin's, cost less than queries that know their own."""
    scene = moving_scene()
    origins = true_origins(scene, CELLS)
    middles = (torch.arange(CELLS) + 0.5) / CELLS
    here = torch.stack(torch.meshgrid(middles, middles, indexing="xy"), dim=-1)

    def waves(places):  # (..., 2) -> (..., 32): alike where they are near
        angles = places[..., None] * torch.arange(1, 9) * 2
        return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)

    def cost(places):
        teacher = Teacher(LATENTS)
        query = waves(places).flatten(0, 2)[None, None]
        key = waves(here.expand(LATENTS, -1, -1, -1)).flatten(0, 2)[None, None]
        teacher.look(transformer_stage.MATCHED[0], 4 * query, key)
        teacher.look(99, query, key)  # another block is not asked
        return teacher.loss(origins[None]).item()

    known = torch.where(origins.isnan(), here, origins)
    assert cost(torch.cat([known[:1], (known[1::2] + known[2::2]) / 2])) < 0.7 * cost(here.expand(LATENTS, -1, -1, -1))


def test_the_transformer_learns_and_so_does_its_attention(short):
    """On one batch, with the same noise at every step."""
    torch.manual_seed(0)
    transformer, clips = parts.make_transformer(), PairedClipPool(start=0, stride=1, simple=1.0, size=SMALL).batch(2)
    sigma, noise = torch.tensor([0.6, 0.9]), torch.randn(clips.latents[:, 1:].shape)
    optimizer, teacher, errors, matching = MuonWithAdamW(transformer, FIRST_AND_LAST), Teacher(LATENTS), [], []
    for _ in range(25):
        error = flow_loss(transformer, clips, sigma, noise, 1.0, teacher).mean()
        missed = teacher.loss(clips.origins)
        (error + missed).backward()
        optimizer.step(2e-3)
        errors.append(error.item())
        matching.append(missed.item())
    assert errors[-1] < 0.8 * errors[0] and matching[-1] < 0.8 * matching[0]


# --- data ------------------------------------------------------------------------------------------------------------


def test_clips_both_ways(short):
    (forth, origins), (back, ends) = scene_clip(3, size=SMALL)
    clip = render(sample_scene(3, 9), SMALL) * 2 - 1
    assert torch.allclose(forth, encode_clip(clip)) and torch.allclose(back, encode_clip(clip.flip(0)))
    assert origins.shape == ends.shape == (9, CELLS, CELLS, 2)
    middles = (torch.arange(CELLS) + 0.5) / CELLS
    assert torch.allclose(ends[0, 0, :, 0], middles)  # the last frame is the first one


def test_a_pool_is_repeatable_and_shaped(short):
    one, two = (PairedClipPool(start=5, stride=2, simple=0.5, size=SMALL) for _ in range(2))
    for _ in range(2):
        a, b = one.batch(2), two.batch(2)
        assert torch.equal(a.latents, b.latents) and torch.equal(a.origins.nan_to_num(-1), b.origins.nan_to_num(-1))
    assert a.latents.shape == (2, LATENTS, CHANNELS, SMALL // 4, SMALL // 4)
    assert one.seed == 5 + 2 * len(one.clips)


def test_training_never_draws_a_held_out_scene(short, monkeypatch):
    drawn = []

    def watched(seed, *args, **kwargs):
        drawn.append(seed)
        return sample_scene(seed, *args, **kwargs)

    for module in (data, clip_decoder_stage):
        monkeypatch.setattr(module, "sample_scene", watched)
    PairedClipPool(start=HELD_OUT - 2, stride=1, size=SMALL).batch(1)
    next(clip_decoder_stage.clip_crops(1, start=HELD_OUT - 2))
    assert HELD_OUT - 2 in drawn and max(drawn) < HELD_OUT


# --- runs ------------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    result = CliRunner().invoke(train_transformer.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_run_resumes(short, tmp_path):
    run("decoder", "--out", str(tmp_path), "--minutes", "0.01", "--batch-size", "1")
    for until in ("2", "4"):
        run("transformer", "--out", str(tmp_path), "--batch-size", "2", "--size", str(SMALL), "--until", until)
    state = load_checkpoint(tmp_path / "transformer.pt")
    assert state["step"] == 2 and state["clips"] == 4
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {line["stage"] for line in lines} == {"decoder", "transformer"}
    assert all((tmp_path / "samples" / f"{stage}.png").is_file() for stage in ("decoder", "transformer"))


@pytest.fixture
def trained(short, tmp_path):
    """A run's folder, as if both stages had been trained."""
    for stage, network in (("decoder", parts.make_vae()), ("transformer", stirred())):
        save_checkpoint(tmp_path / "run" / f"{stage}.pt", average=network.state_dict())
    return tmp_path / "run"


def test_a_run_becomes_a_pipeline_that_diffusers_and_this_project_load(trained, tmp_path):
    """With a text of zeros, as the shipped text encoder says it of every text."""
    to = tmp_path / "pipeline"
    run("export", "--out", str(trained), "--to", str(to))
    pipeline = WanImageToVideoPipeline.from_pretrained(to)
    pipeline.set_progress_bar_config(disable=True)
    model = load_model(str(to), "cpu")
    assert model.expand_timesteps and model.vae_factor == 4 and model.frames_per_latent == 2
    few = {"width": 32, "height": 32, "num_frames": 5, "num_inference_steps": 2}
    plain = {"min_guidance_scale": 1.0, "max_guidance_scale": 1.0, "layers": (1, 2)}
    settings = model.settings.replace(**few, **plain, control_steps=(0, 1), text="a ball")
    picture = torch.randint(0, 256, (3, 32, 32), generator=torch.Generator().manual_seed(0)) / 255
    ours = generate(model, picture, None, settings=settings, seed=1, progress=False).video
    tokens = pipeline.tokenizer("a ball", padding="max_length", max_length=512, return_tensors="pt").input_ids
    text = pipeline.text_encoder(tokens).last_hidden_state.detach()
    assert text.shape == (1, 512, parts.TEXT) and not text.any()
    asked = {**few, "guidance_scale": 1.0, "output_type": "pt", "generator": torch.Generator().manual_seed(1)}
    theirs = pipeline(to_pil(picture), prompt_embeds=text, negative_prompt_embeds=text, **asked).frames[0]
    conditioning = encode_image(model, picture, settings, torch.Generator())
    assert conditioning.text.shape == conditioning.negative.shape == (1, 1, parts.TEXT)  # one token says as much
    assert ours.shape == (5, 3, 32, 32)
    assert torch.allclose(ours, theirs, atol=1e-3)
