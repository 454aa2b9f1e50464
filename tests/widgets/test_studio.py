import json
import threading
from dataclasses import replace

import pytest
import torch
from traitlets import TraitError

from sgi2v_lab.errors import InputError
from sgi2v_lab.pipeline import generate, generate_steps
from sgi2v_lab.settings import Settings
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from sgi2v_lab.trajectories.json_format import to_json
from sgi2v_lab.video import read_video
from sgi2v_lab.widgets import Studio
from sgi2v_lab.widgets.studio.fields import groups, usable_presets
from sgi2v_lab.widgets.studio.job import Job, Stopped, plain_sentence
from sgi2v_lab.widgets.studio.pictures import SAMPLES, drawn_scene, sample_picture
from sgi2v_lab.widgets.studio.runs import Gallery
from tests.helpers.tiny import FRAMES, HEIGHT, WIDTH, picture
from tests.helpers.tiny import TINIER as SETTINGS
from tests.helpers.tiny import tinier_model as tiny_model

pytestmark = pytest.mark.slow

SIZE = (WIDTH, HEIGHT)
BALL = Trajectories(SIZE, (Trajectory.move((16, 8, 48, 40), by=(48, 8), name="ball", colour="#123456"),))
QUICK = SETTINGS.replace(num_inference_steps=2, control_steps=(0, 0), iterations=1)


@pytest.fixture
def studio(tmp_path):
    studio = Studio(tiny_model(), picture(), BALL, folder=tmp_path / "runs", settings=QUICK)
    sent = []
    studio.send = lambda content, buffers=None: sent.append((content, buffers))
    studio.sent = sent
    yield studio
    studio.cancel()
    studio.wait(600)


def asks(studio, **message):
    studio._handle_custom_msg(message, [])


def hold(studio, monkeypatch):
    """Let the denoiser wait at its next call until the returned event is set."""
    go, waiting = threading.Event(), threading.Event()
    forward = studio.model.denoiser.forward

    def slow(*args, **kwargs):
        waiting.set()
        assert go.wait(600)
        return forward(*args, **kwargs)

    monkeypatch.setattr(studio.model.denoiser, "forward", slow)
    return go, waiting


# --- the generator behind it -----------------------------------------------------------------------------------------


def test_steps_end_in_the_run_that_generate_makes():
    steps = generate_steps(tiny_model(), picture(), BALL, QUICK)
    seen = []
    with pytest.raises(StopIteration) as end:
        while True:
            seen.append(next(steps).index)
    assert seen == [0, 1]
    same = generate(tiny_model(), picture(), BALL, QUICK, progress=False)
    assert torch.equal(end.value.value.video, same.video)


def test_steps_check_before_the_first_is_asked_for():
    with pytest.raises(InputError, match="no trajectories"):
        generate_steps(tiny_model(), picture(), Trajectories(SIZE), QUICK)


# --- the job ---------------------------------------------------------------------------------------------------------


def test_a_job_tells_how_far_it_is():
    told = []
    job = Job(tiny_model(), picture_as_pil(), BALL, SETTINGS, tell=told.append)
    controlled, uncontrolled = job.run()
    fractions = [progress.fraction for progress in told]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert 0.99 < fractions[-1] <= 1
    assert [stage for stage in dict.fromkeys(p.stage for p in told)] == ["controlled", "uncontrolled"]
    assert max(p.step for p in told) == SETTINGS.num_inference_steps
    assert told[-1].seconds_left == pytest.approx(0, abs=1)
    assert [p.losses for p in told if p.stage == "controlled"][-1] == controlled.losses
    assert controlled.boxes is not None and uncontrolled.boxes is None


def test_a_job_stops_within_one_iteration():
    calls = []
    job = Job(tiny_model(), picture_as_pil(), BALL, SETTINGS.replace(iterations=50))

    def tell(progress):
        calls.append(progress)
        if len(calls) == 5:
            job.stop()

    job.tell = tell
    with pytest.raises(Stopped):
        job.run()
    assert len(calls) == 5, "the denoiser was called again"
    assert not tiny_model().denoiser._forward_pre_hooks


def test_without_boxes_there_is_one_video():
    controlled, uncontrolled = Job(tiny_model(), picture_as_pil(), Trajectories(SIZE), QUICK, uncontrolled=False).run()
    assert controlled is None
    assert len(uncontrolled.video) == FRAMES


def picture_as_pil():
    from sgi2v_lab.images.read import to_pil

    return to_pil(picture())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InputError("box 1 is outside"), "Box 1 is outside."),
        (MemoryError(), "not enough memory"),
        (torch.OutOfMemoryError("CUDA"), "not enough memory"),
        (RuntimeError("shapes\nmore"), "RuntimeError: shapes)."),
    ],
)
def test_errors_are_sentences(error, words):
    assert words in plain_sentence(error)
    assert "\n" not in plain_sentence(error)


# --- settings --------------------------------------------------------------------------------------------------------


def test_every_setting_has_a_control():
    found = [field for group in groups([(2, 1)]) for field in group["fields"]]
    assert sorted(field["name"] for field in found) == sorted(Settings.model_fields)
    for field in found:
        assert field["description"] == Settings.model_fields[field["name"]].description
    kinds = {field["name"]: field["kind"] for field in found}
    assert kinds["control_steps"] == kinds["cfg_steps"] == "range"
    assert (kinds["layers"], kinds["optimizer"], kinds["scale_lr_by_sigma"]) == ("layers", "choice", "switch")
    assert (kinds["num_frames"], kinds["cutoff"], kinds["gaussian_sigma"]) == ("number",) * 3
    json.dumps(groups([(2, 1)]))


def test_sliders_stay_within_what_settings_accept():
    for group in groups([(2, 1)]):
        for field in group["fields"]:
            if field["kind"] == "number":
                for value in (field["low"], field["high"]):
                    changes = {"control_steps": (0, 0)} if field["name"] == "num_inference_steps" else {}
                    Settings().replace(**{field["name"]: value}, **changes)


def test_the_browser_changes_a_setting_and_hears_why_not(studio):
    asks(studio, kind="setting", name="cutoff", value=0.25)
    assert studio.settings.cutoff == 0.25
    assert studio._values["cutoff"] == 0.25
    asks(studio, kind="setting", name="cutoff", value=7)
    assert studio.settings.cutoff == 0.25
    assert studio._refused["cutoff"].startswith("Cutoff is 7")
    asks(studio, kind="setting", name="layers", value=[[9, 9]])
    assert "no layer (9, 9)" in studio._refused["layers"]
    asks(studio, kind="setting", name="width", value=100)
    assert "multiple of" in studio._refused["width"]
    asks(studio, kind="preset", name="own")
    assert studio.settings == tiny_model().settings
    assert studio._refused == {}


def test_a_pair_of_steps_may_be_left_out(studio):
    asks(studio, kind="setting", name="cfg_steps", value=[0, 1])
    assert (studio.settings.cfg_steps, studio._values["cfg_steps"]) == ((0, 1), [0, 1])
    asks(studio, kind="setting", name="cfg_steps", value=None)
    assert studio.settings.cfg_steps is None
    asks(studio, kind="setting", name="control_steps", value=None)
    assert studio._refused["control_steps"].startswith("Control_steps is None")


def test_presets_are_at_hand_and_one_is_named_while_it_is_in_use(studio):
    assert studio._presets == ["own", "fast", "paper", "best"]
    assert studio._preset == ""  # this one was opened with settings of its own
    asks(studio, kind="preset", name="best")
    assert studio.settings == studio.model.preset("best")
    assert studio._preset == "best"
    asks(studio, kind="setting", name="cutoff", value=0.25)
    assert studio._preset == ""
    asks(studio, kind="preset", name="quick")
    assert "has no preset 'quick'; choose one of own, fast, paper, best" in studio.error
    asks(studio, kind="preset", name="own")
    assert (studio.settings, studio._preset, studio.error) == (studio.model.settings, "own", "")


def test_presets_that_the_model_cannot_have_are_not_offered():
    model = replace(tiny_model(), presets={"own": {}, "fast": {"layers": ((9, 9),)}, "best": {"iterations": 9}})
    assert list(usable_presets(model)) == ["own", "best"]


def test_the_editor_follows_the_settings(studio):
    studio.change(num_frames=5, fps=11, motion_bucket_id=33, width=192)
    assert (studio.num_frames, studio.fps, studio.motion_bucket_id, studio.width) == (5, 11, 33, 192)


def test_a_seed_is_a_number_from_zero(studio):
    with pytest.raises(TraitError):
        studio.seed = -1


# --- generating ------------------------------------------------------------------------------------------------------


def test_generate_gives_what_the_pipeline_gives(studio):
    states = []
    studio.observe(lambda change: states.append(change["new"]["state"]), "_job")
    studio.generate()
    studio.wait(600)
    assert studio.error == ""
    same = generate(tiny_model(), studio.image, BALL, QUICK, seed=studio.seed, progress=False)
    assert torch.equal(studio.run.video, same.video)
    assert list(dict.fromkeys(states)) == ["generating", "saving", "done"]
    assert studio._losses == [[0, same.losses[0]]]
    assert studio._shown == studio._runs[0]["id"]
    without = studio.uncontrolled
    studio.change(cutoff=0.1)
    studio.generate()
    studio.wait(600)
    assert studio.uncontrolled is without, "steering has no part in it, so it need not be made again"
    assert len(studio._runs) == 2


def test_the_kernel_stays_free_and_one_run_is_enough(studio, monkeypatch):
    go, waiting = hold(studio, monkeypatch)
    asks(studio, kind="generate")
    assert waiting.wait(600)
    assert studio.busy
    asks(studio, kind="generate")
    assert "under way" in studio.error
    go.set()
    studio.wait(600)
    assert studio.run is not None


def test_cancel_keeps_nothing(studio, monkeypatch, tmp_path):
    go, waiting = hold(studio, monkeypatch)
    studio.generate()
    assert waiting.wait(600)
    asks(studio, kind="cancel")
    assert studio._job["state"] == "cancelling"
    go.set()
    studio.wait(600)
    assert studio._job["state"] == "cancelled"
    assert studio.run is None and studio.error == ""
    assert not (tmp_path / "runs").exists()
    studio.cancel()
    assert studio._job["state"] == "cancelled", "there was nothing to stop"


@pytest.mark.filterwarnings("ignore:out of memory")  # said before each of the leaner modes is tried
def test_what_fails_is_said_in_place(studio, monkeypatch):
    studio.trajectories = Trajectories(SIZE, (Trajectory.move((-30, 8, -10, 40), by=(48, 8)),))
    asks(studio, kind="generate")
    assert "wholly outside the picture" in studio.error
    studio.trajectories = BALL
    monkeypatch.setattr(studio.model.denoiser, "forward", lambda *_, **__: (_ for _ in ()).throw(MemoryError()))
    asks(studio, kind="generate")
    studio.wait(600)
    assert studio._job["state"] == "failed"
    assert "not enough memory" in studio.error
    assert isinstance(studio.failure, MemoryError)


def test_a_model_that_is_not_there_leaves_the_old_one(studio, tmp_path):
    asks(studio, kind="model", name=str(tmp_path), device="cpu")
    studio.wait(600)
    assert str(tmp_path) in studio.error
    assert studio.model is tiny_model()
    asks(studio, kind="model", name="", device="cpu")
    assert "No folder is named" in studio.error


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_have_the_videos_proportions(name):
    found = sample_picture(name, SETTINGS)
    assert found.mode == "RGB"
    assert found.width / found.height == pytest.approx(WIDTH / HEIGHT, rel=0.01)


def test_pictures_by_name_and_by_prompt(studio):
    asks(studio, kind="sample", name="cat")
    assert studio.image.size == sample_picture("cat", QUICK).size
    assert len(studio.trajectories) == 0
    asks(studio, kind="undo")
    assert len(studio.trajectories) == 1
    asks(studio, kind="scene", prompt="a blue square on grey")
    assert studio.image.tobytes() == drawn_scene("a blue square on grey", QUICK).tobytes()
    before = studio.image
    asks(studio, kind="scene", prompt="a purple unicorn")
    assert "unicorn" in studio.error
    assert studio.image is before
    asks(studio, kind="sample", name="dog")
    assert "no sample picture" in studio.error


# --- the gallery -----------------------------------------------------------------------------------------------------


def test_a_run_is_kept_and_opened_again(studio):
    studio.fit, studio.seed = "pad", 5
    studio.generate()
    studio.wait(600)
    record = studio.gallery.record(studio._shown)
    assert (record.seed, record.fit, record.settings["num_inference_steps"]) == (5, "pad", 2)
    assert set(record.objmc) == {"controlled", "uncontrolled"}
    assert record.last_loss == studio.run.losses[0][-1]
    folder = studio.gallery.folder / record.id
    assert {path.name for path in folder.iterdir() if not path.name.startswith("finding-")} == {
        *("run.json", "picture.png", "trajectories.json", "controlled.mp4", "uncontrolled.mp4", "thumbnail.jpg")
    }
    assert len(read_video(folder / "controlled.mp4")) == FRAMES
    assert studio._runs[0]["thumbnail"].startswith("data:image/jpeg;base64,")

    drawn = studio.image.tobytes()
    studio.fit, studio.seed, studio.image = "crop", 6, drawn_scene(None, QUICK)
    studio.trajectories = Trajectories(studio.image.size)
    studio.use_preset("own")
    asks(studio, kind="reopen", id=record.id)
    assert studio.error == ""
    assert (studio.fit, studio.seed, studio.settings) == ("pad", 5, QUICK.replace(num_frames=None))
    assert to_json(studio.trajectories) == to_json(BALL)
    assert studio.image.tobytes() == drawn

    asks(studio, kind="fetch", id=record.id)
    message, buffers = studio.sent[-1]
    assert message["videos"] == ["controlled", "uncontrolled"]
    assert [buffer[4:8] for buffer in buffers] == [b"ftyp", b"ftyp"]
    json.dumps(message, allow_nan=False)
    asks(studio, kind="delete", id=record.id)
    assert studio._runs == [] and studio._shown == ""
    assert not folder.exists()


def test_a_run_is_judged_and_its_diagnosis_kept(studio):
    studio.generate()
    studio.wait(600)
    assert studio.error == ""
    # a random model's video is not the picture that was given: there is something to find
    assert "first frame" in studio.diagnosis.kinds
    record = studio.gallery.record(studio._shown)
    assert record.diagnosis == json.loads(json.dumps(studio.diagnosis.to_dict()))
    names = {one["index"] for one in record.diagnosis["findings"]}
    assert names <= {None, 0}

    another = Studio(tiny_model(), folder=studio.gallery.folder)
    sent = []
    another.send = lambda content, buffers=None: sent.append(content)
    asks(another, kind="fetch", id=record.id)
    kept = sent[-1]["record"]["diagnosis"]
    assert [one["sentence"] for one in kept["findings"]] == [one.sentence for one in studio.diagnosis]
    shown = next(one for one in kept["findings"] if one["kind"] == "first frame")
    assert shown["picture"].startswith("data:image/png;base64,") and shown["advice"]
    json.dumps(sent[-1], allow_nan=False)


def test_a_run_without_control_is_judged_too(studio):
    studio.trajectories = Trajectories(SIZE)
    studio.generate()
    studio.wait(600)
    assert studio.error == "" and studio.run is None
    assert any("no object's box" in one.reason for one in studio.diagnosis.unjudged)


def test_a_run_of_an_earlier_version_has_no_diagnosis(studio):
    studio.generate()
    studio.wait(600)
    file = studio.gallery.folder / studio._shown / "run.json"
    record = json.loads(file.read_text())
    del record["diagnosis"]
    file.write_text(json.dumps(record))
    assert studio.gallery.diagnosis(studio._shown) == {}
    asks(studio, kind="fetch", id=studio._shown)
    assert studio.sent[-1][0]["record"]["diagnosis"] == {}


def test_a_run_of_an_earlier_version_is_opened_again(studio):
    studio.generate()
    studio.wait(120)
    file = studio.gallery.folder / studio._shown / "run.json"
    record = json.loads(file.read_text())
    renamed = {
        "num_inference_steps": "num_steps",
        "control_steps": "guided_steps",
        "max_guidance_scale": "max_guidance",
    }
    settings = {renamed.get(name, name): value for name, value in record["settings"].items()} | {"sampler": "euler"}
    file.write_text(json.dumps(record | {"settings": settings}))
    assert studio.gallery.record(studio._shown).settings == record["settings"]
    studio.use_preset("own")
    studio.reopen(studio._shown)
    assert studio.settings == QUICK
    file.write_text(json.dumps(record | {"settings": settings | {"sampler": "dpm++"}}))
    assert len(studio.gallery.records()) == 1, "it can still be watched"
    asks(studio, kind="reopen", id=studio._shown)
    assert "sampler is 'dpm++', which is gone" in studio.error


def test_another_studio_finds_the_runs(studio):
    studio.generate()
    studio.wait(600)
    other = Studio(tiny_model(), folder=studio.gallery.folder)
    assert other._runs == studio._runs


def test_a_gallery_touches_nothing_else(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "run.json").write_text('{"kind": "something else"}')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    gallery = Gallery(tmp_path)
    assert gallery.records() == []
    for name in ("notes", "broken", "gone", "..", "", "../notes"):
        with pytest.raises(InputError):
            gallery.delete(name)
    assert (tmp_path / "notes").exists()


def test_the_whole_state_reaches_the_browser(studio):
    state = {name: value for name, value in studio.get_state().items() if not isinstance(value, bytes)}
    json.dumps({k: v for k, v in state.items() if k not in ("layout", "_esm", "_css")}, allow_nan=False)
    assert studio._esm.count("export default") == 1
    assert studio._job["state"] == "idle"
