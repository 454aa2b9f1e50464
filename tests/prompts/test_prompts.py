import itertools
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sgi2v_lab.errors import InputError
from sgi2v_lab.images.read import to_tensor
from sgi2v_lab.prompts import reference_image as prompt_module
from sgi2v_lab.prompts.reference_image import (
    parse_prompt,
    prompt_boxes,
    reference_image,
)
from sgi2v_lab.toy.world.scenes import COLOURS, SHAPES, TEXTURES

# --- the scene language ----------------------------------------------------------------------------------------------


def _centres(prompt):
    return {name: ((box[:2] + box[2:]) / 2).tolist() for name, box in prompt_boxes(prompt, 128).items()}


def test_words_become_a_scene():
    scene = parse_prompt("A large red white striped circle on blue and white clouds", num_frames=5)
    (sprite,) = scene.sprites
    assert (sprite.shape, sprite.texture) == ("circle", "striped")
    assert (sprite.colour, sprite.accent) == (COLOURS["red"], COLOURS["white"])
    assert scene.background == "clouds"
    assert scene.colours[:2] == (COLOURS["blue"], COLOURS["white"])
    assert scene.num_frames == 5
    assert (sprite.path == sprite.path[0]).all()


@pytest.mark.parametrize(
    ("relation", "axis", "sign"),
    [
        ("left of", 0, 1),
        ("to the right of", 0, -1),
        ("on the left of", 0, 1),
        ("at the left of", 0, 1),
        ("above", 1, 1),
        ("below", 1, -1),
    ],
)
def test_relations_hold(relation, axis, sign):
    centres = _centres(f"a red circle {relation} a blue square on grey")
    (a, b) = centres["red circle"], centres["blue square"]
    assert sign * (b[axis] - a[axis]) > 30
    assert a[1 - axis] == pytest.approx(b[1 - axis])


def test_between_and_chains():
    centres = _centres("a red ring between a blue ring and a green ring")
    assert centres["blue ring"][0] < centres["red ring"][0] < centres["green ring"][0]
    centres = _centres("a red ring left of a blue ring above a green ring")
    assert centres["red ring"][0] < centres["blue ring"][0] == pytest.approx(centres["green ring"][0])
    assert centres["red ring"][1] == pytest.approx(centres["blue ring"][1])
    assert centres["blue ring"][1] < centres["green ring"][1]


def test_places_are_kept_and_pull_what_is_related():
    centres = _centres("a red circle left of a blue ring in the top right and a pill at the bottom")
    assert centres["blue ring"][0] > 80 > 50 > centres["blue ring"][1]
    assert centres["red circle"][1] == pytest.approx(centres["blue ring"][1])
    assert centres["pill"][1] > 80


def test_sizes_order_and_repeated_names_are_told_apart():
    boxes = prompt_boxes("a small red circle, a red circle and a red circle on white")
    assert list(boxes) == ["small red circle", "red circle", "red circle 2"]
    width = [(box[2] - box[0]).item() for box in boxes.values()]
    assert width[0] < width[1] == pytest.approx(width[2])


def test_the_box_holds_the_object():
    prompt = "a blue square in the bottom left on white"
    picture = to_tensor(reference_image(prompt, size=96))
    x0, y0, x1, y1 = prompt_boxes(prompt, 96)["blue square"].round().int().tolist()
    blue = (picture - torch.tensor(COLOURS["blue"])[:, None, None]).abs().amax(dim=0) < 0.05
    assert picture.shape == (3, 96, 96)
    assert blue[y0:y1, x0:x1].sum() == blue.sum() > 200
    assert blue[(y0 + y1) // 2, (x0 + x1) // 2]


@given(
    st.lists(
        st.tuples(st.sampled_from(TEXTURES), st.sampled_from(list(COLOURS)), st.sampled_from(SHAPES)),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["left of", "right of", "above", "below", "and"]),
)
def test_boxes_stay_in_the_picture_and_apart(things, joiner):
    prompt = f" {joiner} ".join(f"a {' '.join(words)}" for words in things)
    boxes = list(prompt_boxes(prompt, 128).values())
    assert len(boxes) == len(things)
    for box in boxes:
        assert box.min() >= 0
        assert box.max() <= 128
    for a, b in itertools.combinations(boxes, 2):
        overlap = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0).prod()
        assert overlap == 0


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("a red circel on grey", r"'circel'.*did you mean 'circle'.*shapes: circle, square.*colours: red"),
        ("a turquoise zebra", r"unknown word 'turquoise'.*textures: plain"),
        ("a red", r"found the end where a shape"),
        ("", r"found the end where a shape"),
        ("a red circle blue square", r"found 'blue' \(word 4\)"),
        ("a red circle on", r"a background"),
        ("a red circle in a blue square", r"found 'blue' \(word 6\) where a place"),
        ("a red ring left a blue ring", r"found 'blue' \(word 6\) where left, right was expected"),
        ("a ring between a star", r"found the end where .*'and'"),
        ("a red blue green circle", r"at most two colours"),
        ("a red ring in the right left of a blue ring in the left", r"contradict"),
        (" and ".join(["a red circle"] * 12), r"do not fit"),
        ("a star top left and a ring top left", r"do not fit"),
    ],
)
def test_what_cannot_be_read_is_explained(prompt, message):
    with pytest.raises(InputError, match=message):
        parse_prompt(prompt)


def test_reference_image_draws_with_the_toy():
    image = reference_image("a red photo square on tiles", size=64)
    assert (image.size, image.mode) == ((64, 64), "RGB")
    again = reference_image("a red photo square on tiles", size=(64, 64))
    assert np.array_equal(np.asarray(image), np.asarray(again))
    with pytest.raises(InputError, match="64x32"):
        reference_image("a ring", size=(64, 32))
    with pytest.raises(InputError, match="steps"):
        reference_image("a ring", steps=3)


# --- a text-to-image model -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    """A Stable Diffusion pipeline with random weights, a few hundred kilobytes in all."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("tiny")
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={w: k for k, w in enumerate(words)}, merges=[], model_max_length=16)
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
    )
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def test_a_model_folder_makes_pictures(tiny_model):
    made = [reference_image("a cat", tiny_model, size=(64, 32), seed=s, steps=2, guidance=2.0) for s in (1, 1, 2)]
    assert made[0].size == (64, 32)
    assert np.array_equal(np.asarray(made[0]), np.asarray(made[1]))
    assert not np.array_equal(np.asarray(made[0]), np.asarray(made[2]))
    other = reference_image("dogs", str(tiny_model), (64, 32), seed=1, steps=2, guidance=2.0)
    assert not np.array_equal(np.asarray(made[0]), np.asarray(other))


def test_pickled_weights_are_refused(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "pickled")
    for weights in folder.rglob("*.safetensors"):
        torch.save({}, weights.with_suffix(".bin"))
        weights.unlink()
    with pytest.raises(InputError, match=r"no complete text-to-image pipeline in safetensors"):
        reference_image("a cat", folder, (64, 32), steps=1)


def test_a_folder_that_is_no_pipeline_is_named(tmp_path):
    with pytest.raises(InputError, match="no complete text-to-image pipeline"):
        reference_image("a cat", tmp_path, (64, 32))
    with pytest.raises(InputError, match="no folder"):
        reference_image("a cat", tmp_path / "nowhere", (64, 32))


def test_a_hub_model_that_is_not_here_is_explained():  # the tests run offline
    with pytest.raises(InputError, match=r"weights of someone/some-model are not in the local cache.*go online"):
        reference_image("a cat", "someone/some-model", (64, 32))


def test_gated_weights_and_missing_memory_are_explained(monkeypatch):
    def refuse(*_, **__):
        try:
            raise PermissionError("GatedRepoError: 403 Client Error. Access to model x/y is restricted")
        except PermissionError as error:
            raise OSError("x/y could not be loaded") from error

    from diffusers import AutoPipelineForText2Image

    monkeypatch.setattr(AutoPipelineForText2Image, "from_pretrained", refuse)
    with pytest.raises(InputError, match="gated: accept its licence"):
        reference_image("a cat", "x/y", (64, 32))

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(prompt_module, "_load", full)
    with pytest.raises(InputError, match=r"ran out of memory on cpu at 64x32.*smaller"):
        reference_image("a cat", "x/y", (64, 32))


def test_sizes_that_no_vae_can_make_are_refused():
    with pytest.raises(InputError, match=r"1000x563.*1000x560"):
        reference_image("a cat", "x/y", (1000, 563))
