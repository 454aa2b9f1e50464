"""True clips give no findings; each corruption gives its own."""

import json
import math
from dataclasses import replace

import cv2
import pytest
import torch
from typer.testing import CliRunner

from sgi2v_lab.cli.main import app
from sgi2v_lab.cli.write import run_record, write_run
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.diagnosis import Diagnosis, JudgedVideo, diagnose, diagnose_folder, judge
from sgi2v_lab.evaluation.diagnosis.finding import SEVERITIES, Finding
from sgi2v_lab.evaluation.diagnosis.judged import by_purpose
from sgi2v_lab.evaluation.diagnosis.looks import cut_out, detail_kept
from sgi2v_lab.evaluation.metrics.measured import centres
from sgi2v_lab.files import write_record
from sgi2v_lab.images.read import to_pil
from sgi2v_lab.pipeline import Run
from sgi2v_lab.settings import Settings
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import COLOURS, Scene, Sprite, motion_bucket, render, true_boxes
from sgi2v_lab.trajectories import camera
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from tests.helpers.tiny import tiny_model

pytestmark = pytest.mark.slow

SIDE, FRAMES = 128, 8
TIME = torch.linspace(0, 1, FRAMES)[:, None]
STILL = torch.tensor([0.0, 0.0, 1.0]).repeat(FRAMES, 1)
WAY = torch.tensor([0.5, 0.12])
BALL = Sprite(
    *("circle", "striped", COLOURS["red"], COLOURS["white"], 0.17, torch.tensor([0.25, 0.45]) + TIME * WAY), angle=0.4
)
SCENE = Scene((BALL,), STILL, "photo", seed=11)
SETTINGS = Settings(width=SIDE, height=SIDE, fps=7, motion_bucket_id=255)


def judged(video, scene=SCENE, **known):
    known = {"image": render(scene, SIDE)[0], "boxes": true_boxes(scene, SIDE), "settings": SETTINGS, **known}
    return JudgedVideo(video, **known)


def moved(scene, path):
    """The scene with its first thing on another path."""
    return replace(scene, sprites=(replace(scene.sprites[0], path=path), *scene.sprites[1:]))


def softened(video, sigma):
    frames = [cv2.GaussianBlur(frame, (0, 0), sigma) for frame in video.permute(0, 2, 3, 1).contiguous().numpy()]
    return torch.cat([video[:1], torch.stack([torch.from_numpy(f).permute(2, 0, 1) for f in frames[1:]])])


# --- corruptions, each made for one finding --------------------------------------------------------------------------


def smeared():
    """The thing is drawn at nine places along its way at once."""
    places = torch.linspace(-0.03, 0.03, 9)
    ramp = (TIME / 0.3).clamp(max=1)
    return torch.stack([render(moved(SCENE, BALL.path + ramp * p * WAY / WAY.norm()), SIDE) for p in places]).mean(0)


def doubled():
    """A second one stays where it was."""
    ghost = replace(BALL, path=BALL.path[:1].repeat(FRAMES, 1))
    return render(replace(SCENE, sprites=(ghost, BALL)), SIDE)


def recolored():
    """The thing's hue turns by 75 degrees until the last frame."""
    to_yiq = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    frames = []
    for t in range(FRAMES):
        turn = math.radians(75) * t / (FRAMES - 1)
        turned = torch.eye(3)
        turned[1:, 1:] = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        color = (torch.linalg.inv(to_yiq) @ turned @ to_yiq @ torch.tensor(BALL.colour)).clamp(0, 1)
        scene = replace(SCENE, sprites=(replace(BALL, colour=tuple(color.tolist())),))
        frames.append(render(scene, SIDE, slice(t, t + 1)))
    return torch.cat(frames)


def dragged():
    """The whole picture goes where the thing is asked to go."""
    camera = STILL.clone()
    camera[:, :2] = -TIME * WAY
    return render(replace(moved(SCENE, BALL.path[:1].repeat(FRAMES, 1)), camera=camera), SIDE)


def noisy():
    video, generator = render(SCENE, SIDE), torch.Generator().manual_seed(0)
    noise = 0.15 * torch.randn(video[1:].shape, generator=generator)
    return torch.cat([video[:1], (video[1:] + noise).clamp(0, 1)])


def burnt():
    video = render(SCENE, SIDE)
    return torch.cat([video[:1], ((video[1:] - 0.5) * 3 + 0.5).clamp(0, 1)])


def flickering():
    video = render(SCENE, SIDE).clone()
    video[1::2] *= 0.88
    return video


def vanished():
    return torch.cat([render(SCENE, SIDE)[:3], render(replace(SCENE, sprites=()), SIDE)[3:]])


CORRUPTIONS = {
    "smear": smeared,
    "split": doubled,
    "appearance": recolored,
    "background": dragged,
    "lost detail": lambda: softened(render(SCENE, SIDE), 2.5),
    "noise": noisy,
    "burnt": burnt,
    "flicker": flickering,
    "tracking": vanished,
    "follow": lambda: render(SCENE, SIDE)[:1].repeat(FRAMES, 1, 1, 1),
    "first frame": lambda: torch.cat([1 - render(SCENE, SIDE)[:1], render(SCENE, SIDE)[1:]]),
}


def test_the_true_clip_has_nothing_wrong():
    found = judge(judged(render(SCENE, SIDE), uncontrolled=render(SCENE, SIDE)))
    assert found.findings == (), str(found)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_gives_its_own_finding(kind):
    found = judge(judged(CORRUPTIONS[kind]()))
    assert kind in found.kinds, str(found)
    allowed = {
        "first frame": {"tracking", "flicker", "burnt", "noise", "lost detail", "background"},
        "burnt": {"noise"},  # what is clipped has harder edges
    }
    assert found.kinds - {"path"} <= {kind} | allowed.get(kind, set()), str(found)
    finding = next(one for one in found if one.kind == kind)
    assert finding.severity in SEVERITIES and finding.advice and finding.unit
    assert finding.drawing is not None and finding.plot().axes, "the evidence is shown"


def camera_boxes(scene):
    """Four boxes that go where the scene's camera takes the background; None where it stays."""
    if (scene.camera == scene.camera[0]).all():
        return None
    corners = torch.tensor([[x, y, x + 0.2, y + 0.2] for x in (0.1, 0.7) for y in (0.1, 0.7)]).view(4, 1, 2, 2)
    shift, zoom = scene.camera[:, None, :2], scene.camera[:, None, 2:]
    return ((corners - 0.5 - shift) * zoom + 0.5).flatten(-2) * SIDE


@pytest.mark.parametrize("seed", [10_002_000 + i for i in (1, 3, 4, 5, 8, 13, 17, 21)])
def test_true_scenes_raise_no_alarm(seed):
    scene = sample_scene(seed)
    settings = SETTINGS.replace(fps=scene.fps, motion_bucket_id=motion_bucket(scene))
    found = judge(judged(render(scene, SIDE), scene, camera=camera_boxes(scene), settings=settings))
    assert found.findings == (), str(found)


# --- single checks ---------------------------------------------------------------------------------------------------


def test_the_wrong_way_is_said():
    middle = moved(SCENE, torch.tensor([0.5, 0.5]) + 0.6 * TIME * torch.tensor([0.5, 0.0]))
    opposite = moved(SCENE, torch.tensor([0.5, 0.5]) - 0.6 * TIME * torch.tensor([0.5, 0.0]))
    found = judge(judged(render(opposite, SIDE), middle, names=["ball"]))
    finding = next(one for one in found if one.kind == "follow")
    assert finding.sentence.startswith("ball goes the wrong way") and finding.severity == "severe"
    assert finding.value > 1


def test_what_is_pinned_should_stay():
    still = moved(SCENE, BALL.path[:1].repeat(FRAMES, 1))
    found = judge(judged(render(SCENE, SIDE), still))
    assert any("should stay" in one.sentence for one in found)


def test_a_dragged_background_names_what_it_goes_along_with():
    found = judge(judged(dragged(), names=["ball"]))
    assert "dragged along with ball" in next(one for one in found if one.kind == "background").sentence
    with_partner = judge(judged(dragged(), uncontrolled=dragged()))
    sentence = next(one for one in with_partner if one.kind == "background").sentence
    assert "the model moves its camera by itself" in sentence


def test_a_camera_move_that_was_asked_for_is_no_drift():
    pan = replace(SCENE, camera=STILL + TIME * torch.tensor([-0.15, 0.0, 0.0]))
    video = render(pan, SIDE)
    assert "background" in judge(judged(video, pan)).kinds
    assert "background" not in judge(judged(video, pan, camera=camera_boxes(pan))).kinds


def test_detail_does_not_mind_color_or_light():
    video = render(SCENE, SIDE)
    box = true_boxes(SCENE, SIDE)
    lit = torch.cat([video[:1], 0.6 * video[1:].flip(1)])  # darker, red and blue exchanged
    kept = detail_kept(*cut_out(lit, box[0], centres(box)[0]))
    assert (kept > 0.8).all()
    blurred = detail_kept(*cut_out(softened(video, 2.5), box[0], centres(box)[0]))
    assert blurred[0] == pytest.approx(1) and (blurred[1:] < 0.8).all() and blurred[1:].median() < 0.7, blurred


SETTING_FAULTS = [
    ({"settings": SETTINGS.replace(iterations=0)}, "control", "iterations is 0"),
    ({"settings": SETTINGS.replace(learning_rate=0)}, "control", "learning_rate is 0"),
    ({"settings": SETTINGS.replace(cutoff=0)}, "control", "cutoff is 0"),
    ({"sigmas": [0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.0]}, "control", "late"),
    ({"losses": {5: [1.0, 1.0, 0.99], 6: [2.0, 2.0, 1.99]}}, "loss", "hardly fell"),
    ({"losses": {5: [1.0, 2.0, 3.0]}}, "loss", "rose"),
    ({"losses": {5: [1.0, math.nan]}}, "loss", "not finite"),
]


@pytest.mark.parametrize(("known", "kind", "words"), SETTING_FAULTS)
def test_what_cannot_work_is_said(known, kind, words):
    found = judge(judged(render(SCENE, SIDE), **known))
    assert found.kinds == {kind}
    assert words in found.findings[0].sentence
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.findings[0].plot() is not None


def test_a_loss_that_falls_at_noisy_steps_is_well():
    known = {"losses": {5: [1.0, 0.5], 6: [1.0, 0.7]}, "sigmas": [50.0 / (i + 1) for i in range(50)]}
    found = judge(judged(render(SCENE, SIDE), **known))
    assert found.findings == ()
    assert {one.kind for one in found.unjudged} == {"layers"}


def test_a_path_is_only_said_of_what_went_wrong():
    slow = SETTINGS.replace(motion_bucket_id=10)
    good = judge(judged(render(SCENE, SIDE), settings=slow))
    assert "path" not in good.kinds
    bad = judge(judged(CORRUPTIONS["follow"](), settings=slow))
    hint = next(one for one in bad if one.kind == "path")
    assert hint.severity == "hint" and "motion bucket 10" in hint.sentence
    assert bad.findings[0].kind == "follow", "the worst comes first"


def test_layers_need_the_model():
    settings = SETTINGS.replace(layers=((1, 0),))
    known = {"settings": settings, "model": tiny_model()}
    small = Scene((replace(BALL, radius=0.1),), STILL, "photo", seed=11)
    found = judge(judged(render(small, SIDE), small, **known))
    assert any(one.kind == "layers" and "32 px" in one.sentence for one in found), str(found)
    assert "layers" not in judge(judged(render(SCENE, SIDE), model=tiny_model())).kinds


# --- with what there is ----------------------------------------------------------------------------------------------


def test_a_video_alone_is_judged_as_far_as_it_goes():
    found = judge(JudgedVideo(flickering()))
    assert found.kinds == {"flicker"}
    kinds = {one.kind for one in found.unjudged}
    assert {"tracking", "follow", "first frame"} <= kinds


def test_a_broken_video_is_nothing_else():
    video = render(SCENE, SIDE).clone()
    video[3, 0, 0, 0] = math.inf
    found = judge(judged(video))
    assert [one.kind for one in found] == ["broken"]


def run_of(video, boxes):
    return Run(
        video=video,
        image=render(SCENE, SIDE)[0],
        boxes=boxes,
        latents=torch.zeros(FRAMES, 4, 16, 16),
        settings=SETTINGS,
        model="by hand",
        method="sgi2v",
        seed=1,
        losses={} if boxes is None else {5: [1.0, 0.5]},
        sigmas=[50.0 / (i + 1) for i in range(50)],
        seconds={"denoise": 1.0},
    )


def test_a_run_is_diagnosed():
    boxes = true_boxes(SCENE, SIDE)
    still = CORRUPTIONS["follow"]()
    run, plain = run_of(still, boxes), run_of(still, None)
    assert diagnose(run, plain).kinds == {"follow"}
    assert {one.kind for one in diagnose(plain).unjudged} >= {"tracking", "follow"}
    drawn = Trajectories((SIDE, SIDE), (Trajectory.from_boxes(boxes[0], resample=True),))
    pans = camera.camera_still((SIDE, SIDE), box_fraction=0.12, avoid=drawn)
    everything = Trajectories(drawn.image_size, (*drawn, *pans))
    both = run_of(still, everything.boxes(FRAMES))
    known = by_purpose(everything, both.boxes)
    assert len(known["boxes"]) == 1 and len(known["camera"]) == len(pans)
    assert diagnose(both, trajectories=everything).kinds == {"follow"}
    with pytest.raises(InputError, match="1 trajectories for a run with"):
        diagnose(both, trajectories=drawn)


@pytest.mark.parametrize("kind", [None, "follow", "smear", "flicker"])
def test_a_saved_run_is_judged_alike(kind, tmp_path):
    video = render(SCENE, SIDE) if kind is None else CORRUPTIONS[kind]()
    boxes = true_boxes(SCENE, SIDE)
    asked = Trajectories((SIDE, SIDE), (Trajectory.from_boxes(boxes[0], resample=True),))
    run = run_of(video, boxes)
    write_run(tmp_path, run, asked)
    to_pil(run.image).save(tmp_path / "image.png")
    write_record(tmp_path, {"command": "generate", **run_record(run)})
    found = diagnose_folder(tmp_path)
    assert found.kinds == (set() if kind is None else {kind}), str(found)
    if kind == "follow":
        told = CliRunner().invoke(app, ["diagnose", str(tmp_path), "--out", str(tmp_path / "all.png"), "--json"])
        assert told.exit_code == 0, told.output
        assert json.loads(told.stdout) == json.loads(json.dumps(found.to_dict()))
        assert (tmp_path / "all.png").read_bytes()[:4] == b"\x89PNG"


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="no run's record"):
        diagnose_folder(tmp_path)
    write_record(tmp_path, {"settings": SETTINGS.as_dict()})
    with pytest.raises(InputError, match="holds neither"):
        diagnose_folder(tmp_path)


def test_what_does_not_belong_together_is_refused():
    video, boxes = render(SCENE, SIDE), true_boxes(SCENE, SIDE)
    for known, words in (
        ({"boxes": boxes[:, :3]}, "3 frames"),
        ({"boxes": boxes + 500}, "first frame"),
        ({"uncontrolled": video[:3]}, "uncontrolled has shape"),
        ({"image": video[0, :, :64]}, "resize"),
    ):
        with pytest.raises(InputError, match=words):
            judge(JudgedVideo(video, **known))


def test_a_diagnosis_is_shown():
    found = judge(judged(CORRUPTIONS["follow"](), names=["<ball>"]))
    page = found._repr_html_()
    assert "&lt;ball&gt;" in page and "data:image/png;base64," in page and "Not judged" in page
    assert len(found.plot().subfigs) == len([one for one in found if one.drawing is not None])
    assert "of what a still video scores" in str(found)
    assert "No problem was found" in Diagnosis(())._repr_html_()
    assert Diagnosis(()).plot().texts


def test_severity_is_how_far_beyond():
    def one(value, threshold, **more):
        return Finding("loss", "It rose.", value, threshold, "of its first value", "Lower the rate.", **more)

    assert one(1.5, 1).severity == "moderate" and one(2.5, 1).severity == "severe"
    assert one(0.5, 0.6).severity == "moderate" and one(0.2, 0.6).severity == "severe"
    assert one(2.5, 1, hint=True).severity == "hint"
    unshown = one(math.nan, 1)
    assert unshown.severity == "severe"
    assert unshown.to_dict()["value"] is None and "not a number" in unshown.number
