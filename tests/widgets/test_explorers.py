import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from sgi2v_lab.analysis.attention import attention_at, attention_to
from sgi2v_lab.analysis.clips import toy_clips
from sgi2v_lab.analysis.passes import features_at
from sgi2v_lab.errors import InputError
from sgi2v_lab.frequency import butterworth_mask
from sgi2v_lab.pca import similarity_maps
from sgi2v_lab.widgets import (
    AtlasExplorer,
    FeatureExplorer,
    FrequencyExplorer,
    LossExplorer,
    atlas_explorer,
    feature_explorer,
    frequency_explorer,
)
from tests.helpers.planted import table_of
from tests.helpers.tiny import FRAMES, HEIGHT, SETTINGS, WIDTH, tiny_model
from tests.test_explore import CONTROLLED, traced

pytestmark = pytest.mark.slow

ATLAS = ("mid,0,0", "2,0", "2,1"), (8.0, 1.0, 0.3), ("self-attention", "temporal", "query-key")


def atlas_of_a_clip() -> AtlasExplorer:
    (clip,) = toy_clips(tiny_model(), 1)
    return AtlasExplorer(tiny_model(), clip, table_of(*ATLAS))


MADE = [
    atlas_of_a_clip,
    lambda: FeatureExplorer(tiny_model(), traced("latents")),
    lambda: LossExplorer(traced("optimization")),
    lambda: FrequencyExplorer(traced("latents"), model=tiny_model()),
]


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def heard(widget, *names: str) -> list[tuple[str, object]]:
    """What the browser is told about some traits from here on, in order."""
    told = []
    for name in names:
        widget.observe(lambda change: told.append((change["name"], change["new"])), name)
    return told


def count_calls(monkeypatch, module, name: str) -> list[tuple]:
    calls, original = [], getattr(module, name)

    def counted(*args, **kwargs):
        calls.append(args)
        return original(*args, **kwargs)

    monkeypatch.setattr(module, name, counted)
    return calls


# --- what they share -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MADE)
def test_the_whole_state_reaches_the_browser(make):
    widget = make()
    state = {name: value for name, value in widget.get_state().items() if not isinstance(value, bytes)}
    state = {name: value for name, value in state.items() if name not in ("layout", "_esm", "_css")}
    json.dumps(state, allow_nan=False)  # the browser's JSON has no NaN
    assert widget.error == widget.busy == ""
    pictures = [name for name in widget.keys if name.endswith("_png")]
    assert len(pictures) > 1
    for name in pictures:
        assert pixels(getattr(widget, name)).ndim == 3, name
    assert widget._esm.count("export default") == 1
    assert "https://" not in widget._esm.replace("http://www.w3.org/2000/svg", "")  # nothing comes from elsewhere


def test_failures_are_shown_in_place_and_go_away(monkeypatch):
    explorer = FeatureExplorer(tiny_model(), traced("latents"))
    picture = explorer.left_png

    def fails(*_):
        raise torch.OutOfMemoryError("out of memory: 3 GiB wanted\nand a long story")

    messages = []
    monkeypatch.setattr(
        explorer, "send_state", lambda key: messages.append([key] if isinstance(key, str) else sorted(key))
    )
    monkeypatch.setattr(feature_explorer, "feature_maps", fails)
    explorer.step = 0
    assert explorer.error == "running the denoiser failed: out of memory: 3 GiB wanted"
    assert isinstance(explorer.failure, torch.OutOfMemoryError)
    assert explorer.busy == ""
    assert explorer.left_png == picture
    assert ["busy", "error"] in messages  # at once: nobody sees an error beside a sign of work
    monkeypatch.undo()
    explorer.step = 3
    assert explorer.error == ""
    assert explorer.failure is None
    assert explorer.left_png != picture


def test_what_the_browser_sends_is_what_python_sets():
    sent, set_here = (FeatureExplorer(tiny_model(), traced("latents")) for _ in range(2))
    sent.set_state({"point": [3, 4], "left": "key", "layer": [3, 0]})
    set_here.point, set_here.left, set_here.layer = [3.0, 4.0], "key", [3, 0]
    for name in ("matches", "shown", "left_png", "right_png", "left_similar_png", "right_similar_png"):
        assert getattr(sent, name) == getattr(set_here, name), name


# --- features --------------------------------------------------------------------------------------------------------


def test_features_follow_layer_step_and_kind(monkeypatch):
    calls = count_calls(monkeypatch, feature_explorer, "feature_maps")
    explorer = FeatureExplorer(tiny_model(), traced("latents"))
    assert [call[1:] for call in calls] == [(1, (2, 2), "self-attention"), (1, (2, 2), "aligned")]
    assert explorer.shown == {"step": 1, "layer": [2, 2], "grid": [8, 4], "channels": [32, 32]}
    assert pixels(explorer.left_png).shape == (4, FRAMES * 8, 3)
    before = explorer.left_png, explorer.right_png, explorer.right_similar_png
    explorer.layer = [3, 0]
    assert explorer.shown["grid"] == [16, 8]
    assert pixels(explorer.right_similar_png).shape == (8, FRAMES * 16, 3)
    explorer.left = "query"
    assert [call[3] for call in calls[2:]] == ["self-attention", "aligned", "query"]
    explorer.layer, explorer.left = [2, 2], "self-attention"
    assert (explorer.left_png, explorer.right_png, explorer.right_similar_png) == before
    assert len(calls) == 6  # queries of [2, 2] in between; the rest is remembered
    explorer.frame = 2  # the browser has all frames
    explorer.point = [3.0, 4.0]  # needs no other features
    assert len(calls) == 6


def test_the_point_is_compared_with_every_frame():
    explorer = FeatureExplorer(tiny_model(), traced("latents"))
    assert explorer.point == [32.0, 24.0]  # the middle of the first box
    told = heard(explorer, "left_png", "right_png", "matches")
    explorer.point = [100.0, 50.0]
    assert [name for name, _ in told] == ["matches"]
    for side, kind in (("left", explorer.left), ("right", explorer.right)):
        maps = explorer.features[kind]
        similar = similarity_maps(maps, point=(100.0, 50.0), picture_size=(WIDTH, HEIGHT))
        found = torch.tensor(explorer.matches[side])
        assert found[0, 2].item() == pytest.approx(1, abs=1e-5)
        assert torch.allclose(found[:, 2], similar.flatten(1).amax(dim=1))
        # red where similar, blue where not: the red channel of RdBu_r is above its blue one in the upper half
        strip = pixels(getattr(explorer, f"{side}_similar_png")).astype(int)
        values = torch.cat(list(similar), dim=1).numpy()
        assert ((strip[..., 0] > strip[..., 2]) == (values > 0))[np.abs(values) > 0.05].all()
    explorer.point = [1e6, -5.0]  # dragged out of the picture
    assert explorer.point == [pytest.approx(WIDTH, abs=0.01), 0.0]
    assert explorer.error == ""


def test_features_of_a_video_without_its_run():
    run = traced()
    explorer = FeatureExplorer(tiny_model(), image=run.image, latents=run.latents, settings=SETTINGS)
    assert explorer.about["made_noisy"]
    assert explorer.boxes == []
    assert explorer.point == [WIDTH / 2, HEIGHT / 2]
    assert np.array_equal(pixels(explorer.first_png), (run.image.permute(1, 2, 0) * 255).round().byte().numpy())


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("layer", [0, 0], r"layer is \[0, 0\], but must be one of \[1, 0\]"),
        ("step", 4, "step is 4, but must be one of 0, 1, 2, 3"),
        ("left", "keys", "left is 'keys'"),
        ("frame", -1, "frame is -1"),
        ("point", [1.0], "must be two numbers"),
    ],
)
def test_features_refuse_what_there_is_not(trait, value, message):
    explorer = FeatureExplorer(tiny_model(), traced())
    before = getattr(explorer, trait)
    with pytest.raises(InputError, match=message):
        setattr(explorer, trait, value)
    assert getattr(explorer, trait) == before


def test_there_must_be_something_to_explore():
    with pytest.raises(InputError, match="give a run, or an image"):
        FeatureExplorer(tiny_model(), image=traced().image)


# --- loss ------------------------------------------------------------------------------------------------------------


def test_the_loss_is_what_the_run_says_and_what_its_terms_sum_to():
    run = traced("optimization")
    explorer = LossExplorer(run, names=["ball", "bird"])
    assert [(each["index"], each["losses"]) for each in explorer.steps] == [(k, run.losses[k]) for k in CONTROLLED]
    for step in CONTROLLED:
        for iteration in range(SETTINGS.iterations):
            explorer.step, explorer.iteration = step, iteration
            loss = run.losses[step][iteration]
            assert explorer.shown == {"step": step, "iteration": iteration, "loss": loss}
            assert sum(term or 0 for row in explorer.shares for term in row) == pytest.approx(loss, rel=1e-4)
            gradient = run.trace[step].iterations[iteration].gradient
            norms = gradient.square().sum(dim=1).sqrt()
            assert explorer.gradient_top == pytest.approx(norms.max().item())
            assert sum(explorer.gradient_parts) == pytest.approx(1)
            # the brightest place of the picture is where the gradient is longest
            strip = pixels(explorer.gradient_png).astype(int).sum(axis=2)
            assert strip.max() == strip.flat[torch.cat(list(norms), dim=1).argmax().item()]
    assert explorer.means[1][-1] is None  # the second box has left
    assert explorer.means[0][-1] > 0


def test_the_loss_of_a_run_without_its_optimisation():
    with pytest.raises(InputError, match="did not keep its optimisation"):
        LossExplorer(traced("latents"))
    with pytest.raises(InputError, match="without trajectories"):
        LossExplorer(traced("latents", controlled=False))


def test_the_loss_refuses_other_steps_than_control_steps():
    explorer = LossExplorer(traced("optimization"))
    with pytest.raises(InputError, match="step is 0, but must be one of 1, 2"):
        explorer.step = 0
    with pytest.raises(InputError, match="iteration is 2, but must be one of 0, 1"):
        explorer.iteration = 2


# --- frequencies -----------------------------------------------------------------------------------------------------


def test_the_cutoff_moves_mask_spectra_latents_and_picture():
    run = traced("latents")
    explorer = FrequencyExplorer(run, model=tiny_model())
    assert explorer.cutoff == SETTINGS.cutoff
    assert explorer.step in CONTROLLED
    explorer.cutoff = 0.0
    assert pixels(explorer.mask_png).max() == 0
    assert explorer.mixed_png == explorer.before_png
    assert explorer.decoded_mixed_png == explorer.decoded_before_png
    assert explorer.kept == 0
    assert explorer.spectra["mixed"] == explorer.spectra["before"]
    shares = []
    for cutoff in (0.2, 0.5, 1.0):
        explorer.cutoff = cutoff
        shares.append(explorer.kept)
        mask = butterworth_mask(HEIGHT // 8, WIDTH // 8, cutoff, SETTINGS.butterworth_order)
        assert np.abs(pixels(explorer.mask_png)[..., 0] - 255 * mask.numpy()).max() < 1
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] < 1
    assert explorer.decoded_mixed_png != explorer.decoded_before_png
    explorer.order = 1
    gentle = np.interp(explorer.cutoff, explorer.response_radii, explorer.response)
    assert gentle == pytest.approx(0.5, abs=0.02)  # whatever the order, L is 1/2 at the cut-off


def test_only_what_is_needed_is_computed_again(monkeypatch):
    guesses = count_calls(monkeypatch, frequency_explorer, "predict_clean_latents")
    decodes = count_calls(monkeypatch, frequency_explorer, "decode_frame")
    explorer = FrequencyExplorer(traced("latents"), model=tiny_model())
    assert (len(guesses), len(decodes)) == (3, 3)
    told = heard(explorer, "busy")
    explorer.cutoff = 0.3
    assert (len(guesses), len(decodes)) == (4, 4)
    assert [what for _, what in told] == ["filtering", "", "guessing the clean latents and decoding a frame", ""]
    explorer.cutoff = SETTINGS.cutoff
    assert (len(guesses), len(decodes)) == (4, 4)
    explorer.frame = 0
    assert (len(guesses), len(decodes)) == (4, 7)


def test_frequencies_refuse_what_is_out_of_range():
    explorer = FrequencyExplorer(traced("latents"), tiny_model())
    for trait, value in (("cutoff", 1.2), ("order", 0), ("step", 0), ("frame", FRAMES)):
        before = getattr(explorer, trait)
        with pytest.raises(InputError, match=f"{trait} is {value}"):
            setattr(explorer, trait, value)
        assert getattr(explorer, trait) == before
    with pytest.raises(InputError, match="cutoff is 2"):
        FrequencyExplorer(traced("latents"), tiny_model(), cutoff=2)
    with pytest.raises(InputError, match="kept no optimised latents"):
        FrequencyExplorer(traced("optimization"), tiny_model())


# --- the atlas -------------------------------------------------------------------------------------------------------


def test_the_map_is_the_tables_mean():
    explorer = atlas_of_a_clip()
    assert explorer.cell == explorer.scale["best"] == [2, 2] and explorer.scale["chance"] == pytest.approx(0.05)
    assert explorer.cells[1][2]["value"] == pytest.approx(0.1 + 0.02 + 0.06)
    explorer.kind = "query-key"
    assert explorer.cells[1][2]["value"] == pytest.approx(0.16)
    explorer.measure = "chance_1"
    assert explorer.cells[0][0]["value"] == pytest.approx(0.05) and explorer.scale["chance"] is None


def test_a_cell_shows_its_layer_and_level_by_one_pass(monkeypatch):
    explorer = atlas_of_a_clip()
    calls = count_calls(monkeypatch, atlas_explorer, "features_at")
    before = explorer.pca_png, explorer.heads_png
    explorer.cell = [1, 0]
    assert len(calls) == 1 and explorer.shown["cell"] == [1, 0] and explorer.error == ""
    assert explorer.pca_png != before[0] and explorer.heads_png != before[1]
    h, w = features_at(explorer.inspection, 0, ((2, 0),), ("block",))["block"][2, 0].shape[-2:]
    assert pixels(explorer.pca_png).shape == (h, FRAMES * w, 3)
    weights = attention_to(
        attention_at(explorer.inspection, 0, ((2, 0),))[2, 0], (explorer.point[0] / WIDTH, explorer.point[1] / HEIGHT)
    )
    assert explorer.heads_top == pytest.approx(weights.max().item())
    assert pixels(explorer.heads_png).shape == (h, len(weights) * FRAMES * w, 3)
    explorer.point = [1.0, 1.0]
    explorer.frame = 1
    assert len(calls) == 1 and len(explorer.matches) == FRAMES
    assert explorer.matches[0][:2] == [WIDTH / w / 2, HEIGHT / h / 2]
    explorer.kind = "temporal"
    assert len(calls) == 2 and explorer.shown["kind"] == "temporal"


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("cell", [3, 0], r"\[3, 0\]"),
        ("kind", "colour", "'colour'.*temporal"),
        ("measure", "iou", "accuracy_1"),
        ("point", [1.0], "two numbers"),
    ],
)
def test_the_atlas_refuses_what_there_is_not(trait, value, message):
    explorer = atlas_of_a_clip()
    with pytest.raises(InputError, match=message):
        setattr(explorer, trait, value)


def test_the_atlas_needs_a_table_of_this_model():
    (clip,) = toy_clips(tiny_model(), 1)
    with pytest.raises(InputError, match=r"\(9, 9\)"):
        AtlasExplorer(tiny_model(), clip, table_of(("9,9",), (1.0,), ("block",)))
    with pytest.raises(InputError, match="no values"):
        AtlasExplorer(tiny_model(), clip, table_of((), (), ()))
