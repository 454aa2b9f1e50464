import dataclasses
import json
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from diffusers.pipelines.wan import pipeline_wan_i2v

from sgi2v_lab.analysis.interventions import intervene
from sgi2v_lab.baselines import METHODS
from sgi2v_lab.bench.count_bytes import count_bytes
from sgi2v_lab.bench.measure import count_flops
from sgi2v_lab.bench.scaling import cost_tasks
from sgi2v_lab.bench.stages import on_meta
from sgi2v_lab.efficiency.memory import MEMORY_MODES, estimate_bytes
from sgi2v_lab.efficiency.recompute import RECOMPUTE_MODES, recomputing
from sgi2v_lab.errors import InputError
from sgi2v_lab.explore import decode_frame, inspect_run
from sgi2v_lab.features import aligned_attention, assemble, extract_features, features_with_graph, record_features
from sgi2v_lab.images.read import to_pil
from sgi2v_lab.latents import decode_latents, encode_video
from sgi2v_lab.loss import trajectory_loss
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.summary import describe_model
from sgi2v_lab.models.wan import WAN_SETTINGS, PlacedAttention, Wan
from sgi2v_lab.optimize import optimize_latents
from sgi2v_lab.pipeline import generate
from sgi2v_lab.sampling import denoise, draw_noise, make_schedule, predict_clean_latents
from sgi2v_lab.settings import Settings
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory, latent_cells
from sgi2v_lab.widgets import FeatureExplorer, FrequencyExplorer, LossExplorer
from tests.helpers.tiny_wan import (
    CHANNELS,
    FRAMES,
    HEIGHT,
    LATENTS,
    SETTINGS,
    WAYS,
    WIDTH,
    conditioning,
    noisy_latents,
    picture,
    tiny_wan,
    tiny_wan_pipeline,
)

pytestmark = pytest.mark.slow

BOXES = Trajectories((WIDTH, HEIGHT), (Trajectory.move((8, 8, 40, 40), by=(40, 8)),))
CELLS = latent_cells(BOXES.boxes(FRAMES), 8, HEIGHT // 8, WIDTH // 8, 4)
SIGMA = 0.8


def diffusers_own(pipeline, monkeypatch, latents=False, **changes):
    """The video by diffusers' pipeline, or its latents; the pipeline wants ftfy for a prompt."""
    monkeypatch.setattr(pipeline_wan_i2v, "ftfy", SimpleNamespace(fix_text=lambda text: text), raising=False)
    given = {"prompt": SETTINGS.text, "negative_prompt": SETTINGS.negative_text} if pipeline.text_encoder else {}
    given |= {"height": HEIGHT, "width": WIDTH, "num_frames": FRAMES, "guidance_scale": 3.0, **changes}

    given |= {"num_inference_steps": 4, "generator": torch.Generator().manual_seed(5)}
    made = pipeline(image=to_pil(picture()), output_type="latent" if latents else "np", **given).frames[0]
    return made.transpose(0, 1) if latents else torch.from_numpy(made).permute(0, 3, 1, 2)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "built",
    [{}, {"scheduler": "euler"}, {"temporal": 2}, {"experts": True}],
    ids=["UniPC", "Euler", "two frames a latent", "two transformers"],
)
def test_without_control_it_is_diffusers_own_pipeline_to_the_bit(way, built, monkeypatch):
    pipeline = tiny_wan_pipeline(way, **built)
    run = generate(Wan.from_pipeline(pipeline, "wan", SETTINGS), picture(), None, seed=5, progress=False)
    assert run.video.shape == (FRAMES, 3, HEIGHT, WIDTH)
    assert torch.equal(run.video, diffusers_own(pipeline, monkeypatch))


@pytest.mark.parametrize("way", WAYS)
def test_the_latents_are_diffusers_own_and_the_first_frame_has_a_say_in_them(way, monkeypatch):
    pipeline = tiny_wan_pipeline(way)
    model = Wan.from_pipeline(pipeline, "wan", SETTINGS)
    run, other = (generate(model, picture(seed), None, seed=5, progress=False) for seed in (0, 1))
    assert torch.equal(run.latents, diffusers_own(pipeline, monkeypatch, latents=True))
    assert not torch.equal(other.latents[1:], run.latents[1:])


def test_an_image_encoder_is_used_as_diffusers_uses_it(monkeypatch):
    pipeline = tiny_wan_pipeline("channels", picture=True)
    run = generate(Wan.from_pipeline(pipeline, "wan", SETTINGS), picture(), None, seed=5, progress=False)
    assert torch.equal(run.video, diffusers_own(pipeline, monkeypatch))


def test_without_a_text_encoder_the_text_is_zeros(monkeypatch):
    pipeline = tiny_wan_pipeline(text=False)
    model = Wan.from_pipeline(pipeline, "wan", SETTINGS)
    settings = SETTINGS.replace(text="", negative_text="")
    run = generate(model, picture(), None, settings, seed=5, progress=False)
    zeros = torch.zeros(1, 1, 8)
    theirs = diffusers_own(pipeline, monkeypatch, prompt_embeds=zeros, negative_prompt_embeds=zeros)
    assert torch.equal(run.video, theirs)
    with pytest.raises(InputError, match="text is 'a ball moves', but wan has no text encoder"):
        generate(model, picture(), None, SETTINGS, progress=False)


def test_text_and_guidance_have_a_say():
    def latents(**changes):
        return generate(tiny_wan(), picture(), None, SETTINGS.replace(**changes), progress=False).latents

    plain = latents()
    one = {"min_guidance_scale": 1.0, "max_guidance_scale": 1.0}
    assert not torch.equal(plain, latents(text="still"))
    assert not torch.equal(plain, latents(negative_text=""))
    assert torch.equal(latents(negative_text="", **one), latents(**one))


# --- the first frame, pixels, noise ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_clean_first_latent_stays_clean_and_a_noisy_one_is_denoised(way):
    model, told = tiny_wan(way), conditioning(way)
    noise = draw_noise(model, SETTINGS, torch.Generator().manual_seed(5))
    steps = list(denoise(model, told, noise, SETTINGS, CELLS))
    first = encode_video(model, picture().expand(FRAMES, -1, -1, -1))[0]
    for step in steps:
        assert torch.equal(step.latents[0], first) == (way == "first latent")
        assert torch.equal(step.denoised[0], first) == (way == "first latent")
        assert not torch.allclose(step.latents[1], first, atol=0.1)
    gradients = [i.gradient for step in steps for i in step.iterations]
    assert len(gradients) == 4 and all(g[1:].abs().sum() > 0 for g in gradients)
    if way == "first latent":
        assert not any(g[0].any() for g in gradients)


def test_videos_go_into_latents_and_back():
    model = tiny_wan()
    video = torch.rand(FRAMES, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    latents = encode_video(model, video)
    assert latents.shape == (LATENTS, CHANNELS, 8, 12) == model.latent_shape(SETTINGS)
    longer = encode_video(model, video.roll(1, 0))
    changed = video.clone()
    changed[5:] = 0
    assert torch.equal(encode_video(model, changed)[:2], latents[:2])  # nothing looks ahead
    assert not torch.equal(encode_video(model, changed)[2], latents[2]) and not torch.equal(longer, latents)
    decoded = decode_latents(model, latents)
    assert decoded.shape == video.shape and decoded.min() >= 0 and decoded.max() <= 1
    assert torch.equal(decode_latents(model, latents, 1), decoded)


def test_noise_levels_are_those_of_flow_matching():
    model = tiny_wan()
    clean, noise = noisy_latents(3), noisy_latents(4)
    noisy = model.noisy(clean, noise, 0.25)
    assert torch.allclose(noisy, 0.75 * clean + 0.25 * noise)
    velocity = noise - clean
    schedule = make_schedule(tiny_wan(), SETTINGS)
    schedule.set_begin_index(1)
    sigma = schedule.sigmas[1]
    told = conditioning("channels")
    result = tiny_wan("channels").step(schedule, velocity[None], 1, model.noisy(clean, noise, sigma)[None], told)
    assert torch.allclose(result.pred_original_sample[0], clean, atol=1e-5)
    assert torch.allclose(result.prev_sample[0], model.noisy(clean, noise, schedule.sigmas[2]), atol=1e-5)


@pytest.mark.parametrize("scheduler", ["unipc", "euler"])
def test_steps_after_control_are_eulers(scheduler):
    """A multistep solver's memory is of latents that are no more; in flow matching its first step is Euler's."""
    model = Wan.from_pipeline(tiny_wan_pipeline(scheduler=scheduler), "wan", SETTINGS)
    noise = draw_noise(model, SETTINGS, torch.Generator().manual_seed(5))
    sigmas = make_schedule(model, SETTINGS).sigmas
    for step in denoise(model, conditioning(), noise, SETTINGS, CELLS):
        assert torch.equal(
            predict_clean_latents(model, conditioning(), step.mixed, SETTINGS, step.index), step.denoised
        )
        if step.iterations:
            ratio = sigmas[step.index + 1] / sigmas[step.index]
            expected = step.denoised + ratio * (step.mixed - step.denoised)
            assert torch.allclose(step.latents[1:], expected[1:], atol=1e-5)  # the first is given


def test_a_run_that_goes_on_later_ends_alike():
    """To the bit where the next step is controlled; elsewhere a multistep solver has forgotten the step before."""
    model, noise = tiny_wan(), draw_noise(tiny_wan(), SETTINGS, torch.Generator().manual_seed(5))
    steps = list(denoise(model, conditioning(), noise, SETTINGS, CELLS))
    for last in (0, 1, 2):
        again = list(denoise(model, conditioning(), noise, SETTINGS, CELLS, resume_from=steps[last]))
        assert [step.index for step in again] == list(range(last + 1, 4))
        if last < 2:
            assert torch.equal(again[-1].latents, steps[-1].latents)
        assert torch.allclose(again[-1].latents, steps[-1].latents, atol=0.05)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_frames": 8}, "num_frames is 8: expected a multiple of 4 and one more, such as 9 or 13"),
        ({"width": 100}, "width is 100, but tiny wan needs a multiple of 16 pixels"),
        ({"layers": (3,)}, "tiny wan has no layer 3; it has 0, 1, 2"),
        ({"layers": ((2, 1),)}, r"tiny wan has no layer \(2, 1\); it has 0, 1, 2"),
    ],
)
def test_settings_that_do_not_fit(changes, message):
    with pytest.raises(InputError, match=message):
        generate(tiny_wan(), picture(), BOXES, SETTINGS.replace(**changes), progress=False)


# --- control ---------------------------------------------------------------------------------------------------------


def test_a_latents_box_is_the_mean_of_its_frames():
    boxes = BOXES.boxes(FRAMES)
    expected = [boxes[0, 0], boxes[0, 1:5].mean(dim=0), boxes[0, 5:9].mean(dim=0)]
    assert CELLS[0].tolist() == [(box / 8).floor().int().tolist() for box in expected]


@pytest.mark.parametrize(
    ("way", "kind"),
    [
        *((way, "aligned") for way in WAYS),
        *(("first latent", kind) for kind in ("aligned-same-time", "aligned-unplaced", "block")),
    ],
)
def test_control_lowers_the_loss(way, kind):
    steps = optimize_latents(
        tiny_wan(way),
        noisy_latents(),
        SIGMA,
        conditioning(way),
        CELLS,
        layers=(0, 1),
        features=kind,
        iterations=8,
        learning_rate=0.1,
    )
    losses = [step.loss for step in steps]
    assert losses[-1] < 0.7 * losses[0]


@pytest.fixture(scope="module")
def plain():
    return generate(tiny_wan(), picture(), None, progress=False)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_runs_on_it(method, plain):
    run = generate(tiny_wan(), picture(), BOXES, method=method, trace=["latents", "optimization"], progress=False)
    assert run.video.shape == (FRAMES, 3, HEIGHT, WIDTH) and run.video.isfinite().all()
    assert not torch.equal(run.video, plain.video) or method == "none"
    if method == "sgi2v":
        assert sorted(run.losses) == [1, 2]
        looked_into(run)
        inspection = inspect_run(tiny_wan(), run)
        assert inspection.latents[1].shape == (LATENTS, CHANNELS, 8, 12)


def looked_into(run):
    """By the explorers, whose frames are those with which the latents end."""
    features = FeatureExplorer(tiny_wan(), run)
    assert features.layers == [[0], [1], [2]] and features.layer == [1]
    features.layer, features.right = [0], "aligned-unplaced"
    assert features.features["aligned-unplaced"].shape == (LATENTS, 24, 4, 6)
    assert features.about["frames"] == LATENTS and len(features.matches["left"]) == LATENTS
    assert features.boxes[0]["frames"] == run.boxes[0, ::4].tolist()
    loss = LossExplorer(run)
    assert len(loss.shares[0]) == LATENTS == loss.about["frames"] == len(loss.boxes[0]["frames"])
    assert sum(share for share in loss.shares[0] if share is not None) == pytest.approx(loss.shown["loss"], rel=1e-4)
    frequency = FrequencyExplorer(run, model=tiny_wan())
    frequency.frame = 2
    assert frequency.about["frames"] == LATENTS and not frequency.error
    assert not any(explorer.error for explorer in (features, loss))
    clean = noisy_latents()
    assert torch.equal(decode_frame(tiny_wan(), clean, 1), decode_latents(tiny_wan(), clean)[4])


def test_a_longer_video_goes_on_from_its_last_frame():
    run = generate(tiny_wan(), picture(), BOXES, frames=13, progress=False)
    assert run.video.shape == (13, 3, HEIGHT, WIDTH) and len(run.segments) == 2
    assert torch.equal(run.segments[1].image, run.video[8])
    assert run.segments[1].boxes[0, 0].tolist() == pytest.approx(BOXES.boxes(13)[0, 8].tolist())


# --- features --------------------------------------------------------------------------------------------------------


def features(kind, way="first latent", layers=(0, 2)):
    return extract_features(tiny_wan(way), noisy_latents(), SIGMA, conditioning(way), layers, kind)


@pytest.mark.parametrize("way", WAYS)
def test_recording_changes_nothing(way):
    model, told, z = tiny_wan(way), conditioning(way), noisy_latents()
    time = torch.tensor(800.0)
    plain = model.predict(z[None], time, told)
    with record_features(model, (0, 2)) as recorded:
        assert torch.equal(model.predict(z[None], time, told), plain)
    assert torch.equal(model.predict(z[None], time, told), plain)
    assert {layer: maps.shape for layer, maps in recorded.items()} == dict.fromkeys((0, 2), (LATENTS, 24, 4, 6))


def test_self_attention_is_what_the_network_goes_on_with():
    model = tiny_wan()
    seen = []
    attention = model.transformer.blocks[2].attn1
    handle = attention.to_out[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        with record_features(model, (2,), "self-attention") as recorded:
            model.run_conditional(noisy_latents(), SIGMA, conditioning())
    finally:
        handle.remove()
    tokens = recorded[2].flatten(2).transpose(1, 2).flatten(0, 1)
    assert torch.allclose(tokens, seen[0][0], atol=1e-6)


def slow_aligned(model, layer, positions):
    """Head by head, query by query; positions as (frame, row, column) by the angles that Wan's paper gives."""
    hidden = []
    with model.watch(layer, lambda _, tokens, __: hidden.append(tokens)):
        model.run_conditional(noisy_latents(), SIGMA, conditioning())
    tokens, attention = hidden[0], model.transformer.blocks[layer].attn1
    frames, places, channels = tokens.shape
    heads, size = 2, channels // 2
    spans = (size - 2 * (size // 6) * 2, 2 * (size // 6), 2 * (size // 6))

    def turned(vector, place):
        vector, start = vector.clone(), 0
        for position, span in zip(place, spans, strict=True):
            for pair in range(span // 2):
                angle = torch.tensor(position / 10000 ** (2 * pair / span))
                k = start + 2 * pair
                x, y = vector[k].clone(), vector[k + 1].clone()
                vector[k] = x * angle.cos() - y * angle.sin()
                vector[k + 1] = x * angle.sin() + y * angle.cos()
            start += span
        return vector

    q, k = attention.norm_q(attention.to_q(tokens)), attention.norm_k(attention.to_k(tokens[0]))
    v = attention.to_v(tokens[0])
    out = torch.empty_like(tokens)
    where = [(row, column) for row in range(4) for column in range(6)]
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        keys = torch.stack(
            [turned(k[p, part], (0, *where[p])) if positions != "none" else k[p, part] for p in range(places)]
        )
        for frame in range(frames):
            time = frame if positions == "own" else 0
            for p in range(places):
                query = q[frame, p, part]
                query = turned(query, (time, *where[p])) if positions != "none" else query
                out[frame, p, part] = F.softmax(keys @ query / size**0.5, dim=0) @ v[:, part]
    return out


@pytest.mark.parametrize(
    ("kind", "positions"), [("aligned", "own"), ("aligned-same-time", "first"), ("aligned-unplaced", "none")]
)
@torch.no_grad()
def test_aligned_attention_is_what_it_says(kind, positions):
    found = features(kind, layers=(1,))[1].flatten(2).transpose(1, 2)
    expected = slow_aligned(tiny_wan(), 1, positions)
    assert torch.allclose(found, expected, atol=1e-5)
    others = {"aligned", "aligned-same-time", "aligned-unplaced"} - {kind}
    assert not any(torch.allclose(found, features(k, layers=(1,))[1].flatten(2).transpose(1, 2)) for k in others)


def test_gradients_pass_through_queries_only():
    model, z = tiny_wan("channels"), noisy_latents().requires_grad_()
    hidden, placed = [], []

    def look(attention, tokens, _):
        placed.append(attention)
        hidden.append(tokens)

    with torch.enable_grad(), model.watch(1, look):
        model.run_conditional(z, SIGMA, conditioning("channels"))
    tokens = hidden[0].detach().requires_grad_()
    assert isinstance(placed[0], PlacedAttention)
    aligned = aligned_attention(placed[0], tokens)
    for frame in range(LATENTS):
        (gradient,) = torch.autograd.grad(aligned[frame].sum(), tokens, retain_graph=True)
        assert [each for each in range(LATENTS) if gradient[each].any()] == [frame]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", RECOMPUTE_MODES)
def test_early_stop_and_memory_modes_give_the_same_gradient(way, mode):
    """Against a pass through all blocks that keeps everything."""
    model, told = tiny_wan(way), conditioning(way)

    def gradient_of(maps, z):
        return torch.autograd.grad(trajectory_loss(assemble(maps, (8, 12)), CELLS).total, z)[0]

    z = noisy_latents().requires_grad_()
    with torch.enable_grad(), record_features(model, (0, 1)) as maps:
        model.run_conditional(z, SIGMA, told)
    whole = gradient_of(maps, z)
    ran = []
    handles = [block.register_forward_hook(lambda *_: ran.append(1)) for block in model.transformer.blocks]
    with torch.enable_grad(), recomputing(model, mode, 1), features_with_graph(model, z, SIGMA, told, (0, 1)) as maps:
        assert len(ran) == 1  # block 1 ends before its attention, block 2 does not begin
        lean = gradient_of(maps, z)
    for handle in handles:
        handle.remove()
    assert whole[1:].any()
    assert torch.allclose(lean, whole, rtol=1e-4, atol=1e-6 * whole.abs().max())


def test_memory_modes_make_the_same_video():
    fast, *lean = (generate(tiny_wan("channels"), picture(), BOXES, memory=m, progress=False) for m in MEMORY_MODES)
    for made, mode in zip(lean, MEMORY_MODES[1:], strict=True):
        assert torch.allclose(made.video, fast.video, atol=1e-4), mode


def test_a_kind_that_it_has_not():
    with pytest.raises(InputError, match="unknown feature kind 'temporal'.*aligned, aligned-same-time"):
        features("temporal")
    with pytest.raises(InputError, match="no temporal attention"), tiny_wan().watch(1, print, "temporal"):
        pass
    with pytest.raises(InputError, match="sigma is 37: expected a noise level above 0 and up to 1"):
        extract_features(tiny_wan(), noisy_latents(), 37.0, conditioning(), (1,))


# --- what it costs ---------------------------------------------------------------------------------------------------


def test_costs_are_measured_at_frames_that_it_can_have():
    model = dataclasses.replace(tiny_wan(), settings=SETTINGS.replace(num_frames=33))
    tasks = [settings for _, settings, _ in cost_tasks(model, "frames")]
    assert len(tasks) > 2 and tasks[-1].num_frames >= 33
    assert all(model.num_frames(settings) == settings.num_frames for settings in tasks)


def test_less_is_computed_and_kept_where_the_pass_ends_early_or_recomputes():
    model = on_meta(tiny_wan())
    told = dataclasses.replace(
        conditioning(), **{k: v.to("meta") for k, v in vars(conditioning()).items() if v is not None}
    )
    z = noisy_latents().to("meta")

    def iteration(mode, layers):
        with recomputing(model, mode, max(layers)):
            list(optimize_latents(model, z, SIGMA, told, CELLS, layers=layers, iterations=1))

    early, late = (count_flops(lambda last=last: iteration("fast", (last,))) for last in (1, 2))
    forward = count_flops(lambda: model.predict(z[None], torch.zeros((), device="meta"), told))
    assert 0 < early < late < 3 * forward
    kept = [count_bytes(lambda mode=mode: iteration(mode, (1, 2))) for mode in RECOMPUTE_MODES]
    assert kept[0] > kept[1] > kept[2]
    assert count_flops(lambda: iteration("full", (2,))) > late


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    def save(**built):
        tiny_wan_pipeline(**built).save_pretrained(tmp_path / "wan")
        return tmp_path / "wan"

    return save


@pytest.mark.parametrize(
    "built",
    [
        {"way": "first latent"},
        {"way": "channels", "picture": True},
        {"way": "channels", "experts": True},
        {"way": "first latent", "text": False},
    ],
    ids=["first latent", "image encoder", "two transformers", "no text encoder"],
)
def test_folders_are_loaded(folder, built):
    pipeline = tiny_wan_pipeline(**built)
    path = folder(**built)
    model = load_model(str(path), device="cpu")
    assert model.settings == WAN_SETTINGS and model.preset("fast").num_inference_steps == 25
    assert not any(weight.requires_grad for part in model.networks.values() for weight in part.parameters())
    text = {} if built.get("text", True) else {"text": "", "negative_text": ""}
    settings = SETTINGS.replace(**text)
    expected = generate(Wan.from_pipeline(pipeline, "wan", settings), picture(), None, progress=False)
    assert torch.equal(generate(model, picture(), None, settings, progress=False).video, expected.video)
    told = describe_model(str(path))
    assert told.here and told.frames == 81
    assert told.parameters == sum(weight.numel() for weight in pipeline.transformer.parameters())


def test_the_text_to_video_class_will_do_where_it_expands_timesteps(folder):
    """Wan2.2-TI2V-5B's index names WanPipeline, which lacks the parts for pictures."""
    index = folder() / "model_index.json"
    said = json.loads(index.read_text())
    said = {k: v for k, v in said.items() if k not in ("image_encoder", "image_processor")}
    index.write_text(json.dumps(said | {"_class_name": "WanPipeline"}))
    assert load_model(str(index.parent), device="cpu").expand_timesteps
    index.write_text(json.dumps(said | {"_class_name": "WanPipeline", "expand_timesteps": False}))
    with pytest.raises(InputError, match="no image-to-video model that is known here: .* takes 4 channels"):
        load_model(str(index.parent), device="cpu")


def test_a_folder_may_bring_its_own_settings(folder):
    path = folder()
    own = WAN_SETTINGS.replace(layers=(1, 2), num_frames=9)
    for said in (own.as_dict(), {"layers": [1, 2], "num_frames": 9}):
        (path / "settings.json").write_text(json.dumps(said))
        assert load_model(str(path), device="cpu").settings == own


def test_a_part_that_the_index_names_is_missed(folder):
    path = folder()
    (path / "vae").rename(path / "elsewhere")
    with pytest.raises(InputError, match=r"no folder vae \(expected scheduler, text_encoder, tokenizer, transformer"):
        load_model(str(path), device="cpu")


def test_what_is_for_svd_is_not_added_to_it(folder, tmp_path):
    (tmp_path / "style.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be added"):
        load_model(f"{folder()}+{tmp_path / 'style.safetensors'}", device="cpu")


def test_half_precision_keeps_the_vae_precise(folder):
    model = load_model(str(folder()), device="cpu", dtype="bf16")
    assert model.dtype == torch.bfloat16 and model.vae.dtype == torch.float32
    run = generate(model, picture(), BOXES, SETTINGS, progress=False)
    assert run.latents.isfinite().all() and run.video.isfinite().all()


def test_layers_are_plain_numbers_in_settings_files(tmp_path):
    settings = SETTINGS.replace(layers=[0, 2])
    (tmp_path / "settings.json").write_text(json.dumps(settings.as_dict()))
    assert json.loads((tmp_path / "settings.json").read_text())["layers"] == [0, 2]
    assert Settings.load(tmp_path / "settings.json") == settings


def test_estimates_grow_with_what_is_kept():
    model = tiny_wan()
    sizes = [estimate_bytes(model, SETTINGS, mode) for mode in ("fast", "selective", "full")]
    assert sizes == sorted(sizes, reverse=True)
    assert estimate_bytes(model, SETTINGS.replace(layers=(2,)), "fast") > estimate_bytes(
        model, SETTINGS.replace(layers=(0,)), "fast"
    )


def test_heads_are_muted_in_the_network_itself():
    model, told, z = tiny_wan(), conditioning(), noisy_latents()
    time = torch.tensor(800.0)
    plain = model.predict(z[None], time, told)
    with intervene(model, mute={1: ()}):  # computed outside of diffusers, and the same
        assert torch.allclose(model.predict(z[None], time, told), plain, atol=1e-5)
    with intervene(model, mute={1: (0,)}):
        assert not torch.allclose(model.predict(z[None], time, told), plain, atol=1e-3)
    assert torch.equal(model.predict(z[None], time, told), plain)
