"""Odd inputs at the command line and in Python: each does what it should, or ends in one sentence that says why."""

import io
import json
import os
import struct
import sys
import wave
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from jaxtyping import config as jaxtyping_config
from typer.testing import CliRunner

from sgi2v_lab.cli.main import app
from sgi2v_lab.errors import InputError
from sgi2v_lab.files import print_anywhere
from sgi2v_lab.images.read import fit_image, read_image, to_pil, to_tensor
from sgi2v_lab.latents import encode_image
from sgi2v_lab.loss import trajectory_loss
from sgi2v_lab.models.load import load_model
from sgi2v_lab.pca import fit_pca, similarity_maps
from sgi2v_lab.pipeline import generate
from sgi2v_lab.settings import Settings
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from sgi2v_lab.trajectories.camera import camera_pan, camera_zoom
from sgi2v_lab.trajectories.files import load_trajectories, save_trajectories, write_example
from sgi2v_lab.trajectories.trajectory import KeyBox
from sgi2v_lab.video import read_video, show_video, write_video
from sgi2v_lab.widgets.trajectory_editor import TrajectoryEditor
from tests.helpers.tiny import FRAMES, HEIGHT, TINIER, WIDTH, picture, tinier_model, tinier_pipeline

SIZE = (WIDTH, HEIGHT)
BOX = (10, 10, 40, 40)
QUICK = TINIER.replace(num_inference_steps=1, control_steps=(0, 0), iterations=1)
DOCUMENT = {"format": "sgi2v-trajectories", "version": 1, "image": {"width": WIDTH, "height": HEIGHT}}
MAPS = torch.ones(2, 4, 8, 16)  # feature maps of two frames
KEYS = [{"time": 0, "box": [10, 10, 40, 40]}, {"time": 1, "box": [50, 10, 80, 40]}]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tinier"
    tinier_pipeline().save_pretrained(folder)
    (folder / "settings.json").write_text(json.dumps(QUICK.as_dict()))
    return folder


@pytest.fixture(autouse=True)
def desk(tmp_path, monkeypatch):
    """The current folder of a user, who has no run-time checker of shapes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jaxtyping_config, "jaxtyping_disable", True)
    PIL.Image.effect_noise(SIZE, 60).convert("RGB").save("picture.png")
    write("boxes.json", {**DOCUMENT, "trajectories": [{"keys": KEYS}]})
    return tmp_path


def write(name, content):
    if isinstance(content, np.ndarray):
        np.save(name, content)
    elif isinstance(content, bytes):
        Path(name).write_bytes(content)
    else:
        Path(name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return name


def saved(name, held):
    torch.save(held, name)
    return name


def closed_file():
    with open("picture.png", "rb") as file:
        return file


def loop():
    os.symlink("loop.png", "loop.png")
    return "loop.png"


def twice(field):
    text = Path("boxes.json").read_text().replace(f'"{field}":', f'"{field}": 0, "{field}":', 1)
    return write("t.json", text)


def enormous():
    """A PNG file whose header promises 40,000 x 40,000 pixels."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b""))]
    chunks = [struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in parts]
    return write("enormous.png", b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def make(trajectories=None, **given):
    options = {"model": tinier_model(), "image": picture(), "settings": QUICK, "progress": False, **given}
    return generate(trajectories=trajectories, **options)


def sound():
    with wave.open("song.wav", "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(1600))
    return "song.wav"


# --- refused in Python: a call, and what its one sentence says -------------------------------------------------------

REFUSED = {
    "a picture's name with a zero byte": (lambda: read_image("a\0b.png"), "no path"),
    "a picture's name as bytes": (lambda: read_image(b"picture.png"), "not a picture"),
    "the header of a GIF": (lambda: read_image(b"GIF89a"), "picture"),
    "a drawing in SVG": (lambda: read_image(write("a.png", "<svg xmlns='x'/>")), "not a picture"),
    "a loop of links": (lambda: read_image(loop()), "loop.png"),
    "a name of 5000 letters": (lambda: read_image("x" * 5000), "5000 letters"),
    "the null device": (lambda: read_image("/dev/null"), "/dev/null"),
    "a name of 300 letters": (lambda: load_trajectories("x" * 300), "too long"),
    "a name that leaves no room for another": (
        lambda: save_trajectories("x" * 250 + ".json", Trajectories(SIZE)), "too long"
    ),
    "a closed file": (lambda: read_image(closed_file()), "closed file"),
    "a number without axes": (lambda: read_image(np.array(5)), r"shape \(\)"),
    "an array of objects": (lambda: read_image(np.array([[None, 1]])), "type object"),
    "an array of dates": (lambda: read_image(np.zeros((2, 2), "M8[s]")), "type datetime64"),
    "a picture of five colours": (lambda: read_image(np.zeros((5, 7, 5), np.uint8)), r"shape \(5, 7, 5\)"),
    "a sparse tensor": (lambda: read_image(torch.zeros(3, 8, 8).to_sparse()), "dense"),
    "a tensor without data": (lambda: read_image(torch.zeros(3, 8, 8, device="meta")), "dense"),
    "a complex tensor": (lambda: read_image(torch.zeros(3, 8, 8, dtype=torch.complex64)), "complex"),
    "a list of numbers": (lambda: read_image([[1, 2], [3, 4]]), "is a list"),
    "a size in words": (lambda: fit_image(read_image("picture.png"), "large"), "target size"),
    "an FTP address": (lambda: read_image("ftp://example.org/a.png"), "address on the web"),
    "somebody's home folder": (lambda: read_image("~nobody-has-this-name/a.png"), "home folder"),
    "a box in words": (lambda: Trajectory.pin("10,10,40,40"), "expected 4 numbers"),
    "a box of truths": (lambda: Trajectory.pin((True, True, False, False)), "expected 4 numbers"),
    "a box of None": (lambda: Trajectory.pin(None), "expected 4 numbers"),
    "a box as far as a star": (lambda: Trajectory.pin((0, 0, 1e30, 1e30)), "within"),
    "a destination of one number": (lambda: Trajectory.move(BOX, to=5), "destination"),
    "a displacement of one number": (lambda: Trajectory.move(BOX, by=5), "displacement"),
    "a way of one number": (lambda: Trajectory.move(BOX, via=5), "via"),
    "a scale in words": (lambda: Trajectory.move(BOX, scale="double"), "scale"),
    "a start in words": (lambda: Trajectory.move(BOX, by=(9, 0), start="now"), "time"),
    "an easing of None": (lambda: Trajectory.move(BOX, by=(9, 0), easing=None), "unknown easing"),
    "a name that is a number": (lambda: Trajectory.pin(BOX, name=3), "name is 3"),
    "a colour of three numbers": (lambda: Trajectory.pin(BOX, colour=(255, 0, 0)), "hexadecimal"),
    "boxes as key boxes": (lambda: Trajectory((BOX, BOX)), "from_boxes"),
    "half a frame count": (lambda: Trajectory((KeyBox(0, BOX),), frames=8.5), "is 8.5"),
    "no frames at all": (lambda: Trajectory.pin(BOX).boxes(0), "number of frames is 0"),
    "half a frame": (lambda: Trajectory.pin(BOX).boxes(2.5), "number of frames is 2.5"),
    "frames in words": (lambda: Trajectories(SIZE, [Trajectory.pin(BOX)]).boxes("all"), "number of frames is 'all'"),
    "a picture's size in words": (lambda: Trajectories("640x480"), "size is '640x480'"),
    "a picture of half pixels": (lambda: Trajectories((640.5, 480)), "whole pixels"),
    "boxes of two axes": (lambda: Trajectories.from_boxes(SIZE, np.zeros((3, 4))), r"shape \(3, 4\)"),
    "boxes of five numbers": (lambda: Trajectories.from_boxes(SIZE, np.ones((1, 3, 5))), "5 numbers"),
    "a pan of one number": (lambda: camera_pan(SIZE, 5), "pan"),
    "a zoom in words": (lambda: camera_zoom(SIZE, "in"), "zoom factor"),
    "JSON in UTF-16": (lambda: load_trajectories(write("t.json", "{}".encode("utf-16"))), "UTF-8"),
    "JSON of 100,000 brackets": (lambda: load_trajectories(write("t.json", "[" * 100_000)), "JSON"),
    "JSON of infinite numbers": (
        lambda: load_trajectories(
            write("t.json", json.dumps({**DOCUMENT, "trajectories": [{"keys": KEYS}]}).replace("80", "1e999"))
        ),
        "finite",
    ),
    "a field twice": (lambda: load_trajectories(twice("box")), "time, box, one of them twice"),
    "a list of fields twice": (lambda: load_trajectories(twice("trajectories")), "one of them twice"),
    "tracks of two lengths": (
        lambda: load_trajectories(saved("t.pth", [torch.ones(3, 2), torch.ones(2, 2)]), SIZE, box_size=9), "no array"
    ),
    "a state dict": (
        lambda: load_trajectories(saved("t.pth", torch.nn.Linear(2, 2).state_dict()), SIZE), "'weight', 'bias'"
    ),
    "a list of words in a torch file": (lambda: load_trajectories(saved("t.pth", ["a"]), SIZE), "type <U1"),
    "tracks in CoTracker's axes": (
        lambda: load_trajectories(write("t.npy", np.ones((1, 8, 3, 2))), SIZE, box_size=9), "swapaxes"
    ),
    "a table of numbers": (lambda: load_trajectories(write("t.csv", "10,10,40,40\n50,10,80,40\n"), SIZE), "format"),
    "a table with a box size": (
        lambda: load_trajectories(write("t.csv", "x,y\n1,2\n"), SIZE, box_size=9), "documented format"
    ),
    "a spline of NaN": (lambda: load_trajectories(write("t.json", '[{"x": NaN, "y": 1}]'), SIZE, box_size=9), "finite"),
    "a negative box size": (
        lambda: load_trajectories(write("t.json", '[{"x": 9, "y": 9}]'), SIZE, box_size=(-9, 9)), "positive"
    ),
    "a picture in place of its size": (
        lambda: load_trajectories("boxes.json", read_image("picture.png")), "image_size"
    ),
    "settings from a number": (lambda: Settings.load(5), "5 is a int"),
    "a misspelt setting in a file": (
        lambda: Settings.load(write("s.json", {"iteration": 3})), "s.json: unknown setting 'iteration'"
    ),
    "settings from a picture": (lambda: Settings.load("picture.png"), "no settings file"),
    "a list saved as trajectories": (lambda: save_trajectories("t.json", [Trajectory.pin(BOX)]), "are a list"),
    "trajectories saved as a picture": (lambda: save_trajectories("t.png", Trajectories(SIZE)), "suffix"),
    "a song as a video": (lambda: read_video(sound()), "sound, but no pictures"),
    "a video of 40,000 x 40,000 pixels": (lambda: read_video(enormous()), "enormous.png"),
    "a video of None": (lambda: write_video("a.mp4", None), "NoneType"),
    "a video of truths": (lambda: write_video("a.mp4", torch.ones(2, 3, 8, 8, dtype=torch.bool)), "bool"),
    "a video of no pictures": (lambda: write_video("a.mp4", []), "empty"),
    "a video at a complex rate": (lambda: write_video("a.mp4", picture()[None], fps=7j), "fps is"),
    "a video in a file of None": (lambda: write_video(None, picture()[None]), "expected the path"),
    "a video as wide as nothing": (lambda: show_video(picture()[None], width="wide"), "width is"),
    "a setting in words": (lambda: Settings(num_inference_steps="ten"), "num_inference_steps is 'ten'"),
    "a setting on the imaginary axis": (lambda: Settings(cutoff=1j), "cutoff is 1j"),
    "a misspelt setting": (lambda: Settings(widht=64), "unknown setting 'widht'"),
    "a model in capitals": (lambda: load_model("TOY"), "unknown model 'TOY'"),
    "a model by number": (lambda: load_model(5), "5 is a int"),
    "a device of no kind": (lambda: load_model("toy", device=[]), "device"),
    "an integer precision": (lambda: load_model("toy", dtype=torch.int8), "dtype is"),
    "a truth as a seed": (lambda: make(seed=True), "seed is True"),
    "a trace of a number": (lambda: make(trace=5), "trace"),
    "no way to fit": (lambda: make(fit=None), "unknown way to fit"),
    "a fit of many ways": (lambda: make(fit=["crop"]), "unknown way to fit"),
    "a memory mode of no kind": (lambda: make(memory="lots"), "lots"),
    "a method of None": (lambda: make(method=None), "unknown method"),
    "an option that is none": (lambda: make(strength=3), "no option 'strength'"),
    "trajectories in words": (lambda: make("to the right"), "to the right"),
    "a dictionary of boxes": (lambda: make({"ball": BOX}), "dict"),
    "one box for a video": (lambda: make(BOX), "tuple"),
    "colours of separate layers": (lambda: fit_pca({(2, 1): MAPS}), "are a dict"),
    "colours of a list of maps": (lambda: fit_pca([MAPS, MAPS]), "are a list"),
    "colours of NaN": (lambda: fit_pca(MAPS * np.nan), "NaN"),
    "similarity to three numbers": (lambda: similarity_maps(MAPS, point=(1, 2, 3)), "the point has 3 numbers"),
    "similarity in half a frame": (lambda: similarity_maps(MAPS, point=(1, 2), frame=0.5), "frame is 0.5"),
    "the loss of separate layers": (
        lambda: trajectory_loss({(2, 1): MAPS}, torch.ones(1, 2, 4, dtype=torch.int64)), "are a dict"
    ),
    "the loss of boxes in pixels": (lambda: trajectory_loss(MAPS, torch.tensor([[BOX, BOX]]) / 2), "whole cells"),
    "a layer without brackets": (lambda: tinier_model().check_layers((2, 1)), "no layer 2"),
    "features of another number of frames": (
        lambda: tinier_model().run_conditional(
            torch.ones(2, 4, 8, 16), 1.0, encode_image(tinier_model(), picture(), QUICK, torch.Generator())
        ),
        "the latents have shape .*: expected .*the conditioning's",
    ),
    "a dragging of half an iteration": (lambda: make("boxes.json", method="drag", iterations=0.5), "iterations is 0.5"),
    "a dragging in words": (lambda: make("boxes.json", method="drag", rate="fast"), "expected a number"),
    "a misspelt attribute of a widget": (lambda: TrajectoryEditor(num_frame=8), "no attribute 'num_frame'"),
    "features without noise": (lambda: tinier_model().run_conditional(MAPS, 0.0, None), "sigma is 0"),
    "a picture that was not fitted": (
        lambda: encode_image(tinier_model(), torch.ones(3, 9, 9), QUICK, torch.Generator()), "first_frame"
    ),
    "a picture of bytes to encode": (
        lambda: encode_image(tinier_model(), (picture() * 255).byte(), QUICK, torch.Generator()), "expected floats"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_python_refuses_in_one_sentence(case, desk):
    call, told = REFUSED[case]
    with pytest.raises(InputError, match=told) as error:
        call()
    assert "\n" not in str(error.value) and len(str(error.value)) < 700
    assert not list(desk.glob("a.mp4"))


# --- taken in Python: a call, and what it gives ----------------------------------------------------------------------


def animation():
    frames = [PIL.Image.new("L", (4, 4), 60 * i) for i in range(3)]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:], duration=[0, 0, 0])
    return "a.gif"


def turned():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.open("picture.png").save("turned.jpg", exif=exif)
    return "turned.jpg"


def scan():
    GREY16.save("scan.tif")
    return "scan.tif"


def half_seen(name, **options):
    """A picture in two frames that nobody sees: red, but transparent."""
    red = PIL.Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    red.save(name, save_all=True, append_images=[PIL.Image.new("RGBA", (4, 4), (0, 255, 0, 0))], **options)
    return name


def moved(held):
    return load_trajectories(saved("t.pth", held), SIZE).boxes(2)[0, 1].tolist()


PATH = torch.tensor([[BOX, (50, 10, 80, 40)]]).float()
GREY16 = PIL.Image.fromarray(np.full((4, 6), 30_000, np.uint16))
DONE = {
    "a picture of one pixel": (lambda: read_image(np.full((1, 1), 9, np.uint8)).getpixel((0, 0)), (9, 9, 9)),
    "a picture in HSV": (lambda: read_image(PIL.Image.new("HSV", (2, 2), (0, 255, 255))).getpixel((0, 0)), (255, 0, 0)),
    "a matrix": (lambda: read_image(np.matrix([[0, 255]], dtype=np.uint8)).getpixel((1, 0)), (255, 255, 255)),
    "a picture with another suffix": (lambda: read_image(Path("picture.png").rename("picture.txt")).size, SIZE),
    "a tensor that learns": (lambda: read_image(torch.zeros(3, 4, 6, requires_grad=True)).size, (6, 4)),
    "a view of bytes": (lambda: read_image(memoryview(Path("picture.png").read_bytes())).size, SIZE),
    "an array that is fitted": (lambda: fit_image(np.zeros((4, 6, 3), np.uint8), (8, 8))[0].size, (8, 8)),
    "an array as a tensor": (lambda: to_tensor(np.full((2, 2, 3), 255, np.uint8)).mean().item(), 1.0),
    "an array as Pillow's": (lambda: to_pil(np.zeros((4, 6, 3), np.uint8)).size, (6, 4)),
    "an example of an array": (
        lambda: write_example("x", np.zeros((64, 128, 3)), Trajectories(SIZE, Trajectory.pin(BOX)), 2), None
    ),
    "a transparent picture that is fitted": (
        lambda: fit_image(PIL.Image.new("RGBA", (4, 6), (255, 0, 0, 0)), (4, 6))[0].getpixel((0, 0)), (255, 255, 255)
    ),
    "a scan in 16 bits as a tensor": (lambda: round(to_tensor(GREY16).mean().item(), 2), 0.46),
    "bytes as Pillow's": (lambda: to_pil(torch.full((3, 4, 6), 9, dtype=torch.uint8)).getpixel((0, 0)), (9, 9, 9)),
    "a NumPy box": (lambda: Trajectory.pin(np.array(BOX, np.int16)).boxes(1).tolist(), [[10, 10, 40, 40]]),
    "a PyTorch box": (lambda: Trajectory.pin(torch.tensor(BOX)).boxes(np.int8(1)).tolist(), [[10, 10, 40, 40]]),
    "JSON with a byte order mark": (
        lambda: len(load_trajectories(write("t.json", b"\xef\xbb\xbf" + Path("boxes.json").read_bytes()))), 1
    ),
    "boxes in half precision": (lambda: moved(PATH.bfloat16()), [50, 10, 80, 40]),
    "boxes that learn": (lambda: moved(PATH.requires_grad_()), [50, 10, 80, 40]),
    "boxes that are sparse": (lambda: moved({"boxes": PATH.detach().to_sparse()}), [50, 10, 80, 40]),
    "JSON in capitals": (lambda: len(load_trajectories(Path("boxes.json").rename("BOXES.JSON"))), 1),
    "an array in Fortran's order": (
        lambda: load_trajectories(write("t.npy", np.asfortranarray([[BOX, BOX]])), SIZE).boxes(2)[0, 1].tolist(),
        [10, 10, 40, 40],
    ),
    "boxes of unsigned bytes": (
        lambda: load_trajectories(write("t.npy", np.array([[BOX]], np.uint8)), SIZE).boxes(1)[0, 0].tolist(),
        [10, 10, 40, 40],
    ),
    "boxes of another byte order": (
        lambda: load_trajectories(write("t.npy", np.array([[BOX]], ">i4")), SIZE).boxes(1)[0, 0].tolist(),
        [10, 10, 40, 40],
    ),
    "a spline with more in its points": (
        lambda: load_trajectories(write("t", '[{"x": 25, "y": 25, "t": 0}]'), SIZE, box_size=30).boxes(1)[0].tolist(),
        [[10, 10, 40, 40]],
    ),
    "an animation without delays": (lambda: len(read_video(animation())), 3),
    "a single picture as a video": (lambda: read_video("picture.png").shape, (1, 3, HEIGHT, WIDTH)),
    "a turned picture as a video": (lambda: read_video(turned()).shape, (1, 3, WIDTH, HEIGHT)),
    "a transparent animation": (lambda: read_video(half_seen("a.webp", lossless=True, exact=True)).min().item(), 1.0),
    "a scan in 16 bits as a video": (lambda: round(read_video(scan()).max().item(), 2), 0.46),
    "a video of one pixel": (lambda: read_video(write_video("a.mp4", torch.ones(1, 3, 1, 1))).shape, (1, 3, 2, 2)),
    "a rate as a fraction": (
        lambda: len(read_video(write_video("a.mp4", picture()[None], fps=Fraction(30000, 1001)))), 1
    ),
    "a truth of NumPy's as a setting": (lambda: Settings(scale_lr_by_sigma=np.bool_(True)).scale_lr_by_sigma, True),
    "a number of PyTorch's as a setting": (lambda: Settings(iterations=torch.tensor(3)).iterations, 3),
    "a fraction as a setting": (lambda: Settings(cutoff=Fraction(1, 2)).cutoff, 0.5),
    "settings with a byte order mark": (
        lambda: Settings.load(write("s.json", b'\xef\xbb\xbf{"iterations": 3}')).iterations, 3
    ),
    "NumPy's numbers as settings": (lambda: Settings(cutoff=np.float32(0.5), width=np.int64(64)).width, 64),
    "a picture in memory": (lambda: make(image=io.BytesIO(Path("picture.png").read_bytes())).video.shape[0], FRAMES),
    "a file of boxes": (lambda: make("boxes.json").boxes[0, 0].tolist(), [10, 10, 40, 40]),
    "boxes of half precision": (
        lambda: make(torch.tensor([[BOX] * FRAMES]).bfloat16()).boxes[0, 0].tolist(), [10, 10, 40, 40]
    ),
    "a ribbon of 3 x 900": (lambda: make(image=np.zeros((900, 3, 3), np.uint8), fit="pad").video.shape[0], FRAMES),
}  # fmt: skip


@pytest.mark.parametrize("case", DONE)
def test_python_takes(case):
    call, expected = DONE[case]
    assert call() == expected


# --- the command line: arguments, exit code, and what it says --------------------------------------------------------


COMMANDS = {
    "standard input": (None, ["generate", "-", "--boxes", "boxes.json"], 2, "no file -"),
    "a folder of boxes": (None, ["generate", "picture.png", "--boxes", "."], 2, "cannot be read"),
    "no name of boxes": (None, ["generate", "picture.png", "--boxes", ""], 2, "cannot be read"),
    "a picture as an example": (None, ["generate", "--example", "picture.png"], 2, "no folder"),
    "a turned picture": (turned, ["generate", "turned.jpg", "--boxes", "boxes.json"], 2, "(64, 128)"),
    "a seed in words": (None, ["generate", "picture.png", "--no-control", "--seed", "luck"], 2, "generate --help"),
    "a seed of a power": (None, ["generate", "picture.png", "--no-control", "--seed", "1e3"], 2, "generate --help"),
    "a step alone": (None, ["generate", "picture.png", "--boxes", "boxes.json", "--control-steps", "5"], 2, "such as"),
    "one frame": (None, ["generate", "picture.png", "--no-control", "--num-frames", "1"], 2, "num_frames is 1"),
    "fewer frames than the model makes": (
        None,
        ["generate", "picture.png", "--no-control", "--frames", "2"],
        2,
        f"at once, is {FRAMES}) is 2: expected",
    ),
    "a longer video than its boxes": (
        lambda: write("b.npy", np.array([[BOX] * FRAMES])),
        ["generate", "picture.png", "--boxes", "b.npy", "--frames", "5"],
        2,
        "--resample",
    ),
    "a negative width": (None, ["generate", "picture.png", "--no-control", "--width=-64"], 2, "width is -64"),
    "a rate of nothing": (None, ["generate", "picture.png", "--no-control", "--fps", "0"], 2, "fps is 0"),
    "an unknown preset": (None, ["generate", "picture.png", "--no-control", "--preset", "turbo"], 2, "turbo"),
    "an unknown memory mode": (None, ["generate", "picture.png", "--no-control", "--memory", "lots"], 2, "lots"),
    "an empty prompt": (None, ["generate", "--prompt", "", "--no-control"], 2, ""),
    "no place": (None, ["generate", "picture.png", "--no-control", "--out", ""], 2, "in use"),
    "an address as a place": (None, ["generate", "picture.png", "--no-control", "--out", "s3://a/b"], 2, "on the web"),
    "a model of no name": (None, ["models", ""], 2, "unknown model ''"),
    "a picture as a model": (None, ["models", "picture.png"], 2, "picture.png"),
    "a model twice": (None, ["models", "toy", "toy"], 0, "toy"),
    "a file onto itself": (None, ["convert", "boxes.json", "boxes.json"], 0, "1 boxes"),
    "trajectories from a picture": (None, ["convert", "picture.png", "t.json"], 2, "neither text"),
    "a diagnosis of a picture": (None, ["diagnose", "picture.png"], 2, "picture.png"),
    "a diagnosis of a desk": (None, ["diagnose", "."], 2, "run.json"),
    "a report of a desk": (None, ["report", "."], 2, ""),
    "a picture as a video": (None, ["measure", "picture.png", "--boxes", "boxes.json"], 0, "one frame"),
    "tracks to measure": (
        lambda: write("t.json", '[{"x": 9, "y": 9}]'),
        ["measure", "picture.png", "--boxes", "t.json", "--box-size", "9"], 0, "one frame",
    ),
    "a diagnosis of a damaged record": (
        lambda: write("run.json", {"settings": {}, "losses": {"first": [1]}}), ["diagnose", "."], 2, "no run's record"
    ),
    "a diagnosis of a misspelt setting": (
        lambda: write("run.json", {"settings": {"iteration": 3}}), ["diagnose", "."], 2, "run.json: unknown setting"
    ),
    "a step without iterations": (None, ["bench", "--count-only", "--iterations", "0"], 2, "iterations is 0"),
    "a check with an unknown model": (None, ["check-gpu", "--model", "nosuch"], 2, "unknown model 'nosuch'"),
    "an evaluation of no preset": (None, ["evaluate", "--preset", "turbo"], 2, "unknown preset 'turbo'"),
    "an evaluation backwards": (None, ["evaluate", "--control-steps", "5-1"], 2, "sgi2v: control_steps is 5..1"),
    "a benchmark that is cropped": (None, ["evaluate", "--fit", "crop"], 2, "no use for --fit crop"),
    "scenes of a folder": (
        None, ["evaluate", "--data", "examples", "--folder", ".", "--scenes", "3"], 2, "no option 'scenes'"
    ),
    "a grid with a byte order mark": (
        lambda: write("g.toml", b'\xef\xbb\xbf[vary]\niterations = ["x"]'),
        ["evaluate", "--grid", "g.toml"], 2, "iterations is 'x'",
    ),
    "a plan in bytes": (lambda: write("plan.json", b"\xff\xfe"), ["status", "."], 2, "plan.json: it is damaged"),
    "a device of no kind": (None, ["info", "--device", "abacus"], 2, "abacus"),
    "an unknown command": (None, ["genrate"], 2, "genrate"),
    "an unknown option": (None, ["generate", "picture.png", "--boxs", "boxes.json"], 2, "--boxs"),
    "JupyterLab's copies": (
        lambda: (Path("out/picture/.ipynb_checkpoints").mkdir(parents=True)),
        ["generate", "picture.png", "--no-control"], 0, "out/picture",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", COMMANDS)
def test_the_command_line_ends_in_a_sentence(case, checkpoint):
    prepare, arguments, code, told = COMMANDS[case]
    if prepare:
        prepare()
    if arguments[0] in ("generate", "evaluate"):
        arguments = [*arguments, "--model", str(checkpoint)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    assert told in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)


def test_a_home_folder_is_one_place_in_all_commands(checkpoint, desk, monkeypatch):
    monkeypatch.setenv("HOME", str(desk / "home"))
    write_example("home/data/a", read_image("picture.png"), load_trajectories("boxes.json"), FRAMES)
    asked = ["--data", "examples", "--folder=~/data", "--methods", "copy_paste", "--workers", "1"]
    for arguments in (["evaluate", "--out=~/done", "--model", str(checkpoint), *asked], ["report", "~/done"]):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
    assert "1 of 1" in CliRunner().invoke(app, ["status", "~/done"]).output
    assert (desk / "home/done/report.html").is_file() and not (desk / "~").exists()


def test_closed_streams_are_no_reason_to_fail(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    print_anywhere()
    print("nobody hears", file=sys.stderr)
    assert not sys.stdout.isatty()
