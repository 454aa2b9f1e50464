import base64
import os
import re
import stat
import struct
from itertools import pairwise

import av
import numpy as np
import pytest
import torch
from jaxtyping import config as jaxtyping_config
from PIL import Image

from sgi2v_lab.errors import InputError
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render, true_boxes
from sgi2v_lab.video import (
    PALETTE,
    as_frames,
    draw_boxes,
    enlarge,
    files,
    read_video,
    show_video,
    side_by_side,
    write_frames,
    write_video,
)


@pytest.fixture(scope="module")
def scene():
    return sample_scene(3)


@pytest.fixture(scope="module")
def video(scene):
    return render(scene, 128)


@pytest.fixture
def as_a_user(monkeypatch):
    """Users have no run-time checker of shapes in front of the package's own checks."""
    monkeypatch.setattr(jaxtyping_config, "jaxtyping_disable", True)


def psnr(a, b):
    return -10 * torch.log10((a - b).square().mean()).item()


def files_in(folder):
    return sorted(p.name for p in folder.iterdir())


# --- mp4 -------------------------------------------------------------------------------------------------------------


def test_mp4_comes_back_as_it_went(tmp_path, video):
    assert write_video(tmp_path / "clip.mp4", video) == tmp_path / "clip.mp4"
    back = read_video(tmp_path / "clip.mp4")
    assert back.shape == video.shape
    assert psnr(back, video) > 30
    assert files_in(tmp_path) == ["clip.mp4"]


def test_mp4_is_what_browsers_play(tmp_path, video):
    path = write_video(tmp_path / "clip.mp4", video, fps=7)
    with av.open(str(path)) as opened:
        stream = opened.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate) == 7
        assert opened.duration / av.time_base == pytest.approx(len(video) / 7, abs=0.01)
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    assert stat.S_IMODE(path.stat().st_mode) & 0o400


@pytest.mark.parametrize("height, width", [(33, 47), (1, 1), (64, 65)])
def test_mp4_odd_sides_are_lengthened_by_their_edge(tmp_path, height, width):
    video = render(sample_scene(1), 65)[:2, :, :height, :width]
    back = read_video(write_video(tmp_path / "odd.mp4", video))
    assert back.shape == (2, 3, height + height % 2, width + width % 2)
    if width % 2 and width > 1:
        assert (back[..., -1] - back[..., -2]).abs().mean() < 0.02


@pytest.mark.parametrize("colour", [(0.9, 0.1, 0.1), (0.1, 0.8, 0.2), (0.1, 0.2, 0.9), (1.0, 1.0, 1.0)])
def test_mp4_keeps_colours(tmp_path, colour):
    flat = torch.tensor(colour).view(1, 3, 1, 1).expand(2, 3, 32, 32)
    back = read_video(write_video(tmp_path / "flat.mp4", flat))
    assert back.mean(dim=(0, 2, 3)).tolist() == pytest.approx(colour, abs=0.02)


def test_mp4_fractional_rate(tmp_path, video):
    path = write_video(tmp_path / "clip.mp4", video, fps=12.5)
    with av.open(str(path)) as opened:
        assert float(opened.streams.video[0].average_rate) == pytest.approx(12.5)


def test_bytes_and_floats_make_the_same_file(tmp_path, video):
    a = write_video(tmp_path / "a.mp4", video).read_bytes()
    b = write_video(tmp_path / "b.mp4", as_frames(video)).read_bytes()
    assert a == b


# --- gif, webp, folders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix, least", [(".gif", 28), (".webp", 30), ("", 55)])
def test_other_formats_come_back(tmp_path, video, suffix, least):
    back = read_video(write_video(tmp_path / f"clip{suffix}", video))
    assert back.shape == video.shape
    assert psnr(back, video) > least


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations_loop_for_ever_at_their_rate(tmp_path, video, suffix):
    path = write_video(tmp_path / f"clip{suffix}", video, fps=7)
    with Image.open(path) as opened:
        assert opened.n_frames == len(video)
        assert opened.info["loop"] == 0
        lengths = []
        for i in range(opened.n_frames):
            opened.seek(i)
            opened.load()
            lengths.append(opened.info["duration"])
    assert sum(lengths) == pytest.approx(1000 * len(video) / 7, abs=5)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations_keep_frames_that_stand_still(tmp_path, video, suffix):
    paused = torch.cat([video[:1].expand(3, -1, -1, -1), video])
    back = read_video(write_video(tmp_path / f"clip{suffix}", paused))
    assert len(back) == len(paused)
    assert psnr(back[2], video[0]) > 28


def test_folder_is_replaced_only_if_it_holds_frames(tmp_path, video):
    write_frames(tmp_path / "frames", video)
    write_frames(tmp_path / "frames", video[:3])
    assert files_in(tmp_path / "frames") == ["frame_0000.png", "frame_0001.png", "frame_0002.png"]
    (tmp_path / "frames" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not a folder of frames"):
        write_frames(tmp_path / "frames", video)
    assert "notes.txt" in files_in(tmp_path / "frames")
    assert files_in(tmp_path) == ["frames"]


def test_max_frames(tmp_path, video):
    path = write_video(tmp_path / "clip.mp4", video)
    assert len(read_video(path, max_frames=3)) == 3
    assert len(read_video(path, max_frames=100)) == len(video)
    with pytest.raises(InputError, match="max_frames"):
        read_video(path, max_frames=0)


def gif(path, delays, side=8):
    """Frames that all differ, which last as many milliseconds as they are told."""
    pictures = [Image.new("RGB", (side, side), (20 * (i % 12), 9 * (i % 25), 100)) for i in range(len(delays))]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=delays)
    return path


@pytest.mark.parametrize(
    ("delays", "counts"),
    [
        ([0] + [100] * 9, [1] * 10),
        ([10] + [100] * 9, [1] * 10),
        ([0] * 4, [1] * 4),
        ([20, 100, 40], [1, 5, 2]),
        ([100, 110, 90], [1] * 3),
    ],
)
@pytest.mark.parametrize("name", ["clip.gif", "clip.webp", "clip.png", "clip.mp4"])  # the content says what it is
def test_frames_last_as_long_as_in_a_browser(tmp_path, delays, counts, name):
    made = gif(tmp_path / name.replace("mp4", "gif"), delays).rename(tmp_path / name)
    video = read_video(made)
    repeats = [1]
    for before, after in pairwise(video):
        repeats = [*repeats, 1] if (after - before).abs().max() > 0.03 else [*repeats[:-1], repeats[-1] + 1]
    assert repeats == counts


def test_a_video_too_large_for_memory_is_refused_before_it_is_stacked(tmp_path, video, monkeypatch):
    monkeypatch.setattr(files, "LARGEST", 3 * 128 * 128 * 5)
    for path in (write_video(tmp_path / "clip.mp4", video), write_video(tmp_path / "frames", video)):
        with pytest.raises(InputError, match="more than 5 frames of 128 x 128 pixels.*max_frames"):
            read_video(path)
        assert len(read_video(path, max_frames=5)) == 5
    with pytest.raises(InputError, match="max_frames"):
        read_video(gif(tmp_path / "long.gif", [20, 600_000], side=16))


@pytest.mark.parametrize(
    ("turn", "matrix"),
    [(0, (1, 0, 0, 1)), (1, (0, 1, -1, 0)), (2, (-1, 0, 0, -1)), (3, (0, -1, 1, 0))],  # quarters clockwise
)
def test_a_film_that_lies_on_its_side_is_put_upright(tmp_path, turn, matrix):
    still = render(sample_scene(1), 128)[:1, :, :64].expand(2, -1, -1, -1)
    path = write_video(tmp_path / "phone.mp4", still)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # ISO 14496-12, 8.3.2: version 0 has its matrix here
    a, b, c, d = matrix
    assert struct.unpack(">9i", data[at : at + 36]) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    upright = read_video(path)
    assert upright.shape == ((2, 3, 128, 64) if turn % 2 else (2, 3, 64, 128))
    assert psnr(upright, torch.rot90(still, -turn, (2, 3))) > 30


def test_frames_come_in_the_order_of_their_numbers_and_litter_is_left_out(tmp_path):
    for i in range(12):
        Image.new("RGB", (4, 4), (20 * i, 0, 0)).save(tmp_path / f"frame_{i}.{'jpg' if i == 3 else 'png'}")
    (tmp_path / "._frame_1.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / ".DS_Store").write_bytes(b"")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    video = read_video(tmp_path)
    assert (video[:, 0, 0, 0] * 255).round().tolist() == pytest.approx([20 * i for i in range(12)], abs=2)
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "._frame_0000.png").write_bytes(b"")
    assert len(read_video(write_video(tmp_path / "clip", video))) == 12


def test_frames_of_a_folder_are_turned_as_cameras_say(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(tmp_path / "0.jpg", exif=exif)
    assert read_video(tmp_path).shape == (1, 3, 6, 4)


def test_home_is_found(tmp_path, video, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("clip.mp4", "clip.gif", "frames"):
        assert write_video(f"~/{name}", video[:2]) == tmp_path / name
        assert read_video(f"~/{name}").shape == video[:2].shape
    assert files_in(tmp_path) == ["clip.gif", "clip.mp4", "frames"]


def test_arrays_and_lists_of_pictures_are_videos(tmp_path, video):
    frames = as_frames(video)
    write_video(tmp_path / "clip.mp4", frames.numpy(), fps=np.float32(7), scale=np.int64(2))
    assert read_video(tmp_path / "clip.mp4").shape == (8, 3, 256, 256)
    for held in (
        frames.numpy(),
        video.numpy(),
        list(video),
        list(frames.numpy()),
        [Image.fromarray(f.numpy()) for f in frames],
    ):
        assert torch.equal(as_frames(held), frames)
    with pytest.raises(InputError, match="different sizes"):
        as_frames([video[0], video[0, :, :9]])


def test_missing_parents_are_made_and_old_files_replaced(tmp_path, video):
    path = tmp_path / "a" / "b" / "clip.webp"
    write_video(path, video)
    write_video(path, video[:2])
    assert len(read_video(path)) == 2
    assert files_in(path.parent) == ["clip.webp"]


# --- enlarging -------------------------------------------------------------------------------------------------------


def test_enlarge_makes_crisp_squares(video):
    large = enlarge(video, 3)
    assert large.shape == (len(video), 384, 384, 3)
    for dy in range(3):
        assert torch.equal(large[:, dy::3, 2::3], as_frames(video))


def test_enlarge_smooth_is_smooth(video):
    crisp, smooth = enlarge(video, 4).float(), enlarge(video, 4, smooth=True).float()
    assert smooth.shape == crisp.shape
    assert smooth.diff(dim=1).abs().max() < crisp.diff(dim=1).abs().max()
    assert (smooth - crisp).abs().mean() < 8


def test_scale_is_written(tmp_path, video):
    assert read_video(write_video(tmp_path / "clip.mp4", video, scale=2)).shape[2:] == (256, 256)


@pytest.mark.parametrize("scale", [0, -1, 1.5, True, 65, "2"])
def test_bad_scale(video, scale, as_a_user):
    with pytest.raises(InputError, match="scale is"):
        enlarge(video, scale)


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [0, -7, float("nan"), float("inf"), 1e6, True, None, "7"])
def test_bad_fps(tmp_path, video, fps, as_a_user):
    for call in (lambda: write_video(tmp_path / "clip.mp4", video, fps=fps), lambda: show_video(video, fps=fps)):
        with pytest.raises(InputError, match="fps is"):
            call()
    assert files_in(tmp_path) == []


def test_gif_cannot_be_faster_than_browsers_play_it(tmp_path, video):
    with pytest.raises(InputError, match=r"fps is 60.*50"):
        write_video(tmp_path / "clip.gif", video, fps=60)
    write_video(tmp_path / "clip.webp", video, fps=60)


@pytest.mark.parametrize(
    "bad, told",
    [
        (torch.zeros(0, 3, 8, 8), "empty"),
        (torch.zeros(2, 3, 0, 8), "empty"),
        (torch.zeros(3, 8, 8), "shape"),
        (torch.zeros(2, 8, 8, 3), "shape"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "shape"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.int64), "int64"),
        (torch.full((2, 3, 8, 8), float("nan")), "NaN"),
        (np.full((2, 3, 8, 8), "a"), "ndarray"),
    ],
)
def test_bad_videos(tmp_path, bad, told, as_a_user):
    for name in ("clip.mp4", "clip.gif", "frames"):
        with pytest.raises(InputError, match=told):
            write_video(tmp_path / name, bad)
    assert files_in(tmp_path) == []


def test_values_outside_are_clipped():
    frames = as_frames(torch.tensor([-0.5, 0.5, 1.5]).view(1, 3, 1, 1))
    assert frames.flatten().tolist() == [0, 128, 255]


@pytest.mark.parametrize("name", ["clip.mkv", "clip.txt", "clip.mp4.bak"])
def test_unknown_suffix(tmp_path, video, name):
    with pytest.raises(InputError, match=r"expected \.mp4, \.gif, \.webp"):
        write_video(tmp_path / name, video)


def test_places_that_cannot_be_written(tmp_path, video, monkeypatch):
    (tmp_path / "taken.mp4").mkdir()
    (tmp_path / "file").write_text("a file, not a folder")
    for path in (tmp_path / "taken.mp4", tmp_path / "file" / "clip.mp4"):
        with pytest.raises(InputError, match="cannot write"):
            write_video(path, video[:1])

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    for name in ("clip.mp4", "clip.gif", "frames"):
        with pytest.raises(InputError, match="Permission denied"):
            write_video(tmp_path / name, video[:1])
    assert files_in(tmp_path) == ["file", "taken.mp4"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_interrupted_writing_leaves_the_old_file(tmp_path, video, monkeypatch, stop):
    path = write_video(tmp_path / "clip.mp4", video[:2])
    before = path.read_bytes()
    seen = []

    def interrupted(target, frames, fps):
        encode(target, frames, fps)
        seen.extend(files_in(tmp_path))
        raise stop

    encode = files.encode_mp4
    monkeypatch.setattr(files, "encode_mp4", interrupted)
    with pytest.raises(stop):
        write_video(path, video)
    assert any(name.startswith(".clip.") and name.endswith(".mp4") for name in seen)  # it did write elsewhere
    assert files_in(tmp_path) == ["clip.mp4"]
    assert path.read_bytes() == before


def test_bad_files_to_read(tmp_path):
    with pytest.raises(InputError, match="there is no"):
        read_video(tmp_path / "none.mp4")
    for name in ("text.mp4", "text.gif", "text.webp"):
        (tmp_path / name).write_text("not a video")
        with pytest.raises(InputError, match="cannot read"):
            read_video(tmp_path / name)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="no frames"):
        read_video(tmp_path / "folder")
    for side in (4, 6):
        Image.new("RGB", (side, side)).save(tmp_path / "folder" / f"{side}.png")
    with pytest.raises(InputError, match="different sizes"):
        read_video(tmp_path / "folder")


# --- overlays --------------------------------------------------------------------------------------------------------


def rgb(colour):
    return torch.tensor([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def test_boxes_are_drawn_where_they_are():
    grey = torch.full((2, 3, 100, 100), 0.5)
    boxes = torch.tensor([[[20.0, 30, 60, 80], [30.0, 30, 70, 80]]])
    drawn = draw_boxes(grey, boxes, paths=False)
    paint = rgb(PALETTE[0])
    for frame, left in ((0, 20), (1, 30)):
        near = (drawn[frame] - paint[:, None, None]).norm(dim=0) < 0.25
        rows, columns = near.nonzero().unbind(dim=1)
        assert (columns.min(), columns.max()) == (pytest.approx(left, abs=1), pytest.approx(left + 40, abs=1))
        assert (rows.min(), rows.max()) == (pytest.approx(30, abs=1), pytest.approx(80, abs=1))
        assert torch.allclose(drawn[frame, :, 40:70, left + 5 : left + 35], torch.tensor(0.5), atol=0.01)


def test_paths_are_drawn_between_the_centres():
    grey = torch.full((2, 3, 100, 100), 0.5)
    boxes = torch.tensor([[[0.0, 40, 20, 60], [80.0, 40, 100, 60]]])
    changed = (draw_boxes(grey, boxes) - draw_boxes(grey, boxes, paths=False)).abs().sum(dim=1)[0] > 0.1
    assert changed[49:51, 23:85].all()  # the path, from centre to centre at y = 50, right of the first box's edge
    assert not changed[:40].any() and not changed[60:].any()


def test_boxes_scale_with_the_video(video, scene):
    boxes = true_boxes(scene, 128)
    assert draw_boxes(video, boxes, scale=2).shape == (8, 3, 256, 256)
    grey = torch.full((1, 3, 50, 50), 0.5)
    drawn = draw_boxes(grey, torch.tensor([[[10.0, 10, 40, 40]]]), paths=False, scale=4)
    assert (drawn[0, 0] - drawn[0, 1])[:, 40].max() > 0.4  # a vertical line at 4 x 10
    assert (drawn[0, 0] - drawn[0, 1])[60:100, 60:100].max() < 0.01


def test_no_boxes_leave_the_video_alone(video):
    assert psnr(draw_boxes(video, torch.zeros(0, 8, 4)), video) > 55


def test_boxes_outside_and_upside_down_are_harmless(video):
    boxes = torch.tensor([[[-500.0, -500, -400, -400]] * 8, [[90.0, 90, 20, 20]] * 8, [[60.0, 60, 60, 60]] * 8])
    assert draw_boxes(video, boxes).shape == video.shape


def test_bad_boxes(video, as_a_user):
    for bad in (torch.zeros(1, 7, 4), torch.zeros(8, 4), torch.zeros(1, 8, 2)):
        with pytest.raises(InputError, match="boxes have shape"):
            draw_boxes(video, bad)
    with pytest.raises(InputError, match="NaN"):
        draw_boxes(video, torch.full((1, 8, 4), float("nan")))


def test_side_by_side_keeps_the_videos_and_adds_labels(video):
    plain = side_by_side([video, video.flip(0)])
    gap = plain.shape[3] - 2 * 128
    assert plain.shape[:3] == (8, 3, 128) and gap > 0
    assert psnr(plain[..., :128], video) > 55 and psnr(plain[..., -128:], video.flip(0)) > 55
    assert (plain[..., 128 : 128 + gap] == 1).all()
    labelled = side_by_side([video, video], labels=["left", "a label far too long for 128 pixels of room, truly"])
    band = labelled.shape[2] - 128
    assert psnr(labelled[:, :, band:], side_by_side([video, video])) > 55
    for part in (labelled[0, :, :band, :128], labelled[0, :, :band, -128:]):
        assert part.min() < 0.4 and part.mean() > 0.7  # dark letters on white
        assert (part[:, :, 0] > 0.99).all()  # and none cut off at the edge
    assert torch.equal(labelled[0, :, :band], labelled[-1, :, :band])


def test_side_by_side_draws_the_boxes_on_each(video, scene):
    boxes = true_boxes(scene, 128)
    both = side_by_side([video, video], boxes=boxes, scale=2)
    alone = draw_boxes(video, boxes, scale=2)
    assert torch.equal(both[..., :256], alone) and torch.equal(both[..., -256:], alone)


def test_side_by_side_bad_input(video):
    with pytest.raises(InputError, match="no videos"):
        side_by_side([])
    with pytest.raises(InputError, match="shapes"):
        side_by_side([video, video[:4]])
    with pytest.raises(InputError, match="1 labels for 2"):
        side_by_side([video, video], labels=["one"])


# --- notebooks -------------------------------------------------------------------------------------------------------


def test_html_carries_the_whole_video(tmp_path, video):
    page = show_video(video, fps=5).data
    for word in ("autoplay", "loop", "muted", "playsinline", "image-rendering: pixelated", 'width="384"'):
        assert word in page
    data = re.search(r'src="data:video/mp4;base64,([A-Za-z0-9+/=]+)"', page).group(1)
    (tmp_path / "clip.mp4").write_bytes(base64.b64decode(data))
    back = read_video(tmp_path / "clip.mp4")
    assert back.shape == (8, 3, 384, 384)
    assert psnr(back[:, :, 1::3, 1::3], video) > 33
    assert 'aria-label="Video of 8 frames, 128 by 128 pixels, 5 per second"' in page


def test_html_escapes_its_words(video):
    page = show_video(video, alt='<script>"', title="a & b", width=200).data
    assert "<script>" not in page and "&lt;script&gt;&quot;" in page
    assert "a &amp; b</figcaption>" in page
    assert "<video" in page and 'width="200"' in page


def test_html_bad_width(video):
    with pytest.raises(InputError, match="width is 0"):
        show_video(video, width=0)
