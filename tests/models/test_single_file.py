"""Single-file checkpoints, under the names of the original code."""

import pytest
import torch
from diffusers import AutoencoderKLTemporalDecoder
from safetensors.torch import save_file

from sgi2v_lab.errors import InputError
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.single_file import is_single_file, original_name, original_unet_name, put_networks
from tests.helpers.tiny import tinier_pipeline, tiny_pipeline

pytestmark = pytest.mark.slow

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


def original_rest(pipeline) -> dict[str, torch.Tensor]:
    """VAE and image encoder as the original code keeps them, from a walk over their modules."""
    found, vae = {}, pipeline.vae

    def take(module, old, names):
        for new, name in names.items():
            child = module.get_submodule(new)
            for kind, value in child.named_parameters(recurse=False):
                found[f"{old}.{name}.{kind}"] = value.detach().clone()

    def resnet(module, old):
        names = {name: name for name in ("norm1", "conv1", "norm2", "conv2")}
        spatial = getattr(module, "spatial_res_block", module)
        take(spatial, old, names | ({"conv_shortcut": "nin_shortcut"} if spatial.conv_shortcut is not None else {}))
        if spatial is module:
            return
        stack = {"norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3"}
        take(module.temporal_res_block, f"{old}.time_stack", stack)
        found[f"{old}.mix_factor"] = module.time_mixer.mix_factor.detach().clone()

    def middle(block, old):
        resnet(block.resnets[0], f"{old}.mid.block_1")
        resnet(block.resnets[1], f"{old}.mid.block_2")
        take(block.attentions[0], f"{old}.mid.attn_1", {"group_norm": "norm"})
        for new, name in {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}.items():
            layer = block.attentions[0].get_submodule(new)  # a 1 x 1 convolution there
            found[f"{old}.mid.attn_1.{name}.weight"] = layer.weight.detach()[..., None, None].clone()
            found[f"{old}.mid.attn_1.{name}.bias"] = layer.bias.detach().clone()

    old = "conditioner.embedders.3.encoder"
    take(vae, old, {"quant_conv": "quant_conv"})
    take(vae.encoder, f"{old}.encoder", {"conv_in": "conv_in", "conv_norm_out": "norm_out", "conv_out": "conv_out"})
    for b, block in enumerate(vae.encoder.down_blocks):
        for j, module in enumerate(block.resnets):
            resnet(module, f"{old}.encoder.down.{b}.block.{j}")
        if block.downsamplers:
            take(block, f"{old}.encoder.down.{b}", {"downsamplers.0.conv": "downsample.conv"})
    middle(vae.encoder.mid_block, f"{old}.encoder")
    old = "first_stage_model.decoder"
    take(vae.decoder, old, {"conv_in": "conv_in", "conv_norm_out": "norm_out", "conv_out": "conv_out"})
    take(vae.decoder, old, {"time_conv_out": "conv_out.time_mix_conv"})
    for b, block in enumerate(reversed(vae.decoder.up_blocks)):  # the original counts levels from the picture's
        for j, module in enumerate(block.resnets):
            resnet(module, f"{old}.up.{b}.block.{j}")
        if block.upsamplers:
            take(block, f"{old}.up.{b}", {"upsamplers.0.conv": "upsample.conv"})
    middle(vae.decoder.mid_block, old)

    vision, old = pipeline.image_encoder.vision_model, "conditioner.embedders.0.open_clip.model.visual"
    found[f"{old}.class_embedding"] = vision.embeddings.class_embedding.detach().clone()
    found[f"{old}.positional_embedding"] = vision.embeddings.position_embedding.weight.detach().clone()
    found[f"{old}.proj"] = pipeline.image_encoder.visual_projection.weight.detach().T.clone()
    take(vision.embeddings, old, {"patch_embedding": "conv1"})
    take(vision, old, {"pre_layrnorm": "ln_pre", "post_layernorm": "ln_post"})
    for i, layer in enumerate(vision.encoder.layers):
        names = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
        take(layer, f"{old}.transformer.resblocks.{i}", names | {"self_attn.out_proj": "attn.out_proj"})
        attention = layer.self_attn
        for kind in ("weight", "bias"):
            parts = [getattr(p, kind).detach() for p in (attention.q_proj, attention.k_proj, attention.v_proj)]
            found[f"{old}.transformer.resblocks.{i}.attn.in_proj_{kind}"] = torch.cat(parts)
    return {name: value.contiguous() for name, value in found.items()}


def whole(make):
    """With a VAE of two layers a block, as SVD's: the original has no other in the middle."""
    pipeline = make()
    torch.manual_seed(0)
    pipeline.vae = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 3, block_out_channels=(32, 32, 64), layers_per_block=2
    )
    return pipeline


def changed(pipeline):
    with torch.no_grad():
        for part in (pipeline.unet, pipeline.vae, pipeline.image_encoder):
            for parameter in part.parameters():
                parameter += torch.rand(parameter.shape)
    return pipeline


def same(a, b) -> bool:
    there = b.state_dict()
    return all(torch.equal(value, there[key]) for key, value in a.state_dict().items())


@pytest.mark.parametrize("make", [tiny_pipeline, tinier_pipeline])
def test_a_single_file_is_put_into_another_model(tmp_path, make):
    made, other = changed(whole(make)), whole(make)
    rest = original_rest(made)
    assert len(rest) == len(made.vae.state_dict()) + len(made.image_encoder.state_dict()) - 4 * len(
        made.image_encoder.vision_model.encoder.layers
    )
    save_file(original(made.unet) | rest | {"first_stage_model.encoder.conv_in.weight": torch.zeros(2)}, tmp_path / "a")
    assert is_single_file(tmp_path / "a")
    put_networks(other, tmp_path / "a")
    for part in ("unet", "vae", "image_encoder"):
        assert same(getattr(made, part), getattr(other, part)), part


def test_what_a_single_file_does_not_hold_stays(tmp_path):
    made, other, untouched = changed(whole(tinier_pipeline)), whole(tinier_pipeline), whole(tinier_pipeline)
    decoder = {name: value for name, value in original_rest(made).items() if name.startswith("first_stage_model")}
    save_file(original(made.unet) | decoder, tmp_path / "a")
    put_networks(other, tmp_path / "a")
    assert same(made.unet, other.unet)
    assert same(made.vae.decoder, other.vae.decoder)
    assert same(untouched.vae.encoder, other.vae.encoder)
    assert same(untouched.vae.quant_conv, other.vae.quant_conv)
    assert same(untouched.image_encoder, other.image_encoder)


def test_half_a_network_is_refused_and_changes_nothing(tmp_path):
    made, other, untouched = changed(whole(tinier_pipeline)), whole(tinier_pipeline), whole(tinier_pipeline)
    rest = original_rest(made)
    del rest["conditioner.embedders.3.encoder.quant_conv.bias"]
    save_file(original(made.unet) | rest, tmp_path / "a")
    with pytest.raises(InputError, match="not the same networks.*quant_conv.bias is missing"):
        put_networks(other, tmp_path / "a")
    assert same(untouched.unet, other.unet) and same(untouched.vae, other.vae)


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
        assert original_unet_name(new, 2, attends=not new.startswith("up_blocks.0")) == old
    for old, new in {
        "conditioner.embedders.3.encoder.encoder.down.1.block.0.nin_shortcut.bias": "encoder.down_blocks.1.resnets.0"
        ".conv_shortcut.bias",
        "conditioner.embedders.3.encoder.encoder.down.2.downsample.conv.weight": "encoder.down_blocks.2.downsamplers.0"
        ".conv.weight",
        "conditioner.embedders.3.encoder.encoder.mid.attn_1.proj_out.weight": "encoder.mid_block.attentions.0.to_out.0"
        ".weight",
        "conditioner.embedders.3.encoder.quant_conv.weight": "quant_conv.weight",
        "first_stage_model.decoder.conv_out.time_mix_conv.bias": "decoder.time_conv_out.bias",
        "first_stage_model.decoder.up.0.block.0.mix_factor": "decoder.up_blocks.3.resnets.0.time_mixer.mix_factor",
        "first_stage_model.decoder.up.1.upsample.conv.bias": "decoder.up_blocks.2.upsamplers.0.conv.bias",
        "first_stage_model.decoder.mid.block_2.time_stack.out_layers.3.weight": "decoder.mid_block.resnets.1"
        ".temporal_res_block.conv2.weight",
        "conditioner.embedders.0.open_clip.model.visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
        "conditioner.embedders.0.open_clip.model.visual.transformer.resblocks.10.attn.in_proj_bias": "vision_model"
        ".encoder.layers.10.self_attn.v_proj.bias",
    }.items():
        assert original_name(new, 4) == old


def test_another_network_is_refused_and_changes_nothing(tmp_path):
    save_file(original(tiny_pipeline().unet), tmp_path / "svd.safetensors")
    other = tinier_pipeline()
    with pytest.raises(InputError, match="not the same networks"):
        put_networks(other, tmp_path / "svd.safetensors")
    assert same(tinier_pipeline().unet, other.unet)


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
