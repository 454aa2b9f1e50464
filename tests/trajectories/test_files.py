import pickle

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgi2v_lab.errors import InputError
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from sgi2v_lab.trajectories.files import load_trajectories, read_example, save_trajectories, write_example

SIZE = (96, 64)
BOTH = Trajectories(
    SIZE,
    (
        Trajectory.along((10, 10, 30, 25), [(20, 17), (60, 20), (70, 50)], easing="ease-out", name="Bälle"),
        Trajectory.pin((60, 40, 90, 60)),
    ),
)
GROWING = Trajectories(SIZE, (Trajectory.pin((1, 1, 5, 5)), Trajectory.move((10, 10, 30, 25), scale=2)))


def saved(tmp_path, array, **options):
    np.save(tmp_path / "traj.npy", array, **options)
    return tmp_path / "traj.npy"


def test_json_file_round_trip(tmp_path):
    save_trajectories(tmp_path / "both.json", BOTH)
    assert load_trajectories(tmp_path / "both.json") == load_trajectories(str(tmp_path / "both.json"), SIZE) == BOTH
    assert [path.name for path in tmp_path.iterdir()] == ["both.json"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.integers(1, 25), st.tuples(st.floats(-500, 500), st.floats(-500, 500)))
def test_npy_round_trip(tmp_path, num_frames, by):
    trajectories = Trajectories(BOTH.image_size, (*BOTH, Trajectory.move((3.3, 4.4, 50.5, 60.6), by=by)))
    save_trajectories(tmp_path / "t.npy", trajectories, num_frames)
    again = load_trajectories(tmp_path / "t.npy", SIZE)
    assert again.image_size == SIZE
    assert torch.allclose(again.boxes(num_frames), trajectories.boxes(num_frames), atol=1e-4)


def test_npy_layout_is_the_references(tmp_path):
    save_trajectories(tmp_path / "t.npy", Trajectories(SIZE, (Trajectory.move((10, 10, 30, 20), by=(8, 4)),)), 3)
    expected = [[[10, 10], [30, 20], [20, 15], [24, 17], [28, 19]]]
    assert np.load(tmp_path / "t.npy").tolist() == expected


def test_boxes_are_shifted_by_the_change_of_the_centre(tmp_path):
    # the first centre need not be the box's own, to the pixel
    array = np.array([[[10, 10], [30, 20], [18, 14], [23, 13]]], dtype=np.float32)
    found = load_trajectories(saved(tmp_path, array), SIZE).boxes(2)
    assert found.tolist() == [[[10, 10, 30, 20], [15, 9, 35, 19]]]
    assert torch.equal(load_trajectories(saved(tmp_path, array.astype(int)), SIZE).boxes(2), found)


def test_other_frame_counts_only_when_asked_for(tmp_path):
    save_trajectories(tmp_path / "t.npy", BOTH, 14)
    with pytest.raises(InputError, match="given for 14 frames but 8"):
        load_trajectories(tmp_path / "t.npy", SIZE).boxes(8)
    assert (
        load_trajectories(tmp_path / "t.npy", SIZE, resample=True).boxes(27)[:, ::2].allclose(BOTH.boxes(14), atol=1e-4)
    )
    save_trajectories(tmp_path / "t.json", load_trajectories(tmp_path / "t.npy", SIZE))
    assert load_trajectories(tmp_path / "t.json", resample=True).boxes(8).shape == (2, 8, 4)


def test_example_folder_round_trip(tmp_path):
    image = PIL.Image.effect_noise(SIZE, 50).convert("RGB")
    write_example(tmp_path / "new" / "example", image, BOTH, 14)
    assert sorted(path.name for path in (tmp_path / "new" / "example").iterdir()) == ["img.png", "traj.npy"]
    found, trajectories = read_example(tmp_path / "new" / "example")
    assert np.array_equal(np.asarray(found), np.asarray(image)) and trajectories.image_size == SIZE
    assert torch.allclose(trajectories.boxes(14), BOTH.boxes(14), atol=1e-4)
    assert read_example(tmp_path / "new" / "example", resample=True)[1].boxes(8).shape == (2, 8, 4)


class Payload:
    """Unpickling it would leave a trace."""

    ran = False

    def __reduce__(self):
        return setattr, (Payload, "ran", True)


def test_pickles_are_refused_and_not_run(tmp_path):
    objects = saved(tmp_path, np.array([Payload()], dtype=object), allow_pickle=True)
    (tmp_path / "raw.npy").write_bytes(pickle.dumps(Payload()))
    for path in (objects, tmp_path / "raw.npy"):
        with pytest.raises(InputError, match="pickled objects"):
            load_trajectories(path, SIZE)
    assert not Payload.ran


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 5)), r"shape \(2, 5\): expected .*\(boxes, 2 \+ frames, 2\)"),
        (np.zeros((1, 2, 2)), "point tracks.*box_size"),
        (np.zeros((1, 9, 7, 2)), r"shape \(1, 9, 7, 2\).*swapaxes"),
        (np.zeros((0, 5, 2)), "shape"),
        (np.zeros((1, 5, 3)), "shape"),
        (np.zeros((1, 5, 2), dtype=complex), "complex128: expected floating-point"),
        (np.zeros((1, 5, 2), dtype=bool), "type bool"),
        (np.full((1, 5, 2), "a"), "type <U1"),
        (np.zeros((1, 5, 4)), "box in frame 0 .*x0 < x1"),
        (np.array([[[0, 0], [9, 9], [5, 5], [np.nan, 5]]]), "finite"),
        (np.array([[[0, 0], [9, 9], [5, 5], [np.inf, 5]]]), "finite"),
    ],
)
def test_wrong_arrays(tmp_path, array, message):
    with pytest.raises(InputError, match=f"traj.npy.*{message}"):
        load_trajectories(saved(tmp_path, array), SIZE)


def test_damaged_files(tmp_path):
    whole = saved(tmp_path, np.zeros((1, 5, 2))).read_bytes()
    huge = whole.replace(b"(1, 5, 2), ", b"(1, 9999999999999, 2), ").replace(b"          ", b"", 1)
    for content, message in (
        (whole[:-9], "damaged or cut short"),
        (whole[:20], "damaged or cut short"),
        (huge, "damaged or cut short"),
        (b"", "not a .npy file"),
        (b"PK\x03\x04zip", "damaged or cut short"),
    ):
        (tmp_path / "broken.npy").write_bytes(content)
        with pytest.raises(InputError, match=f"broken.npy.*{message}"):
            load_trajectories(tmp_path / "broken.npy", SIZE)


def test_json_errors_name_the_file(tmp_path):
    for content, message in (
        (b'{"a":\n]', "line 2, column 1"),
        (b"\xff\xfe{", "neither text in UTF-8"),
        (b"{}", "format"),
    ):
        (tmp_path / "t.json").write_bytes(content)
        with pytest.raises(InputError, match=f"t.json.*{message}"):
            load_trajectories(tmp_path / "t.json")


def test_loading_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*a.json"):
        load_trajectories(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"there is no file .*a.npy"):
        load_trajectories(tmp_path / "a.npy", SIZE)
    with pytest.raises(InputError, match="there is no folder"):
        read_example(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"there is no file .*img.png"):
        read_example(tmp_path)
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        load_trajectories(tmp_path / "folder.json")


def test_sizes_must_agree(tmp_path):
    save_trajectories(tmp_path / "t.json", BOTH)
    with pytest.raises(InputError, match=r"image of size .96, 64. but this one has .64, 64."):
        load_trajectories(tmp_path / "t.json", (64, 64))
    save_trajectories(tmp_path / "t.npy", BOTH, 8)
    with pytest.raises(InputError, match="expected image_size="):
        load_trajectories(tmp_path / "t.npy")
    with pytest.raises(InputError, match=r"image has size .64, 64. but the trajectories"):
        write_example(tmp_path / "out", PIL.Image.new("RGB", (64, 64)), BOTH, 8)


def test_a_file_far_too_large_is_not_read(tmp_path):
    with (tmp_path / "t.json").open("wb") as file:
        file.truncate(2**27)
    with pytest.raises(InputError, match="134217728 bytes"):
        load_trajectories(tmp_path / "t.json")


def test_what_cannot_be_saved_leaves_no_file(tmp_path):
    for path, trajectories, num_frames, message in (
        ("t.npy", BOTH, None, "expected num_frames="),
        ("t.npy", GROWING, 8, "box 1 changes its size"),
        ("t.npy", Trajectories(SIZE), 8, "no trajectories"),
        ("t.txt", BOTH, 8, "suffix '.txt'"),
    ):
        with pytest.raises(InputError, match=message):
            save_trajectories(tmp_path / path, trajectories, num_frames)
    with pytest.raises(InputError, match="box 1 changes its size"):
        write_example(tmp_path / "example", PIL.Image.new("RGB", SIZE), GROWING, 8)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path):
    save_trajectories(tmp_path / "t.json", BOTH)
    (tmp_path / "taken.json").mkdir()
    with pytest.raises(InputError, match="cannot write"):
        save_trajectories(tmp_path / "taken.json", BOTH)
    save_trajectories(tmp_path / "t.json", GROWING)
    assert load_trajectories(tmp_path / "t.json") == GROWING
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.json", "taken.json"]
