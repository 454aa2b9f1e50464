import json

import numpy as np
import PIL.Image
import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets import open_dataset
from sgi2v_lab.evaluation.trackers.track import Tracks, lk
from tests.helpers.real_clips import pasted, write_pictures

PERSON, CAR, WATER = 6100, 4301, 27
THINGS = ((WATER, (0, 50, 96, 64), (0, 0)), (PERSON, (10, 8, 31, 23), (3, 1)), (CAR, (68, 25, 89, 46), (-1, 0)))


def make(root, pictures="imgs"):
    """Two videos of 10 frames in VIPSeg's layout; the second has masks with the known slip, 200, and a tiny thing."""
    root.mkdir()
    more = (*THINGS[1:2], (200, (70, 40, 90, 60), (0, 0)), (9402, (40, 50, 43, 53), (0, 0)))
    for name, things in (("0_street", THINGS), ("1_yard", more)):
        frames, masks = pasted(10, *things)
        write_pictures(root / pictures / name, frames, "{:08d}.jpg", first=117)
        write_pictures(root / "panomasks" / name, masks, "{:08d}.png", first=117)
    (root / "val.txt").write_text("0_street\n1_yard\n")
    return root


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path / "VIPSeg")


def opened(folder, **options):
    return open_dataset("vipseg", folder, **{"size": (96, 64), "num_frames": 8, **options})


def test_boxes_are_squares_around_the_largest_discs_and_follow_the_masks(folder):
    dataset = opened(folder)
    assert dataset.names == ("0_street", "1_yard") and len(dataset) == 2
    sample = dataset["0_street"]
    assert sample.clip.shape == (8, 3, 64, 96) and sample.meta["frames"] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert sample.meta["objects"] == ["4301", "6100"] and sample.meta["dropped"] == {"stuff": 1}
    assert [trajectory.name for trajectory in sample.trajectories] == ["4301", "6100"]
    boxes = sample.trajectories.boxes(8)
    # the car is a square of 21; in the person, 21 x 15, the first largest disc is as high as it, at its left
    assert boxes[:, 0].tolist() == [[68, 25, 89, 46], [10, 8, 25, 23]]
    assert boxes[0, 7].tolist() == [61, 25, 82, 46]
    assert boxes[1, 7].tolist() == [31, 15, 46, 30]
    assert sample.visible.all()


def test_size_and_stride_and_control(folder):
    sample = opened(folder, size=(192, 128), num_frames=4, stride=3, control="box")["0_street"]
    assert sample.meta["frames"] == [0, 3, 6, 9] and sample.meta["source_size"] == [96, 64]
    boxes = sample.trajectories.boxes(4)
    assert boxes[1, 0].tolist() == [20, 16, 62, 46]
    assert torch.allclose(boxes[1, 3], torch.tensor([74.0, 34, 116, 64]), atol=1e-4)  # 2 * 9 * (3, 1) further
    even = opened(folder, num_frames=4, stride=0)["0_street"]
    assert even.meta["frames"] == [0, 3, 6, 9]


def test_void_the_known_slip_and_small_things_are_left_out(folder):
    sample = opened(folder)["1_yard"]
    assert sample.meta["objects"] == ["6100"]
    assert sample.meta["dropped"] == {"small": 1}


def test_stuff_is_followed_when_asked_for(folder):
    sample = opened(folder, stuff=True)["0_street"]
    assert sample.meta["objects"] == ["27", "4301", "6100"]


def test_a_thing_out_of_sight_waits_and_is_invisible(folder):
    frames, masks = pasted(10, (PERSON, (10, 8, 31, 23), (3, 1), range(5)))
    write_pictures(folder / "imgs" / "2_gone", frames, "{:08d}.jpg")
    write_pictures(folder / "panomasks" / "2_gone", masks, "{:08d}.png")
    (folder / "val.txt").write_text("2_gone\n")
    sample = opened(folder)["2_gone"]
    assert sample.visible.tolist() == [[True] * 5 + [False] * 3]
    assert sample.trajectories.boxes(8)[0, 4:].tolist() == [[22, 12, 37, 27]] * 4


def test_the_720p_layout(tmp_path):
    root = tmp_path / "VIPSeg"
    root.mkdir()
    make(root / "VIPSeg_720P", "images")
    (root / "VIPSeg_720P" / "val.txt").rename(root / "val.txt")
    assert opened(root).names == opened(root / "VIPSeg_720P").names == ("0_street", "1_yard")


def write_tracks(folder, tracks, name="0_street"):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(tracks))
    return folder


def test_released_tracks_move_the_boxes_and_those_far_outside_are_dropped(folder, tmp_path):
    tracks = write_tracks(
        tmp_path / "tracks",
        {
            "0": [[0, 0]] * 8,
            "6100": [[18 + 2 * f, 16] for f in range(8)],
            "4301": [[70 + 40 * f, 30] for f in range(8)],  # 350 in a picture of 96
        },
    )
    sample = opened(folder, tracks=tracks)["0_street"]
    assert sample.meta["objects"] == ["6100"] and sample.meta["followed_by"] == "tracks"
    assert sample.meta["dropped"] == {"stuff": 1, "far outside": 1}
    assert sample.trajectories.boxes(8)[0, 7].tolist() == [24, 8, 39, 23]
    # a centre may leave the picture a little: 78.5 + 24 is beyond 96, but within a tenth of it
    write_tracks(tracks, {"4301": [[70, 30]] * 7 + [[94, 30]]})
    sample = opened(folder, tracks=tracks)["0_street"]
    assert sample.meta["objects"] == ["4301"] and sample.meta["dropped"] == {"stuff": 1, "without track": 1}


def test_tracks_are_in_pixels_of_the_pictures(folder, tmp_path):
    tracks = write_tracks(tmp_path / "tracks", {"6100": [[18 + 2 * f, 16] for f in range(10)]})
    sample = opened(folder, tracks=tracks, size=(192, 128), num_frames=4, stride=3)["0_street"]
    assert sample.trajectories.boxes(4)[0, 3].tolist() == [56, 16, 86, 46]


def test_a_tracker_is_asked_about_the_discs_centers(folder):
    asked = []

    def tracker(video, points):
        asked.append((tuple(video.shape), points.tolist()))
        paths = points[:, None] + torch.arange(8)[None, :, None] * torch.tensor([1.0, 2.0])
        return Tracks(paths, torch.ones(len(points), 8, dtype=torch.bool), "stub")

    sample = opened(folder, tracker=tracker, size=(192, 128))["0_street"]
    assert asked == [((8, 3, 128, 192), [[157, 71], [35, 31]])]
    assert sample.trajectories.boxes(8)[1, 7].tolist() == [27, 30, 57, 60]


def test_a_real_tracker_follows(folder):
    sample = opened(folder, tracker=lk, size=(192, 128), num_frames=4)["0_street"]
    move = sample.trajectories.boxes(4)[1, 3] - sample.trajectories.boxes(4)[1, 0]
    assert torch.allclose(move, torch.tensor([18.0, 6, 18, 6]), atol=1.5)


# --- damage ----------------------------------------------------------------------------------------------------------

MASK = "panomasks/0_street/00000117.png"


def _unlink(folder, name):
    (folder / name).unlink()


def _move(folder, name):
    (folder / name).rename(folder / "elsewhere")


def _resize(folder, name):
    PIL.Image.open(folder / name).resize((48, 32)).save(folder / name)


def _colors(folder, name):
    PIL.Image.new("RGB", (96, 64)).save(folder / name)


def _rename(folder, name):
    (folder / name).rename((folder / name).with_name("7.png"))


def _empty(folder, name):
    PIL.Image.fromarray(np.zeros((64, 96), dtype=np.uint16)).save(folder / name)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: _move(f, "imgs"), "has no imgs/ or images/ or VIPSeg_720P/images/"),
        (lambda f: _move(f, "panomasks"), "there is no folder .*panomasks: expected VIPSeg's masks"),
        (lambda f: _move(f, "panomasks/0_street"), "there are no masks .*0_street"),
        (lambda f: _unlink(f, MASK), "holds 9 masks for 10 pictures"),
        (lambda f: _rename(f, MASK), "has no mask 00000117.png"),
        (lambda f: _resize(f, MASK), r"has size .48, 32. but its picture .96, 64."),
        (lambda f: _colors(f, MASK), r"is a picture in colours .RGB.: expected one number per pixel"),
        (lambda f: (f / MASK).write_bytes((f / MASK).read_bytes()[:90]), "mask .*00000117.png is damaged"),
        (lambda f: _empty(f, MASK), "has no object to follow .there was none."),
        (lambda f: _resize(f, "imgs/0_street/00000119.jpg"), "number 2 has size .48, 32. and the one before .96, 64."),
        (lambda f: _unlink(f, "val.txt"), "there is no list .*val.txt"),
        (lambda f: (f / "val.txt").write_text("\n \n"), "the list .*val.txt is empty"),
        (lambda f: (f / "val.txt").write_bytes(b"\xff\xfe\x00"), "the list .*val.txt cannot be read"),
        (lambda f: (f / "val.txt").write_text("0_street\n9_gone\n"), "names '9_gone', which .* .1 of 2 are missing."),
    ],
)
def test_damage_has_its_own_message(folder, damage, message):
    damage(folder)
    with pytest.raises(InputError, match=message):
        opened(folder)["0_street"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "are damaged"),
        ("[1, 2]", "are damaged"),
        ('{"6100": [[1, 2], [3, 4]]}', "has 2 points and 8 frames are wanted"),
        ('{"6100": [[1, 2], [3, 4, 5], [1, 1], [1, 1], [1, 1], [1, 1], [1, 1], [1, 1]]}', "has 3 numbers: expected 2"),
    ],
)
def test_broken_tracks(folder, tmp_path, content, message):
    tracks = write_tracks(tmp_path / "tracks", {})
    (tracks / "0_street.json").write_text(content)
    with pytest.raises(InputError, match=message):
        opened(folder, tracks=tracks)["0_street"]
    with pytest.raises(InputError, match="there are no tracks .*1_yard.json"):
        opened(folder, tracks=tracks)["1_yard"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_frames": 11}, "has 10 frames: expected at least 11 for 11"),
        ({"stride": 2}, "has 10 frames: expected at least 15 for 8 at a stride of 2"),
        ({"stride": -2}, "stride is -2"),
        ({"control": "circle"}, "control is 'circle'"),
        ({"tracker": lk, "tracks": "."}, "expected one of them"),
        ({"how": "squeeze"}, "unknown way to fit"),
    ],
)
def test_bad_options(folder, options, message):
    with pytest.raises(InputError, match=message):
        opened(folder, **options)["0_street"]


def test_a_tracker_that_gives_something_else(folder):
    def short(video, points):
        return Tracks(torch.zeros(len(points), 3, 2), torch.ones(len(points), 3, dtype=torch.bool), "stub")

    with pytest.raises(InputError, match=r"the tracker gave paths of shape \(2, 3, 2\)"):
        opened(folder, tracker=short)["0_street"]
