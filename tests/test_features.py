import copy
import dataclasses
import math
import re
from collections import Counter

import pytest
import torch
import torch.nn.functional as F

from sgi2v_lab.efficiency.recompute import RECOMPUTE_MODES, recomputing
from sgi2v_lab.errors import InputError
from sgi2v_lab.features import (
    KINDS,
    aligned_attention,
    assemble,
    extract_features,
    features_with_graph,
    record_features,
)
from sgi2v_lab.models.model import Model
from sgi2v_lab.models.svd import SVDConditioning
from sgi2v_lab.settings import FEATURE_KINDS
from tests.helpers.tiny import FRAMES, conditioning, noisy_latents, tiny_model

LAYERS = tuple((b, t) for b in (1, 2, 3) for t in (0, 1, 2))  # SVD's
SIGMA = 30.0


def told(h: int = 8, w: int = 16) -> SVDConditioning:
    """The conditioning, its picture cut or repeated to latents of another size."""
    given = conditioning()
    if (h, w) == (8, 16):
        return given
    image = F.interpolate(given.image_latents[0], size=(h, w))[None]
    return SVDConditioning(given.embedding, image, given.time_ids)


def inputs(latents: torch.Tensor, given: SVDConditioning) -> tuple[tuple, dict]:
    """What the UNet gets, from the formulas of Euler's preconditioning in SVD's v-prediction (c_in and c_noise)."""
    sample = torch.cat([latents[None] / math.sqrt(SIGMA**2 + 1), given.image_latents], dim=2)
    return (sample, torch.tensor(0.25 * math.log(SIGMA))), {
        "encoder_hidden_states": given.embedding,
        "added_time_ids": given.time_ids,
    }


def full_forward(model: Model, latents: torch.Tensor, given: SVDConditioning) -> tuple[torch.Tensor, dict]:
    """The UNet's output and what goes into and comes out of every layer's parts, by plain hooks."""
    seen: dict[tuple, torch.Tensor] = {}
    handles = []
    for layer in LAYERS:
        block = model.unet.up_blocks[layer[0]].attentions[layer[1]]
        for which, attention in (
            ("spatial", block.transformer_blocks[0].attn1),
            ("temporal", block.temporal_transformer_blocks[0].attn1),
        ):
            for name in ("to_q", "to_k", "to_v"):
                handles.append(
                    getattr(attention, name).register_forward_hook(
                        lambda _m, _i, out, key=(layer, which, name): seen.__setitem__(key, out)
                    )
                )
            handles.append(
                attention.to_out[0].register_forward_pre_hook(
                    lambda _m, args, key=(layer, which, "out"): seen.__setitem__(key, args[0])
                )
            )
        handles.append(
            block.register_forward_hook(
                lambda _m, _i, out, key=(layer, "block"): seen.__setitem__(
                    key, out[0] if isinstance(out, tuple) else out
                )
            )
        )
    args, kwargs = inputs(latents, given)
    output = model.unet(*args, **kwargs).sample
    for handle in handles:
        handle.remove()
    return output, seen


def grid(layer: tuple[int, int], h: int, w: int) -> tuple[int, int]:
    for _ in range(3 - layer[0]):
        h, w = math.ceil(h / 2), math.ceil(w / 2)
    return h, w


def as_maps(tokens: torch.Tensor, layer: tuple[int, int], h: int = 8, w: int = 16) -> torch.Tensor:
    """(frames, cells, channels) as (frames, channels, h', w'), one cell after the other."""
    h, w = grid(layer, h, w)
    result = tokens.new_empty(len(tokens), tokens.shape[-1], h, w)
    for y in range(h):
        for x in range(w):
            result[:, :, y, x] = tokens[:, y * w + x]
    return result


def aligned(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
    """softmax(q k0^T / sqrt(d)) v0, frame by frame and head by head; (frames, cells, channels) each."""
    d = q.shape[-1] // heads
    result = torch.empty_like(q)
    for frame in range(len(q)):
        for head in range(heads):
            part = slice(head * d, (head + 1) * d)
            scores = q[frame, :, part] @ k[0, :, part].T / math.sqrt(d)
            result[frame, :, part] = scores.softmax(dim=-1) @ v[0, :, part]
    return result


@pytest.fixture(scope="module")
def full():
    with torch.no_grad():
        return full_forward(tiny_model(), noisy_latents(SIGMA), told())


def extract(layers=LAYERS, kind="aligned", h=8, w=16, model=None):
    return extract_features(model or tiny_model(), noisy_latents(SIGMA, h=h, w=w), SIGMA, told(h, w), layers, kind)


def heads(layer: tuple[int, int]) -> int:
    return tiny_model().unet.up_blocks[layer[0]].attentions[layer[1]].transformer_blocks[0].attn1.heads


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    # at the lowest level, of one cell, the tiny model divides by the spread of two numbers, which magnifies rounding
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-4)


def test_aligned_attention_is_its_formula():
    attention = tiny_model().unet.up_blocks[2].attentions[1].transformer_blocks[0].attn1
    hidden = torch.randn(FRAMES, 6, 32, generator=torch.Generator().manual_seed(0))
    q, k, v = (project(hidden) for project in (attention.to_q, attention.to_k, attention.to_v))
    wanted = aligned(q, k, v, attention.heads)
    assert torch.allclose(aligned_attention(attention, hidden), wanted, atol=1e-6)


def test_the_settings_know_every_kind():
    assert tuple(KINDS) == FEATURE_KINDS


def test_layers_are_svds():
    assert tiny_model().layers == LAYERS


@pytest.mark.parametrize("layer", LAYERS)
def test_aligned_features_are_attention_to_the_first_frame(full, layer):
    q, k, v = (full[1][layer, "spatial", name] for name in ("to_q", "to_k", "to_v"))
    feature = extract((layer,))[layer]
    assert close(feature, as_maps(aligned(q, k, v, heads(layer)), layer))
    ordinary = extract((layer,), "self-attention")[layer]
    assert close(feature[0], ordinary[0])  # the first frame attends to itself either way
    assert not torch.allclose(feature[1:], ordinary[1:], rtol=1e-3)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_other_kinds_are_what_a_full_forward_computes(full, layer):
    seen = full[1]
    assert close(extract((layer,), "self-attention")[layer], as_maps(seen[layer, "spatial", "out"], layer))
    for kind, name in (("query", "to_q"), ("key", "to_k"), ("value", "to_v")):
        assert close(extract((layer,), kind)[layer], as_maps(seen[layer, "spatial", name], layer))
    temporal = seen[layer, "temporal", "out"].transpose(0, 1)  # (cells, frames, channels) in the layer
    assert close(extract((layer,), "temporal")[layer], as_maps(temporal, layer))
    assert close(extract((layer,), "block")[layer], seen[layer, "block"])


@pytest.mark.parametrize("kind", ["aligned", "temporal", "block"])
@pytest.mark.parametrize(("h", "w"), [(6, 10), (8, 8), (5, 9), (24, 8)])
def test_sizes_that_do_not_halve_evenly(kind, h, w):
    with torch.no_grad():
        _, seen = full_forward(tiny_model(), noisy_latents(SIGMA, h=h, w=w), told(h, w))
    for layer, feature in extract(LAYERS, kind, h, w).items():
        channels = 64 if layer[0] < 2 else 32
        assert feature.shape == (FRAMES, channels, *grid(layer, h, w))
        if kind == "block":
            assert close(feature, seen[layer, "block"])
            continue
        if kind == "temporal":
            tokens = seen[layer, "temporal", "out"].transpose(0, 1)
        else:
            tokens = aligned(*(seen[layer, "spatial", name] for name in ("to_q", "to_k", "to_v")), heads(layer))
        assert close(feature, as_maps(tokens, layer, h, w))


@pytest.mark.parametrize("layers", [((2, 1), (2, 2)), ((2, 2), (2, 1)), ((3, 0), (1, 1)), ((1, 0),)])
def test_nothing_is_computed_after_the_last_layer(layers):
    """The modules that an early stop calls are the first of those that a full forward calls, in the same order."""
    unet = tiny_model().unet
    names = {module: name for name, module in unet.named_modules() if not list(module.children())}
    calls: list[str] = []
    handles = [m.register_forward_pre_hook(lambda m, _args: calls.append(names[m])) for m in names]
    try:
        args, kwargs = inputs(noisy_latents(SIGMA), told())
        with torch.no_grad():
            unet(*args, **kwargs)
        everything = calls.copy()
        calls.clear()
        features = extract(layers)
        early = calls.copy()
    finally:
        for handle in handles:
            handle.remove()
    assert set(features) == set(layers)
    last = "up_blocks.{}.attentions.{}.transformer_blocks.0.attn1".format(*max(layers))
    before = everything[: everything.index(f"{last}.to_q")]
    # of cross-attention to a single token only the value is left
    needless = Counter(name for name in before if re.search(r"attn2\.to_(q|k|out\.1)$", name))
    assert needless
    # and each recorded layer projects its tokens for the feature
    attentions = ["up_blocks.{}.attentions.{}.transformer_blocks.0.attn1".format(*layer) for layer in layers]
    recorded = Counter(f"{attention}.to_{x}" for attention in attentions for x in "qkv")
    assert Counter(early) == Counter(before) - needless + recorded
    assert sorted(early[-3:]) == [f"{last}.to_k", f"{last}.to_q", f"{last}.to_v"]
    assert len(before) < len(everything)


@pytest.mark.parametrize("kind", ["aligned", "self-attention", "query", "temporal", "block"])
def test_recording_does_not_change_what_the_unet_computes(full, kind):
    unet = tiny_model().unet
    args, kwargs = inputs(noisy_latents(SIGMA), told())
    with torch.no_grad(), record_features(tiny_model(), LAYERS, kind) as recorded:
        output = unet(*args, **kwargs).sample
    assert torch.equal(output, full[0])
    assert tuple(recorded) == LAYERS
    with torch.no_grad():
        assert torch.equal(unet(*args, **kwargs).sample, full[0])


@pytest.mark.parametrize("kind", ["aligned", "self-attention", "key", "temporal", "block"])
def test_of_two_videos_the_last_is_recorded(kind):
    """Under classifier-free guidance the conditional one."""
    unet = tiny_model().unet
    (mine, timestep), kwargs = inputs(noisy_latents(SIGMA), told())
    (other, _), _ = inputs(noisy_latents(SIGMA, seed=7), told())
    both = {name: torch.cat([value] * 2) for name, value in kwargs.items()}
    with torch.no_grad(), record_features(tiny_model(), LAYERS, kind) as recorded:
        unet(torch.cat([other, mine]), timestep, **both)
    alone = extract(LAYERS, kind)
    for layer in LAYERS:
        assert close(recorded[layer], alone[layer])


def test_several_layers_in_one_run_are_those_of_single_runs():
    together = extract(((2, 2), (1, 0), (2, 1)))
    assert list(together) == [(1, 0), (2, 1), (2, 2)]
    for layer, feature in together.items():
        assert torch.equal(feature, extract((layer,))[layer])
        assert not feature.requires_grad


def gradient_of(feature: torch.Tensor, of: torch.Tensor) -> torch.Tensor | None:
    return torch.autograd.grad(feature.square().sum(), of, allow_unused=True, retain_graph=True)[0]


def test_keys_and_values_of_the_first_frame_carry_no_gradient():
    """In the layer itself: its input's first frame gets a gradient through its own queries, and no other way."""
    model, layer = tiny_model(), (2, 1)
    attention = model.unet.up_blocks[2].attentions[1].transformer_blocks[0].attn1
    got = []
    handle = attention.register_forward_pre_hook(lambda _m, args, kwargs: got.append(args[0]), with_kwargs=True)
    latents = noisy_latents(SIGMA).requires_grad_()
    try:
        with features_with_graph(model, latents, SIGMA, told(), (layer,)) as features:
            feature = features[layer]
            (hidden,) = got
            for frame in range(FRAMES):
                gradient = gradient_of(feature[frame], hidden)
                for other in range(FRAMES):
                    assert (gradient[other] != 0).any() == (other == frame)
            assert (gradient_of(feature[1], latents) != 0).any()
            assert (gradient_of(feature[0], latents)[0] != 0).any()
    finally:
        handle.remove()
    got.clear()
    handle = attention.register_forward_pre_hook(lambda _m, args, kwargs: got.append(args[0]), with_kwargs=True)
    try:
        with features_with_graph(model, latents, SIGMA, told(), (layer,), "key") as features:
            assert (gradient_of(features[layer][0], got[0])[0] != 0).any()  # as keys do where they are the feature
    finally:
        handle.remove()


def test_the_gradient_of_the_aligned_feature_is_that_of_the_formula():
    model, layer = tiny_model(), (1, 1)
    latents = noisy_latents(SIGMA).requires_grad_()
    _, seen = full_forward(model, latents, told())
    q, k, v = (seen[layer, "spatial", name] for name in ("to_q", "to_k", "to_v"))
    # detached: keys and values are computed from the first frame, but their gradient goes nowhere
    slow = as_maps(aligned(q, k.detach(), v.detach(), heads(layer)), layer)
    expected = gradient_of(slow, latents)
    with features_with_graph(model, latents, SIGMA, told(), (layer,)) as features:
        assert torch.allclose(
            gradient_of(features[layer], latents), expected, rtol=1e-3, atol=1e-4 * expected.abs().max()
        )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["aligned", "temporal", "block"])
def test_what_is_kept_changes_memory_not_gradients(kind):
    model = tiny_model()
    gradients, kept = {}, {}
    for mode in RECOMPUTE_MODES:
        latents = noisy_latents(SIGMA).requires_grad_()
        storages = {}

        def pack(tensor, storages=storages):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with (
            torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
            recomputing(model, mode, (2, 2)),
            features_with_graph(model, latents, SIGMA, told(), ((2, 1), (2, 2)), kind) as features,
        ):
            kept[mode] = sum(storages.values())
            (gradients[mode],) = torch.autograd.grad(sum(f.square().sum() for f in features.values()), latents)
    for gradient in gradients.values():
        assert torch.allclose(gradient, gradients["fast"], rtol=1e-4, atol=1e-6)
        assert gradient.abs().max() > 0
    assert kept["full"] < 0.8 * kept["selective"] < 0.8 * 0.8 * kept["fast"]


def test_the_unet_is_left_as_it_was():
    model = tiny_model()
    unet = model.unet
    processors = dict(unet.attn_processors)
    for mode in RECOMPUTE_MODES:
        with (
            pytest.raises(ZeroDivisionError),
            recomputing(model, mode),
            features_with_graph(model, noisy_latents(SIGMA), SIGMA, told(), LAYERS),
        ):
            assert dict(unet.attn_processors) != processors
            assert any("forward" in vars(module) for module in unet.modules())
            raise ZeroDivisionError
        assert dict(unet.attn_processors) == processors
        assert not any("forward" in vars(module) or module._forward_hooks for module in unet.modules())
    with record_features(model, LAYERS, "block"):
        pass
    assert all(not unet.up_blocks[b].attentions[t]._forward_hooks for b, t in LAYERS)


def test_a_failing_forward_leaves_the_unet_as_it_was():
    model = tiny_model()
    processors = dict(model.unet.attn_processors)
    handle = model.unet.mid_block.register_forward_pre_hook(lambda *_: 1 / 0)
    try:
        with pytest.raises(ZeroDivisionError):
            extract()
    finally:
        handle.remove()
    assert dict(model.unet.attn_processors) == processors


def test_half_precision_is_close():
    whole = tiny_model()
    model = dataclasses.replace(whole, unet=copy.deepcopy(whole.unet).to(torch.bfloat16))
    given = told()
    half = SVDConditioning(given.embedding.bfloat16(), given.image_latents.bfloat16(), given.time_ids.bfloat16())
    for kind in ("aligned", "temporal"):
        features = extract_features(model, noisy_latents(SIGMA), SIGMA, half, LAYERS, kind)
        for layer, exact in extract(LAYERS, kind).items():
            assert features[layer].dtype == torch.bfloat16
            assert (features[layer].float() - exact).abs().max() < 0.05 * exact.abs().max()
    latents = noisy_latents(SIGMA).requires_grad_()
    with features_with_graph(model, latents, SIGMA, half, ((2, 1),)) as recorded:
        assemble(recorded, (8, 16)).square().mean().backward()
    assert latents.grad.dtype == torch.float32
    assert latents.grad.isfinite().all()
    assert latents.grad.abs().max() > 0


def test_assembled_features_stack_layers_at_the_latents_size():
    features = extract(((1, 0), (2, 1), (3, 0)))
    stacked = assemble(features, (8, 16))
    assert stacked.shape == (FRAMES, 64 + 32 + 32, 8, 16)
    assert torch.equal(stacked[:, 96:], features[3, 0])  # this one has the size already
    fine = features[2, 1]
    for y in range(8):
        for x in range(16):
            # bilinear with the cells' middles as the sample points, edges repeated: 2x finer
            v, u = min(max((y + 0.5) / 2 - 0.5, 0), 3), min(max((x + 0.5) / 2 - 0.5, 0), 7)
            i, j = min(int(v), 2), min(int(u), 6)
            a, b = v - i, u - j
            expected = (
                (1 - a) * (1 - b) * fine[:, :, i, j]
                + (1 - a) * b * fine[:, :, i, j + 1]
                + a * (1 - b) * fine[:, :, i + 1, j]
                + a * b * fine[:, :, i + 1, j + 1]
            )
            assert torch.allclose(stacked[:, 64:96, y, x], expected, atol=1e-5)
    assert assemble({(2, 1): fine.bfloat16()}, (8, 16)).dtype == torch.float32


def test_bad_input():
    unet = tiny_model().unet
    for layers, complaint in ((((0, 0),), r"\(0, 0\).*\(1, 0\)"), (((2, 1), (2, 3)), r"\(2, 3\)"), ((), "layer")):
        with pytest.raises(InputError, match=complaint):
            extract(layers)
        with pytest.raises(InputError, match=complaint):
            tiny_model().check_layers(layers or ((9, 9),)) if layers else extract(layers)
    with pytest.raises(InputError, match="'mean'.*aligned"):
        extract(kind="mean")
    assert dict(unet.attn_processors) == dict(tiny_model().unet.attn_processors)


# --- layers of the encoding half and the middle -----------------------------------------------------------------------

ENCODING = (("down", 0, 0), ("down", 0, 1), ("down", 1, 0), ("down", 1, 1), ("down", 2, 0), ("down", 2, 1))


def transformer(layer: tuple) -> torch.nn.Module:
    unet = tiny_model().unet
    if layer[0] == "mid":
        return unet.mid_block.attentions[layer[2]]
    blocks, (block, number) = (unet.down_blocks, layer[1:]) if layer[0] == "down" else (unet.up_blocks, layer)
    return blocks[block].attentions[number]


def test_all_layers_are_in_the_order_of_computation():
    everything = tiny_model().all_layers
    assert everything == (*ENCODING, ("mid", 0, 0), *LAYERS)
    called = []
    handles = [
        transformer(each).register_forward_pre_hook(lambda _m, _args, each=each: called.append(each))
        for each in reversed(everything)
    ]
    args, kwargs = inputs(noisy_latents(SIGMA), told())
    with torch.no_grad():
        tiny_model().unet(*args, **kwargs)
    for handle in handles:
        handle.remove()
    assert tuple(called) == everything


@pytest.mark.parametrize("layer", [*ENCODING, ("mid", 0, 0)])
def test_features_of_any_layer_are_what_a_full_forward_computes(layer):
    attention, seen = transformer(layer).transformer_blocks[0].attn1, {}
    modules = {"query": attention.to_q, "key": attention.to_k, "value": attention.to_v, "block": transformer(layer)}
    handles = [
        module.register_forward_hook(lambda _m, _args, out, kind=kind: seen.__setitem__(kind, out))
        for kind, module in modules.items()
    ]
    args, kwargs = inputs(noisy_latents(SIGMA), told())
    with torch.no_grad():
        tiny_model().unet(*args, **kwargs)
    for handle in handles:
        handle.remove()
    block = seen.pop("block")[0]
    assert close(extract((layer,), "block")[layer], block)
    for kind, tokens in seen.items():
        assert close(extract((layer,), kind)[layer], tokens.transpose(1, 2).unflatten(2, block.shape[-2:]))
    wanted = aligned(seen["query"], seen["key"], seen["value"], tiny_model().heads(layer))
    assert close(extract((layer,))[layer], wanted.transpose(1, 2).unflatten(2, block.shape[-2:]))


@pytest.mark.parametrize("layers", [(("mid", 0, 0), ("down", 1, 0)), (("down", 1, 1), ("down", 0, 0))])
def test_a_pass_ends_in_the_layer_that_is_computed_last(layers):
    called, unet = [], tiny_model().unet
    last = next(layer for layer in reversed(tiny_model().all_layers) if layer in layers)
    after = {("mid", 0, 0): unet.up_blocks[0], ("down", 1, 1): unet.down_blocks[2]}[last]
    hook = after.register_forward_pre_hook(lambda *_: called.append(1))
    features = extract(layers)
    hook.remove()
    assert not called
    assert tuple(features) == (*(layer for layer in layers if layer != last), last)


def test_layers_that_settings_may_name_are_those_of_the_decoding_half():
    with pytest.raises(InputError, match=r"no layer \('mid', 0, 0\); it has \(1, 0\)"):
        tiny_model().check_layers((("mid", 0, 0),))
    with pytest.raises(InputError, match=r"no layer \('mid', 1, 0\); it has \('down', 0, 0\)"):
        extract((("mid", 1, 0),))
