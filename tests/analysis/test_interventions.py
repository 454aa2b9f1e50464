from contextlib import contextmanager
from functools import partial

import pytest
import torch

from sgi2v_lab.analysis.interventions import intervene
from sgi2v_lab.errors import InputError
from sgi2v_lab.features import aligned_attention, record_features
from sgi2v_lab.pipeline import generate
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from tests.helpers import tiny_wan as wan
from tests.helpers.tiny import FRAMES, conditioning, noisy_latents, picture, tinier_model, tiny_model

pytestmark = pytest.mark.slow

LAYERS = (("down", 1, 0), ("mid", 0, 0), (2, 1))
LAYER = (2, 1)


def attention(layer, where: str = "spatial") -> torch.nn.Module:
    half = "transformer_blocks" if where == "spatial" else "temporal_transformer_blocks"
    return getattr(tiny_model()._transformers()[layer], half)[0].attn1


@contextmanager
def projected(layer, where: str = "spatial"):
    """What an attention layer's output projection is given: the outputs of its heads, one after the other."""
    given = []
    hook = attention(layer, where).to_out[0].register_forward_pre_hook(lambda _m, args: given.append(args[0]))
    yield given
    hook.remove()


@torch.no_grad()
def prediction(videos: int = 1) -> torch.Tensor:
    told = conditioning() if videos == 1 else conditioning().with_unconditional()
    return tiny_model().predict(torch.stack([noisy_latents(3.0) / 3] * videos), torch.tensor(0.3), told)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_muted_head_does_not_change_the_others(layer):
    heads = tiny_model().heads(layer)
    with projected(layer) as before:
        usual = prediction()
    with projected(layer) as after, intervene(tiny_model(), mute={layer: (1,)}):
        changed = prediction()
    before, after = (given[0].unflatten(-1, (heads, -1)) for given in (before, after))
    others = [head for head in range(heads) if head != 1]
    assert torch.equal(after[..., 1, :], torch.zeros_like(after[..., 1, :]))
    assert torch.allclose(after[..., others, :], before[..., others, :], atol=1e-6)
    assert before[..., 1, :].abs().max() > 0
    assert not torch.equal(usual, changed)


def test_nothing_attached_leaves_the_network_as_it_is():
    usual = prediction()
    with intervene(tiny_model()):
        assert torch.equal(prediction(), usual)
    with intervene(tiny_model(), mute={LAYER: (0,)}, first_frame_bias={LAYER: 1.0}):
        assert not torch.equal(prediction(), usual)
    assert torch.equal(prediction(), usual)
    with pytest.raises(ZeroDivisionError), intervene(tiny_model(), swap={LAYER: 0}):
        raise ZeroDivisionError
    assert torch.equal(prediction(), usual)
    # what changes nothing gives the same to rounding
    with intervene(tiny_model(), mute=dict.fromkeys(LAYERS, ()), first_frame_bias=dict.fromkeys(LAYERS, 0.0)):
        assert torch.allclose(prediction(), usual, atol=1e-5)


@pytest.mark.parametrize("videos", [1, 2])
def test_swapped_keys_are_those_of_each_videos_own_frame(videos):
    hidden = []
    hook = attention(LAYER).to_q.register_forward_pre_hook(lambda _m, args: hidden.append(args[0]))
    with projected(LAYER) as given, intervene(tiny_model(), swap={LAYER: 0}):
        prediction(videos)
    hook.remove()
    for seen, out in zip(hidden[0].split(FRAMES), given[0].split(FRAMES), strict=True):
        assert torch.allclose(out, aligned_attention(attention(LAYER), seen), atol=1e-5)
    with projected(LAYER) as given, intervene(tiny_model(), swap={LAYER: 2}):
        prediction(videos)
    with projected(LAYER) as usual:
        prediction(videos)
    assert torch.allclose(given[0][2], usual[0][2], atol=1e-5)  # the frame itself sees what it always does
    assert not torch.allclose(given[0][1], usual[0][1], atol=1e-5)


def test_a_large_bias_leaves_the_first_frame_alone_or_hides_it():
    layer = attention(LAYER, "temporal")
    values = []
    hook = layer.to_v.register_forward_hook(lambda _m, _i, out: values.append(out))
    with projected(LAYER, "temporal") as given, intervene(tiny_model(), first_frame_bias={LAYER: 1e4}):
        prediction()
    assert torch.allclose(given[0], values[0][:, :1].expand_as(given[0]), atol=1e-5)
    values.clear()
    with projected(LAYER, "temporal") as hidden, intervene(tiny_model(), first_frame_bias={LAYER: float("-inf")}):
        prediction()
    hook.remove()
    assert hidden[0].isfinite().all() and not torch.allclose(hidden[0], given[0])
    low, high = values[0][:, 1:].amin(dim=1, keepdim=True), values[0][:, 1:].amax(dim=1, keepdim=True)
    assert (hidden[0] >= low - 1e-5).all() and (hidden[0] <= high + 1e-5).all()  # a mean of the other frames' values


def test_later_layers_see_the_change_and_earlier_ones_do_not():
    model, layers = tiny_model(), (("down", 0, 0), ("mid", 0, 0), (3, 0))
    found = []
    for changes in ({}, {("mid", 0, 0): (0, 1)}):
        with record_features(model, layers, "block") as maps, intervene(model, mute=changes):
            prediction()
        found.append(maps)
    usual, changed = found
    assert torch.equal(usual["down", 0, 0], changed["down", 0, 0])
    for layer in layers[1:]:
        assert not torch.equal(usual[layer], changed[layer])


def test_changes_of_one_layer_add_up():
    both = {"mute": {LAYER: (0,)}, "swap": {LAYER: 0}}
    with projected(LAYER) as given, intervene(tiny_model(), **both):
        prediction()
    with projected(LAYER) as swapped, intervene(tiny_model(), swap=both["swap"]):
        prediction()
    half = given[0].shape[-1] // tiny_model().heads(LAYER)
    assert given[0][..., :half].abs().max() == 0
    assert torch.allclose(given[0][..., half:], swapped[0][..., half:], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"mute": {(2, 1): (0, 7)}}, r"\(2, 1\) has no spatial head 7.*0\.\.1"),
        ({"mute": {(2, 1): (-1,)}}, "no spatial head -1"),
        ({"swap": {("down", 9, 9): 0}}, r"\('down', 9, 9\)"),
        ({"first_frame_bias": {(0, 0): 1.0}}, r"\(0, 0\)"),
        ({"swap": {(2, 1): 3}}, r"no frame 3.*0\.\.2"),
    ],
)
def test_bad_input(changes, complaint):
    with pytest.raises(InputError, match=complaint), intervene(tiny_model(), **changes):
        prediction()


def test_a_video_is_made_by_the_changed_network():
    model = tinier_model()
    layer, moved = model.all_layers[-1], Trajectories((128, 64), (Trajectory.move((20, 20, 60, 60), by=(30, 0)),))
    settings = model.settings.replace(num_inference_steps=2, control_steps=(0, 0), iterations=1)
    make = partial(generate, model, picture(), moved, settings, progress=False)
    usual = make().video
    with intervene(model, mute={layer: range(model.heads(layer))}, first_frame_bias={layer: 3.0}):
        assert not torch.equal(make().video, usual)
    assert torch.equal(make().video, usual)


def test_a_bias_where_attention_spans_all_frames_is_on_every_place_of_the_first():
    changed, layer = [], 1
    model = wan.tiny_wan()
    attention = model.transformer.blocks[layer].attn1
    values = []
    hook = attention.to_v.register_forward_hook(lambda _m, _i, out: values.append(out))
    seen = attention.to_out[0].register_forward_pre_hook(lambda _m, args: changed.append(args[0]))
    with torch.no_grad(), intervene(model, first_frame_bias={layer: float("-inf")}):
        model.run_conditional(wan.noisy_latents(), 0.5, wan.conditioning())
    hook.remove(), seen.remove()
    later = values[0].unflatten(1, (wan.LATENTS, -1))[:, 1:].flatten(1, 2)
    low, high = later.amin(dim=1, keepdim=True), later.amax(dim=1, keepdim=True)
    assert (changed[0] >= low - 1e-5).all() and (changed[0] <= high + 1e-5).all()  # a mean of the later frames' values
