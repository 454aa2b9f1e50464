"""Miniature data sets in their published layouts, of real pictures in which a piece moves."""

import numpy as np
import PIL.Image

from sgi2v_lab.images.photographs import read_photograph
from tests.helpers.real_clips import pasted, write_mp4, write_pictures

FRAMES = 12
THING = ((16, 10, 60, 54), (4, 1))  # its box in the first frame, and how far it goes in each


def _clip(number=1):
    return pasted(FRAMES, (number, *THING), size=(192, 128))


def examples(root):
    """SG-I2V's own layout, of five photographs that ship with packages."""
    for number, name in enumerate(("chelsea", "coffee", "astronaut", "rocket", "flower"), start=1):
        pixels = (read_photograph(name).permute(1, 2, 0).numpy() * 255).astype("uint8")
        place = root / str(number)
        place.mkdir(parents=True)
        PIL.Image.fromarray(pixels).resize((256, 144)).save(place / "img.png")
        centers = np.linspace((80, 70), (150, 70), 14)
        np.save(place / "traj.npy", np.array([[[60, 50], [100, 90], *centers]]))
    return root


def vipseg(root):
    frames, masks = _clip(6100)
    write_pictures(root / "imgs" / "0_street", frames, "{:08d}.jpg")
    write_pictures(root / "panomasks" / "0_street", masks, "{:08d}.png")
    (root / "val.txt").write_text("0_street\n")
    return root


def davis(root):
    frames, masks = _clip()
    write_pictures(root / "JPEGImages" / "480p" / "park", frames)
    write_pictures(root / "Annotations" / "480p" / "park", [mask.astype(np.uint8) for mask in masks], "{:05d}.png")
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "val.txt").write_text("park\n")
    return root


def kinetics(root):
    name = "AbCdEfGhIj0_000010_000020"
    (root / "val").mkdir(parents=True)
    write_mp4(root / "val" / f"{name}.mp4", _clip()[0])
    (root / "val.csv").write_text("label,youtube_id,time_start,time_end,split\npaste,AbCdEfGhIj0,10,20,val\n")
    return root


def ava(root):
    (root / "videos").mkdir(parents=True)
    write_mp4(root / "videos" / "film.mp4", _clip()[0], fps=4)
    lines = [f"film,{second:04d},0.1,0.1,0.4,0.5,12,0" for second in (0, 1, 2)]
    (root / "ava_val_v2.2.csv").write_text("\n".join(lines) + "\n")
    return root


def videos(root):
    root.mkdir(parents=True)
    write_mp4(root / "walk.mp4", _clip()[0])
    return root


DATA_SETS = {each.__name__: each for each in (examples, vipseg, davis, kinetics, ava, videos)}
