"""A single-file checkpoint's UNet, under the names of the original code."""

import pytest
import torch
from safetensors.torch import save_file

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.single_file import diffusers_name, is_single_file, put_unet
from tests.helpers.tiny import tinier_pipeline, tiny_pipeline

RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1"}
RESNET |= {"norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
OUTSIDE = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
}
OUTSIDE |= {"add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}
OUTSIDE |= {"conv_norm_out": "out.0", "conv_out": "out.2"}


def original(unet) -> dict[str, torch.Tensor]:
    """A UNet's weights as the original code names them, from a walk over its modules."""
    names = {new: old for new, old in OUTSIDE.items()}

    def resnet(module, new, old):
        for part, stack in (("spatial_res_block", ""), ("temporal_res_block", "time_stack.")):
            for name, _ in module.get_submodule(part).named_children():
                if name in RESNET:
                    names[f"{new}.{part}.{name}"] = f"{old}.{stack}{RESNET[name]}"
        names[f"{new}.time_mixer"] = f"{old}.time_mixer"

    def attention(new, old):
        names.update(
            {f"{new}.temporal_transformer_blocks": f"{old}.time_stack", f"{new}.time_mixer": f"{old}.time_mixer"}
        )
        names.update({f"{new}.time_pos_embed.linear_{i}": f"{old}.time_pos_embed.{2 * i - 2}" for i in (1, 2)})
        names.update(
            {f"{new}.{same}": f"{old}.{same}" for same in ("norm", "proj_in", "transformer_blocks", "proj_out")}
        )

    place = 1
    for b, block in enumerate(unet.down_blocks):
        for j, module in enumerate(block.resnets):
            resnet(module, f"down_blocks.{b}.resnets.{j}", f"input_blocks.{place}.0")
            if hasattr(block, "attentions"):
                attention(f"down_blocks.{b}.attentions.{j}", f"input_blocks.{place}.1")
            place += 1
        if block.downsamplers:
            names[f"down_blocks.{b}.downsamplers.0.conv"] = f"input_blocks.{place}.0.op"
            place += 1
    resnet(unet.mid_block.resnets[0], "mid_block.resnets.0", "middle_block.0")
    attention("mid_block.attentions.0", "middle_block.1")
    resnet(unet.mid_block.resnets[1], "mid_block.resnets.1", "middle_block.2")
    place = 0
    for b, block in enumerate(unet.up_blocks):
        for j, module in enumerate(block.resnets):
            resnet(module, f"up_blocks.{b}.resnets.{j}", f"output_blocks.{place}.0")
            if hasattr(block, "attentions"):
                attention(f"up_blocks.{b}.attentions.{j}", f"output_blocks.{place}.1")
            place += 1
        if block.upsamplers:
            last = 2 if hasattr(block, "attentions") else 1
            names[f"up_blocks.{b}.upsamplers.0.conv"] = f"output_blocks.{place - 1}.{last}.conv"
    found = {}
    for key, value in unet.state_dict().items():
        (new,) = [name for name in names if key.startswith(f"{name}.")]
        found[f"model.diffusion_model.{names[new]}{key.removeprefix(new)}"] = value.clone().contiguous()
    return found


@pytest.mark.parametrize("make", [tiny_pipeline, tinier_pipeline])
def test_the_unet_of_a_single_file_is_put_into_another(tmp_path, make):
    unet = make().unet
    held = original(unet) | {"first_stage_model.decoder.conv_in.weight": torch.zeros(2)}
    assert len(held) == len(unet.state_dict()) + 1
    save_file(held, tmp_path / "svd.safetensors")
    assert is_single_file(tmp_path / "svd.safetensors")
    other = make().unet
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 1
    put_unet(other, tmp_path / "svd.safetensors")
    put = other.state_dict()
    assert all(torch.equal(value, put[key]) for key, value in unet.state_dict().items())


def test_names_of_the_released_files():
    for old, new in {
        "input_blocks.1.0.time_stack.in_layers.2.weight": "down_blocks.0.resnets.0.temporal_res_block.conv1.weight",
        "input_blocks.3.0.op.bias": "down_blocks.0.downsamplers.0.conv.bias",
        "input_blocks.4.1.time_mixer.mix_factor": "down_blocks.1.attentions.0.time_mixer.mix_factor",
        "output_blocks.2.1.conv.weight": "up_blocks.0.upsamplers.0.conv.weight",
        "output_blocks.5.2.conv.weight": "up_blocks.1.upsamplers.0.conv.weight",
        "output_blocks.11.1.time_stack.0.ff.bias": "up_blocks.3.attentions.2.temporal_transformer_blocks.0.ff.bias",
        "middle_block.2.out_layers.3.weight": "mid_block.resnets.1.spatial_res_block.conv2.weight",
        "middle_block.1.time_pos_embed.2.weight": "mid_block.attentions.0.time_pos_embed.linear_2.weight",
    }.items():
        assert diffusers_name(old, 2) == new


def test_another_network_is_refused_and_changes_nothing(tmp_path):
    save_file(original(tiny_pipeline().unet), tmp_path / "svd.safetensors")
    unet = tinier_pipeline().unet
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    with pytest.raises(InputError, match="not the same UNet"):
        put_unet(unet, tmp_path / "svd.safetensors")
    assert all(torch.equal(value, before[key]) for key, value in unet.state_dict().items())


def test_a_model_is_named_with_its_single_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pipeline = tinier_pipeline()
    pipeline.save_pretrained("base")
    with torch.no_grad():
        for parameter in pipeline.unet.parameters():
            parameter += 0.5
    save_file(original(pipeline.unet), "tuned.safetensors")
    loaded = load_model("base+tuned.safetensors", device="cpu").unet.state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in pipeline.unet.state_dict().items())
