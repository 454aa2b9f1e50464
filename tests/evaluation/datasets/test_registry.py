"""What all data sets have in common, the examples, the toy's benchmark, and how frames, masks and boxes are found."""

import pickle

import av
import numpy as np
import PIL.Image
import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets import DATASETS, Sample, dataset_card, open_dataset
from sgi2v_lab.evaluation.datasets.clips import list_pictures, pick_frames, read_clip
from sgi2v_lab.evaluation.datasets.moving import moving_boxes
from sgi2v_lab.evaluation.datasets.objects import follow_mask, largest_disc
from sgi2v_lab.evaluation.datasets.sample import screen
from sgi2v_lab.evaluation.scenes.scenes import SEEDS
from sgi2v_lab.evaluation.trackers.track import Tracks, lk
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from sgi2v_lab.video import write_video
from tests.helpers.real_clips import pasted, real_video, write_pictures

ASKED = {"size": (64, 64), "num_frames": 8}


# --- the registry ----------------------------------------------------------------------------------------------------


def test_every_data_set_has_a_card_with_source_terms_and_layout():
    assert set(DATASETS) == {
        *("benchmark", "examples", "vipseg", "davis", "kinetics", "ava", "videos"),
    }
    for name in DATASETS:
        card = dataset_card(name)
        assert "Args:" in card and ("Layout" in card or name == "benchmark"), name
        assert ("Source: " in card and "https://" in card) or name in ("benchmark", "videos"), name
        assert "Terms: " in card or name in ("benchmark", "videos"), name


@pytest.mark.parametrize(
    ("name", "folder", "options", "message"),
    [
        ("imagenet", None, {}, "unknown data set 'imagenet': expected one of benchmark, examples, vipseg"),
        ("ava", None, {}, "the data set 'ava' needs a folder"),
        ("benchmark", ".", {}, "the data set 'benchmark' is drawn: expected no folder"),
        ("benchmark", None, {"speed": 2}, "has no option 'speed': expected some of categories, scenes, how, stride"),
        ("examples", ".", {"stride": -1}, "stride is -1: expected at least 1, or 0"),
        ("videos", "nowhere", {}, "there is no folder nowhere: expected the videos data set there"),
        ("benchmark", None, {"size": (64, 0)}, "the size of the samples is"),
        ("benchmark", None, {"num_frames": 1}, "the number of frames is 1: expected at least 2"),
        ("benchmark", None, {"categories": ["double"]}, "unknown category 'double'"),
    ],
)
def test_what_cannot_be_opened(name, folder, options, message):
    with pytest.raises(InputError, match=message):
        open_dataset(name, folder, **{**ASKED, **options})


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file is a file: expected the folder of the examples data set"):
        open_dataset("examples", tmp_path / "file", **ASKED)


# --- the toy's benchmark ---------------------------------------------------------------------------------------------


def test_the_toys_exam():
    dataset = open_dataset("benchmark", **ASKED)
    assert len(dataset) == 32 + 12 + 12 + 12 + 12 + 11
    few = open_dataset("benchmark", categories=["photo", "pinned"], scenes=2, **ASKED)
    assert few.names == (f"pinned-{SEEDS['pinned'][0]}", f"pinned-{SEEDS['pinned'][1]}", "photo-flower", "photo-china")
    drawn, photograph = few[0], few["photo-flower"]
    assert drawn.clip.shape == (8, 3, 64, 64) and torch.equal(drawn.clip[0], drawn.first_frame)
    assert photograph.clip is None and photograph.first_frame.shape == (3, 64, 64)
    assert photograph.trajectories.boxes(8).shape == (1, 8, 4)


def test_samples_by_place_and_name():
    few = open_dataset("benchmark", categories=["photo"], scenes=4, **ASKED)
    assert few[-1].name == few.names[3] == "photo-coins"
    with pytest.raises(InputError, match="there is no sample 4: this benchmark data set has 4"):
        few[4]
    with pytest.raises(InputError, match="no sample 'photo-cat' .* expected one of photo-flower, .*, \\.\\.\\."):
        few["photo-cat"]
    assert [sample.name for sample in few] == list(few.names)


def test_parts_of_a_sample_belong_together():
    clip = torch.rand(2, 3, 8, 12)
    paths = Trajectories((12, 8), (Trajectory.pin((1, 1, 5, 5)),))
    assert Sample("good", clip[0], paths, clip).meta == {}
    with pytest.raises(InputError, match=r"a picture of size .12, 8. and trajectories for one of .8, 8."):
        Sample("bad", clip[0], Trajectories((8, 8)), clip)
    with pytest.raises(InputError, match="does not begin with its first frame"):
        Sample("bad", clip[1], paths, clip)


def test_an_identity_changes_with_whatever_a_result_depends_on(tmp_path):
    def identity(pixel=9, shift=3, **options):
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        root.mkdir()
        picture = np.full((32, 48, 3), 8, dtype=np.uint8)
        picture[0, 0] = pixel
        PIL.Image.fromarray(picture).save(root / "img.png")
        np.save(root / "traj.npy", np.array([[[8, 8], [24, 24], *([16 + shift * f, 16] for f in range(4))]]))
        found = open_dataset("examples", root, **{"size": (48, 32), "num_frames": 4, **options}).identity(root.name)
        return {**found, "sample": None}

    assert identity() == identity()
    others = [identity(pixel=10), identity(shift=2), identity(size=(64, 32)), identity(num_frames=5)]
    assert all(other != identity() for other in others)
    benchmark = open_dataset("benchmark", categories=["single"], scenes=1, **ASKED)
    assert "content" not in benchmark.identity(benchmark.names[0]), "scenes never change"


def test_the_benchmark_says_what_its_scenes_are():
    pans = open_dataset("benchmark", categories=["pan"], scenes=2, **ASKED)
    for sample in pans:
        assert sample.category == "pan" and {"fps", "motion_bucket_id"} == set(sample.motion)
        assert sample.objects.shape[1:] == (8, 4), "the sprites are no background"
    assert open_dataset("benchmark", categories=["single"], scenes=1, **ASKED)[0].objects is None
    again = pickle.loads(pickle.dumps(pans))
    assert again.names == pans.names and torch.equal(again[0].clip, pans[0].clip)


# --- the reference's examples ----------------------------------------------------------------------------------------


@pytest.fixture
def examples(tmp_path):
    """Two folders of the reference's layout, written without this package."""
    rows = [[10, 8], [30, 24], *([20 + 3 * f, 16 + f] for f in range(8))]
    for name in ("9", "10"):
        (tmp_path / "examples" / name).mkdir(parents=True)
        PIL.Image.fromarray(pasted(1, (1, (10, 8, 30, 24), (0, 0)))[0][0]).save(
            tmp_path / "examples" / name / "img.png"
        )
        np.save(tmp_path / "examples" / name / "traj.npy", np.array([rows], dtype=np.float32))
    (tmp_path / "examples" / "notes").mkdir()
    return tmp_path / "examples"


def test_examples(examples):
    dataset = open_dataset("examples", examples, size=(192, 128), num_frames=8)
    assert dataset.names == ("9", "10")
    sample = dataset["10"]
    assert sample.clip is None and sample.first_frame.shape == (3, 128, 192)
    assert sample.trajectories.boxes(8)[0, 7].tolist() == [62, 30, 102, 62]
    assert open_dataset("examples", examples / "9", size=(96, 64), num_frames=8).names == ("9",)
    with pytest.raises(InputError, match=r"examples/9: a trajectory was given for 8 frames but 14"):
        open_dataset("examples", examples, size=(96, 64), num_frames=14, resample=False)["9"]
    assert open_dataset("examples", examples, size=(96, 64), num_frames=14)["9"]
    (examples / "._10").mkdir()
    (examples / "._10" / "img.png").touch()
    assert open_dataset("examples", examples, size=(192, 128), num_frames=8).names == ("9", "10")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "9" / "img.png").unlink(), "there is no file .*img.png"),
        (lambda f: (f / "9" / "traj.npy").unlink(), "there is no file .*traj.npy"),
        (lambda f: (f / "9" / "img.png").write_bytes(b"P"), "is not a picture"),
        (lambda f: np.save(f / "9" / "traj.npy", np.zeros((4, 2))), "these are point tracks"),
        (lambda f: np.save(f / "9" / "traj.npy", np.full((1, 10, 2), np.nan)), "NaN"),
        (lambda f: (f / "9" / "traj.npy").write_bytes(b"x,y"), "is not a .npy file"),
    ],
)
def test_damaged_examples(examples, damage, message):
    damage(examples)
    with pytest.raises(InputError, match=message):
        open_dataset("examples", examples, size=(96, 64), num_frames=8)["9"]


def test_a_folder_without_examples(tmp_path):
    with pytest.raises(InputError, match="holds no examples"):
        open_dataset("examples", tmp_path, **ASKED)


# --- frames ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("available", "num_frames", "stride", "picked"),
    [
        (10, 4, 1, [0, 1, 2, 3]),
        (10, 4, 3, [0, 3, 6, 9]),
        (10, 4, 0, [0, 3, 6, 9]),
        (11, 4, 0, [0, 3, 7, 10]),
        (4, 4, 0, [0, 1, 2, 3]),
    ],
)
def test_which_frames(available, num_frames, stride, picked):
    assert pick_frames(available, num_frames, stride, "the clip") == picked


def test_pictures_come_in_the_order_of_their_numbers(tmp_path):
    write_pictures(tmp_path / "f", pasted(4)[0], "shot2_{}.png", first=8)
    assert [path.stem for path in list_pictures(tmp_path / "f")] == ["shot2_8", "shot2_9", "shot2_10", "shot2_11"]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no pictures"):
        list_pictures(tmp_path / "none")


def test_videos_animations_and_folders_are_read_alike(tmp_path):
    frames = torch.from_numpy(np.stack(pasted(6, (1, (10, 8, 30, 24), (3, 1)))[0]))
    paths = [write_video(tmp_path / name, frames, fps=10) for name in ("a.mp4", "a.webp", "frames")]
    for stride, wanted in ((2, [0, 2, 4]), (0, [0, 2, 5])):
        for path in paths:
            clip, fit, picked = read_clip(path, (96, 64), "stretch", 3, stride)
            assert picked == wanted and fit.source == (96, 64)
            truth = frames[wanted].permute(0, 3, 1, 2) / 255
            assert (clip - truth).abs().mean() < 0.02, path
    with pytest.raises(InputError, match="a.webp has 6 frames: expected at least 7"):
        read_clip(paths[1], (96, 64), "stretch", 7, 1)


def test_a_video_is_decoded_only_as_far_as_is_wanted(tmp_path):
    # what comes after is damaged, and nobody minds
    cut = tmp_path / "cut.mp4"
    write_video(cut, torch.from_numpy(np.stack(pasted(60, (1, (4, 8, 24, 24), (1, 0)))[0])), fps=10)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 3 // 4])
    assert read_clip(cut, (96, 64), "stretch", 3, 2)[2] == [0, 2, 4]
    with pytest.raises(InputError, match="cut.mp4 cannot be decoded"):
        read_clip(cut, (96, 64), "stretch", 60, 1)


def test_a_video_that_promises_more_frames_than_it_has(tmp_path):
    path = tmp_path / "cut.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        for picture in pasted(60, (1, (24, 40, 68, 84), (1, 0)), size=(192, 128))[0]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    with pytest.raises(InputError, match="says that it has 60 frames, but fewer can be decoded"):
        read_clip(path, (96, 64), "stretch", 8, 0)
    with pytest.raises(InputError, match=r"cut.avi has \d+ frames: expected at least 60"):
        read_clip(path, (96, 64), "stretch", 60, 1)


def test_only_sound_is_no_video(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="has no moving pictures, only sound"):
        read_clip(path, (96, 64), "stretch", 2, 1)


# --- masks -----------------------------------------------------------------------------------------------------------


def test_boxes_and_centers_of_masks():
    masks = [np.zeros((6, 9), dtype=np.int64) for _ in range(3)]
    masks[0][1:3, 2:6] = 7
    masks[2][4:6, 0:1] = 7
    found = follow_mask(masks, 7)
    assert found.boxes.tolist() == [[2, 1, 6, 3], [2, 1, 6, 3], [0, 4, 1, 6]]
    assert found.centers.tolist() == [[4, 2], [4, 2], [0.5, 5]]
    assert found.visible.tolist() == [True, False, True]


def test_the_largest_disc_lies_in_the_object_and_in_the_picture():
    inside = np.zeros((20, 30), dtype=bool)
    inside[2:13, 4:9] = True  # 5 wide
    assert largest_disc(inside).box == (4, 2, 9, 7)
    inside[:] = True  # all: the picture's border bounds it
    disc = largest_disc(inside)
    assert disc.radius == 9.5 and disc.box[1] == 0
    one = np.zeros((4, 4), dtype=bool)
    one[3, 2] = True
    assert largest_disc(one).box == (2, 3, 3, 4)


def test_a_ring_has_its_disc_in_the_band_not_in_the_hole():
    y, x = np.mgrid[:64, :64] - 31.5
    ring = (np.hypot(x, y) < 30) & (np.hypot(x, y) > 16)
    disc = largest_disc(ring)
    assert disc.radius == pytest.approx(6.5, abs=1)
    assert np.hypot(disc.x - 32, disc.y - 32) == pytest.approx(23, abs=1)


def test_screening():
    boxes = torch.tensor(
        [
            [[10, 10, 30, 30], [20, 10, 40, 30]],
            [[-30, 10, 10, 30], [0, 10, 40, 30]],  # its centre, -10, is out
            [[10, 10, 30, 15], [10, 10, 30, 15]],  # 5 high
            [[10, 10, 30, 30], [100, 10, 120, 30]],  # its centre, 110, is 10 beyond 100
        ]
    ).float()
    for margin, last in ((None, None), (0.05, "far outside"), (0.1, None)):
        assert [screen(path, (100, 50), margin) for path in boxes] == [None, "outside", "small", last]


# --- what a tracker sees moving --------------------------------------------------------------------------------------


def clip_of(*things, frames=6, size=(192, 128)):
    return torch.from_numpy(np.stack(pasted(frames, *things, size=size)[0])).permute(0, 3, 1, 2) / 255


def test_two_things_that_move_are_both_found_and_boxes_do_not_overlap():
    clip = clip_of((1, (16, 10, 60, 54), (5, 0)), (2, (120, 70, 164, 114), (0, -4)))
    moving = moving_boxes(clip, lk, most=2)
    assert moving.against == "background" and moving.boxes.shape == (2, 6, 4)
    moves = (moving.boxes[:, 5] - moving.boxes[:, 0])[:, :2]
    assert torch.allclose(moves, torch.tensor([[25.0, 0], [0, -20]]), atol=1)
    x0, y0, x1, y1 = moving.boxes[:, 0].unbind(dim=1)
    assert x1[0] <= x0[1] or x1[1] <= x0[0] or y1[0] <= y0[1] or y1[1] <= y0[0]


def test_a_moving_camera_moves_the_picture():
    picture = torch.from_numpy(np.stack(pasted(1, size=(240, 128))[0])).permute(0, 3, 1, 2)[0] / 255
    clip = torch.stack([picture[:, :, 4 * f : 4 * f + 192] for f in range(6)])
    moving = moving_boxes(clip, lk, most=3)
    assert moving.against == "picture"
    assert torch.allclose((moving.boxes[:, 5] - moving.boxes[:, 0])[:, 0], torch.tensor(-20.0), atol=1)


def test_what_cannot_be_followed():
    still = clip_of((1, (16, 10, 60, 54), (0, 0)))
    with pytest.raises(InputError, match="nothing moves by 6.4 pixels or more"):
        moving_boxes(still, lk)
    with pytest.raises(InputError, match="most is 0"):
        moving_boxes(still, lk, most=0)

    def blind(video, points):
        paths = points[:, None].expand(-1, len(video), -1)
        return Tracks(paths, torch.zeros(paths.shape[:2], dtype=torch.bool), "blind")

    with pytest.raises(InputError, match="the tracker lost all 576 points before the end"):
        moving_boxes(still, blind)


def test_real_videos_are_there():
    assert real_video("bikes").stat().st_size == 509868
