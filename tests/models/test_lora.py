"""LoRAs as people have them, added to the weights of a small UNet."""

import pytest
import torch
from safetensors.torch import save_file

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.lora import add_lora
from sgi2v_lab.models.summary import describe_model
from tests.helpers.tiny import tinier_pipeline

pytestmark = pytest.mark.slow

LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
CONV = "down_blocks.0.resnets.0.spatial_res_block.conv1"
RANK = 3


@pytest.fixture
def unet():
    return tinier_pipeline().unet


def weights(unet, name, seed=0):
    """A and B for a layer, and what they add to it."""
    weight = unet.get_submodule(name).weight
    generator = torch.Generator().manual_seed(seed)
    down = torch.randn(RANK, *weight.shape[1:], generator=generator)
    up = torch.randn(weight.shape[0], RANK, *[1] * (weight.ndim - 2), generator=generator)
    return down, up, torch.einsum("or,r...->o...", up.flatten(1), down)


@pytest.mark.parametrize(
    ("down_key", "up_key"),
    [
        ("unet.{}.lora_A.weight", "unet.{}.lora_B.weight"),
        ("base_model.model.{}.lora_A.default.weight", "base_model.model.{}.lora_B.default.weight"),
        ("{}.lora.down.weight", "{}.lora.up.weight"),
        ("unet.{}.lora_down.weight", "unet.{}.lora_up.weight"),
        ("lora_unet_{_}.lora_down.weight", "lora_unet_{_}.lora_up.weight"),
    ],
)
@pytest.mark.parametrize("name", [LAYER, CONV])
def test_every_naming_adds_the_same(unet, tmp_path, down_key, up_key, name):
    down, up, change = weights(unet, name)
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    keys = [key.replace("{_}", name.replace(".", "_")).format(name) for key in (down_key, up_key)]
    save_file(dict(zip(keys, (down, up), strict=True)), tmp_path / "l.safetensors")
    add_lora(unet, tmp_path / "l.safetensors", 0.5)
    for key, value in unet.state_dict().items():
        added = 0.5 * change if key == f"{name}.weight" else 0
        assert torch.allclose(value, before[key] + added, atol=1e-5), key


def test_alpha_scales_what_is_added(unet, tmp_path):
    down, up, change = weights(unet, LAYER)
    held = {f"{LAYER}.lora_down.weight": down, f"{LAYER}.lora_up.weight": up, f"{LAYER}.alpha": torch.tensor(6.0)}
    save_file(held, tmp_path / "l.safetensors")
    before = unet.get_submodule(LAYER).weight.clone()
    add_lora(unet, tmp_path / "l.safetensors")
    assert torch.allclose(unet.get_submodule(LAYER).weight, before + 2 * change, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda down, up: {"text_model.q.lora_A.weight": down, "text_model.q.lora_B.weight": up}, "does not have"),
        (lambda down, up: {f"{LAYER}.lora_A.weight": down[:, 1:], f"{LAYER}.lora_B.weight": up}, "for the layer"),
        (lambda down, up: {f"{LAYER}.lora_A.weight": down, f"{LAYER}.lora_B.weight": up[:, 1:]}, "for the layer"),
        (lambda down, _: {f"{LAYER}.lora_A.weight": down}, "no part of a LoRA"),
        (lambda down, up: {f"{LAYER}.weight": down, "b": up}, "no part of a LoRA"),
    ],
)
def test_what_does_not_fit_changes_nothing(unet, tmp_path, change, told):
    down, up, _ = weights(unet, LAYER)
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    held = {key: tensor.contiguous() for key, tensor in change(down, up).items()}
    save_file(held, tmp_path / "l.safetensors")
    with pytest.raises(InputError, match=told):
        add_lora(unet, tmp_path / "l.safetensors")
    assert all(torch.equal(value, before[key]) for key, value in unet.state_dict().items())


def test_a_model_is_named_with_its_lora(unet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tinier_pipeline().save_pretrained("a+b")  # a plus sign in a folder's name is none before a LoRA
    down, up, change = weights(unet, LAYER)
    save_file({f"{LAYER}.lora_A.weight": down, f"{LAYER}.lora_B.weight": up}, "l.safetensors")
    plain = load_model("a+b", device="cpu").unet.get_submodule(LAYER).weight
    (tmp_path / "a+b").rename("plain")
    for name, scale in (("plain+l.safetensors:0.8", 0.8), ("plain+l.safetensors+l.safetensors:-1", 0)):
        model = load_model(name, device="cpu")
        assert model.name == name and describe_model(name).here
        assert torch.allclose(model.unet.get_submodule(LAYER).weight, plain + scale * change, atol=1e-5)
    (tmp_path / "x.safetensors").write_bytes(b"x")
    for name, told in (
        ("plain+none.safetensors", "no LoRA 'none.safetensors'"),
        ("plain+l", "no LoRA 'l'"),
        ("plain+l.safetensors:1.1.1", "expected a number"),
        ("plain+x.safetensors", "no LoRA in safetensors"),
        ("x.safetensors", "single file.*svd-xt.x.safetensors"),
    ):
        with pytest.raises(InputError, match=told):
            load_model(name, device="cpu")
