"""The command line through its real entry points: typer's runner for most, true processes where it matters."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from typer.main import get_command
from typer.testing import CliRunner

import sgi2v_lab.models.load
from sgi2v_lab.baselines.registry import METHODS
from sgi2v_lab.cli.main import app
from sgi2v_lab.errors import InputError
from sgi2v_lab.settings import Settings
from sgi2v_lab.trajectories.files import load_trajectories
from sgi2v_lab.video import read_video
from tests.helpers.tiny import FRAMES, TINIER, tinier_pipeline

ROOT = Path(__file__).parents[2]
SIZE = (100, 50)
ENTRY = "from sgi2v_lab.cli.main import main; main()"  # what the console script does


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tinier_pipeline().save_pretrained(folder)
    settings = {"width": 128, "height": 64, "num_inference_steps": 3, "control_steps": [1, 1], "iterations": 1}
    (folder / "settings.json").write_text(json.dumps(settings | {"layers": TINIER.layers}))
    return folder


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """The current folder, with a picture and boxes on it."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 255, (*SIZE[::-1], 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save("picture.png")
    write_boxes("boxes.json")
    return tmp_path


def write_boxes(name, first=(10, 10, 40, 40), last=(50, 10, 80, 40), **more):
    keys = [{"time": 0, "box": list(first)}, {"time": 1, "box": list(last)}]
    document = {
        "format": "sgi2v-trajectories",
        "version": 1,
        "image": {"width": SIZE[0], "height": SIZE[1]},
        "trajectories": [{"keys": keys, **more}],
    }
    Path(name).write_text(json.dumps(document))


def write_array(name, frames, value=None):
    rows = [[10, 10], [40, 40]] + [[25 + 5 * f, 25] for f in range(frames)]
    if value is not None:
        rows[-1] = [value, 25]
    np.save(name, np.array([rows], dtype=np.float64))


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def present(folder):
    return sorted(str(p) for p in folder.rglob("*"))


BOXES = np.array([[[10, 10, 40, 40], [20, 10, 50, 40], [50, 10, 80, 40]]])


def other_size():
    document = json.loads(Path("boxes.json").read_text())
    Path("b.json").write_text(json.dumps({**document, "image": {"width": 200, "height": 100}}))


# --- generate --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_generate_writes_a_result_that_its_seed_fixes(desk, checkpoint):
    calls = {
        "first": ("picture.png", "--boxes", "boxes.json", "--seed", 1),
        "again": ("first/image.png", "--boxes", "first/trajectories.json", "--seed", 1),  # all that it takes is there
        "other": ("picture.png", "--boxes", "boxes.json", "--seed", 2),
    }
    for out, arguments in calls.items():
        made = run("generate", *arguments, "--model", checkpoint, "--out", out)
        assert made.exit_code == 0, made.output
        assert made.stdout.startswith(f"{out}  (")
    names = {"image.png", "video.mp4", "trajectories.png", "trajectories.json", "film_strip.png", "losses.png"}
    assert {p.name for p in (desk / "first").iterdir()} == names | {"run.json"}
    first, again, other = ((desk / out / "video.mp4").read_bytes() for out in calls)
    assert first == again != other
    assert len(read_video("first/video.mp4")) == FRAMES
    assert not torch.equal(read_video("first/video.mp4"), read_video("other/video.mp4"))
    record = json.loads((desk / "first/run.json").read_text())
    assert record["command"] == "generate" and record["seed"] == 1 and record["controlled"]
    assert {"versions", "device", "dtype", "threads", "seconds", "peak_memory", "settings"} <= set(record)


@pytest.mark.slow
def test_generate_takes_every_setting_and_records_it(desk, checkpoint):
    given = [
        "--num-inference-steps",
        4,
        "--control-steps",
        "0-1",
        "--layers",
        "2,1",
        "--layers",
        "2,0",
        "--cutoff",
        0.25,
    ]
    given += [
        "--gaussian-sigma",
        "none",
        "--scale-lr-by-sigma",
        "--features",
        "value",
        "--num-frames",
        2,
        "--width",
        64,
    ]
    made = run("generate", "picture.png", "--boxes", "boxes.json", "--model", checkpoint, "--out", "x", *given)
    assert made.exit_code == 0, made.output
    settings = json.loads((desk / "x/run.json").read_text())["settings"]
    wanted = {
        "num_inference_steps": 4,
        "control_steps": [0, 1],
        "layers": [[2, 1], [2, 0]],
        "cutoff": 0.25,
        "width": 64,
    }
    wanted |= {"gaussian_sigma": None, "scale_lr_by_sigma": True, "features": "value", "num_frames": 2}
    assert {name: settings[name] for name in wanted} == wanted
    assert settings["iterations"] == 1 and settings["height"] == 64  # left out: the model's own, not the paper's
    options = {parameter.name for parameter in get_command(app).commands["generate"].params}
    assert options >= set(Settings.model_fields)


def test_every_help_text_can_be_read_without_its_options_name():
    for name, command in get_command(app).commands.items():
        for parameter in getattr(command, "params", ()):
            text = getattr(parameter, "help", "") or ""
            assert text[:1].isupper() and text.endswith("."), f"{name} {parameter.name}: {text}"
    told = {parameter.name: parameter.help for parameter in get_command(app).commands["generate"].params}
    assert all(method in told["method"] for method in METHODS)


@pytest.mark.slow
def test_generate_compares(desk, checkpoint):
    write_array("boxes.npy", 5)
    call = ("generate", "picture.png", "--boxes", "boxes.npy", "--model", checkpoint, "--fit", "pad", "--compare")
    made = run(*call, "--png", "--resample", "--frames", 5)
    assert made.exit_code == 0, made.output
    assert "without control" in made.stdout
    out = desk / "out" / "picture"
    assert {"comparison.mp4", "uncontrolled.mp4", "tracks.png", "frames"} <= {p.name for p in out.iterdir()}
    assert len(list((out / "frames").iterdir())) == 5
    record = json.loads((out / "run.json").read_text())
    assert record["objmc"]["resolution"] == [128, 64] and record["objmc"]["frames"] == 5
    assert (record["frames"], record["segments"]) == (5, 2)


def test_generate_reads_the_papers_folders(desk, checkpoint):
    (desk / "example").mkdir()
    PIL.Image.open("picture.png").save("example/img.png")
    write_array("example/traj.npy", FRAMES)
    made = run("generate", "--example", "example", "--model", checkpoint, "--method", "copy_paste")
    assert made.exit_code == 0, made.output
    assert (desk / "out/example/video.mp4").is_file()
    assert json.loads((desk / "out/example/run.json").read_text())["method"] == "copy_paste"


def test_generate_from_words_without_control(desk, checkpoint):
    made = run("generate", "--prompt", "a red circle on blue", "--no-control", "--model", checkpoint)
    assert made.exit_code == 0, made.output
    assert {p.name for p in (desk / "out/prompt").iterdir()} == {"image.png", "video.mp4", "film_strip.png", "run.json"}
    assert json.loads((desk / "out/prompt/run.json").read_text())["controlled"] is False


@pytest.mark.slow
def test_a_video_may_have_the_pictures_own_shape(desk, checkpoint):
    PIL.Image.open("picture.png").rotate(90, expand=True).save("portrait.png")
    for size, expected in (("auto", (64, 128)), ("128x128", (128, 128))):
        made = run("generate", "portrait.png", "--no-control", "--model", checkpoint, "--size", size, "--out", "x")
        assert made.exit_code == 0, made.output
        settings = json.loads((desk / "x/run.json").read_text())["settings"]
        assert (settings["width"], settings["height"]) == expected


def test_any_number_of_steps_will_do_without_control(desk, checkpoint):
    made = run("generate", "picture.png", "--no-control", "--num-inference-steps", 1, "--model", checkpoint)
    assert made.exit_code == 0, made.output


# --- other tools' trajectories ---------------------------------------------------------------------------------------

CENTRES = (BOXES[..., :2] + BOXES[..., 2:]) / 2
SPLINES = json.dumps([{"x": x, "y": y} for x, y in CENTRES[0].tolist()])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "write", "options"),
    [
        ("kj.json", lambda path: Path(path).write_text(SPLINES), ["--box-size", "30x30"]),
        ("tracks.npy", lambda path: np.save(path, CENTRES), ["--box-size", 30]),
        ("boxes.npy", lambda path: np.save(path, BOXES / [*SIZE, *SIZE]), ["--units", "fractions"]),
        ("b.json", lambda _: other_size(), ["--fit-boxes"]),
    ],
)
def test_other_tools_trajectories_drive_a_video(desk, checkpoint, name, write, options):
    write(name)
    given = ["--boxes", name, *options, "--method", "copy_paste"]  # the method that takes least
    made = run("generate", "picture.png", *given, "--model", checkpoint, "--out", "x")
    assert made.exit_code == 0, made.output
    followed = load_trajectories("x/trajectories.json").boxes(FRAMES)
    expected = load_trajectories("b.json").resized(SIZE).boxes(FRAMES) if name == "b.json" else torch.tensor(BOXES)
    assert torch.allclose(followed, expected.float(), atol=0.01)


@pytest.mark.parametrize(
    ("name", "more"), [("t.json", ["--to", "kjnodes"]), ("t.npy", []), ("t.npy", ["--to", "tracks"]), ("t.pth", [])]
)
def test_convert_there_and_back(desk, name, more):
    there = run("convert", "boxes.json", name, *more, "--frames", 14)
    assert there.exit_code == 0 and there.stdout == f"{name}  (1 boxes on 100 x 50 px)\n", there.output
    about = ["--box-size", "30x30"] if more or name == "t.pth" else []
    back = run("convert", name, "back.json", "--image", "picture.png", *about, "--resample")
    assert back.exit_code == 0, back.output
    drawn = load_trajectories("boxes.json")
    assert torch.allclose(load_trajectories("back.json").boxes(14), drawn.boxes(14), atol=0.5)
    assert len(load_trajectories("back.json").boxes(25)[0]) == 25


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["boxes.json", "t.npy"], "expected --frames"),
        (["boxes.json", "t.txt"], "suffix '.txt'"),
        (["boxes.json", "t.npy", "--to", "kjnodes"], "traj, tracks"),
        (["nothing.json", "t.npy"], "nothing.json"),
        (["tracks.npy", "t.json"], "--image PICTURE"),
        (["tracks.npy", "t.json", "--image", "picture.png"], "--box-size"),
        (["tracks.npy", "t.json", "--image", "picture.png", "--box-size", "30", "--frames", 9], "--resample"),
        (["boxes.json", "t.npy", "--frames", 3, "--image", "large.png"], "--fit-boxes"),
    ],
)
def test_convert_asks_for_what_it_lacks(desk, arguments, told):
    np.save("tracks.npy", CENTRES)
    PIL.Image.new("RGB", (200, 100)).save("large.png")
    before = present(desk)
    refused = run("convert", *arguments)
    assert refused.exit_code == 2 and told in refused.stderr and refused.stderr.count("\n") == 1
    assert present(desk) == before


# --- what a user can get wrong ---------------------------------------------------------------------------------------


def bomb():
    PIL.Image.new("1", (10_000, 10_000)).save("bomb.png")


def cut_short():
    Path("half.png").write_bytes(Path("picture.png").read_bytes()[:2000])


def pickled():
    Path("boxes.npy").write_bytes(pickle.dumps([1, 2]))


def objects():
    np.save("boxes.npy", np.array([{}], dtype=object))


BAD = {
    "no such picture": (None, ["nothing.png", "--boxes", "boxes.json"], "nothing.png"),
    "no picture": (None, ["boxes.json", "--boxes", "boxes.json"], "not a picture"),
    "a folder": (None, [".", "--boxes", "boxes.json"], "picture"),
    "half a picture": (cut_short, ["half.png", "--boxes", "boxes.json"], "half.png is damaged"),
    "100 megapixels": (bomb, ["bomb.png", "--boxes", "boxes.json"], "10000 x 10000"),
    "no such boxes": (None, ["picture.png", "--boxes", "nothing.json"], "nothing.json"),
    "another suffix": (None, ["picture.png", "--boxes", "picture.png"], "expected JSON, .npy"),
    "tracks": (lambda: np.save("b.npy", np.ones((1, 3, 2)) * 30), ["picture.png", "--boxes", "b.npy"], "--box-size"),
    "fractions": (lambda: np.save("b.npy", BOXES / 100), ["picture.png", "--boxes", "b.npy"], "--units fractions"),
    "another size": (other_size, ["picture.png", "--boxes", "b.json"], "--fit-boxes"),
    "box size": (None, ["picture.png", "--boxes", "boxes.json", "--box-size", "big"], "such as 64x48"),
    "an address": (None, ["https://example.org/a.png", "--boxes", "boxes.json"], "address on the web"),
    "NaN": (lambda: write_array("b.npy", FRAMES, np.nan), ["picture.png", "--boxes", "b.npy"], "NaN"),
    "infinity": (lambda: write_array("b.npy", FRAMES, np.inf), ["picture.png", "--boxes", "b.npy"], "finite"),
    "NaN in JSON": (lambda: write_boxes("b.json", last=(np.nan,) * 4), ["picture.png", "--boxes", "b.json"], "NaN"),
    "outside": (lambda: write_boxes("b.json", (200, 0, 220, 9)), ["picture.png", "--boxes", "b.json"], "outside"),
    "empty box": (lambda: write_boxes("b.json", (20, 5, 20, 9)), ["picture.png", "--boxes", "b.json"], "x0 < x1"),
    "short path": (lambda: write_boxes("b.json", path=[[1, 2]]), ["picture.png", "--boxes", "b.json"], "at least 2"),
    "frames": (lambda: write_array("b.npy", 5), ["picture.png", "--boxes", "b.npy"], "--resample"),
    "pickled": (pickled, ["picture.png", "--boxes", "boxes.npy"], "pickled"),
    "objects": (objects, ["picture.png", "--boxes", "boxes.npy"], "pickled"),
    "malformed": (lambda: Path("b.json").write_text('{"a": '), ["picture.png", "--boxes", "b.json"], "invalid JSON"),
    "unknown model": (None, ["picture.png", "--boxes", "boxes.json", "--model", "svt"], "unknown model 'svt'"),
    "no checkpoint": (None, ["picture.png", "--boxes", "boxes.json", "--model", "."], "model_index.json"),
    "device": (None, ["picture.png", "--boxes", "boxes.json", "--device", "abacus"], "abacus"),
    "precision": (None, ["picture.png", "--boxes", "boxes.json", "--dtype", "fp4"], "fp4"),
    "seed": (None, ["picture.png", "--boxes", "boxes.json", "--seed=-1"], "seed is -1"),
    "below a file": (None, ["picture.png", "--boxes", "boxes.json", "--out", "picture.png/x/y"], "cannot write"),
    "not on a disk": (None, ["picture.png", "--boxes", "boxes.json", "--out", "/proc/x"], "cannot write"),
    "somebody else's": (None, ["picture.png", "--boxes", "boxes.json", "--out", "."], "in use"),
    "cut-off": (None, ["picture.png", "--boxes", "boxes.json", "--cutoff", "1.5"], "cutoff is 1.5"),
    "cut-off NaN": (None, ["picture.png", "--boxes", "boxes.json", "--cutoff", "nan"], "cutoff is nan"),
    "layer": (None, ["picture.png", "--boxes", "boxes.json", "--layers", "0,0"], "no layer (0, 0)"),
    "layers": (None, ["picture.png", "--boxes", "boxes.json", "--layers", "all"], "layers is 'all'"),
    "steps": (None, ["picture.png", "--boxes", "boxes.json", "--control-steps", "1-9"], "control_steps ends at 9"),
    "size": (None, ["picture.png", "--boxes", "boxes.json", "--width", "100"], "multiple of 32"),
    "size twice": (None, ["picture.png", "--boxes", "boxes.json", "--size", "64x64", "--width", "64"], "leave one out"),
    "no size": (None, ["picture.png", "--boxes", "boxes.json", "--size", "large"], "--size is 'large'"),
    "half pixels": (None, ["picture.png", "--boxes", "boxes.json", "--size", "64.5x64"], "whole pixels"),
    "method": (None, ["picture.png", "--boxes", "boxes.json", "--method", "magic"], "unknown method 'magic'"),
    "fit": (None, ["picture.png", "--boxes", "boxes.json", "--fit", "squeeze"], "squeeze"),
    "nothing": (None, [], "exactly one"),
    "two sources": (None, ["picture.png", "--prompt", "a red circle", "--boxes", "boxes.json"], "exactly one"),
    "two boxes": (None, ["--example", ".", "--boxes", "boxes.json"], "leave out --boxes"),
    "no boxes": (None, ["picture.png"], "give --boxes"),
    "comparison": (None, ["picture.png", "--no-control", "--compare"], "--no-control"),
    "no example": (None, ["--example", "."], "img.png"),
    "prompt": (None, ["--prompt", "a red hat", "--no-control"], "unknown word 'hat'"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_is_one_sentence_and_leaves_nothing(case, desk, checkpoint):
    prepare, arguments, message = BAD[case]
    if prepare:
        prepare()
    before = present(desk)
    if "--model" not in arguments:
        arguments = [*arguments, "--model", checkpoint]
    told = run("generate", *arguments)
    assert told.exit_code == 2, told.output
    assert message in told.stderr
    *before_it, complaint = told.stderr.splitlines()
    assert complaint.startswith("sgi2v: ") and all(line.startswith("loading ") for line in before_it)
    assert "Traceback" not in told.output and told.stdout == ""
    assert present(desk) == before


@pytest.mark.parametrize("command", ["demo", "generate"])
def test_a_bad_place_is_noticed_before_the_model_is_loaded(command, desk, monkeypatch):
    def never(*_, **__):
        raise AssertionError("the model was loaded first")

    monkeypatch.setattr(sgi2v_lab.models.load, "load_model", never)
    monkeypatch.setattr("sgi2v_lab.cli.demo.load_model", never)
    arguments = [] if command == "demo" else ["picture.png", "--boxes", "boxes.json"]
    told = run(command, *arguments, "--out", "picture.png/result")
    assert told.exit_code == 2 and "cannot write" in told.stderr


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 2, "out of memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"), 2, "--memory offload"),
        (InputError("bad\nnews"), 2, "bad news"),
    ],
)
def test_ends_in_one_line(error, code, words, desk, monkeypatch):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(sgi2v_lab.models.load, "load_model", fails)
    before = present(desk)
    told = run("generate", "picture.png", "--boxes", "boxes.json", "--out", "x")
    assert told.exit_code == code
    assert words in told.stderr.splitlines()[-1]
    assert present(desk) == before


def test_a_fault_of_ours_is_not_dressed_up(desk, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(sgi2v_lab.models.load, "load_model", fails)
    assert isinstance(run("generate", "picture.png", "--boxes", "boxes.json").exception, RuntimeError)


# --- the small commands ----------------------------------------------------------------------------------------------


def test_models_tells_sizes_without_loading(checkpoint):
    listed = run("models", checkpoint)
    assert listed.exit_code == 0, listed.output
    count = sum(p.numel() for p in tinier_pipeline().unet.parameters())
    assert "128 × 64" in listed.stdout and f"{count / 1e6:.1f} M" in listed.stdout and "yes" in listed.stdout
    known = run("models")
    assert known.exit_code == 0 and all(name in known.stdout for name in sgi2v_lab.models.load.MODELS)


@pytest.mark.parametrize("name", ["nobody", "/nowhere/x", "."])
def test_models_refuses(name, desk):
    told = run("models", name)
    assert told.exit_code == 2 and told.stderr.startswith("sgi2v: ")


def test_models_tells_of_damage(desk):
    files = {f"{part}/x": "" for part in ("feature_extractor", "image_encoder", "scheduler", "vae")}
    for name, text in {"model_index.json": "{}", "unet/config.json": "{", **files}.items():
        (desk / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (desk / "model" / name).write_text(text)
    told = run("models", "model")
    assert told.exit_code == 2 and "damaged" in told.stderr


def test_info():
    told = run("info")
    assert told.exit_code == 0, told.output
    assert torch.__version__ in told.stdout and "GiB" in told.stdout and "threads" in told.stdout


# --- true processes --------------------------------------------------------------------------------------------------


def process(*arguments, code=ENTRY, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=environment, **pipes, **options)


def test_help_is_quick():
    code = "import sys\nfrom sgi2v_lab.cli.main import main\ntry: main()\nfinally: print('torch' in sys.modules)"
    told, _ = process("generate", "--help", code=code).communicate(timeout=600)
    assert "--control-steps" in re.sub(r"\x1b\[[0-9;]*m", "", told) and told.endswith("False\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a place that is always full")
def test_output_to_a_full_disk_is_a_sentence():
    """Of a command that does nothing but print, as importing torch takes longer than all else."""
    code = """
import sys
from sgi2v_lab.cli.main import app, console, main
app.command("say")(lambda: console().print("much"))
sys.argv[1:] = ["say"]
main()
"""
    with open("/dev/full", "w") as full:
        running = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, check=False)
    assert running.returncode == 2 and running.stderr.decode().startswith("sgi2v: cannot write the output")


@pytest.mark.slow
def test_any_terminal_can_be_printed_to(desk, checkpoint):
    """Three commands for each encoding in one process, which imports torch once."""
    (desk / "modèle 模型").symlink_to(checkpoint)
    code = """
import sys
from sgi2v_lab.cli.main import main
for encoding in ("cp932", "ascii"):
    for command in (["models", "toy", "modèle 模型"], ["--help"], ["generate", "nothing – 图.png", "--no-control"]):
        sys.stdout.reconfigure(encoding=encoding, errors="strict")  # as a terminal's streams begin
        sys.stderr.reconfigure(encoding=encoding, errors="backslashreplace")
        sys.argv[1:] = command
        try:
            main()
            raise AssertionError("it should have ended")
        except SystemExit as end:
            print("ended", end.code)
"""
    running = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        check=False,
    )
    assert running.returncode == 0 and b"Traceback" not in running.stderr, running.stderr
    outputs = re.split(rb"ended (\d)\r?\n", running.stdout)
    assert outputs[1::2] == [b"0", b"0", b"2"] * 2
    assert all(outputs[n].strip() for n in (0, 2, 6, 8))
    assert [line.split()[0] for line in running.stderr.splitlines()] == [b"sgi2v:"] * 2


def test_a_mistake_in_a_true_process(desk):
    running = process("generate", "picture.png", "--boxes", "boxes.json", "--prompt", "a red circle")
    told = running.communicate(timeout=600)
    assert running.returncode == 2
    assert told == ("", "sgi2v: give exactly one of a picture, --prompt and --example\n")


# Two programs from one process, which imports torch once. One that a shell starts in the background is born deaf to
# SIGINT.
TWO_DEMOS = """
import os, signal, sys
import sgi2v_lab.cli.demo
from sgi2v_lab.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
programs = {}
for name in sys.argv[1:]:
    if not (pid := os.fork()):
        os.dup2(os.open(name + ".txt", os.O_WRONLY | os.O_CREAT), 2)
        sys.argv[1:] = ["demo", "--model", "slow", "--out", name + "/demo"]
        try:
            main()
        except SystemExit as end:
            os.write(2, b"it has ended")
            os._exit(end.code)
    programs[pid] = name
    print(name, pid, flush=True)
signal.signal(signal.SIGINT, signal.SIG_IGN)
for _ in programs:
    pid, status = os.wait()
    print(programs[pid], os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_an_interrupted_demo_leaves_nothing(tmp_path, checkpoint):
    slow = tmp_path / "slow"
    slow.mkdir()
    for part in checkpoint.iterdir():
        (slow / part.name).symlink_to(part)
    (slow / "settings.json").unlink()
    settings = {"width": 64, "height": 64, "num_inference_steps": 1000, "control_steps": [0, 999]}
    (slow / "settings.json").write_text(json.dumps(settings | {"layers": TINIER.layers}))
    ways = {signal.SIGINT: 130, signal.SIGTERM: 143}
    told = {way: tmp_path / f"{way.name}.txt" for way in ways}
    for file in told.values():
        file.touch()
    before = present(tmp_path)
    running = process(*(way.name for way in ways), code=TWO_DEMOS, cwd=tmp_path)
    programs = {}
    try:
        for _ in ways:
            name, pid = running.stdout.readline().split()
            programs[signal.Signals[name]] = int(pid)
        for way, file in told.items():
            while "a drawn scene" not in (text := file.read_text()):  # then it has begun to generate
                assert running.poll() is None and "Traceback" not in text and "it has ended" not in text
                time.sleep(0.1)
            assert len(list((tmp_path / way.name).iterdir())) == 1
        time.sleep(0.3)
        for way, pid in programs.items():
            os.kill(pid, way)
        ended = dict(line.split() for line in running.communicate(timeout=600)[0].splitlines())
        assert ended == {way.name: str(code) for way, code in ways.items()}
        programs.clear()
        assert not any("Traceback" in file.read_text() for file in told.values())
    finally:
        for pid in programs.values():
            os.kill(pid, signal.SIGKILL)
        running.kill()
        running.wait()
    assert present(tmp_path) == before
