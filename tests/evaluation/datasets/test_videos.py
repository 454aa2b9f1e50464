"""Kinetics, AVA and any folder of videos."""

import json
import shutil

import av
import numpy as np
import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets import open_dataset
from sgi2v_lab.evaluation.datasets.clips import read_moments
from sgi2v_lab.video import read_video
from tests.helpers.real_clips import pasted, real_video, write_mp4, write_pictures

SLOW, FAST = "AbCdEfGhIj0_000010_000020", "-_cdEfGhIj1_000003_000013"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A video of 25 frames, 192 x 128, in which a square of 44 pixels goes 3 to the right per frame."""
    pictures, _ = pasted(25, (1, (24, 40, 68, 84), (3, 0)), size=(192, 128))
    return write_mp4(tmp_path_factory.mktemp("video") / "made.mp4", pictures)


# --- Kinetics --------------------------------------------------------------------------------------------------------

HEADER = "label,youtube_id,time_start,time_end,split\n"
ROWS = '"riding a bike",AbCdEfGhIj0,10,20,val\npaste,-_cdEfGhIj1,3,13,val\njuggling,gonegonegon,0,10,val\n'


@pytest.fixture
def kinetics(tmp_path, made):
    root = tmp_path / "kinetics"
    (root / "val" / "riding a bike").mkdir(parents=True)
    (root / "annotations").mkdir()
    shutil.copy(real_video("bikes"), root / "val" / "riding a bike" / f"{SLOW}.mp4")
    shutil.copy(made, root / "val" / f"{FAST}.mp4")
    (root / "annotations" / "val.csv").write_text(HEADER + ROWS)
    return root


def open_kinetics(folder, **options):
    return open_dataset("kinetics", folder, **{"size": (96, 64), "num_frames": 6, **options})


def test_kinetics_lists_what_is_there(kinetics):
    dataset = open_kinetics(kinetics)
    assert dataset.names == (SLOW, FAST) and dataset.missing == ("gonegonegon_000000_000010",)


def test_a_real_clip_is_read_and_something_moves_in_it(kinetics):
    sample = open_kinetics(kinetics, size=(160, 68), stride=1)[SLOW]
    assert sample.meta["frames"] == [0, 1, 2, 3, 4, 5] and sample.meta["source_size"] == [640, 272]
    assert sample.meta["label"] == "riding a bike"
    assert sample.clip.shape == (6, 3, 68, 160)
    whole = read_video(real_video("bikes"), max_frames=6)[[0, 5]]
    small = torch.nn.functional.interpolate(whole, (68, 160), mode="bicubic", antialias=True)
    assert (sample.clip[[0, 5]] - small).abs().mean() < 0.01
    # a bus seen from above drives down the picture, by about 25 pixels in 5 frames; the street stays
    boxes = sample.trajectories.boxes(6)
    assert 1 <= len(boxes) <= 3 and sample.meta["moves_against"] == "background"
    move = boxes[:, 5] - boxes[:, 0]
    assert (move[:, 0].abs() < 4).all() and ((move[:, 1] > 20) & (move[:, 1] < 30)).all()
    assert ((boxes[:, 0, 0] > 45) & (boxes[:, 0, 2] < 120)).all()


def test_the_tracker_finds_what_moves_and_how(kinetics):
    sample = open_kinetics(kinetics, size=(192, 128), stride=2, most=1)[FAST]
    assert sample.meta["moves_against"] == "background" and len(sample.trajectories) == 1
    first, last = sample.trajectories.boxes(6)[0, [0, 5]]
    assert torch.allclose(first[2:] - first[:2], torch.tensor(32.0))  # a quarter of 128
    assert torch.allclose(last - first, torch.tensor([30.0, 0, 30, 0]), atol=1)  # 10 frames of 3
    x, y = ((first[:2] + first[2:]) / 2).tolist()
    assert 24 <= x <= 68 and 40 <= y <= 84


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no list .*annotations/val.csv"),
        ("", "val.csv is empty: expected the columns youtube_id, time_start, time_end"),
        (HEADER, "val.csv is empty"),
        ("label,id,start,end\nx,y,1,2\n", "has the columns label, id, start, end: expected youtube_id"),
        (HEADER + "paste,-_cdEfGhIj1,3\n", "line 2 of .* has more or fewer values"),
        (HEADER + "paste,-_cdEfGhIj1,3,13,val,0\n", "line 2 of .* has more or fewer values"),
        (HEADER + "paste,-_cdEfGhIj1,soon,13,val\n", "line 2 .* goes from 'soon' to '13': expected seconds"),
        (HEADER + "paste,-_cdEfGhIj1,13,3,val\n", "goes from 13 s to 3 s"),
        (HEADER + "juggling,gonegonegon,0,10,val\n", "none of the 1 clips of the list is in .*gonegonegon_000000_0000"),
    ],
)
def test_broken_lists_of_kinetics(kinetics, content, message):
    path = kinetics / "annotations" / "val.csv"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(InputError, match=message):
        open_kinetics(kinetics)


def test_damaged_clips_of_kinetics(kinetics, made):
    path = kinetics / "val" / f"{FAST}.mp4"
    dataset = open_kinetics(kinetics)
    with pytest.raises(InputError, match="has 25 frames: expected at least 31 for 6 at a stride of 6"):
        open_kinetics(kinetics, stride=6)[FAST]
    path.write_bytes(made.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="cannot be decoded as a video"):
        open_kinetics(kinetics, stride=0)[FAST]
    still = [pasted(1)[0][0]] * 25
    write_mp4(path, still)
    with pytest.raises(InputError, match=f"{FAST}.mp4: nothing moves by 3.2 pixels"):
        dataset[FAST]
    path.unlink()
    with pytest.raises(InputError, match="there is no video"):
        dataset[FAST]
    with pytest.raises(InputError, match="has no test/: expected the clips"):
        open_kinetics(kinetics, split="test")


# --- AVA -------------------------------------------------------------------------------------------------------------

LISTED = """\
bikes,0902,0.1,0.25,0.3,0.75,12,0
bikes,0902,0.1,0.25,0.3,0.75,80,0
bikes,0902,0.6,0.2,0.9,0.8,12,1
bikes,0903,0.2,0.25,0.4,0.75,12,0
bikes,0904,0.2,0.25,0.4,0.75,12,0
bikes,0905,0.3,0.25,0.5,0.75,12,0
bikes,0906,0.3,0.25,0.5,0.75,12,0
bikes,0907,0.3,0.25,0.5,0.75,12,0
bikes,0908,0.3,0.25,0.5,0.75,12,0
lost,0902,0.1,0.25,0.3,0.75,12,0
"""


@pytest.fixture
def ava(tmp_path):
    root = tmp_path / "ava"
    (root / "annotations").mkdir(parents=True)
    (root / "videos").mkdir()
    shutil.copy(real_video("bikes"), root / "videos" / "bikes.mp4")
    (root / "annotations" / "ava_val_v2.2.csv").write_text(LISTED)
    return root


def open_ava(folder, **options):
    return open_dataset("ava", folder, **{"size": (160, 68), "num_frames": 5, "offset": 900, **options})


def test_ava_cuts_stretches_with_people_throughout(ava):
    dataset = open_ava(ava)
    assert dataset.names == ("bikes@0902", "bikes@0904", "bikes@0906") and dataset.missing == ("lost",)
    sample = dataset["bikes@0902"]
    assert sample.meta["frames"] == [2.0, 2.5, 3.0, 3.5, 4.0] and sample.meta["second"] == 902
    assert [trajectory.name for trajectory in sample.trajectories] == ["person 0"]  # person 1 is there at 902 only
    expected = [[16, 17, 48, 51], [24, 17, 56, 51], [32, 17, 64, 51], [32, 17, 64, 51], [32, 17, 64, 51]]
    assert torch.allclose(sample.trajectories.boxes(5)[0], torch.tensor(expected).float(), atol=1e-4)


def test_ava_finds_the_frames_on_the_screen_at_those_times(ava):
    clip = open_ava(ava, size=(640, 272))["bikes@0902"].clip
    whole = read_video(real_video("bikes"), max_frames=101)
    for taken, number in zip(clip, (50, 62, 75, 87, 100), strict=True):  # 25 frames per second, from 2 s to 4 s
        assert (taken - whole[number]).abs().mean() < 0.004
        assert (taken - whole[number - 1]).abs().mean() > 0.004


def test_other_stretches(ava):
    assert open_ava(ava, seconds=4).names == ("bikes@0902",)
    assert open_ava(ava, seconds=1).names == tuple(f"bikes@090{k}" for k in range(2, 8))
    (ava / "annotations" / "ava_val_excluded_timestamps_v2.2.csv").write_text("bikes,0903\nlost,0907\n")
    assert open_ava(ava).names == ("bikes@0904", "bikes@0906")


def test_small_people_are_left_out(ava):
    dataset = open_ava(ava, size=(32, 32))  # they are 6 pixels wide
    with pytest.raises(InputError, match="bikes@0902 has no object to follow .1 small."):
        dataset["bikes@0902"]


def test_folders_of_frames(ava):
    (ava / "videos").rename(ava / "elsewhere")
    pictures, _ = pasted(91, (1, (2, 8, 22, 24), (0, 0)))
    write_pictures(ava / "frames" / "bikes", pictures, "bikes_{:06d}.jpg", first=1)
    sample = open_ava(ava, offset=901)["bikes@0902"]
    assert sample.meta["frames"] == [30, 45, 60, 75, 90] and sample.meta["source_size"] == [96, 64]
    with pytest.raises(InputError, match="has 91 frames, and frame 120 is wanted .second 904 at 30 per second."):
        open_ava(ava, offset=900)["bikes@0902"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no list .*ava_val_v2.2.csv"),
        ("", "ava_val_v2.2.csv is empty"),
        ("bikes,0902,0.1,0.25,0.3,0.75,12\n", "line 1 of .* has 7 values: expected 8"),
        ("bikes,0902,0.1,0.25,0.3,wide,12,0\n", "line 1 of .* holds something that is no number"),
        ("bikes,0902,0.1,0.25,0.3,nan,12,0\n", "line 1 of .* has the box 0.1, 0.25, 0.3, nan"),
        (
            "bikes,0902,0.1,0.25,0.3,0.75,12,0\nbikes,0903,64,68,192,204,12,0\n",
            "line 2 .* has the box 64, 68, 192, 204",
        ),
        ("bikes,0902,0.3,0.25,0.1,0.75,12,0\n", "has the box 0.3, 0.25, 0.1, 0.75: expected parts of the frame"),
        (LISTED + "bikes,0908,0.3,0.25,0.6,0.75,80,0\n", "line 11 of .* has another box for person 0"),
        ("bikes,0902,0.1,0.25,0.3,0.75,12,0\n", "no stretch of 2 s with a person boxed throughout"),
        ("lost,0902,0.1,0.2,0.3,0.7,1,0\n", "1 of which are not in"),
    ],
)
def test_broken_lists_of_ava(ava, content, message):
    path = ava / "annotations" / "ava_val_v2.2.csv"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(InputError, match=message):
        open_ava(ava)


def test_other_damage_of_ava(ava):
    with pytest.raises(InputError, match="begins at second 905 of its video, and second 902 is wanted"):
        open_ava(ava, offset=905)["bikes@0902"]
    with pytest.raises(InputError, match=r"ends at 10.00 s, and a frame at 10.50 s is wanted"):
        open_ava(ava, offset=893.5)["bikes@0902"]
    with pytest.raises(InputError, match="seconds is 0"):
        open_ava(ava, seconds=0)
    (ava / "annotations" / "ava_val_excluded_timestamps_v2.2.csv").write_text("bikes,soon\n")
    with pytest.raises(InputError, match="line 1 of .* is 'bikes,soon': expected a video and a second"):
        open_ava(ava)
    (ava / "videos").rename(ava / "elsewhere")
    with pytest.raises(InputError, match="has no videos/ or frames/"):
        open_ava(ava)


def test_moments_before_the_first_frame_and_after_the_last():
    clip, fit = read_moments(real_video("carphone_pristine"), [0.0, 3.99], (176, 144), "stretch")
    whole = read_video(real_video("carphone_pristine"))
    assert len(whole) == 120 and fit.source == (176, 144)
    assert (clip - whole[[0, 119]]).abs().mean() < 0.004
    with pytest.raises(InputError, match=r"carphone_pristine.mp4 ends at 4.00 s"):
        read_moments(real_video("carphone_pristine"), [0.0, 4.1], (176, 144), "stretch")


# --- any folder of videos --------------------------------------------------------------------------------------------

SIDE = {
    "format": "sgi2v-trajectories",
    "version": 1,
    "image": {"width": 192, "height": 128},
    "trajectories": [{"keys": [{"time": 0, "box": [24, 40, 68, 84]}, {"time": 1, "box": [96, 40, 140, 84]}]}],
}


@pytest.fixture
def videos(tmp_path, made):
    root = tmp_path / "videos"
    root.mkdir()
    shutil.copy(made, root / "clip2.mp4")
    (root / "clip2.json").write_text(json.dumps(SIDE))
    pictures, _ = pasted(5, (1, (10, 8, 30, 24), (3, 1)))
    write_pictures(root / "clip10", pictures, "{}.jpg", first=8)  # 8.jpg to 12.jpg
    np.save(
        root / "clip10.npy", np.array([[[10, 8], [30, 24], [20, 16], [23, 17], [26, 18], [29, 19], [32, 20]]]) * 1.0
    )
    (root / "notes.txt").write_text("not a video")
    (root / "empty").mkdir()
    return root


def open_videos(folder, **options):
    return open_dataset("videos", folder, **{"size": (96, 64), "num_frames": 5, **options})


def test_videos_with_trajectories_beside_them(videos):
    dataset = open_videos(videos)
    assert dataset.names == ("clip2", "clip10")
    sample = dataset["clip2"]
    assert sample.meta["frames"] == [0, 6, 12, 18, 24] and sample.visible is None
    boxes = sample.trajectories.boxes(5)[0]
    assert boxes[0].tolist() == [12, 20, 34, 42] and boxes[4].tolist() == [48, 20, 70, 42]
    frames = dataset["clip10"]
    assert frames.trajectories.boxes(5)[0, 4].tolist() == [22, 12, 42, 28]
    # 10.jpg is the third frame: numbers are read as numbers
    assert torch.equal(frames.clip[2], read_video(videos / "clip10", max_frames=5)[2])


def test_without_trajectories_the_tracker_finds_what_moves(videos):
    (videos / "clip2.json").unlink()
    sample = open_videos(videos, size=(192, 128), num_frames=6, stride=2, most=1)["clip2"]
    move = sample.trajectories.boxes(6)[0, 5] - sample.trajectories.boxes(6)[0, 0]
    assert torch.allclose(move, torch.tensor([30.0, 0, 30, 0]), atol=1)
    with pytest.raises(InputError, match="unknown tracker 'eyes'"):
        open_videos(videos, tracker="eyes")


def test_a_phones_video_is_upright(tmp_path):
    root = tmp_path / "phone"
    root.mkdir()
    upright = pasted(6, (1, (10, 8, 30, 24), (3, 1)), size=(64, 96))[0]
    with av.open(str(root / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.set_display_rotation(90)
        for picture in upright:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.rot90(picture, -1).copy(), format="rgb24")))
        container.mux(stream.encode())
    clip = open_videos(root, size=(64, 96), num_frames=3, stride=1)["v"].clip
    assert (clip[0] - torch.from_numpy(upright[0]).permute(2, 0, 1) / 255).abs().mean() < 0.05


def test_another_number_of_frames_only_when_asked_for(videos):
    with pytest.raises(InputError, match="was given for 5 frames but 3"):
        open_videos(videos, num_frames=3)["clip10"]
    sample = open_videos(videos, num_frames=3, resample=True)["clip10"]
    assert sample.trajectories.boxes(3)[0].tolist() == [[10, 8, 30, 24], [16, 10, 36, 26], [22, 12, 42, 28]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": {"width": 96, "height": 64}}, r"belongs to an image of size .96, 64. but this one has .192, 128."),
        ({"trajectories": []}, "there are no trajectories"),
        ({"version": 7}, "clip2.json"),
        ({"trajectories": [{"keys": [{"time": 0, "box": [200, 0, 240, 40]}]}]}, "wholly outside the picture"),
    ],
)
def test_broken_side_files(videos, change, message):
    (videos / "clip2.json").write_text(json.dumps({**SIDE, **change}))
    with pytest.raises(InputError, match=message):
        open_videos(videos)["clip2"]


def test_two_videos_of_one_name_and_none_at_all(videos, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no videos"):
        open_videos(tmp_path / "none")
    shutil.copy(videos / "clip2.mp4", videos / "clip2.mkv")
    with pytest.raises(InputError, match="have one name"):
        open_videos(videos)
