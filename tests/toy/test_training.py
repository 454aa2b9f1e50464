"""The toy's training: its data, its optimiser, kills and restarts, and that what it writes is diffusers' own."""

import copy
import json
import math
from pathlib import Path

import pytest
import torch
from diffusers import StableVideoDiffusionPipeline
from diffusers.models.attention_processor import Attention, AttnProcessor, AttnProcessor2_0
from torch import nn
from typer.testing import CliRunner

from sgi2v_lab.errors import InputError
from sgi2v_lab.images.read import to_pil
from sgi2v_lab.models.identity_blocks import remove_identities
from sgi2v_lab.toy.network import architecture
from sgi2v_lab.toy.network.architecture import LATENT_CHANNELS, NUM_FRAMES, make_unet, make_vae
from sgi2v_lab.toy.network.latent_code import encode_patches, kernels
from sgi2v_lab.toy.training import data, decoder_stage, smoke, train, training, unet_stage
from sgi2v_lab.toy.training.attention import ShortAttention
from sgi2v_lab.toy.training.data import (
    HELD_OUT,
    Batch,
    ClipPool,
    crop_batches,
    encode_clip,
    stack,
    to_clip_pixels,
)
from sgi2v_lab.toy.training.export import export, svd_pipeline, unpack
from sgi2v_lab.toy.training.optimizers import MuonWithAdamW
from sgi2v_lab.toy.training.training import Clock, load_checkpoint, save_checkpoint, update_ema
from sgi2v_lab.toy.training.unet_stage import FIRST_AND_LAST, Denoiser
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import motion_bucket, render

SMALL = 64  # pixels; the networks do not mind the size
CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def narrow():
    """A UNet of the toy's layers with few channels: a tenth of the weights to make, train and save again and again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(architecture, "UNET_CHANNELS", (64, 32, 32, 32))
        yield


# --- the parts of a training run -------------------------------------------------------------------------------------


def test_the_loss_is_that_of_v_prediction():
    """A denoiser that answers with the true v costs nothing; one that answers zero costs the target's power."""

    class Oracle(nn.Module):
        answer = None

        def forward(self, x, sigma, batch, keep):
            return self.answer

    torch.manual_seed(0)
    z, n = torch.randn(2, 3, 4, 4, 4), torch.randn(2, 3, 4, 4, 4)
    sigma = torch.tensor([0.5, 7.0])
    batch = Batch(z, z[:, 0], torch.rand(2, 3, 8, 8), torch.zeros(2, 3), torch.zeros(2, 3, 4, 4, 2))
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
    assert not fresh.is_over() and not late.is_over() and Clock(100, spent=100).is_over()


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
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    before = (a.weight - b.weight).abs().sum().item()
    for step in range(50):
        update_ema(a, b, step, decay=0.9)
    assert (a.weight - b.weight).abs().sum().item() < 0.05 * before


# --- attention -------------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("tokens", [None, 1, 5], ids=["self", "one token", "several tokens"])
@pytest.mark.parametrize("theirs", [AttnProcessor, AttnProcessor2_0])
def test_short_attention_is_diffusers_attention(tokens, theirs):
    torch.manual_seed(0)
    attention = Attention(query_dim=32, cross_attention_dim=tokens and 12, heads=2, dim_head=16).eval()
    x, source = torch.randn(3, 7, 32), None if tokens is None else torch.randn(3, tokens, 12)
    attention.set_processor(ShortAttention())
    mine = attention(x, encoder_hidden_states=source)
    attention.set_processor(theirs())
    assert torch.allclose(mine, attention(x, encoder_hidden_states=source), atol=1e-6)


def test_short_attention_learns_as_diffusers_attention_does():
    torch.manual_seed(0)
    attention = Attention(query_dim=16, heads=2, dim_head=8)
    x, gradients = torch.randn(2, 5, 16), []
    for processor in (ShortAttention(), AttnProcessor()):
        attention.set_processor(processor)
        attention.zero_grad()
        attention(x).pow(2).sum().backward()
        gradients.append([p.grad.clone() for p in attention.parameters()])
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(*gradients, strict=True))


# --- the optimiser ---------------------------------------------------------------------------------------------------


class Small(nn.Module):
    """A convolution and a matrix for Muon; first and last layers, a norm, biases and a thin matrix for AdamW."""

    def __init__(self):
        super().__init__()
        self.conv_in = nn.Conv2d(3, 16, 3, padding=1)
        self.inner = nn.Conv2d(16, 16, 3, padding=1)
        self.norm = nn.GroupNorm(4, 16)
        self.matrix, self.thin = nn.Linear(16, 24), nn.Linear(24, 4)

    def forward(self, x):
        hidden = self.norm(self.inner(self.conv_in(x).tanh())).tanh().mean(dim=(2, 3))
        return self.thin(self.matrix(hidden).tanh())


def small() -> tuple[Small, MuonWithAdamW]:
    torch.manual_seed(0)
    model = Small()
    return model, MuonWithAdamW(model, ("conv_in",))


def learn(model: nn.Module, optimizer: MuonWithAdamW, steps: int) -> list[float]:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(16, 3, 6, 6, generator=generator), torch.randn(16, 4, generator=generator)
    losses = []
    for _ in range(steps):
        loss = (model(x) - y).pow(2).mean()
        loss.backward()
        optimizer.step(0.02)
        losses.append(loss.item())
    return losses


def held(optimizer: torch.optim.Optimizer) -> list[int]:
    return [p.data_ptr() for group in optimizer.param_groups for p in group["params"]]


@pytest.mark.parametrize("which", ["small", "unet"])
def test_each_weight_has_one_optimiser(which):
    if which == "small":
        model, optimizer = small()
    else:
        model = nn.ModuleDict({"unet": make_unet()})
        optimizer = MuonWithAdamW(model, FIRST_AND_LAST)
    muon, adamw = (held(part) for part in optimizer.parts())
    everything = [p.data_ptr() for p in model.parameters()]
    assert sorted(muon + adamw) == sorted(everything) and len(set(everything)) == len(everything)
    named = dict(model.named_parameters())
    by_muon = {name for name, p in named.items() if p.data_ptr() in muon}
    if which == "small":
        assert by_muon == {"inner.weight", "matrix.weight"}
    else:
        assert all(named[name].ndim >= 2 and not name.startswith(FIRST_AND_LAST) for name in by_muon)
        assert sum(named[name].numel() for name in by_muon) > 0.8 * sum(p.numel() for p in named.values())


def test_muons_views_share_the_weights_memory():
    model, optimizer = small()
    muon, _ = optimizer.parts()
    before = copy.deepcopy(model.state_dict())
    learn(model, optimizer, 1)
    (inner,) = [
        v for group in muon.param_groups for v in group["params"] if v.data_ptr() == model.inner.weight.data_ptr()
    ]
    assert torch.equal(inner.view_as(model.inner.weight), model.inner.weight)
    assert all(not torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters()) and inner.grad is None


def test_the_optimiser_learns():
    losses = learn(*small(), 60)
    assert losses[-1] < 0.5 * losses[0]


def test_the_optimiser_goes_on_where_it_was(tmp_path):
    model, optimizer = small()
    learn(model, optimizer, 5)
    save_checkpoint(tmp_path / "a.pt", model=model.state_dict(), optimizer=optimizer.state_dict())
    once = learn(model, optimizer, 5)
    other, again = small()
    state = load_checkpoint(tmp_path / "a.pt")
    other.load_state_dict(state["model"])
    again.load_state_dict(state["optimizer"])
    assert learn(other, again, 5) == once
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


# --- data ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_scenes(monkeypatch):
    monkeypatch.setattr(data, "SIZE", SMALL)


def tensors(batch: Batch) -> list[torch.Tensor]:
    return [batch.latents, batch.condition, batch.image, batch.time_ids, batch.origins.nan_to_num(-1)]


def test_a_pool_is_repeatable_and_shaped(small_scenes):
    one, two = (ClipPool(start=5, stride=2, simple=0.5) for _ in range(2))
    for _ in range(3):
        a, b = one.batch(2), two.batch(2)
        assert all(torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))
    assert a.latents.shape == (2, NUM_FRAMES, LATENT_CHANNELS, SMALL // 8, SMALL // 8)
    assert a.condition.shape == (2, LATENT_CHANNELS, SMALL // 8, SMALL // 8)
    assert a.image.shape == (2, 3, SMALL, SMALL) and 0 <= a.image.min() <= a.image.max() <= 1
    assert one.seed == 5 + 2 * len(one.clips)


def test_latents_condition_and_picture_are_of_the_same_frame(small_scenes):
    """However a clip was mirrored, turned and reversed."""
    pool = ClipPool(start=0, stride=1)
    condition_noise = []
    for _ in range(8):
        batch = pool.batch(2)
        pictures = encode_patches(batch.image * 2 - 1)
        assert torch.allclose(batch.latents[:, 0], pictures, atol=1e-4)
        condition_noise.append(batch.condition - pictures)
    spread = torch.cat(condition_noise).std(dim=(0, 2, 3))
    expected = data.NOISE_AUGMENTATION * kernels().pow(2).sum(dim=(1, 2, 3)).sqrt()  # of white noise, seen by the code
    assert torch.allclose(spread, expected, rtol=0.15)


def test_every_symmetry_and_both_directions_are_drawn(small_scenes):
    pool = ClipPool(start=7, stride=1)
    pool.clips = [encode_clip(12)]
    latents, ends, ids, origins = pool.clips[0]
    samples = [pool.varied(pool.clips[0]) for _ in range(150)]
    firsts = {tuple(s.image.mean(0).flatten().mul(1e4).round().int().tolist()) for s in samples}
    assert len(firsts) == 16  # 8 symmetries of each end
    forward = [s for s in samples if torch.equal(s.image, ends[0])]
    backward = [s for s in samples if torch.equal(s.image, ends[1])]
    assert all(torch.equal(s.latents, latents) for s in forward) and forward
    assert all(torch.equal(s.latents, latents.flip(0)) for s in backward) and backward
    assert all(torch.equal(s.origins.nan_to_num(-1), origins[0].nan_to_num(-1)) for s in forward)
    assert all(torch.equal(s.origins.nan_to_num(-1), origins[1].flip(0).nan_to_num(-1)) for s in backward)
    assert all(torch.equal(s.time_ids, ids) for s in samples)


def test_time_ids_say_how_fast_and_how_much(small_scenes):
    scene = sample_scene(4, NUM_FRAMES)
    _, _, ids, _ = encode_clip(4)
    assert ids.tolist() == pytest.approx([scene.fps - 1, motion_bucket(scene), 0.02])


def test_shares_of_simple_and_of_moving_scenes(small_scenes):
    def moves(clip) -> bool:
        """Whether the far corners came from elsewhere: only a camera does that to most of the picture."""
        last = clip[3][0, -1]
        still = data.true_origins(sample_scene(0), data.CELLS)[0]
        return ((last - still).norm(dim=-1).nan_to_num(1) > 0.01).float().mean().item() > 0.6

    assert all(moves(encode_clip(seed, moving=1.0)) for seed in range(6))
    assert not any(moves(encode_clip(seed, simple=1.0, moving=1.0)) for seed in range(6))


def test_training_never_draws_a_held_out_scene(small_scenes, monkeypatch):
    drawn = []

    def watched(seed, *args, **kwargs):
        drawn.append(seed)
        return sample_scene(seed, *args, **kwargs)

    monkeypatch.setattr(data, "sample_scene", watched)
    ClipPool(start=HELD_OUT - 2, stride=1).batch(1)
    next(crop_batches(4, 16, start=HELD_OUT - 2))
    assert HELD_OUT - 2 in drawn and len(drawn) > 4
    assert max(drawn) < HELD_OUT


def test_crops_are_repeatable_pictures(small_scenes):
    one, two = (next(crop_batches(3, 24, start=3)) for _ in range(2))
    assert torch.equal(one, two)
    assert one.shape == (3, 3, 24, 24)
    assert -1 <= one.min() < one.max() <= 1


def test_a_stack_of_clips_is_a_batch():
    shapes = ((8, 4, 2, 2), (4, 2, 2), (3, 8, 8), (3,), (8, 2, 2, 2))
    clip = Batch(*(torch.full(shape, float(i)) for i, shape in enumerate(shapes)))
    batch = stack([clip, clip, clip])
    assert [len(x) for x in tensors(batch)] == [3] * 5
    assert torch.equal(batch.condition[2], clip.condition)


# --- a run -----------------------------------------------------------------------------------------------------------


class StepClock(Clock):
    """Each step takes a minute, however busy the computer is."""

    def __init__(self, seconds: float, spent: float = 0.0):
        super().__init__(seconds, spent)
        self.steps = 0

    @property
    def elapsed(self) -> float:
        return self.spent + 60 * self.steps

    def learning_rate(self, *args, **kwargs) -> float:
        self.steps += 1
        return super().learning_rate(*args, **kwargs)


class FewClips(ClipPool):
    """Examines itself on one clip."""

    def batch(self, batch_size: int) -> Batch:
        return super().batch(1)


class Killed(BaseException):
    pass


def run_stage(stage, out: Path, steps: int, kill_at: int | None = None, **options) -> list[int]:
    """Train a stage on small pictures until its clock says `steps` minutes; the numbers of the steps it took."""
    taken = []

    def noted(average, model, step, *args, **kwargs):
        if step == kill_at:
            raise Killed
        taken.append(step)
        update_ema(average, model, step, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "Clock", StepClock)
        patch.setattr(stage, "update_ema", noted)
        patch.setattr(data, "SIZE", SMALL)
        if stage is decoder_stage:
            patch.setattr(decoder_stage, "CROP", 16)
            patch.setattr(decoder_stage, "SIZE", 16)
        else:
            few, exam = unet_stage.sample, unet_stage.held_out_batch
            patch.setattr(unet_stage, "ClipPool", FewClips)
            patch.setattr(unet_stage, "held_out_batch", lambda _count, device: exam(2, device))
            patch.setattr(unet_stage, "sample", lambda denoiser, batch: few(denoiser, batch, steps=1))
            options = {"seed": 0} | options
        sizes = {"seconds": 60.0 * steps, "batch_size": 1, "peak": 1e-3}
        try:
            stage.train(rank=0, processes=1, device=CPU, out=out, **sizes, **options)
        except Killed:
            assert step_of(out, stage) <= kill_at
    return taken


def step_of(out: Path, stage) -> int:
    return load_checkpoint(out / f"{stage.__name__.split('.')[-1].removesuffix('_stage')}.pt")["step"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A folder in which both stages were trained for a few steps, were killed, and went on."""
    out = tmp_path_factory.mktemp("run")
    for stage in (decoder_stage, unet_stage):  # the UNet's first checkpoint is due after a minute
        assert run_stage(stage, out, steps=2, kill_at=1) == [0]
        assert step_of(out, stage) == 1
        assert run_stage(stage, out, steps=2) == [1]
    return out


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(run):
    unet = load_checkpoint(run / "unet.pt")
    assert (unet["step"], unet["clips"], unet["elapsed"]) == (2, 2, 120.0)
    assert step_of(run, decoder_stage) == 2
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["stage"] == "unet"] == [1, 2]
    steps = [line["step"] for line in log if line["stage"] == "decoder"]
    assert steps == sorted(steps) and steps[-1] == 2
    assert all(math.isfinite(line["validation"]) for line in log if line["stage"] == "unet")
    for sheet in ("unet", "decoder"):
        assert (run / "sheets" / f"{sheet}.png").stat().st_size > 1000


@pytest.mark.slow
def test_training_moved_the_weights_that_it_should(run):
    torch.manual_seed(1)
    first, last = make_vae().state_dict(), load_checkpoint(run / "decoder.pt")["model"]
    assert all(torch.equal(first[n], last[n]) for n in last if n.startswith(("encoder.", "quant_conv.")))
    assert not torch.equal(first["decoder.conv_out.weight"], last["decoder.conv_out.weight"])
    state = load_checkpoint(run / "unet.pt")
    name = "unet.conv_in.weight"
    assert not torch.equal(state["model"][name], state["average"][name])


def rounded(module: nn.Module) -> nn.Module:
    """As it is after a journey through half precision."""
    return module.half().float().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory) -> tuple[Path, StableVideoDiffusionPipeline]:
    folder = tmp_path_factory.mktemp("exported") / "pipeline"
    export(run, folder, ("decoder", "unet"), svd_pipeline)
    (folder / "settings.json").write_text(json.dumps({"width": SMALL}))
    (folder / "README.md").write_text("a card")
    export(run, folder, ("decoder", "unet"), svd_pipeline)
    pipeline = StableVideoDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return folder, pipeline


@pytest.mark.slow
@torch.no_grad()
def test_what_was_trained_is_what_diffusers_loads(run, exported):
    _, pipeline = exported
    torch.manual_seed(3)
    denoiser = Denoiser()
    denoiser.load_state_dict(load_checkpoint(run / "unet.pt")["average"])
    rounded(denoiser).unet.set_attn_processor(ShortAttention())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "SIZE", SMALL)
        batch = ClipPool(start=0, stride=1).batch(1)
    sigma, keep = torch.tensor([3.0]), torch.ones(1)
    x = batch.latents + sigma * torch.randn_like(batch.latents)
    mine = denoiser(x, sigma, batch, keep)
    token = pipeline.image_encoder(to_clip_pixels(batch.image)).image_embeds[:, None]
    inputs = torch.cat([x / (1 + sigma**2).sqrt(), batch.condition[:, None].expand_as(x)], dim=2)
    theirs = pipeline.unet(inputs, 0.25 * sigma.log(), token, added_time_ids=batch.time_ids).sample
    assert torch.allclose(mine, theirs, atol=1e-4)

    vae = make_vae()
    remove_identities(vae.decoder)
    vae.load_state_dict(load_checkpoint(run / "decoder.pt")["average"])
    z = batch.latents[0, :3]
    mine = rounded(vae).decode(z, num_frames=1).sample
    assert torch.allclose(mine, pipeline.vae.decode(z, num_frames=3).sample, atol=1e-3)
    shown = batch.image * 2 - 1
    assert (pipeline.vae.encode(shown).latent_dist.mode() - encode_patches(shown)).abs().max() < 3e-2


@pytest.mark.slow
def test_unmodified_diffusers_makes_a_video(exported):
    folder, pipeline = exported
    picture = to_pil(render(sample_scene(HELD_OUT), SMALL, slice(0, 1))[0])
    frames = pipeline(picture, height=SMALL, width=SMALL, num_inference_steps=1, output_type="pt").frames
    assert frames.shape == (1, NUM_FRAMES, 3, SMALL, SMALL)
    assert frames.isfinite().all()
    # what was written beside the first export stays with the second
    assert json.loads((folder / "settings.json").read_text()) == {"width": SMALL}
    assert (folder / "README.md").read_text() == "a card"
    assert [p.name for p in folder.parent.iterdir()] == ["pipeline"]


@pytest.mark.slow
def test_an_exported_run_unpacks_to_the_same_weights(run, exported, tmp_path):
    folder, _ = exported
    unpack(folder, tmp_path)
    for stage in ("decoder", "unet"):
        was, state = load_checkpoint(run / f"{stage}.pt")["average"], load_checkpoint(tmp_path / f"{stage}.pt")
        assert state["step"] == 0 and state["optimizer"] is None and state["elapsed"] == 0
        for part in ("model", "average"):
            assert all(torch.equal(state[part][name], was[name].half().float()) for name in was)
            assert state[part].keys() == was.keys()
    assert run_stage(decoder_stage, tmp_path, steps=1) == [0]
    assert step_of(tmp_path, decoder_stage) == 1
    with pytest.raises(InputError, match="already has"):
        unpack(folder, tmp_path)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"has no decoder\.pt; train the stage decoder first"):
        export(tmp_path, tmp_path / "none", ("decoder", "unet"), svd_pipeline)
    with pytest.raises(InputError, match=r"model_index\.json"):
        unpack(tmp_path, tmp_path / "run")
    assert not (tmp_path / "none").exists() and not (tmp_path / "run").exists()


# --- the commands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["decoder", "unet"])
def test_the_command_hands_its_options_on(stage, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(getattr(train, f"{stage}_stage"), "train", lambda **options: given.update(options))
    options = ["--minutes", "0.5", "--batch-size", "3", "--learning-rate", "0.01", "--out", str(tmp_path)]
    options += ["--seed", "70", "--simple", "0.25", "--moving", "0.5"] if stage == "unet" else []
    result = CliRunner().invoke(train.app, [stage, *options])
    assert result.exit_code == 0, result.output
    expected = {
        "seconds": 30.0,
        "batch_size": 3,
        "peak": 0.01,
        "out": tmp_path,
        "rank": 0,
        "processes": 1,
        "device": CPU,
    }
    if stage == "unet":
        expected |= {"seed": 70, "simple": 0.25, "moving": 0.5}
    assert given == expected


def test_the_commands_of_a_whole_training():
    listed = CliRunner().invoke(train.app, ["--help"])
    assert listed.exit_code == 0
    assert all(command in listed.output for command in ("decoder", "unet", "unpack", "export"))
    assert CliRunner().invoke(train.app, ["decoder", "--minutes", "0"]).exit_code == 2


@pytest.mark.parametrize(("fast", "expected"), [("bf16", True), ("own", False)])
def test_training_is_in_bf16_where_the_cpu_has_it(fast, expected, monkeypatch):
    monkeypatch.setattr(training, "fast_precision", lambda _: fast)
    with training.mixed_precision():
        assert torch.is_autocast_enabled("cpu") == expected
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert (product.dtype == torch.bfloat16) == expected


# --- the smoke test --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "after, code, said", [(0.5, 0, "training works"), (0.97, 1, "decoder"), (math.nan, 1, "decoder")]
)
def test_the_smoke_test_judges(after, code, said, tmp_path, monkeypatch):
    monkeypatch.setattr(smoke, "learn_decoder", lambda steps, sheet: smoke.Learned("decoder", steps, 1.0, after, 1.0))
    monkeypatch.setattr(smoke, "learn_unet", lambda steps: smoke.Learned("unet", steps, 1.0, 0.6, 2.0))
    result = CliRunner().invoke(smoke.app, ["--out", str(tmp_path / "smoke")])
    assert result.exit_code == code
    assert said in result.output.splitlines()[-1]
    assert "unet, 24 steps in 2 s: 1.000 before, 0.600 after" in result.output


@pytest.mark.slow
def test_the_smoke_test_really_trains(tmp_path, monkeypatch):
    """On small pictures: the losses it reports are measured, and steps change them."""
    monkeypatch.setattr(data, "SIZE", SMALL)
    monkeypatch.setattr(smoke, "SIZE", 16)
    monkeypatch.setattr(smoke, "CROP", 16)
    monkeypatch.setattr(smoke, "EXAM", 2)
    monkeypatch.setattr(smoke, "UNET_BATCH", 1)
    decoder = smoke.learn_decoder(1, tmp_path / "decoder.png")
    assert (tmp_path / "decoder.png").stat().st_size > 500
    assert 0 < decoder.after != decoder.before > 0
    none, unet = smoke.learn_unet(0), smoke.learn_unet(1)
    assert none.after == none.before == unet.before != unet.after > 0
