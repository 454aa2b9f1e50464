"""Other tools' trajectories: told apart by their numbers, and never taken for something else."""

import json
import pickle

import numpy as np
import pytest
import torch
from jaxtyping import config as jaxtyping_config

from sgi2v_lab.errors import InputError
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from sgi2v_lab.trajectories.files import as_trajectories, load_trajectories, save_trajectories

SIZE = (200, 100)
TRACKS = np.array([[[20, 30], [30, 30], [40, 35], [50, 40]], [[90, 50], [90, 50], [90, 50], [91, 50]]], np.float64)
HALF = np.array([10, 5])
BOXES = np.concatenate([TRACKS - HALF, TRACKS + HALF], axis=-1)  # of 20 x 10 about each
POINTS = [[{"x": x, "y": y} for x, y in track] for track in TRACKS.tolist()]


@pytest.fixture
def as_a_user(monkeypatch):
    """Users have no run-time checker of shapes in front of the package's own checks."""
    monkeypatch.setattr(jaxtyping_config, "jaxtyping_disable", True)


def written(path, held):
    if path.suffix == ".npy":
        np.save(path, held)
    elif path.suffix == ".npz":
        np.savez(path, **held)
    elif path.suffix == ".pth":
        torch.save(held, path)
    else:
        path.write_text(held)
    return path


@pytest.mark.parametrize(
    ("name", "held", "given"),
    [
        ("t.npy", TRACKS, {"box_size": (20, 10)}),
        ("t.npy", TRACKS.astype(np.float32), {"box_size": [(20, 10), (20, 10)]}),
        ("t.npy", TRACKS / SIZE, {"box_size": (0.1, 0.1), "units": "fractions"}),
        ("t.npy", BOXES, {}),
        ("t.npy", BOXES / [*SIZE, *SIZE], {"units": "fractions"}),
        ("t.npy", np.concatenate([BOXES[:, 0].reshape(2, 2, 2), TRACKS], axis=1), {}),  # the reference's traj.npy
        ("t.npz", {"tracks": TRACKS, "box_size": np.array([20, 10])}, {}),
        ("t.npz", {"arr_0": TRACKS}, {"box_size": (20, 10)}),
        ("t.pth", torch.from_numpy(TRACKS), {"box_size": (20, 10)}),
        ("t.pth", {"tracks": torch.from_numpy(TRACKS).half(), "box_size": (20, 10)}, {}),
        ("t.pth", {"tracks": torch.from_numpy(TRACKS), "visibility": torch.ones(2, 4)}, {"box_size": (20, 10)}),
        ("t.json", json.dumps(POINTS), {"box_size": (20, 10)}),
        ("t.json", str(POINTS), {"box_size": (20, 10)}),  # in Python's quotes
        ("t.txt", json.dumps([json.dumps(path) for path in POINTS]), {"box_size": (20, 10)}),  # a list of texts
    ],
)
def test_every_format_gives_the_same_boxes(tmp_path, name, held, given):
    found = load_trajectories(written(tmp_path / name, held), SIZE, **given)
    assert found.image_size == SIZE
    assert np.allclose(found.boxes(4), BOXES, atol=1e-3)
    with pytest.raises(InputError, match="given for 4 frames but 8"):
        found.boxes(8)
    assert load_trajectories(tmp_path / name, SIZE, resample=True, **given).boxes(8).shape == (2, 8, 4)


def test_one_path_is_one_box_and_a_single_point_stays(tmp_path):
    one = load_trajectories(written(tmp_path / "t.json", json.dumps(POINTS[0])), SIZE, box_size=20)
    assert one.boxes(4)[0, 0].tolist() == [10, 20, 30, 40]
    both = load_trajectories(written(tmp_path / "t.json", json.dumps([POINTS[0], POINTS[1][:1]])), SIZE, box_size=20)
    assert both[1].pinned and both.boxes(4)[1].tolist() == [[80, 40, 100, 60]] * 4
    assert len(load_trajectories(written(tmp_path / "t.npy", TRACKS[0]), SIZE, box_size=20)) == 1


@pytest.mark.parametrize(
    ("name", "held", "given", "told"),
    [
        ("t.npy", TRACKS, {}, "say nothing of a box's size.*box_size="),
        ("t.json", json.dumps(POINTS), {}, "box_size="),
        ("t.npy", TRACKS / SIZE, {"box_size": 20}, "single pixel.*units='fractions'"),
        ("t.npy", BOXES / [*SIZE, *SIZE], {}, "no more than a pixel.*units='fractions'"),
        ("t.npy", BOXES, {"units": "fractions"}, "far beyond 0..1"),
        ("t.npy", BOXES, {"units": "percent"}, "units is 'percent': expected one of pixels, fractions"),
        ("t.npy", BOXES, {"box_size": 20}, "whole boxes.*leave it out"),
        ("t.npy", np.concatenate([BOXES[:, 0].reshape(2, 2, 2), TRACKS], axis=1), {"box_size": 20}, "traj.npy"),
        ("t.npy", TRACKS, {"box_size": 0}, "positive"),
        ("t.npy", TRACKS, {"box_size": (1, 2, 3)}, "has 3 numbers"),
        ("t.npy", TRACKS, {"box_size": [(20, 10)] * 3}, "3 box sizes for 2"),
        ("t.npz", {"a": TRACKS, "b": TRACKS}, {}, "'a', 'b': expected one array, called 'tracks'"),
        ("t.pth", {"tracks": pickle}, {}, None),
        ("t.json", json.dumps([{"points": POINTS[0], "color": "#fff"}]), {"box_size": 20}, "control points.*coord_str"),
        ("t.json", json.dumps([[{"x": 1}]]), {"box_size": 20}, 'expected {"x": number, "y": number}'),
        ("t.json", json.dumps([[{"x": "a", "y": 1}]]), {"box_size": 20}, "point of path 0"),
        ("t.json", "[[], []]", {"box_size": 20}, "no points"),
        ("t.json", "[1, 2]", {}, "format"),
    ],
)
def test_what_cannot_be_told_is_asked_for(tmp_path, name, held, given, told):
    if told is None:
        (tmp_path / name).write_bytes(pickle.dumps({"tracks": 1}))
        told = "pickled objects"
    else:
        written(tmp_path / name, held)
    with pytest.raises(InputError, match=f"{name}.*{told}"):
        load_trajectories(tmp_path / name, SIZE, **given)


class Payload:
    """Unpickling it would leave a trace."""

    ran = False

    def __reduce__(self):
        return setattr, (Payload, "ran", True)


def test_objects_in_a_torch_file_are_not_run(tmp_path):
    torch.save({"tracks": Payload()}, tmp_path / "t.pth")
    with pytest.raises(InputError, match="pickled objects"):
        load_trajectories(tmp_path / "t.pth", SIZE, box_size=20)
    assert not Payload.ran


@pytest.mark.parametrize(
    ("name", "kind"), [("t.json", "kjnodes"), ("t.npy", "tracks"), ("t.npy", "traj"), ("t.pth", None), ("t.json", None)]
)
def test_there_and_back_moves_no_point(tmp_path, name, kind):
    drawn = Trajectories(
        SIZE,
        (Trajectory.move((10, 20, 30, 40), by=(70, 20), easing="ease-in-out"), Trajectory.pin((90, 50, 110, 70))),
    )
    save_trajectories(tmp_path / name, drawn, 14, kind)
    back = load_trajectories(
        tmp_path / name, SIZE, box_size=None if kind == "traj" or (name, kind) == ("t.json", None) else 20
    )
    assert torch.allclose(back.boxes(14), drawn.boxes(14), atol=0.01)


def test_kjnodes_text_is_the_editors(tmp_path):
    one = Trajectories(SIZE, (Trajectory.move((10, 20, 30, 40), by=(10, 0)),))
    save_trajectories(tmp_path / "t.json", one, 3, "kjnodes")
    assert json.loads((tmp_path / "t.json").read_text()) == [{"x": 20, "y": 30}, {"x": 25, "y": 30}, {"x": 30, "y": 30}]


def test_normalised_json_is_asked_about(tmp_path):
    keys = [{"time": 0, "box": [0.1, 0.2, 0.3, 0.4]}, {"time": 1, "box": [0.5, 0.2, 1.1, 0.4]}]
    document = {"format": "sgi2v-trajectories", "version": 1, "image": {"width": 200, "height": 100}}
    (tmp_path / "t.json").write_text(json.dumps({**document, "trajectories": [{"keys": keys}]}))
    with pytest.raises(InputError, match="box 0 .*units='fractions'"):
        load_trajectories(tmp_path / "t.json")
    found = load_trajectories(tmp_path / "t.json", units="fractions")
    assert torch.allclose(found.boxes(2), torch.tensor([[[20.0, 20, 60, 40], [100, 20, 220, 40]]]))


def test_boxes_for_another_size_are_carried_over_when_asked(tmp_path):
    save_trajectories(tmp_path / "t.json", Trajectories(SIZE, (Trajectory.pin((10, 20, 30, 40)),)))
    with pytest.raises(InputError, match="fit_boxes=True"):
        load_trajectories(tmp_path / "t.json", (400, 100))
    found = load_trajectories(tmp_path / "t.json", (400, 100), fit_boxes=True)
    assert found.boxes(1).tolist() == [[[20, 20, 60, 40]]]


def test_anything_that_says_where_to_go_is_taken(tmp_path, as_a_user):
    wanted = Trajectories.from_boxes(SIZE, torch.from_numpy(BOXES).float())
    save_trajectories(tmp_path / "t.json", wanted)
    for held in (wanted, list(wanted), tuple(wanted), BOXES, torch.from_numpy(BOXES), BOXES.tolist()):
        assert torch.equal(as_trajectories(held, SIZE).boxes(4), wanted.boxes(4))
    for path in (tmp_path / "t.json", str(tmp_path / "t.json")):
        assert as_trajectories(path, SIZE) == wanted
    assert torch.equal(as_trajectories(wanted[0], SIZE).boxes(4), wanted.boxes(4)[:1])
    assert torch.equal(as_trajectories(BOXES[0], SIZE).boxes(4), wanted.boxes(4)[:1])
    assert Trajectories(SIZE, wanted[0]) == Trajectories(SIZE, (wanted[0],))


@pytest.mark.parametrize(
    "held", [5, object(), {"boxes": 1}, (10, 20, 30, 40), np.zeros((2, 3)), [[1, 2], [3]], "no/file.json", [None]]
)
def test_anything_else_is_refused(held, as_a_user):
    with pytest.raises(InputError):
        as_trajectories(held, SIZE)


@pytest.mark.parametrize("held", [5, [(1, 2, 3, 4)], "box", None])
def test_trajectories_are_made_of_trajectories(held, as_a_user):
    with pytest.raises(InputError, match="expected"):
        Trajectories(SIZE, held)
