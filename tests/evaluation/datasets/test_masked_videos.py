"""DAVIS and VIPSeg."""

import json

import PIL.Image
import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.registry import open_dataset
from sgi2v_lab.evaluation.trackers.tracks import Tracks
from tests.helpers.real_clips import CAR, PERSON, SIZE, VIPSEG, write_text


def opened(kind, folder, **options):
    return open_dataset(kind, folder, **{"size": SIZE, "num_frames": 4, **options})


def numbers(sample):
    """The objects' numbers in the masks."""
    return [int(trajectory.name.removeprefix("object ")) for trajectory in sample.trajectories]


# --- DAVIS -----------------------------------------------------------------------------------------------------------


def test_boxes_are_the_masks_tight_boxes(davis):
    dataset = opened("davis", davis)
    assert dataset.names == ("beach", "park")
    sample = dataset.load("park")
    ball, dog = sample.trajectories.boxes(4).tolist()
    assert ball == [[10, 8, 30, 24], [19, 11, 39, 27], [28, 14, 48, 30], [37, 17, 57, 33]]
    assert dog == [[60, 30, 80, 50], [57, 30, 77, 50], [57, 30, 77, 50], [57, 30, 77, 50]]
    assert numbers(sample) == [1, 2] and numbers(dataset.load("beach")) == [1], "the dog is absent at first"


def test_a_crop_takes_boxes_along_and_leaves_out_what_it_cuts_off(davis):
    # 96 x 64 to 32 x 32: the middle, x from 16 to 80, at half the size
    sample = opened("davis", davis, size=(32, 32), how="crop", num_frames=2, stride=9).load("park")
    assert sample.clip.shape == (2, 3, 32, 32)
    assert sample.trajectories.boxes(2)[0].tolist() == [[-3, 4, 7, 12], [10.5, 8.5, 20.5, 16.5]]
    # 16 x 32 shows x from 32 to 64: the ball's centre, 20, and the dog's, 70, are cut off
    with pytest.raises(InputError, match="sample 'park': no object is left to follow .2 outside."):
        opened("davis", davis, size=(16, 32), how="crop", num_frames=2, stride=9).load("park")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda f: (f / "JPEGImages").rename(f / "JPEGs"),
            "has no JPEGImages/480p/ or .*: expected the videos' frames",
        ),
        (lambda f: (f / "Annotations").rename(f / "A"), "has no Annotations/480p/: expected the masks"),
        (lambda f: (f / "ImageSets").rename(f / "I"), "has no ImageSets/2017/"),
        (
            lambda f: (f / "JPEGImages/480p/beach/00009.jpg").unlink(),
            "has 9 frames: expected at least 10 for 4 at a stride of 3",
        ),
    ],
)
def test_damage_of_davis(davis, damage, message):
    damage(davis)
    with pytest.raises(InputError, match=message):
        opened("davis", davis).load("beach")


# --- VIPSeg ----------------------------------------------------------------------------------------------------------


def test_boxes_are_squares_around_the_largest_discs_and_follow_the_masks(vipseg):
    dataset = opened("vipseg", vipseg, num_frames=8)
    assert dataset.names == tuple(VIPSEG)
    sample = dataset.load("0_street")
    assert numbers(sample) == [4301, 6100]
    boxes = sample.trajectories.boxes(8)
    # the car is a square of 21; in the person, 21 x 15, the first largest disc is as high as it, at its left
    assert boxes[:, 0].tolist() == [[68, 25, 89, 46], [10, 8, 25, 23]]
    assert boxes[0, 7].tolist() == [61, 25, 82, 46]
    assert boxes[1, 7].tolist() == [31, 15, 46, 30]
    assert numbers(dataset.load("1_yard")) == [PERSON], "void, the known slip and small things are left out"


def test_size_stride_and_a_thing_out_of_sight(vipseg):
    for stride in (3, None):
        sample = opened("vipseg", vipseg, size=(192, 128), stride=stride).load("2_gone")
        waits = torch.tensor([[20.0, 16, 50, 46], *[[38.0, 22, 68, 52]] * 3])  # 2 * 3 * (3, 1) further
        assert torch.allclose(sample.trajectories.boxes(4)[0], waits, atol=1e-4)


def test_the_720p_layout(vipseg, tmp_path):
    root = tmp_path / "VIPSeg"
    root.mkdir()
    vipseg.rename(root / "VIPSeg_720P")
    (root / "VIPSeg_720P" / "imgs").rename(root / "VIPSeg_720P" / "images")
    (root / "VIPSeg_720P" / "val.txt").rename(root / "val.txt")
    assert opened("vipseg", root).names == opened("vipseg", root / "VIPSeg_720P").names == tuple(VIPSEG)


def write_tracks(folder, tracks):
    folder.mkdir(exist_ok=True)
    (folder / "0_street.json").write_text(tracks if isinstance(tracks, str) else json.dumps(tracks))
    return folder


def test_released_tracks_move_the_boxes_and_those_far_outside_are_dropped(vipseg, tmp_path):
    person = [[18 + 2 * f, 16] for f in range(10)]
    far = [[70 + 90 * f, 30] for f in range(10)]  # far beyond 96
    tracks = write_tracks(tmp_path / "tracks", {"0": [[0, 0]] * 10, "6100": person, "4301": far})
    sample = opened("vipseg", vipseg, tracks=tracks).load("0_street")
    assert numbers(sample) == [PERSON]
    assert sample.trajectories.boxes(4)[0, 3].tolist() == [16, 8, 31, 23]
    # tracks are in pixels of the pictures
    sample = opened("vipseg", vipseg, tracks=tracks, size=(192, 128), stride=3).load("0_street")
    assert sample.trajectories.boxes(4)[0, 3].tolist() == [56, 16, 86, 46]
    # a centre may leave the picture a little: 78.5 + 24 is beyond 96, but within a tenth of it
    write_tracks(tracks, {"4301": [[70, 30]] * 3 + [[94, 30]]})
    sample = opened("vipseg", vipseg, tracks=tracks).load("0_street")
    assert numbers(sample) == [CAR]
    write_tracks(tracks, {"4301": [[70, 30]] * 3 + [[98, 30]]})
    with pytest.raises(InputError, match="no object is left to follow .1 far outside."):
        opened("vipseg", vipseg, tracks=tracks).load("0_street")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "are damaged"),
        ('{"6100": [[1, 2], [3, 4]]}', r"track 6100 of .* is .2, 2.: expected 4 or more .x, y."),
        ('{"6100": [[1, 2], [3, 4, 5], [1, 1], [1, 1]]}', "are damaged"),
    ],
)
def test_broken_tracks(vipseg, tmp_path, content, message):
    dataset = opened("vipseg", vipseg, tracks=write_tracks(tmp_path / "tracks", content))
    with pytest.raises(InputError, match=message):
        dataset.load("0_street")
    with pytest.raises(InputError, match="there are no tracks .*1_yard.json"):
        dataset.load("1_yard")
    with pytest.raises(InputError, match="both say how the objects move"):
        opened("vipseg", vipseg, tracks=tmp_path, tracker="lk")


def test_a_tracker_is_asked_about_the_discs_centers(vipseg):
    asked = []

    def tracker(video, points):
        asked.append((tuple(video.shape), points.tolist()))
        paths = points[:, None] + torch.arange(4)[None, :, None] * torch.tensor([1.0, 2.0])
        return Tracks(paths, torch.ones(len(points), 4, dtype=torch.bool), "stub")

    sample = opened("vipseg", vipseg, tracker=tracker, size=(192, 128)).load("0_street")
    assert asked == [((4, 3, 128, 192), [[157, 71], [35, 31]])]
    assert sample.trajectories.boxes(4)[1, 3].tolist() == [23, 22, 53, 52]


def test_what_is_broken_is_named(vipseg):
    (vipseg / "imgs" / "1_yard" / "00000119.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match="sample '1_yard': .*00000119.jpg is not a picture"):
        list(opened("vipseg", vipseg))


MASK = "panomasks/0_street/00000117.png"


def _rename(folder, name, to="elsewhere"):
    (folder / name).rename((folder / name).with_name(to))


def _resize(folder, name):
    PIL.Image.open(folder / name).resize((48, 32)).save(folder / name)


def _draw(folder, mode):
    PIL.Image.new(mode, SIZE).save(folder / MASK)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: _rename(f, "imgs"), "has no imgs/ or images/ or VIPSeg_720P/images/"),
        (lambda f: _rename(f, "panomasks"), "has no panomasks/: expected VIPSeg's masks"),
        (lambda f: _rename(f, "panomasks/0_street"), "the mask .*0_street.* cannot be read .*: expected a PNG"),
        (lambda f: _rename(f, MASK, "7.png"), "mask .*00000117.png cannot be read"),
        (
            lambda f: _resize(f, MASK),
            r"has 48 x 32 pixels in mode .*: expected a number for each pixel of its picture, .96, 64.",
        ),
        (lambda f: _draw(f, "RGB"), "has 96 x 64 pixels in mode RGB: expected a number"),
        (lambda f: (f / MASK).write_bytes((f / MASK).read_bytes()[:90]), "mask .*00000117.png cannot be read"),
        (lambda f: _draw(f, "L"), "no object is left to follow .there was none."),
        (
            lambda f: _resize(f, "imgs/0_street/00000119.jpg"),
            "size .96, 64. in the first frame and .48, 32. in number 2",
        ),
        (lambda f: (f / "val.txt").unlink(), "there is no list .*val.txt"),
        (lambda f: write_text(f / "val.txt", "\n \n"), "the list .*val.txt is empty"),
        (lambda f: (f / "val.txt").write_bytes(b"\xff\xfe\x00"), "the list .*val.txt cannot be read"),
        (lambda f: write_text(f / "val.txt", "0_street\n9_gone\n"), "names '9_gone', which .* .1 of 2 are missing."),
        (lambda f: [path.unlink() for path in (f / "imgs/0_street").iterdir()], "has 0 frames: expected at least 4"),
    ],
)
def test_damage_of_vipseg(vipseg, damage, message):
    damage(vipseg)
    with pytest.raises(InputError, match=message):
        opened("vipseg", vipseg).load("0_street")
