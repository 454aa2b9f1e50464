"""FID and FVD with small networks of the published ones' form, whose files are not here."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics import frechet_networks
from sgi2v_lab.evaluation.metrics.frechet_networks import I3D, INCEPTION, fid, find_network, fvd
from tests.helpers.little_networks import FEATURES, LittleI3D, LittleInception


@pytest.fixture
def little(monkeypatch):
    """The same code, for networks with fewer features: covariances of 2048 take long."""
    monkeypatch.setattr(frechet_networks, "INCEPTION", replace(INCEPTION, features=FEATURES))
    monkeypatch.setattr(frechet_networks, "I3D", replace(I3D, features=FEATURES))


def clips(count=16, frames=9, side=16, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return list((torch.rand(count, frames, 3, side, side, generator=generator) * 0.8 + shift).clamp(0, 1))


def as_bytes(some):
    return [(clip * 255).round().byte() for clip in some]


def printed_formula(a, b):
    a, b = a.double().numpy(), b.double().numpy()
    sa, sb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return np.square(a.mean(0) - b.mean(0)).sum() + np.trace(sa + sb - 2 * sqrtm(sa @ sb).real)


@torch.no_grad()
def test_both_agree_with_the_formula_as_it_is_printed(little):
    real, made = clips(40), clips(40, seed=1, shift=0.1)
    network = LittleInception(FEATURES)
    tables = [network(torch.cat(as_bytes(some)), return_features=True) for some in (real, made)]
    value, details = fid(real, made, network)
    assert value == pytest.approx(printed_formula(*tables), rel=1e-4)
    assert (details["real"], details["generated"]) == (360, 360)
    network = LittleI3D(FEATURES)
    tables = [
        network(torch.stack(as_bytes(some)).transpose(1, 2).float(), rescale=True, resize=True, return_features=True)
        for some in (real, made)
    ]
    assert fvd(real, made, network)[0] == pytest.approx(printed_formula(*tables), rel=1e-4)


def test_equal_sets_are_at_distance_zero_and_order_matters_to_fvd_only(little):
    real = clips()
    backwards = [torch.cat([clip[1::2], clip[::2]]) for clip in real]
    assert fid(real, real, LittleInception(FEATURES))[0] == pytest.approx(0, abs=1e-6)
    assert fid(real, backwards, LittleInception(FEATURES))[0] == pytest.approx(0, abs=1e-6)
    same = fvd(real, real, LittleI3D(FEATURES))[0]
    assert same == pytest.approx(0, abs=1e-6)
    assert fvd(real, backwards, LittleI3D(FEATURES))[0] > max(1e-6, 10 * same)


def scripted(network, file):
    torch.jit.script(network).save(file)
    return file


def test_files_are_loaded_and_named(tmp_path, little):
    real, made = clips(4), clips(4, seed=1)
    file = scripted(LittleInception(FEATURES), tmp_path / "inception-2015-12-05.pt")
    value, details = fid(real, made, file)
    assert value == pytest.approx(fid(real, made, LittleInception(FEATURES))[0], rel=1e-4)
    assert details["network"] == "inception-2015-12-05.pt"
    assert fvd(real, made, scripted(LittleI3D(FEATURES), tmp_path / "i3d_torchscript.pt"))[0] > 0


def test_the_real_sizes_are_asked_of_the_real_networks():
    real, made = clips(2, side=8), clips(2, side=8, seed=1)
    assert fvd(real, made, LittleI3D(400))[1]["features"] == 400
    with pytest.raises(InputError, match=r"gives \(9, 24\), but Inception v3 .* gives \(9, 2048\)"):
        fid(real, made, LittleInception(24))


def test_a_file_in_torchs_cache_is_found(tmp_path, monkeypatch, little):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"no .*inception-2015-12-05.pt.*download https://nvlabs.* pass its path"):
        fid(clips(2), clips(2))
    with pytest.raises(InputError, match=r"no .*i3d_torchscript.pt.*download https://www.dropbox.* pass its path"):
        fvd(clips(2), clips(2))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    scripted(LittleInception(FEATURES), folder / "inception-2015-12-05.pt")
    assert find_network(frechet_networks.INCEPTION) == folder / "inception-2015-12-05.pt"
    assert fid(clips(2), clips(2, seed=1))[1]["network"] == "inception-2015-12-05.pt"


def test_a_torchmetrics_that_cannot_be_imported_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", None)
    with pytest.raises(InputError, match="torchmetrics cannot be imported"):
        fid(clips(2), clips(2), LittleInception(FEATURES))


def test_files_of_another_kind_are_refused(tmp_path):
    with pytest.raises(InputError, match="gone.pt"):
        fid(clips(2), clips(2), tmp_path / "gone.pt")
    weights = tmp_path / "pt_inception-2015-12-05-6726825d.pth"
    torch.save({"Conv2d_1a_3x3.conv.weight": torch.zeros(2)}, weights)
    with pytest.raises(InputError, match="is not TorchScript, such as pytorch-fid"):
        fid(clips(2), clips(2), weights)
    swapped = scripted(LittleI3D(FEATURES), tmp_path / "i3d.pt")
    with pytest.raises(InputError, match="the network fails as Inception"):
        fid(clips(2), clips(2), swapped)


def test_clips_that_do_not_compare_are_refused(little):
    network = LittleI3D(FEATURES)
    with pytest.raises(InputError, match="do not compare"):
        fvd(clips(2), clips(2, side=12), network)
    with pytest.raises(InputError, match="2 and 0 clips of shapes"):
        fvd(clips(2), [], network)
    with pytest.raises(InputError, match="8 frames, but I3D .* at least 9"):
        fvd(clips(2, frames=8), clips(2, frames=8), network)
    with pytest.raises(InputError, match="no covariance"):
        fvd(clips(1), clips(2), network)
    with pytest.raises(InputError, match=r"expected 0\.\.1"):
        fvd([clip * 255 for clip in clips(2)], clips(2), network)
