"""TAPNext's place behind the interface, tried with a small package of its form: its code and weights are not here."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.trackers.learned import load_tapnext, tapnext
from sgi2v_lab.evaluation.trackers.track import loaded_once

# As tapnet/tapnext/tapnext_torch.py: pixels in -1..1 with the channels last, (frame, y, x) in, (y, x) out.
TRACKER = """
import torch

class TAPNext(torch.nn.Module):
    def __init__(self, image_size):
        super().__init__()
        self.image_size = image_size
        self.step = torch.nn.Parameter(torch.zeros(2))

    def forward(self, video, query_points=None, state=None):
        assert video.shape[0] == 1 and tuple(video.shape[2:]) == (*self.image_size, 3)
        assert -1 <= video.min() and video.max() <= 1
        frames = torch.arange(video.shape[1])[None, :, None, None]
        tracks = query_points[:, None, :, 1:] + self.step * frames
        logits = torch.zeros(*tracks.shape[:3], 512)
        visible = 5.0 - 4 * frames.expand(*tracks.shape[:3], 1)
        return tracks, logits, visible, (query_points, video)
"""
RESTORE = """
import numpy as np
import torch

def restore_model_from_jax_checkpoint(model, ckpt_path):
    model.step.data.copy_(torch.tensor(np.load(ckpt_path)["step"]))
    return model
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `tapnet` with the two modules that are imported of the real one."""
    folder = tmp_path / "code" / "tapnet" / "tapnext"
    folder.mkdir(parents=True)
    for init in (folder, folder.parent):
        (init / "__init__.py").touch()
    (folder / "tapnext_torch.py").write_text(TRACKER)
    (folder / "tapnext_torch_utils.py").write_text(RESTORE)
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "tapnet"]:
        del sys.modules[name]


def weights(folder, step=(1.0, 4.0)):
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "bootstapnext_ckpt.npz", step=np.array(step, dtype=np.float32))
    return folder / "bootstapnext_ckpt.npz"


def test_places_are_scaled_and_turned_both_ways(package):
    follow = load_tapnext(weights(package / "here"))
    found = follow(torch.rand(3, 3, 64, 128), torch.tensor([[10.0, 20.0], [100.5, 3.0]]))
    # 256 pixels stand for 128 across and 64 down: (y, x) steps of (1, 4) are 2 px across and 0.25 px down
    assert torch.allclose(found.points[0], torch.tensor([[10.0, 20.0], [12.0, 20.25], [14.0, 20.5]]))
    assert torch.allclose(found.points[1, 0], torch.tensor([100.5, 3.0]))
    assert found.visible.tolist() == [[True, True, False]] * 2  # logits 5, 1, -3
    assert found.tracker == "tapnext"


class Brightest(nn.Module):
    """Says that every point is at the centre of each frame's brightest pixel."""

    def forward(self, video, query_points=None, state=None):
        at = video[0].sum(dim=-1).flatten(1).argmax(dim=1)
        place = torch.stack([at // video.shape[3], at % video.shape[3]], dim=-1) + 0.5
        tracks = place[None, :, None].expand(-1, -1, query_points.shape[1], -1)
        return tracks, None, torch.ones(*tracks.shape[:3], 1), None


def test_a_pixels_centre_is_where_ours_is():
    video = torch.zeros(2, 3, 256, 256)
    video[0, :, 40, 30] = video[1, :, 50, 90] = 1
    found = tapnext(Brightest())(video, torch.tensor([[30.5, 40.5]]))
    assert found.points[0].tolist() == [[30.5, 40.5], [90.5, 50.5]]


def test_weights_of_both_formats_load(package):
    torch.save({"state_dict": {"tapnext.step": torch.tensor([2.0, 0.0])}}, package / "tapnextpp_ckpt.pt")
    found = load_tapnext(package / "tapnextpp_ckpt.pt")(torch.zeros(2, 3, 256, 256), torch.tensor([[5.0, 5.0]]))
    assert found.points[0, 1].tolist() == [5, 7]


def test_it_is_loaded_once_from_torchs_cache(package):
    file = weights(package / "hub" / "checkpoints")
    follow = loaded_once(load_tapnext)
    for _ in range(2):
        found = follow(torch.zeros(2, 3, 256, 256), torch.tensor([[5.0, 5.0]]))
        assert found.points[0, 1].tolist() == [9, 6]
        file.unlink(missing_ok=True)


def test_what_is_missing_or_wrong_is_named(package):
    with pytest.raises(InputError, match="no file .*bootstapnext_ckpt.npz'; download https://storage.googleapis"):
        load_tapnext()
    (package / "bad.npz").write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match="bad.npz does not hold TAPNext's weights"):
        load_tapnext(package / "bad.npz")
    with pytest.raises(InputError, match=r"expected tracks \(1, 2, 1, 2\) and visibility \(1, 2, 1\) as tapnext"):
        tapnext(Few())(torch.zeros(2, 3, 8, 8), torch.zeros(1, 2))


class Few(nn.Module):
    """Returns too little."""

    def forward(self, video, query_points=None):
        return torch.zeros(1, 2, 1, 2), None


def test_without_the_code_it_says_how_to_get_it():
    with pytest.raises(InputError, match="pip install git.https://github.com/google-deepmind/tapnet.git"):
        load_tapnext()
