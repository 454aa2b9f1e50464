import copy
import json
import shutil

import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.latents import decode_latents, encode_image, encode_video
from sgi2v_lab.models.load import MODELS, load_model, pick_device
from sgi2v_lab.models.summary import describe_model
from sgi2v_lab.models.svd import StableVideoDiffusion
from sgi2v_lab.settings import Settings
from sgi2v_lab.toy.training.data import HELD_OUT
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render
from tests.helpers.tiny import FRAMES, SETTINGS, noisy_latents, picture, tiny_model, tiny_pipeline

PARTS = ("vae", "unet", "image_encoder", "scheduler", "feature_extractor")
WITH_WEIGHTS = ("vae", "unet", "image_encoder")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    tiny_pipeline().save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(saved, tmp_path / "checkpoint")


def test_a_saved_checkpoint_comes_back(saved):
    model = load_model(str(saved), device="cpu")
    assert model.dtype == torch.float32
    assert model.device.type == "cpu"
    assert model.settings == Settings()
    for part in WITH_WEIGHTS:
        loaded, original = getattr(model, part), getattr(tiny_model(), part)
        assert not loaded.training
        assert not any(p.requires_grad for p in loaded.parameters())
        wanted, got = original.state_dict(), loaded.state_dict()
        assert wanted.keys() == got.keys()
        assert all(torch.equal(wanted[name], got[name]) for name in wanted)
    assert dict(model.scheduler.config)["sigma_max"] == 700.0


@pytest.mark.parametrize(("dtype", "expected"), [("bf16", torch.bfloat16), (torch.float16, torch.float16)])
def test_weights_may_be_of_half_precision(saved, dtype, expected):
    model = load_model(str(saved), device="cpu", dtype=dtype)
    assert model.dtype == expected
    assert {p.dtype for part in WITH_WEIGHTS for p in getattr(model, part).parameters()} == {expected}


def test_a_folder_may_bring_its_own_settings(folder):
    own = Settings(width=64, height=64, num_inference_steps=9, control_steps=(1, 3), scale_lr_by_sigma=True)
    (folder / "settings.json").write_text(json.dumps(own.as_dict()))
    assert load_model(str(folder), device="cpu").settings == own
    (folder / "settings.json").write_text('{"cutoff": 7}')
    with pytest.raises(InputError, match="cutoff"):
        load_model(str(folder), device="cpu")


def layout(folder, kind):
    """A checkpoint as people have it: fp16 files alone, shards, or one part in fp16 files."""
    half = {"variant": "fp16"} if "fp16" in kind else {}
    shards = {"max_shard_size": "4MB"} if "shards" in kind else {}
    tiny_pipeline().save_pretrained(folder, **half, **shards)
    if kind == "mixed":
        (folder / "unet" / WHOLE).rename(folder / "unet" / WHOLE.replace(".", ".fp16.", 1))
    return folder


def in_the_hubs_cache(folder, cache, monkeypatch):
    """The id of a checkpoint that lies as a download would."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("diffusers.pipelines.pipeline_utils.DIFFUSERS_CACHE", str(cache), raising=False)
    place = cache / "models--some--one"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("f00")
    shutil.copytree(folder, place / "snapshots" / "f00")
    return "some/one"


WHOLE = "diffusion_pytorch_model.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "where"),
    [("fp16", "folder"), ("shards", "folder"), ("fp16 shards", "folder"), ("mixed", "folder"), ("fp16", "cache")],
)
def test_every_layout_of_weights_loads_and_is_said_to_be_here(tmp_path, monkeypatch, kind, where):
    name = str(layout(tmp_path / "made", kind))
    (tmp_path / "made" / "settings.json").write_text('{"width": 192, "height": 128, "num_frames": 5}')
    if where == "cache":
        name = in_the_hubs_cache(name, tmp_path / "cache", monkeypatch)
    told = describe_model(name)
    wanted = tiny_model().unet.state_dict()
    assert told.here and told.parameters == sum(weight.numel() for weight in wanted.values())
    for dtype in ("fp32", "fp16") if kind == "fp16" else ("fp32",):
        model = load_model(name, device="cpu", dtype=dtype)
        assert (model.settings.width, model.settings.height) == (told.width, told.height) == (192, 128)
        assert model.num_frames(model.settings) == told.frames == 5
        got = model.unet.state_dict()
        precision = model.dtype  # looked up once: diffusers walks over all modules for it
        assert got.keys() == wanted.keys()
        assert all(torch.equal(got[key], wanted[key].to(precision)) for key in wanted)


@pytest.mark.parametrize("missing", ["shard", "vae", "index"])
def test_what_cannot_be_loaded_is_not_said_to_be_here(tmp_path, missing):
    folder = layout(tmp_path / "made", "shards")
    if missing == "vae":
        next((folder / "vae").glob("*.safetensors")).unlink()
    else:
        next((folder / "unet").glob("*-00002-*" if missing == "shard" else "*.index.json")).unlink()
    assert not describe_model(str(folder)).here
    with pytest.raises(InputError, match="no complete StableVideoDiffusionPipeline"):
        load_model(str(folder), device="cpu")


@pytest.mark.parametrize("name", ["svdd", "/no/such/folder", "~/model", "a/b/c", "", "."])
def test_what_is_no_model_is_none_for_both(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = []
    for look in (describe_model, lambda name: load_model(name, device="cpu")):
        with pytest.raises(InputError) as error:
            look(name)
        told.append(str(error.value))
    assert told[0] == told[1]


def test_a_folder_may_be_a_path_or_in_the_home_folder(saved, monkeypatch):
    monkeypatch.setenv("HOME", str(saved.parent))
    assert load_model(saved, device="cpu").latent_channels == 4
    assert load_model(f"~/{saved.name}", device="cpu").latent_channels == 4


@pytest.mark.parametrize("part", WITH_WEIGHTS)
def test_pickled_weights_are_refused(folder, part):
    """A pickle can run any program when it is read; this one would leave a file behind."""
    for weights in (folder / part).glob("*.safetensors"):
        weights.unlink()
    name = "pytorch_model.bin" if part == "image_encoder" else "diffusion_pytorch_model.bin"
    torch.save(getattr(tiny_model(), part).state_dict(), folder / part / name)
    with pytest.raises(InputError, match="safetensors"):
        load_model(str(folder), device="cpu")


@pytest.mark.parametrize("part", PARTS)
def test_missing_parts_are_named(folder, part):
    shutil.rmtree(folder / part)
    with pytest.raises(InputError, match=f"no complete checkpoint: it has no folder {part}"):
        load_model(str(folder), device="cpu")


@pytest.mark.parametrize("part", WITH_WEIGHTS)
def test_damaged_weights_are_refused(folder, part):
    (weights,) = (folder / part).glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="no complete StableVideoDiffusionPipeline"):
        load_model(str(folder), device="cpu")
    for whole in folder.glob("*/*.safetensors"):  # the same of a folder of fp16 files alone
        whole.rename(whole.with_suffix(".fp16.safetensors"))
    with pytest.raises(InputError, match="no complete StableVideoDiffusionPipeline"):
        load_model(str(folder), device="cpu")


def test_damaged_configurations_are_refused(folder):
    (folder / "unet" / "config.json").write_text("{")
    with pytest.raises(InputError, match="no complete StableVideoDiffusionPipeline"):
        load_model(str(folder), device="cpu")
    (folder / "model_index.json").write_text("{")
    with pytest.raises(InputError, match="no complete StableVideoDiffusionPipeline"):
        load_model(str(folder), device="cpu")


def test_code_that_a_folder_brings_is_not_run(folder):
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["intruder", "Intruder"]
    (folder / "model_index.json").write_text(json.dumps(index))
    ran = folder / "ran"
    (folder / "unet" / "intruder.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Intruder: pass\n")
    with pytest.raises(InputError):
        load_model(str(folder), device="cpu")
    assert not ran.exists()


def test_a_folder_that_is_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match="model_index.json"):
        load_model(str(tmp_path), device="cpu")


@pytest.mark.parametrize("name", ["svdd", "/no/such/folder", "./no/such", "~/model", "a/b/c", "", "../x", "a b"])
def test_unknown_names(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # an empty folder
    with pytest.raises(InputError):
        load_model(name, device="cpu")
    if name == "svdd":
        with pytest.raises(InputError, match="toy, toy-dit, svd, svd-xt"):
            load_model(name, device="cpu")


def test_a_file_is_no_checkpoint(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"")
    with pytest.raises(InputError, match="weights.safetensors"):
        load_model(str(path), device="cpu")


@pytest.mark.parametrize("dtype", ["fp32", "fp16"])
@pytest.mark.parametrize("name", ["svd", "nobody/nothing"])
def test_weights_that_cannot_be_had_come_with_advice(name, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("diffusers.pipelines.pipeline_utils.DIFFUSERS_CACHE", str(tmp_path), raising=False)
    with pytest.raises(InputError, match=f"{MODELS.get(name, name)}.*hf download .*toy"):
        load_model(name, device="cpu", dtype=dtype)


def test_names_that_the_hub_would_not_take_are_refused():
    with pytest.raises(InputError):
        load_model("a b/c?d", device="cpu")


def test_bad_devices_and_precisions(saved):
    with pytest.raises(InputError, match="dtype is 'fp8'.*fp32, bf16, fp16"):
        load_model(str(saved), device="cpu", dtype="fp8")
    for device in ("gpu", "cuda:99", "tpu"):
        with pytest.raises(InputError, match=f"{device}.*cpu"):
            pick_device(device)
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device().type in ("cpu", "cuda", "mps")


def test_sizes_follow_from_the_parts():
    model = tiny_model()
    assert model.vae_factor == 8
    assert model.latent_channels == 4
    assert model.num_frames(SETTINGS) == FRAMES
    assert model.num_frames(SETTINGS.replace(num_frames=7)) == 7
    assert model.latent_shape(SETTINGS.replace(width=192, height=64, num_frames=5)) == (5, 4, 8, 24)
    for wrong in (96, 65, 32):
        with pytest.raises(InputError, match=f"width is {wrong}.*multiple of 64"):
            model.latent_shape(SETTINGS.replace(width=wrong))
    for layers in (((0, 0),), ((2, 3),), ((4, 0),), ((-1, 0),)):
        with pytest.raises(InputError, match="no layer"):
            model.check_layers(layers)
    model.check_layers(((1, 0), (3, 2)))


@pytest.mark.parametrize(
    ("own", "picture_size", "expected"),
    [
        ((1024, 576), (1920, 1080), (1024, 576)),
        ((1024, 576), (270, 480), (576, 1024)),  # a phone's portrait: SVD's own size, turned
        ((1024, 576), (3024, 4032), (640, 832)),
        ((1024, 576), (500, 500), (768, 768)),
        ((1024, 576), (9000, 100), (1024, 512)),  # no more than 2:1
        ((128, 128), (300, 200), (192, 128)),
        ((128, 128), (50, 50), (128, 128)),
    ],
)
def test_a_videos_size_follows_the_pictures_shape(own, picture_size, expected):
    model, settings = tiny_model(), SETTINGS.replace(width=own[0], height=own[1])
    assert model.size_like(picture_size, settings) == expected
    assert model.latent_shape(settings.replace(width=expected[0], height=expected[1]))
    with pytest.raises(InputError, match="the picture's size"):
        model.size_like((0, 5), settings)


def test_conditioning_is_what_svd_was_trained_with():
    model = tiny_model()
    settings = SETTINGS.replace(fps=12, motion_bucket_id=40, noise_aug_strength=0.0, num_frames=5)
    given = encode_image(model, picture(), settings, torch.Generator().manual_seed(0))
    assert given.time_ids.tolist() == [[11, 40, 0]]
    with torch.no_grad():
        latents = model.vae.encode(2 * picture()[None] - 1).latent_dist.mode()  # not scaled
    assert torch.allclose(given.image_latents[0], latents.expand(5, -1, -1, -1), atol=1e-5)
    assert given.embedding.shape == (1, 1, 16)
    noisy = [
        encode_image(model, picture(), SETTINGS.replace(noise_aug_strength=0.5), torch.Generator().manual_seed(s))
        for s in (0, 0, 1)
    ]
    assert torch.equal(noisy[0].image_latents, noisy[1].image_latents)
    assert not torch.equal(noisy[0].image_latents, noisy[2].image_latents)
    assert torch.equal(noisy[0].embedding, noisy[2].embedding)  # what CLIP sees has no noise


def test_a_videos_latents_are_its_frames_scaled():
    model, video = tiny_model(), torch.stack([picture(seed) for seed in range(3)])
    calm = SETTINGS.replace(noise_aug_strength=0.0)
    alone = [encode_image(model, frame, calm, torch.Generator()).image_latents[0, 0] for frame in video]
    expected = torch.stack(alone) * model.vae.config.scaling_factor
    for chunk in (None, 1, 2, 50):
        latents = encode_video(model, video, chunk)
        assert latents.shape == model.latent_shape(SETTINGS)
        assert torch.allclose(latents, expected, atol=1e-5)
        assert not latents.requires_grad


@pytest.mark.slow
def test_the_bundled_toy_finds_a_video_again_in_its_latents():
    toy = load_model("toy", device="cpu")
    video = render(sample_scene(HELD_OUT), toy.settings.width)
    back = decode_latents(toy, encode_video(toy, video))
    assert (back - video).abs().mean() < 0.25 * (video - video.mean()).abs().mean()


def test_decoding_a_chunk_at_a_time():
    model, latents = tiny_model(), noisy_latents(1.0)
    for chunk, sizes in ((None, [3]), (2, [2, 1]), (1, [1, 1, 1]), (50, [3])):
        pieces, start = [], 0
        for size in sizes:
            part = latents[start : start + size] / model.vae.config.scaling_factor
            with torch.no_grad():
                pieces.append(model.vae.decode(part, num_frames=size).sample)
            start += size
        expected = (torch.cat(pieces) / 2 + 0.5).clamp(0, 1)
        assert torch.allclose(decode_latents(model, latents, chunk), expected, atol=1e-5)


def test_decoded_values_are_those_of_a_picture():
    video = decode_latents(tiny_model(), noisy_latents(1e4))
    assert video.min() == 0
    assert video.max() == 1


def test_a_vae_that_overflows_in_half_precision_is_run_in_full():
    model = StableVideoDiffusion.from_pipeline(tiny_pipeline(), "half", SETTINGS)
    model.vae.register_to_config(force_upcast=True)
    model.vae.to(torch.float16)
    before = copy.deepcopy(model.vae.state_dict())
    seen = []
    model.vae.decoder.conv_in.register_forward_pre_hook(lambda _m, args: seen.append(args[0].dtype))
    video = decode_latents(model, noisy_latents(1.0).half())
    assert seen == [torch.float32]
    assert video.dtype == torch.float32
    model.vae.encoder.conv_in.register_forward_pre_hook(lambda _m, args: seen.append(args[0].dtype))
    encode_image(model, picture(), SETTINGS, torch.Generator())
    encode_video(model, picture()[None])
    assert seen == [torch.float32] * 3
    model.vae.decoder.conv_in.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        decode_latents(model, noisy_latents(1.0).half())
    assert model.vae.dtype == torch.float16
    for name, weight in model.vae.state_dict().items():
        assert torch.equal(weight, before[name])
