"""CoTracker3's place behind the interface, tried with small modules of its form: its weights are not here."""

import sys

import pytest
import torch
from torch import nn

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics import objmc
from sgi2v_lab.evaluation.metrics.measured import MeasuredVideo
from sgi2v_lab.evaluation.metrics.trajectory_error import ctd
from sgi2v_lab.evaluation.trackers.learned import cotracker, load_cotracker
from sgi2v_lab.evaluation.trackers.track import get_tracker, loaded_once, track_boxes
from tests.helpers.known_motion import imposed_clip

SIZE = 32


class Brightest(nn.Module):
    """Finds each frame's brightest pixel and says that it is every point; in CoTracker's coordinates, (0, 0) first."""

    def __init__(self):
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(2))

    def forward(self, video, queries=None):
        self.seen = video, queries
        at = video[0].sum(dim=1).flatten(1).argmax(dim=1)
        position = torch.stack([at % video.shape[-1], at // video.shape[-1]], dim=-1).float() + self.offset
        tracks = position[None, :, None].expand(1, -1, queries.shape[1], -1)
        return tracks, torch.ones(tracks.shape[:3], dtype=torch.bool)


class Answers(nn.Module):
    """Returns what it was given."""

    def __init__(self, *answers):
        super().__init__()
        self.answers = answers

    def forward(self, video, queries=None):
        return self.answers


def dot(frames=4, step=(3, 2)):
    """A black clip with one white pixel that moves, and that pixel's middle in each frame, in this package's pixels."""
    video = torch.zeros(frames, 3, SIZE, SIZE)
    path = [(5 + step[0] * f, 7 + step[1] * f) for f in range(frames)]
    for f, (x, y) in enumerate(path):
        video[f, :, y, x] = 1
    return video, torch.tensor(path) + 0.5


def test_pixel_middles_are_converted_both_ways():
    video, path = dot()
    network = Brightest()
    tracks = cotracker(network)(video, path[:1])
    assert torch.equal(tracks.points[0], path)
    clip, queries = network.seen
    assert queries.tolist() == [[[0, 5, 7]]]  # the frame, then the white pixel's own row and column
    assert clip.shape == (1, 4, 3, SIZE, SIZE)
    assert (clip.min(), clip.max()) == (0, 255)


def test_what_the_module_finds_depends_on_nothing_of_the_resolution():
    video, path = dot()
    large = video.repeat_interleave(3, dim=-1).repeat_interleave(3, dim=-2)
    network = Brightest()
    network.offset.data += 1  # argmax finds the corner of three white pixels; their middle is one further
    assert torch.equal(cotracker(network)(large, 3 * path[:1]).points[0], 3 * path)


def test_several_points_keep_their_order():
    tracks = torch.arange(2 * 3 * 2).view(1, 2, 3, 2).float()  # frames, points, xy
    seen = torch.tensor([[[True, True, False], [True, False, False]]])
    found = cotracker(Answers(tracks, seen))(torch.zeros(2, 3, 8, 8), torch.zeros(3, 2))
    assert torch.equal(found.points[1, 0], tracks[0, 0, 1] + 0.5)
    assert found.visible.tolist() == [[True, True], [True, False], [False, False]]
    assert torch.equal(found.points[2, 1], tracks[0, 1, 2] + 0.5)  # its guess of a hidden point is kept


@pytest.mark.parametrize("shape", [(1, 2, 3), (1, 2, 3, 1)])
def test_visibility_may_be_numbers_and_have_one_more_axis(shape):
    seen = torch.tensor([0.9, 0.1, 0.6, 0.4, 1.0, 0.0]).view(shape)
    found = cotracker(Answers(torch.zeros(1, 2, 3, 2), seen))(torch.zeros(2, 3, 8, 8), torch.zeros(3, 2))
    assert found.visible.T.tolist() == [[True, False, True], [False, True, False]]


def test_no_points_need_no_call():
    found = cotracker(Answers())(torch.zeros(2, 3, 8, 8), torch.zeros(0, 2))
    assert found.points.shape == (0, 2, 2)


@pytest.mark.parametrize(
    "answers",
    [
        (),
        (torch.zeros(1, 2, 3, 2),),
        (torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 3)),
        (torch.zeros(1, 2, 3, 2), torch.zeros(1, 3, 2)),
    ],
)
def test_a_module_of_another_form_is_refused(answers):
    with pytest.raises(InputError, match=r"expected tracks \(1, 2, 3, 2\)"):
        cotracker(Answers(*answers))(torch.zeros(2, 3, 8, 8), torch.zeros(3, 2))


class Shifts(nn.Module):
    """Knows how an imposed clip moves, and moves every point with it."""

    def __init__(self, known):
        super().__init__()
        self.moves = (known.points - known.points[:, :1])[0]

    def forward(self, video, queries=None):
        tracks = queries[:, None, :, 1:] + self.moves[None, :, None]
        return tracks, torch.ones(tracks.shape[:3])


def test_it_measures_objmc_by_the_box_and_ctd_by_the_point():
    known = imposed_clip(10_000_001)
    path = known.points[5]
    boxes = torch.cat([path - 12, path + 12], dim=-1)[None]
    tracker = cotracker(Shifts(known))
    asked = {0: boxes, 5: boxes + torch.tensor([3.0, 4.0, 3.0, 4.0]) * torch.arange(8)[None, :, None]}
    for step, path in asked.items():  # off by so many pixels more in every frame
        assert objmc(known.video, path, tracker).value == pytest.approx(step * 3.5, abs=0.05)
        assert ctd(MeasuredVideo(known.video, boxes=path, tracker=tracker))[0] == pytest.approx(step * 4, abs=0.05)
    assert track_boxes(known.video, boxes[:, 0], tracker).tracker == "cotracker3"


# --- loading ---------------------------------------------------------------------------------------------------------

HUBCONF = """
dependencies = ["torch"]
import torch
from little_tracker import Predictor

def cotracker3_offline(*, pretrained=True, **kwargs):
    predictor = Predictor()
    if pretrained:
        predictor.model.load_state_dict({"offset": torch.full((2,), 4.0)})
    return predictor
"""
LITTLE_TRACKER = """
import torch

class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.offset = torch.nn.Parameter(torch.zeros(2))

class Predictor(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Network()

    def forward(self, video, queries=None):
        frames = torch.arange(video.shape[1])[None, :, None, None]
        tracks = queries[:, None, :, 1:] + self.model.offset * frames
        return tracks, torch.ones(tracks.shape[:3], dtype=torch.bool)
"""


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "co-tracker"
    folder.mkdir()
    (folder / "hubconf.py").write_text(HUBCONF)
    (folder / "little_tracker.py").write_text(LITTLE_TRACKER)
    yield folder
    sys.modules.pop("little_tracker", None)


def move_of(tracker):
    """How far the loaded tracker says that a point goes between two frames."""
    found = tracker(torch.zeros(2, 3, 8, 8), torch.tensor([[2.5, 2.5]]))
    assert found.tracker == "cotracker3"
    assert found.points[0, 0].tolist() == [2.5, 2.5]
    return (found.points[0, 1] - found.points[0, 0]).tolist()


def test_loads_from_a_clone_with_its_own_weights(repository):
    assert move_of(load_cotracker(repository)) == [4, 4]


@pytest.mark.parametrize("wrap", [lambda weights: weights, lambda weights: {"model": weights, "step": 3}])
def test_loads_weights_from_a_file(repository, tmp_path, wrap):
    file = tmp_path / "scaled_offline.pth"
    torch.save(wrap({"offset": torch.tensor([1.0, -2.0])}), file)
    assert move_of(load_cotracker(repository, file)) == [1, -2]


def test_missing_files_are_named(repository, tmp_path):
    with pytest.raises(InputError, match="no file .*gone.pth.*scaled_offline.pth"):
        load_cotracker(repository, tmp_path / "gone.pth")
    with pytest.raises(InputError, match="holds no hubconf.py; give a clone of https://github.com/facebookresearch"):
        load_cotracker(tmp_path)


def test_bad_weights_are_named(repository, tmp_path):
    file = tmp_path / "weights.pth"
    file.write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match=r"weights.pth does not hold CoTracker3's weights .*huggingface.co"):
        load_cotracker(repository, file)
    torch.save({"other": torch.zeros(2)}, file)
    with pytest.raises(InputError, match="does not hold CoTracker3's weights"):
        load_cotracker(repository, file)


def test_missing_dependencies_and_broken_repositories_are_named(repository):
    (repository / "hubconf.py").write_text("dependencies = ['no_such_library']\n")
    with pytest.raises(InputError, match="Missing dependencies: no_such_library"):
        load_cotracker(repository)
    (repository / "hubconf.py").write_text("from no_such_library import model\n")
    with pytest.raises(InputError, match="No module named 'no_such_library'"):
        load_cotracker(repository)
    (repository / "hubconf.py").write_text("\n")
    with pytest.raises(InputError, match="Cannot find callable cotracker3_offline"):
        load_cotracker(repository)


def test_without_a_network_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"without a network, clone https://github.com/.*checkpoint=FILE"):
        get_tracker("cotracker3")(torch.zeros(2, 3, 8, 8), torch.zeros(1, 2))


def test_it_is_loaded_once_at_the_first_call():
    loaded = []

    def load(device):
        loaded.append(device)
        return cotracker(Brightest().to(device))

    follow = loaded_once(load)
    assert not loaded
    video, path = dot()
    for _ in range(2):
        assert torch.equal(follow(video, path[:1]).points[0], path)
    assert len(loaded) == 1
