"""Kinetics, AVA and any folder of videos."""

import json
import shutil

import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.registry import open_dataset
from sgi2v_lab.images.read import read_image, to_tensor
from sgi2v_lab.video import read_video
from tests.helpers.real_clips import PEOPLE, SIDE, pasted, real_video, write_mp4

SLOW, FAST = "AbCdEfGhIj0_000010_000020", "-_cdEfGhIj1_000003_000013"


# --- Kinetics --------------------------------------------------------------------------------------------------------

HEADER = "label,youtube_id,time_start,time_end,split\n"


def open_kinetics(folder, **options):
    return open_dataset("kinetics", folder, **{"size": (96, 64), "num_frames": 6, **options})


def test_a_real_clip_is_read_and_something_moves_in_it(kinetics):
    dataset = open_kinetics(kinetics, size=(160, 68), stride=1)
    assert dataset.names == (SLOW, FAST) and dataset.missing == ("gonegonegon_000000_000010",)
    with pytest.raises(InputError, match="'kinetics' has no sample 'gonegonegon_000000_000010': expected one of its 2"):
        dataset.load(dataset.missing[0])
    sample = dataset.load(SLOW)
    whole = read_video(real_video("bikes"), max_frames=6)[[0, 5]]
    small = torch.nn.functional.interpolate(whole, (68, 160), mode="bicubic", antialias=True)
    assert (sample.clip[[0, 5]] - small).abs().mean() < 0.01
    # a bus seen from above drives down the picture, by about 25 pixels in 5 frames; the street stays
    boxes = sample.trajectories.boxes(6)
    assert 1 <= len(boxes) <= 3
    move = boxes[:, 5] - boxes[:, 0]
    assert (move[:, 0].abs() < 4).all() and ((move[:, 1] > 20) & (move[:, 1] < 30)).all()
    assert ((boxes[:, 0, 0] > 45) & (boxes[:, 0, 2] < 120)).all()


@pytest.mark.parametrize("tracker", [None, "dis"])
def test_the_tracker_finds_what_moves_and_how(kinetics, tracker):
    sample = open_kinetics(kinetics, size=(192, 128), stride=2, tracker=tracker).load(FAST)
    assert len(sample.trajectories) == 1
    first, last = sample.trajectories.boxes(6)[0, [0, 5]]
    assert torch.allclose(first[2:] - first[:2], torch.tensor(32.0))  # a quarter of 128
    assert torch.allclose(last - first, torch.tensor([30.0, 0, 30, 0]), atol=1)  # 10 frames of 3
    x, y = ((first[:2] + first[2:]) / 2).tolist()
    assert 24 <= x <= 68 and 40 <= y <= 84


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no list .*annotations/val.csv"),
        (HEADER, r"holds no samples of 'kinetics': expected clips named like ID_000010_000020.mp4"),
        ("label,id,start,end\nx,y,1,2\n", "line 2 of .* is 'x,y,1,2' under 'label,id,start,end': expected youtube_id"),
        (HEADER + "paste,-_cdEfGhIj1,3\n", "line 2 of .* is 'paste,-_cdEfGhIj1,3' under .*: expected youtube_id"),
        (
            HEADER + "paste,-_cdEfGhIj1,soon,13,val\n",
            "line 2 of .*soon,.*, in seconds and rising",
        ),
        (HEADER + "paste,-_cdEfGhIj1,13,3,val\n", "line 2 of .*, in seconds and rising"),
        (
            HEADER + "juggling,gonegonegon,0,10,val\n",
            "no samples of 'kinetics' .1 on its list are missing, such as gone",
        ),
    ],
)
def test_broken_lists_of_kinetics(kinetics, content, message):
    path = kinetics / "annotations" / "val.csv"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(InputError, match=message):
        open_kinetics(kinetics)


def test_damaged_clips_of_kinetics(kinetics):
    path = kinetics / "val" / f"{FAST}.mp4"
    dataset = open_kinetics(kinetics)
    with pytest.raises(InputError, match="has 25 frames that can be decoded: expected at least 31"):
        open_kinetics(kinetics, stride=6).load(FAST)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="cannot read .* as a video"):
        open_kinetics(kinetics, stride=None).load(FAST)
    path.write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(InputError, match="cannot read .* as a video"):
        open_kinetics(kinetics, size=(160, 68), stride=1).load(FAST)
    write_mp4(path, [pasted(1)[0][0]] * 25)
    with pytest.raises(InputError, match=f"sample '{FAST}': nothing moves by 3.2 pixels"):
        dataset.load(FAST)
    path.unlink()
    with pytest.raises(InputError, match="cannot read .*No such file"):
        dataset.load(FAST)
    with pytest.raises(InputError, match="has no test/: expected the clips"):
        open_kinetics(kinetics, split="test")


# --- AVA -------------------------------------------------------------------------------------------------------------


def open_ava(folder, **options):
    return open_dataset("ava", folder, **{"size": (160, 80), "num_frames": 5, **options})


def test_ava_cuts_stretches_with_people_throughout(ava):
    dataset = open_ava(ava)
    assert dataset.names == ("car@0001", "car@0003") and dataset.missing == ("lost",)
    sample = dataset.load("car@0001")
    assert [trajectory.name for trajectory in sample.trajectories] == ["person 0"]  # person 1 is there at 1 only
    expected = [[16, 20, 48, 60], [24, 20, 56, 60], [32, 20, 64, 60], [32, 20, 64, 60], [32, 20, 64, 60]]
    assert torch.allclose(sample.trajectories.boxes(5)[0], torch.tensor(expected).float(), atol=1e-4)
    assert sample.trajectories.boxes(9).shape == (1, 9, 4)  # boxes of a moment are no boxes of a frame
    whole = open_dataset("ava", ava, size=(176, 144), num_frames=3).load("car@0001").clip
    video = read_video(real_video("carphone_pristine"), max_frames=92)[:, :, ::4, ::4]  # 29.97 frames per second
    nearest = [int((video - frame[:, ::4, ::4]).abs().mean(dim=(1, 2, 3)).argmin()) for frame in whole]
    assert nearest == [29, 59, 89]


def test_other_stretches(ava):
    assert open_ava(ava, seconds=4).names == ("car@0001",)
    assert open_ava(ava, seconds=1).names == tuple(f"car@000{k}" for k in range(1, 5))
    (ava / "annotations" / "ava_val_excluded_timestamps_v2.2.csv").write_text("car,0002\nlost,0003\n")
    assert open_ava(ava).names == ("car@0003",)
    for path in (ava / "annotations").glob("ava*"):
        path.rename(ava / path.name.replace("2.2", "2.1"))
    (ava / "annotations").rename(ava / "notes")
    assert open_ava(ava).names == ("car@0003",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no list .*ava_val_v2"),
        ("car,0002,0.1,0.25,0.3,0.75,12\n", "line 1 of .* is car, 0002, .*: expected video, second, x0"),
        ("car,0002,0.1,0.25,0.3,wide,12,0\n", "line 1 of .* wide, 12, 0: expected video, second, x0"),
        ("car,0002,0.1,0.25,0.3,0.75,12,0\ncar,0003,64,68,192,204,12,0\n", "line 2 .*: expected .* parts of the frame"),
        ("car,0002,0.3,0.25,0.1,0.75,12,0\n", "line 1 of .*x0 < x1"),
        (PEOPLE + "car,0005,0.3,0.25,0.6,0.75,80,0\n", "line 9 of .* has another box for person 0"),
        ("car,0002,0.1,0.25,0.3,0.75,12,0\n", "holds no samples of 'ava': expected videos with a person boxed through"),
        ("lost,0002,0.1,0.2,0.3,0.7,1,0\n", "no samples of 'ava' .1 on its list are missing, such as lost"),
    ],
)
def test_broken_lists_of_ava(ava, content, message):
    path = ava / "annotations" / "ava_val_v2.2.csv"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(InputError, match=message):
        open_ava(ava)


def test_other_damage_of_ava(ava):
    with pytest.raises(InputError, match=r"ends at 4.00 s: expected a frame at 4.50 s"):
        open_ava(ava).load("car@0003")
    with pytest.raises(InputError, match="sample 'car@0001': no object is left to follow .1 small."):
        open_ava(ava, size=(32, 32)).load("car@0001")  # they are 6.4 pixels wide
    with pytest.raises(InputError, match="seconds is 0"):
        open_ava(ava, seconds=0)
    (ava / "annotations" / "ava_val_excluded_timestamps_v2.2.csv").write_text("car,soon\n")
    with pytest.raises(InputError, match="line 1 of .* is 'car,soon': expected a video and a second"):
        open_ava(ava)
    (ava / "videos").rename(ava / "elsewhere")
    with pytest.raises(InputError, match="has no videos/"):
        open_ava(ava)


# --- any folder of videos --------------------------------------------------------------------------------------------


def open_videos(folder, **options):
    return open_dataset("videos", folder, **{"size": (96, 64), "num_frames": 5, **options})


def test_videos_with_trajectories_beside_them(videos):
    dataset = open_videos(videos)
    assert dataset.names == ("clip2", "clip10")
    sample = dataset.load("clip2")
    boxes = sample.trajectories.boxes(5)[0]
    assert boxes[0].tolist() == [12, 20, 34, 42] and boxes[4].tolist() == [48, 20, 70, 42]
    frames = dataset.load("clip10")
    assert frames.trajectories.boxes(5)[0, 4].tolist() == [22, 12, 42, 28]
    # 10.jpg is the third frame: numbers are read as numbers
    assert torch.equal(frames.clip[2], to_tensor(read_image(videos / "clip10" / "10.jpg")))
    # another number of frames: the same way over the whole video
    sample = open_videos(videos, num_frames=3).load("clip10")
    assert sample.trajectories.boxes(3)[0].tolist() == [[10, 8, 30, 24], [16, 10, 36, 26], [22, 12, 42, 28]]


def test_damaged_folders_of_videos(videos, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no samples of 'videos': expected videos"):
        open_videos(tmp_path / "none")
    for change, message in (
        ({"image": {"width": 96, "height": 64}}, r"an image of size .96, 64. but this one has .192, 128."),
        ({"trajectories": []}, "sample 'clip2': there are no trajectories"),
        ({"trajectories": [{"keys": [{"time": 0, "box": [200, 0, 240, 40]}]}]}, "wholly outside the picture"),
    ):
        (videos / "clip2.json").write_text(json.dumps({**SIDE, **change}))
        with pytest.raises(InputError, match=message):
            open_videos(videos).load("clip2")
    shutil.copy(videos / "clip2.mp4", videos / "clip2.mkv")
    with pytest.raises(InputError, match="have one name"):
        open_videos(videos)
