"""How frames, masks and boxes are found."""

import struct
from itertools import product

import av
import numpy as np
import pytest
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.clips import join_frames, pick_frames, read_clip, video_frames_at
from sgi2v_lab.evaluation.datasets.moving import moving_boxes
from sgi2v_lab.evaluation.datasets.objects import keep, largest_disc, screen, trace
from sgi2v_lab.evaluation.trackers.track import lk
from sgi2v_lab.evaluation.trackers.tracks import Tracks
from sgi2v_lab.video import read_video, write_video
from tests.helpers.real_clips import SIZE, pasted, real_video, write_mp4

BALL = (1, (10, 8, 30, 24), (3, 1))


def read(path, num_frames, stride, size=SIZE):
    return read_clip(path, size, "stretch", num_frames, stride)


def encode(path, pictures):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, width=len(pictures[0][0]), height=len(pictures[0]))
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


# --- frames ----------------------------------------------------------------------------------------------------------


def test_which_frames(tmp_path):
    assert pick_frames(10, 4, 1, tmp_path) == [0, 1, 2, 3] == pick_frames(4, 4, None, tmp_path)
    assert pick_frames(10, 4, 3, tmp_path) == [0, 3, 6, 9] == pick_frames(10, 4, None, tmp_path)
    assert pick_frames(11, 4, None, tmp_path) == [0, 3, 7, 10]


def test_videos_animations_and_folders_are_read_alike(tmp_path):
    frames = torch.from_numpy(np.stack(pasted(6, BALL)[0]))
    paths = [write_video(tmp_path / name, frames, fps=10) for name in ("a.mp4", "a.webp", "frames")]
    paths.append(encode(tmp_path / "a.mkv", frames.numpy()))  # which does not say how many frames it has
    for path, (stride, wanted) in product(paths, ((2, [0, 2, 4]), (None, [0, 2, 5]))):
        clip, fit, picked = read(path, 3, stride)
        assert picked == wanted and fit.source == SIZE
        assert (clip - frames[wanted].permute(0, 3, 1, 2) / 255).abs().mean() < 0.02, path
    for path in paths:
        with pytest.raises(InputError, match=f"{path.name} has 6 frames.*: expected at least 7"):
            read(path, 7, 1)


def test_damaged_videos(tmp_path):
    cut = write_mp4(tmp_path / "cut.mp4", pasted(60, (1, (4, 8, 24, 24), (1, 0)))[0])
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 3 // 4])
    assert read(cut, 3, 2)[2] == [0, 2, 4]  # what comes after is damaged, and nobody minds
    with pytest.raises(InputError, match="cannot read .*cut.mp4.* as a video"):
        read(cut, 60, 1)
    # one that says that it has more frames
    path = encode(tmp_path / "cut.avi", pasted(40, (1, (24, 40, 68, 84), (1, 0)), size=(192, 128))[0])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    for num_frames, stride in ((8, None), (40, 1)):
        with pytest.raises(InputError, match=r"cut.avi has \d+ frames that can be decoded: expected at least 40"):
            read(path, num_frames, stride)


def test_what_is_no_video(tmp_path):
    with pytest.raises(InputError, match="cannot read .*No such file"):
        read(tmp_path / "none.mp4", 2, 1)
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="holds sound, but no pictures"):
        read(tmp_path / "sound.mp4", 2, 1)


# QuickTime's display matrix a, b, u, c, d, v, x, y, w: x' = a x + c y + x, y' = b x + d y + y
ONE = 1 << 16
UPRIGHT = struct.pack(">9i", ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30)
TURNED = {
    "a quarter to the right": ((0, ONE, 0, -ONE, 0, 0, SIZE[1] * ONE, 0, 1 << 30), -1),
    "a quarter to the left": ((0, -ONE, 0, ONE, 0, 0, 0, SIZE[0] * ONE, 1 << 30), 1),
    "upside down": ((-ONE, 0, 0, 0, -ONE, 0, SIZE[0] * ONE, SIZE[1] * ONE, 1 << 30), 2),
}


@pytest.mark.parametrize(("matrix", "quarters"), TURNED.values(), ids=TURNED)
def test_videos_of_phones_are_upright(tmp_path, matrix, quarters):
    frames, _ = pasted(4, BALL)
    path = write_mp4(tmp_path / "phone.mp4", frames)
    content = path.read_bytes()
    place = content.index(UPRIGHT, content.index(b"tkhd"))  # the one in the track's header
    path.write_bytes(content[:place] + struct.pack(">9i", *matrix) + content[place + len(UPRIGHT) :])
    truth = torch.from_numpy(np.rot90(np.stack(frames), quarters, axes=(1, 2)).copy()).permute(0, 3, 1, 2) / 255
    size = (truth.shape[-1], truth.shape[-2])
    clip, fit, _ = read(path, 4, 1, size)
    assert fit.source == size
    assert (clip - truth).abs().mean() < 0.02
    at_times, _ = join_frames(video_frames_at(path, [0.0, 0.04, 0.08, 0.12]), size, "stretch", path)
    assert torch.equal(at_times, clip)


def test_frames_at_times():
    path = real_video("carphone_pristine")  # 120 frames, 29.97 per second, so frame 30 comes a little after 1 s
    whole = read_video(path)[:, :, ::4, ::4]
    clip, fit = join_frames(video_frames_at(path, [0.0, 1.0, 2.51, 3.99]), (176, 144), "stretch", path)
    assert fit.source == (176, 144)
    nearest = [int((whole - frame[:, ::4, ::4]).abs().mean(dim=(1, 2, 3)).argmin()) for frame in clip]
    assert nearest == [0, 29, 75, 119]
    with pytest.raises(InputError, match=r"carphone_pristine.mp4 ends at 4.00 s: expected a frame at 4.10 s"):
        list(video_frames_at(path, [0.0, 4.1]))


# --- masks -----------------------------------------------------------------------------------------------------------


def test_boxes_and_centers_of_masks():
    masks = np.zeros((3, 6, 9), dtype=np.int32)
    masks[0, 1:3, 2:6] = 7
    masks[2, 4:6, 0:1] = 7
    boxes, centers = trace(masks, 7)
    assert boxes.tolist() == [[2, 1, 6, 3], [2, 1, 6, 3], [0, 4, 1, 6]], "hidden in between"
    assert centers.tolist() == [[4, 2], [4, 2], [0.5, 5]]


def test_the_largest_disc_lies_in_the_object_and_in_the_picture():
    inside = np.zeros((20, 30), dtype=bool)
    inside[2:13, 4:9] = True  # 5 wide
    assert largest_disc(inside) == (6.5, 4.5, 2.5)
    inside[:] = True  # all: the picture's border bounds it
    assert largest_disc(inside)[1:] == (9.5, 9.5)
    y, x = np.mgrid[:64, :64] - 31.5
    x, y, radius = largest_disc((np.hypot(x, y) < 30) & (np.hypot(x, y) > 16))  # in the band, not in the hole
    assert radius == pytest.approx(6.5, abs=1) and np.hypot(x - 32, y - 32) == pytest.approx(23, abs=1)


@pytest.mark.parametrize(("margin", "kept"), [(None, [0, 3]), (0.05, [0]), (0.11, [0, 3])])
def test_screening(margin, kept):
    boxes = torch.tensor(
        [
            [[10, 10, 30, 30], [20, 10, 40, 30]],
            [[-30, 10, 10, 30], [0, 10, 40, 30]],  # its centre, -10, is out
            [[10, 10, 30, 15], [10, 10, 30, 15]],  # 5 high
            [[10, 10, 30, 30], [100, 10, 120, 30]],  # its centre, 110, is 10 beyond 100
        ]
    ).float()
    assert screen(boxes, (100, 50), margin) == kept
    with pytest.raises(InputError, match="no object is left to follow .1 outside, 1 small."):
        screen(boxes[1:3], (100, 50), margin)
    assert keep([7, 8], [None, "small"]) == [7]


# --- what a tracker sees moving --------------------------------------------------------------------------------------


def clip_of(*things, size=(192, 128)):
    return torch.from_numpy(np.stack(pasted(6, *things, size=size)[0])).permute(0, 3, 1, 2) / 255


def test_two_things_that_move_are_both_found_and_boxes_do_not_overlap():
    clip = clip_of((1, (16, 10, 60, 54), (5, 0)), (2, (120, 70, 164, 114), (0, -4)))
    boxes = moving_boxes(clip, lk, 2)
    assert boxes.shape == (2, 6, 4)
    moves = (boxes[:, 5] - boxes[:, 0])[:, :2]
    assert torch.allclose(moves, torch.tensor([[25.0, 0], [0, -20]]), atol=1)
    x0, y0, x1, y1 = boxes[:, 0].unbind(dim=1)
    assert x1[0] <= x0[1] or x1[1] <= x0[0] or y1[0] <= y0[1] or y1[1] <= y0[0]


def test_a_moving_camera_moves_the_picture():
    picture = torch.from_numpy(np.stack(pasted(1, size=(240, 128))[0])).permute(0, 3, 1, 2)[0] / 255
    clip = torch.stack([picture[:, :, 4 * f : 4 * f + 192] for f in range(6)])
    boxes = moving_boxes(clip, lk, 3)
    assert torch.allclose((boxes[:, 5] - boxes[:, 0])[:, 0], torch.tensor(-20.0), atol=1)


def test_what_cannot_be_followed():
    still = clip_of((1, (16, 10, 60, 54), (0, 0)))
    with pytest.raises(InputError, match="nothing moves by 6.4 pixels or more"):
        moving_boxes(still, lk, 3)

    def blind(video, points):
        paths = points[:, None].expand(-1, len(video), -1)
        return Tracks(paths, torch.zeros(paths.shape[:2], dtype=torch.bool), "blind")

    with pytest.raises(InputError, match="the tracker lost all 576 points before the end"):
        moving_boxes(still, blind, 3)
