import math
from dataclasses import replace

import pyarrow.compute
import pyarrow.parquet
import pytest
import torch

from sgi2v_lab.analysis import sweep as module
from sgi2v_lab.analysis.atlas import Atlas, difference
from sgi2v_lab.analysis.attention import attention_at, entropy
from sgi2v_lab.analysis.clips import toy_clips, tracked_clip
from sgi2v_lab.analysis.matching import attention_strength, matching_accuracy
from sgi2v_lab.analysis.passes import features_at
from sgi2v_lab.analysis.sweep import MEASURES, SweepTask, feature_sweep
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.intervals import mean_of
from sgi2v_lab.evaluation.trackers.tracks import Tracks
from sgi2v_lab.models.model import layer_name, layer_of
from tests.helpers.planted import features_of
from tests.helpers.tiny import tinier_model, tiny_model
from tests.helpers.tiny_wan import tiny_wan
from tests.test_explore import traced

pytestmark = pytest.mark.slow

LAYERS = (("mid", 0, 0), (2, 0))
SIGMAS = (8.0, 0.5)
ASKED = {"layers": LAYERS, "sigmas": SIGMAS, "kinds": ("aligned", "query-key", "temporal", "block")}


@pytest.fixture(scope="module")
def clips():
    return [*toy_clips(tinier_model(), 2)]


@pytest.fixture(scope="module")
def swept(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep")
    return feature_sweep(tinier_model(), clips, **ASKED, heads=True, segmentation=True, out=out), out


def rows(table, **wanted):
    return [row for row in table.to_pylist() if all(row[name] == value for name, value in wanted.items())]


def test_a_row_for_each_clip_layer_level_kind_and_head(swept):
    table, out = swept
    assert len(table) == 2 * 2 * 2 * (3 * (1 + 2) + 1)  # the tinier model has two heads, and a block none
    assert len({(r["clip"], r["layer"], r["sigma"], r["kind"], r["head"]) for r in table.to_pylist()}) == len(table)
    assert {*MEASURES} < {*table.column_names}
    assert pyarrow.parquet.read_table(out / "features.parquet").equals(table)


def test_the_rows_are_what_the_measures_say(swept, clips):
    table, _ = swept
    inspection = clips[1].inspect(tinier_model(), SIGMAS)
    maps = features_at(inspection, 1, LAYERS, ("aligned", "query", "key"))
    (row,) = rows(table, clip=clips[1].name, layer="2,0", sigma=0.5, kind="aligned", head=None)
    found = matching_accuracy(maps["aligned"][2, 0], clips[1].pairs)
    assert (row["accuracy_0.5"], row["accuracy_1"], row["accuracy_2"]) == found.accuracy
    assert (row["chance_2"], row["unmoved_2"], row["pairs"]) == (found.chance[2], found.unmoved[2], len(found.error))
    (row,) = rows(table, clip=clips[1].name, layer="2,0", sigma=0.5, kind="query-key", head=1)
    query, key = (maps[kind][2, 0][:, 16:] for kind in ("query", "key"))
    assert row["accuracy_1"] == matching_accuracy(query, clips[1].pairs, keys=key).accuracy[1]
    assert row["confidence"] == pytest.approx(attention_strength(query, key, clips[1].pairs).confidence)
    attention = attention_at(inspection, 1, LAYERS, "temporal")[2, 0]
    heads = [rows(table, clip=clips[1].name, layer="2,0", sigma=0.5, kind="temporal", head=h)[0] for h in (None, 0, 1)]
    assert [h["entropy"] for h in heads[1:]] == pytest.approx(entropy(attention).tolist(), rel=1e-4)
    assert heads[0]["entropy"] == pytest.approx(entropy(attention).mean().item(), rel=1e-4)


def test_what_a_kind_does_not_have_is_null(swept):
    table, _ = swept
    for row in table.to_pylist():
        assert (row["flow_correlation"] is not None) == (row["kind"] == "aligned")
        assert (row["entropy"] is not None) == (row["kind"] in ("aligned", "temporal"))
        for measure in ("iou", "massive"):
            assert (row[measure] is not None) == (row["head"] is None and row["kind"] != "query-key")
        for measure in ("confidence", "attention_score"):
            assert (row[measure] is not None) == (row["kind"] == "query-key")


def test_features_that_are_the_origins_score_one(clips, tmp_path, monkeypatch):
    def planted(inspection, step, layers, kinds):
        found = features_at(inspection, step, layers, kinds)  # for attention's recorders
        (clip,) = [clip for clip in clips if torch.equal(clip.video, inspection.video)]
        return {kind: {layer: features_of(clip.world.origins) for layer in layers} for kind in found}

    monkeypatch.setattr(module, "features_at", planted)
    table = feature_sweep(tinier_model(), clips, layers=LAYERS[:1], sigmas=(1.0,), kinds=("block",), out=tmp_path)
    assert all(row["accuracy_0.5"] == 1 > row["chance_2"] for row in table.to_pylist())


def test_blocks_of_a_video_transformer(tmp_path):
    wan = tiny_wan()
    table = feature_sweep(wan, [*toy_clips(wan, 1)], sigmas=(0.5,), out=tmp_path)
    assert {layer_of(name) for name in table["layer"].to_pylist()} == {*wan.all_layers} == {0, 1, 2}
    assert {*table["kind"].to_pylist()} == {*wan.feature_kinds, "query-key"} and "temporal" not in wan.feature_kinds
    assert all(0 <= row["accuracy_2"] <= 1 and row["pairs"] > 0 for row in table.to_pylist())


def test_a_generated_run_and_every_layer_of_svds_topology(tmp_path):
    run = traced("latents")
    clip = tracked_clip(tiny_model(), run, "made", known_motion)
    table = feature_sweep(tiny_model(), [clip], sigmas=run.sigmas[:1], heads=True, out=tmp_path)
    assert {*table["layer"].to_pylist()} == {layer_name(layer) for layer in tiny_model().all_layers}
    assert {*table["kind"].to_pylist()} == {*tiny_model().feature_kinds, "query-key"}
    assert all(0 <= row["accuracy_2"] <= 1 and row["pairs"] > 0 for row in table.to_pylist())


def known_motion(video: torch.Tensor, points: torch.Tensor) -> Tracks:
    """A random network's video has no motion that a tracker could follow: say that all goes to the right."""
    steps = torch.arange(len(video)).view(1, -1, 1) * torch.tensor([16.0, 0.0])
    return Tracks(points[:, None] + steps, torch.ones(len(points), len(video), dtype=torch.bool), "known")


def test_only_what_is_missing_is_measured(clips, tmp_path, monkeypatch):
    begun, run = [], SweepTask.run

    def counted(self, model):
        begun.append(self.clip.name)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return run(self, model)

    monkeypatch.setattr(SweepTask, "run", counted)
    asked = {"layers": LAYERS[:1], "sigmas": SIGMAS[:1], "kinds": ("block",), "out": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        feature_sweep(tinier_model(), clips, **asked)
    table = feature_sweep(tinier_model(), clips, **asked)
    assert begun == [clips[0].name, clips[1].name, clips[1].name]
    assert feature_sweep(tinier_model(), clips, **asked).equals(table) and len(begun) == 3
    moved = replace(clips[0], pairs=replace(clips[0].pairs, origin=clips[0].pairs.origin.flip(0)))
    feature_sweep(tinier_model(), [moved], **asked)  # another truth of the same name
    feature_sweep(tinier_model(), clips[:1], **{**asked, "sigmas": (3.0,)})
    assert len(begun) == 5


def test_the_atlas_is_the_mean_over_clips_with_its_interval(swept, clips):
    table, _ = swept
    found = Atlas.of(table, "accuracy_2")
    assert found.layers == ("mid,0,0", "2,0") and found.sigmas == SIGMAS
    assert {*found.mean} == {*ASKED["kinds"]}
    values = [
        rows(table, clip=c.name, layer="2,0", sigma=8.0, kind="aligned", head=None)[0]["accuracy_2"] for c in clips
    ]
    wanted = mean_of(values)
    ends = [ends["aligned"][1, 0].item() for ends in (found.low, found.mean, found.high)]
    assert ends == pytest.approx([wanted.low, wanted.value, wanted.high])
    layer, sigma, point = found.best("aligned")
    assert point.value == pytest.approx(found.mean["aligned"].max().item())
    assert (sigma, point) in found.curve("aligned", layer) == found.curve("aligned")
    assert len(found.curve("block", (2, 0))) == 2
    assert {*Atlas.of(table, "flow_correlation", head=1).mean} == {"aligned"}


def test_kinds_are_compared_clip_by_clip(swept, clips):
    table, _ = swept
    found = difference(table, ("block", "aligned"), (2, 0), 8.0, "accuracy_2")
    wanted = [
        [
            rows(table, clip=clip.name, layer="2,0", sigma=8.0, kind=kind, head=None)[0]["accuracy_2"]
            for kind in ("block", "aligned")
        ]
        for clip in clips
    ]
    assert found.value == pytest.approx(sum(one - other for one, other in wanted) / 2) and found.scenes == 2
    with pytest.raises(InputError, match="no scenes"):
        difference(table, ("block", "aligned"), (9, 9), 8.0)


def test_one_clip_has_no_interval(swept, clips):
    table, _ = swept
    one = table.filter(pyarrow.compute.equal(table["clip"], clips[0].name))
    found = Atlas.of(one)
    assert found.low["block"].isnan().all() and found.best("block")[2].low is None
    assert isinstance(found, Atlas) and not math.isnan(found.best("block")[2].value)


def test_bad_input(clips, tmp_path, swept):
    def complaint(match, some=clips, **changes):
        with pytest.raises(InputError, match=match):
            feature_sweep(tinier_model(), some, **{**ASKED, **changes}, out=tmp_path)

    complaint("none", some=[])
    complaint("toy-0, toy-0", some=[clips[0], clips[0]])
    complaint("'colour'.*query-key", kinds=("colour",))
    complaint(r"\(0\.0,\)", sigmas=(0.0,))
    complaint(r"\(7, 7\)", layers=((7, 7),))
    complaint("toy-0 has no masks", some=[replace(clips[0], world=None)], segmentation=True)
    assert not [*tmp_path.iterdir()]
    late = replace(clips[0].pairs, frame=clips[0].pairs.frame + 9)
    complaint("1 of 2 clips.*toy-0.*same again", some=[replace(clips[0], pairs=late), clips[1]])
    with pytest.raises(InputError, match="'colour'"):
        Atlas.of(swept[0], "colour")
    with pytest.raises(InputError, match="head 7"):
        Atlas.of(swept[0], head=7)
    with pytest.raises(InputError, match="'value'"):
        Atlas.of(swept[0]).best("value")
    with pytest.raises(InputError, match="9,9"):
        Atlas.of(swept[0]).curve("block", (9, 9))
