import io
import json
import re
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.diagnosis.path_faults import FULL_SPEED
from sgi2v_lab.images.read import read_image
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.camera import CAMERA_MOVES, is_camera, with_camera
from sgi2v_lab.trajectories.files import load_trajectories
from sgi2v_lab.trajectories.geometry import EASINGS
from sgi2v_lab.trajectories.json_format import to_json
from sgi2v_lab.trajectories.trajectory import Trajectory
from sgi2v_lab.widgets.bundle import STATIC, script
from sgi2v_lab.widgets.exchange import Uploads, to_download
from sgi2v_lab.widgets.pictures import LOSSLESS_UP_TO, encoded
from sgi2v_lab.widgets.remarks import remarks_on
from sgi2v_lab.widgets.trajectory_editor import TrajectoryEditor

SIZE = (320, 192)
BALL = Trajectory.move((10, 40, 60, 90), by=(60, 20), name="ball")
HILL = Trajectory.pin((200, 100, 260, 160), name="hill")
BOTH = Trajectories(SIZE, (BALL, HILL))
MODEL = {"num_frames": 8, "size": SIZE, "factor": 8}


def picture(size=SIZE):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


@pytest.fixture
def editor():
    editor = TrajectoryEditor(picture(), num_frames=8, width=SIZE[0], height=SIZE[1])
    sent = []
    editor.send = lambda content, buffers=None: sent.append((content, buffers))
    editor.sent = sent
    return editor


def draws(editor, document):
    """What a browser sends when something was drawn."""
    editor.set_state({"_document": document})


def asks(editor, buffers=(), **message):
    editor._handle_custom_msg(message, list(buffers))


def as_document(trajectories):
    return json.loads(to_json(trajectories))


# --- two ways --------------------------------------------------------------------------------------------------------


def test_what_python_sets_the_browser_shows(editor):
    editor.trajectories = BOTH
    assert editor._document == as_document(BOTH)
    assert (editor._undoable, editor._redoable) == (1, 0)


def test_what_the_browser_draws_python_has(editor):
    heard = []
    editor.observe(lambda change: heard.append(change["new"]), "trajectories")
    draws(editor, as_document(BOTH))
    assert editor.trajectories == BOTH
    assert heard == [BOTH]


def test_nonsense_from_the_browser_keeps_the_last_good_and_says_so(editor):
    editor.trajectories = BOTH
    broken = as_document(BOTH)
    broken["trajectories"][0]["keys"][0]["box"] = [9, 9, 9, 9]
    draws(editor, broken)
    assert editor.trajectories == BOTH
    assert "x0 < x1" in editor._problem
    asks(editor, kind="undo")
    assert editor._problem == ""
    assert editor._document == as_document(BOTH)
    assert editor.trajectories == BOTH


def test_trajectories_of_another_picture_are_refused(editor):
    with pytest.raises(InputError, match="another|size"):
        editor.trajectories = Trajectories((10, 10))
    assert editor.trajectories.image_size == SIZE
    draws(editor, as_document(Trajectories((10, 10))))
    assert "expected the same" in editor._problem


def test_undo_and_redo_walk_the_same_way_back(editor):
    steps = [Trajectories(SIZE), Trajectories(SIZE, (BALL,)), BOTH]
    for step in steps[1:]:
        editor.trajectories = step
    for step in (*steps[1::-1], steps[0]):  # once more than there is
        editor.undo()
        assert editor.trajectories == step
        assert editor._document == as_document(step)
    for step in (*steps[1:], steps[-1]):
        asks(editor, kind="redo")
        assert editor.trajectories == step
    editor.undo()
    editor.trajectories = Trajectories(SIZE, (HILL,))
    assert editor._redoable == 0


def test_selection_and_frame_stay_within_what_there_is(editor):
    editor.trajectories = BOTH
    editor.selected, editor.frame = 1, 7
    editor.trajectories = Trajectories(BOTH.image_size, BOTH.trajectories[:1])
    editor.num_frames = 5
    assert (editor.selected, editor.frame) == (0, 4)
    assert TrajectoryEditor(picture(), BOTH, selected=1).selected == 1


def test_the_state_is_all_a_reloaded_page_needs(editor):
    editor.trajectories = BOTH
    state = editor.get_state()
    assert state["_document"] == as_document(BOTH)
    assert read_image(state["_picture"]).size == tuple(state["_size"]) == SIZE
    assert state["_choices"]["easings"] == list(EASINGS)
    assert state["_choices"]["camera"] == list(CAMERA_MOVES)
    json.dumps({name: value for name, value in state.items() if name not in ("_picture", "layout")})


# --- the picture -----------------------------------------------------------------------------------------------------


def test_pictures_of_every_kind(tmp_path):
    image = picture()
    image.save(tmp_path / "a.png")
    array = np.array(image)
    floats = torch.from_numpy(array).permute(2, 0, 1) / 255
    for given in (image, array, floats, tmp_path / "a.png", str(tmp_path / "a.png"), (tmp_path / "a.png").read_bytes()):
        assert (np.array(TrajectoryEditor(given).image) == array).all()
    assert (np.array(TrajectoryEditor(array / 255).image) == array).all()
    with pytest.raises(InputError, match="expected .height, width, 3."):
        TrajectoryEditor(array[..., :2])


def test_large_pictures_are_sent_small():
    side = int(LOSSLESS_UP_TO**0.5) + 8
    assert (np.array(read_image(encoded(picture((64, 64))))) == np.array(picture((64, 64)))).all()
    assert encoded(picture((side, side)))[:2] == b"\xff\xd8"  # JPEG


def test_the_browser_gets_no_more_pixels_than_it_shows():
    given = picture((4096, 1024))
    editor = TrajectoryEditor(given)
    assert (editor.image.size, editor._size) == ((4096, 1024), (4096, 1024))
    assert read_image(editor._picture).size == (2048, 512)


def test_a_new_picture_takes_the_boxes_along(editor):
    editor.trajectories = BOTH
    editor.image = picture((640, 384))
    assert editor.trajectories.image_size == (640, 384)
    assert editor.trajectories[0].keys[0].box == (20, 80, 120, 180)
    editor.undo()
    assert editor.trajectories.image_size == (640, 384)


def test_without_a_picture():
    editor = TrajectoryEditor()
    assert editor.image is None
    with pytest.raises(InputError, match="no picture yet"):
        editor.load("somewhere.json")


# --- buttons ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("move", [*CAMERA_MOVES])
def test_camera_boxes_replace_each_other_and_spare_the_objects(editor, move):
    editor.trajectories = BOTH
    asks(editor, kind="camera", move="still", amount=0.2)
    asks(editor, kind="camera", move=move, amount=0.2)
    objects = [each for each in editor.trajectories if not is_camera(each)]
    moving = [each for each in editor.trajectories if is_camera(each)]
    assert objects == [BALL, HILL]
    assert moving
    direction = torch.tensor(moving[0].keys[-1].box) - torch.tensor(moving[0].keys[0].box)
    expected = {
        "still": (0, 0),
        "pan left": (-64, 0),
        "pan right": (64, 0),
        "pan up": (0, -38.4),
        "pan down": (0, 38.4),
    }
    if move in expected:
        assert direction[:2].tolist() == pytest.approx(expected[move])
    else:
        assert (direction[2] - direction[0] > 0) == (move == "zoom in")
    assert with_camera(editor.trajectories, "none") == BOTH


@pytest.mark.parametrize(("move", "amount"), [("roll", 0.2), ("pan left", 0), ("pan left", 7)])
def test_camera_says_what_it_cannot_do(editor, move, amount):
    editor.trajectories = BOTH
    with pytest.raises(InputError, match="camera"):
        editor.add_camera(move, amount)
    asks(editor, kind="camera", move=move, amount=amount)
    assert editor.sent[-1][0]["kind"] == "problem"
    assert editor.trajectories == BOTH


def test_a_path_becomes_key_boxes(editor):
    curve = Trajectory.along(
        (10, 40, 60, 90), [(35, 65), (100, 20), (150, 100)], scale=1.5, name="ball", easing="ease-in"
    )
    editor.trajectories = Trajectories(SIZE, (HILL, curve))
    asks(editor, kind="keys", index=1)
    keyed = editor.trajectories[1]
    assert keyed.path is None
    assert len(keyed.keys) == 8
    assert keyed.name == "ball"
    assert torch.allclose(keyed.boxes(8), curve.boxes(8))
    asks(editor, kind="keys", index=5)
    assert "there is no trajectory 5" in editor.sent[-1][0]["text"]


@pytest.mark.parametrize("suffix", [".json", ".npy"])
def test_files_by_name_and_by_button(editor, tmp_path, suffix):
    editor.trajectories = BOTH
    editor.save(tmp_path / f"saved{suffix}")
    asks(editor, kind="save", suffix=suffix)
    message, (content,) = editor.sent[-1]
    assert content == (tmp_path / f"saved{suffix}").read_bytes()
    (tmp_path / message["name"]).write_bytes(content)
    assert len(load_trajectories(tmp_path / message["name"], SIZE)) == 2
    for read in (
        lambda: editor.load(tmp_path / f"saved{suffix}"),
        lambda: asks(editor, [content], kind="open", name=f"drawn{suffix}"),
    ):
        editor.trajectories = Trajectories(SIZE)
        read()
        assert torch.allclose(editor.trajectories.boxes(8), BOTH.boxes(8), atol=1e-4)
    editor.num_frames = 14  # a loaded file serves any number of frames
    assert not [remark for remark in editor.remarks if remark.kind == "error"]


def test_a_file_made_on_a_larger_picture_is_carried_over(editor):
    asks(
        editor,
        [to_json(Trajectories((640, 384), (Trajectory.pin((20, 20, 40, 60)),))).encode()],
        kind="open",
        name="a.json",
    )
    assert editor.trajectories[0].keys[0].box == (10, 10, 20, 30)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [("a.json", b"{", "a.json: invalid JSON"), ("a.npy", b"no", "a.npy is not"), ("a.png", b"no", "not a picture")],
)
def test_bad_uploads_are_told_in_place(editor, name, content, complaint):
    asks(editor, [content], kind="open", name=name)
    assert complaint in editor.sent[-1][0]["text"]


def in_file(held) -> bytes:
    file = io.BytesIO()
    np.save(file, held) if isinstance(held, np.ndarray) else torch.save(held, file)
    return file.getvalue()


TRACKS = np.array([[[30.0, 60], [60, 65], [90, 70]], [[200, 100], [190, 90], [180, 80]]])
SPLINES = json.dumps([[{"x": x, "y": y} for x, y in track] for track in TRACKS.tolist()])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("spline.json", SPLINES.encode()),
        ("spline.txt", SPLINES.encode()),
        ("copied from the browser", b"\n" + SPLINES.encode()),
        ("tracks.npy", in_file(TRACKS)),
        ("tracks.pth", in_file({"tracks": torch.from_numpy(TRACKS)})),
        ("renamed.png", in_file(TRACKS)),
    ],
)
def test_other_tools_paths_get_boxes_as_large_as_the_selected_one(editor, name, content):
    asks(editor, [content], kind="open", name=name)
    assert name in editor.sent[-1][0]["text"] and "draw one around the object" in editor.sent[-1][0]["text"]
    editor.trajectories = Trajectories(SIZE, (Trajectory.pin((10, 10, 30, 50)),))
    editor.selected = 0
    asks(editor, [content], kind="open", name=name)
    assert editor.sent[-1][0] == {"kind": "opened"}
    half = np.array([10, 20])
    expected = np.concatenate([TRACKS - half, TRACKS + half], axis=-1)
    assert np.abs(editor.trajectories.boxes(3).numpy() - expected).max() < 1e-4
    assert editor.trajectories.boxes(8).shape == (2, 8, 4)


def test_tracks_with_a_box_size_of_their_own_need_no_box(editor, tmp_path):
    torch.save({"tracks": torch.from_numpy(TRACKS), "box_size": (8, 6)}, tmp_path / "a.pth")
    editor.load(tmp_path / "a.pth")
    assert editor.trajectories.boxes(3)[0, 0].tolist() == [26, 57, 34, 63]


def test_fractions_are_told_what_to_do_in_python(editor):
    asks(editor, [in_file(np.array([[[0.5, 0.5, 0.7, 0.7]] * 3]))], kind="open", name="a.npy")
    assert "a.npy" in editor.sent[-1][0]["text"]
    assert "load_trajectories(..., units='fractions') in Python" in editor.sent[-1][0]["text"]


def test_a_size_that_changes_cannot_be_saved_for_the_reference(editor):
    editor.trajectories = Trajectories(SIZE, (Trajectory.move((10, 40, 60, 90), by=(60, 20), scale=2),))
    asks(editor, kind="save", suffix=".npy")
    assert "changes its size" in editor.sent[-1][0]["text"]


def test_a_picture_can_be_opened(editor):
    asks(editor, [encoded(picture((100, 50)))], kind="open", name="cat.JPG")
    assert editor.image.size == (100, 50)


def test_a_large_file_comes_in_parts_and_two_at_a_time(editor):
    first, second = (encoded(picture(size)) for size in ((100, 50), (60, 30)))
    for part in range(3):
        for name, content in (("first", first), ("second", second)):
            assert editor.image.size == SIZE or (name, part) == ("second", 2)
            third = len(content) // 3 + 1
            asks(editor, [content[part * third :][:third]], kind="open", name="cat.png", upload=name, parts=3)
        if part == 1:
            assert not editor.sent
    assert editor.image.size == (60, 30)
    assert [message["kind"] for message, _ in editor.sent] == ["opened", "opened"]


def test_unfinished_uploads_are_forgotten():
    uploads = Uploads()
    for name in range(100):
        assert uploads.add({"upload": str(name), "parts": 2}, b"half") is None
    assert uploads.add({"upload": "99", "parts": 2}, b"half") == b"halfhalf"
    assert uploads.add({"upload": "0", "parts": 2}, b"half") is None


@pytest.mark.parametrize("name", ["same.png", "same.json", "same.npy"])
def test_opening_what_is_there_already_is_answered(editor, name):
    """Nothing changes then, and the browser would wait for ever."""
    editor.trajectories = Trajectories(SIZE, (HILL,))
    content = encoded(editor.image) if name.endswith(".png") else to_download(editor.trajectories, name[4:], 8)[1]
    for _ in range(2):
        asks(editor, [content], kind="open", name=name)
        assert editor.sent.pop()[0] == {"kind": "opened"}


def test_whatever_goes_wrong_is_answered(editor, monkeypatch):
    monkeypatch.setattr(editor, "_open", lambda *_: 1 / 0)
    asks(editor, [b""], kind="open", name="a.png")
    assert editor.sent[-1][0]["text"] == "ZeroDivisionError: division by zero"


def test_an_object_is_found_at_a_click(editor):
    drawn = Image.new("RGB", (200, 100), "seagreen")
    drawn.paste("orange", (60, 30, 110, 80))
    editor.image = drawn
    asks(editor, kind="object", at=[80, 50], asked=7)
    (message, _) = editor.sent.pop()
    assert (message["kind"], message["asked"]) == ("object", 7)
    assert np.abs(np.array(message["box"]) - [60, 30, 110, 80]).max() <= 2
    assert not len(editor.trajectories)
    editor.image = Image.new("RGB", (200, 100), "navy")
    asks(editor, kind="object", at=[80, 50], asked=8)
    assert "so draw its box" in editor.sent.pop()[0]["text"]


def test_remarks_are_asked_for_while_drawing(editor):
    asks(editor, kind="check", document=as_document(Trajectories(SIZE, (Trajectory.pin((10, 10, 13, 13)),))))
    assert "latent cell" in editor.sent[-1][0]["remarks"][0]["text"]
    assert not len(editor.trajectories)


# --- remarks ---------------------------------------------------------------------------------------------------------


def remarks(*trajectories, **model):
    return remarks_on(Trajectories(SIZE, trajectories), **{**MODEL, **model})


def test_good_trajectories_are_left_in_peace():
    assert remarks(Trajectory.move((10, 40, 60, 90), by=(60, 20)), HILL) == []
    assert remarks() == []


@pytest.mark.parametrize(
    ("trajectory", "kind", "words"),
    [
        (Trajectory.pin((330, 10, 350, 30)), "error", "wholly outside"),
        (Trajectory.from_boxes(torch.tensor([[0.0, 0, 50, 50]] * 3)), "error", "3 frames"),
        (Trajectory.pin((310, 10, 360, 60)), "warning", "80% outside in the first frame"),
        (Trajectory.move((10, 40, 60, 90), to=(-100, 65), start=0.5), "warning", "out of the picture in"),
        (Trajectory.pin((50, 50, 57, 90)), "warning", "7 × 40 px"),
        (Trajectory.move((10, 40, 60, 90), by=(200, 0), end=0.2), "warning", "motion bucket 127"),
    ],
)
def test_remark(trajectory, kind, words):
    found = remarks(HILL, trajectory)
    assert found
    assert {(remark.kind, remark.index) for remark in found} == {(kind, 1)}
    assert any(words in remark.text for remark in found), found


def test_errors_come_first():
    found = remarks(Trajectory.pin((50, 50, 55, 55)), Trajectory.pin((400, 0, 500, 50)))
    assert [remark.kind for remark in found] == ["error", "warning"]


def test_size_is_judged_as_the_model_sees_it():
    small = Trajectory.pin((50, 50, 62, 62))
    assert remarks(small) == []
    assert "6 × 6 px" in remarks(small, size=(160, 96))[0].text


def test_speed_is_judged_by_the_bucket():
    step = FULL_SPEED * 100 / 255 / 7  # pictures per frame
    runner = Trajectory.move((10, 40, 60, 90), by=(step * 1.05 * 7 * SIZE[0], 0))
    assert remarks(runner, motion_bucket_id=100)
    assert remarks(runner, motion_bucket_id=110) == []
    assert remarks(runner, motion_bucket_id=100, num_frames=14) == []


# --- threads ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_the_browser_sends_and_what_a_cell_sets_come_in_turn(editor):
    """JupyterLab hears the browser in a thread of its own: whoever comes last, all of the editor is of one mind."""
    sent = [json.loads(to_json(each)) for each in (BOTH, Trajectories(SIZE, (BALL,)))]

    def browser():
        for i in range(200):
            data = {"method": "update", "state": {"_document": sent[i % 2], "frame": i % 8}}
            editor._handle_msg({"content": {"data": data}, "buffers": []})

    thread = threading.Thread(target=browser)
    thread.start()
    while thread.is_alive():
        editor.trajectories = Trajectories(SIZE)
        editor.trajectories = Trajectories(SIZE, (HILL,))
        editor.undo()
    thread.join()
    assert editor._document == json.loads(to_json(editor.trajectories))
    assert editor._undoable == len(editor._past)
    assert not editor._problem


# --- the script ------------------------------------------------------------------------------------------------------


def test_the_script_is_one_module_without_the_network():
    text = script("trajectory_editor.js")
    assert not re.search(r"^\s*import\b|\bimport\(", text, re.MULTILINE)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert text.count("export default") == 1
    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", text, re.MULTILINE)
    assert len(names) == len(set(names)), "modules that are put together share one scope"
    for module in ("common", "interpolation", "edits", "panel", "stage", "timeline"):
        assert text.count(f"// --- {module}.js\n") == 1
        assert (STATIC / f"{module}.js").is_file()
