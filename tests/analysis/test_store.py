from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from sgi2v_lab.analysis import store as module
from sgi2v_lab.analysis.passes import features_at
from sgi2v_lab.analysis.store import FeatureStore, record
from sgi2v_lab.errors import InputError
from sgi2v_lab.explore import inspect_latents
from tests.helpers.tiny import TINIER, noisy_latents, picture, tinier_model

LAYERS = (("mid", 0, 0), (2, 1))
KINDS = ("query", "block")


@pytest.fixture(scope="module")
def inspection():
    return inspect_latents(tinier_model(), picture(), noisy_latents(1.0), TINIER, seed=5, sigmas=(0.5, 2.0, 8.0))


@pytest.fixture
def passes(monkeypatch):
    """The steps that were computed."""
    seen = []

    def counted(inspection, step, *rest):
        seen.append(step)
        return features_at(inspection, step, *rest)

    monkeypatch.setattr(module, "features_at", counted)
    return seen


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


def test_read_back_equal_to_the_bit_and_no_sooner_than_asked(inspection, tmp_path):
    record(inspection, LAYERS, KINDS, to=tmp_path, name="a")
    record(inspection, LAYERS[:1], KINDS[:1], to=tmp_path, name="b", steps=[1])
    store = FeatureStore.open(tmp_path)
    assert len(store.maps) == 3 * 2 * 2 + 1
    for step in range(3):
        found = features_at(inspection, step, LAYERS, KINDS)
        for kind in KINDS:
            for layer in LAYERS:
                again = store.select(kind=kind, input="a")[layer, step]
                assert again.dtype == found[kind][layer].dtype and torch.equal(again, found[kind][layer])
    (tmp_path / store.select(input="a", kind="query", layer=(2, 1), step=0).maps[0].file).unlink()
    assert len(FeatureStore.open(tmp_path).select(input="a", kind="query")[(2, 1), 1])
    with pytest.raises(InputError, match="gone or damaged"):
        store.select(input="a", kind="query")[(2, 1), 0]


def test_tensors_are_mapped_into_memory(inspection, tmp_path):
    store = record(inspection, LAYERS, ("query",), to=tmp_path, name="a", steps=[0])
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("only Linux lists what is mapped")
    kept = store[(2, 1), 0]
    assert files(tmp_path)[0].name in maps.read_text() and len(kept)


def test_headers_say_what_files_hold(inspection, tmp_path):
    store = record(inspection, LAYERS, KINDS, to=tmp_path, name="a", steps=[2])
    assert {(each.layer, each.kind) for each in store.maps} == {(layer, kind) for layer in LAYERS for kind in KINDS}
    for each in store.maps:
        assert (each.model, each.input, each.seed, each.step, each.sigma) == ("tiny", "a", 5, 2, 8.0)
        assert each.dtype == "float32" and (tmp_path / each.file).exists()
        assert each.shape == store.select(kind=each.kind)[each.layer, 2].shape
    assert {*FeatureStore.open(tmp_path).maps} == {*store.maps}


def test_the_size_is_known_before(inspection, tmp_path):
    size = FeatureStore.size_of(inspection, LAYERS, KINDS)
    record(inspection, LAYERS, KINDS, to=tmp_path, name="a")
    assert 0 <= sum(path.stat().st_size for path in files(tmp_path)) - size < 12 * 500  # the headers


def test_a_kill_loses_at_most_the_step_in_hand(inspection, tmp_path, passes, monkeypatch):
    saved = []

    def killed(*args):
        saved.append(args)
        if len(saved) > 2:
            raise KeyboardInterrupt
        return save(*args)

    record(inspection, LAYERS, KINDS, to=tmp_path, name="a", steps=[0])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "save", killed)
        record(inspection, LAYERS, KINDS, to=tmp_path, name="a")
    assert len(files(tmp_path)) == 4 + 2
    (files(tmp_path)[-1].parent / ".block 2,1.12ab34cd.safetensors").write_bytes(b"half")  # as SIGKILL leaves it
    assert len(FeatureStore.open(tmp_path).maps) == 4 + 2
    del passes[:]
    store = record(inspection, LAYERS, KINDS, to=tmp_path, name="a")
    assert passes == [1, 2]
    assert {*FeatureStore.open(tmp_path).maps} == {*store.maps} and len(store.maps) == 12
    assert record(inspection, LAYERS, KINDS, to=tmp_path, name="a") == store and passes == [1, 2]


def test_a_damaged_file_is_named(inspection, tmp_path, passes):
    store = record(inspection, LAYERS, KINDS, to=tmp_path, name="a", steps=[0, 1])
    path = tmp_path / store.select(kind="query", layer=(2, 1), step=1).maps[0].file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"query 2,1\.safetensors is gone or damaged .*delete it"):
        store.select(kind="query")[(2, 1), 1]
    with pytest.raises(InputError, match="damaged"):
        record(inspection, LAYERS, KINDS, to=tmp_path, name="a", steps=[0, 1])
    path.unlink()
    record(inspection, LAYERS, KINDS, to=tmp_path, name="a", steps=[0, 1])
    assert passes == [0, 1, 1] and len(store.select(kind="query")[(2, 1), 1])


def test_other_kinds_and_layers_come_beside_those_that_are_there(inspection, tmp_path, passes):
    record(inspection, LAYERS[:1], ("query",), to=tmp_path, name="a", steps=[0])
    record(inspection, LAYERS, KINDS, to=tmp_path, name="a", steps=[0])
    store = FeatureStore.open(tmp_path)
    assert len(store.maps) == len(files(tmp_path)) == 4
    found = features_at(inspection, 0, LAYERS, KINDS)
    assert all(torch.equal(store.select(kind=k)[layer, 0], found[k][layer]) for k in KINDS for layer in LAYERS)


def test_two_inputs_cannot_have_one_name(inspection, tmp_path):
    record(inspection, LAYERS, KINDS, to=tmp_path, name="a", steps=[0])
    other = replace(inspection, latents=tuple(2 * each for each in inspection.latents))
    for kinds in (KINDS, ("key",)):
        with pytest.raises(InputError, match="another name"):
            record(other, LAYERS, kinds, to=tmp_path, name="a", steps=[0])
    record(replace(other, seed=6), LAYERS, KINDS, to=tmp_path, name="a", steps=[0])
    assert len(FeatureStore.open(tmp_path).select(seed=6).maps) == 4


def test_bad_input(inspection, tmp_path):
    with pytest.raises(InputError, match="holds no features"):
        FeatureStore.open(tmp_path)
    for name in ("", "../a", "a/b", ".a"):
        with pytest.raises(InputError, match="name is"):
            record(inspection, LAYERS, KINDS, to=tmp_path, name=name)
    with pytest.raises(InputError, match=r"steps .* \[0, 3\].*0\.\.2"):
        record(inspection, LAYERS, KINDS, to=tmp_path, name="a", steps=[0, 3])
    with pytest.raises(InputError, match=r"steps .* \[\]"):
        FeatureStore.size_of(inspection, LAYERS, KINDS, steps=[])
    with pytest.raises(InputError, match=r"no layer \(7, 0\)"):
        record(inspection, ((7, 0),), KINDS, to=tmp_path, name="a")
    with pytest.raises(InputError, match="'colour'"):
        record(inspection, LAYERS, ("colour",), to=tmp_path, name="a")
    assert not [*tmp_path.iterdir()]
    store = record(inspection, LAYERS, KINDS, to=tmp_path, name="a", steps=[0])
    with pytest.raises(InputError, match="2 features of layer .*select"):
        store[(2, 1), 0]
    with pytest.raises(InputError, match="no features with .*'step': 1"):
        store[(2, 1), 1]
    with pytest.raises(InputError, match="'head'"):
        store.select(head=1)
    files(tmp_path)[0].write_bytes(b"what?")
    with pytest.raises(InputError, match="damaged"):
        FeatureStore.open(tmp_path)
