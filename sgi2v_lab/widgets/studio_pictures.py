"""Pictures to begin with: a scene of the toy's world, photographs that come inside scikit-learn and scikit-image."""

from collections.abc import Callable

import numpy as np
import PIL.Image

from sgi2v_lab.errors import InputError
from sgi2v_lab.prompt import reference_image
from sgi2v_lab.settings import Settings

__all__ = ["SAMPLES", "SCENE", "drawn_scene", "sample_picture"]

SCENE = "a large yellow circle at the left on blue clouds"


def _sklearn(name: str) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        from sklearn.datasets import load_sample_image

        return load_sample_image(name)

    return read


def _skimage(name: str) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        import skimage.data

        return getattr(skimage.data, name)()

    return read


SAMPLES = {
    "flower": _sklearn("flower.jpg"),
    "temple": _sklearn("china.jpg"),
    "cat": _skimage("chelsea"),
    "cup of coffee": _skimage("coffee"),
    "rocket": _skimage("rocket"),
    "astronaut": _skimage("astronaut"),
}


def sample_picture(name: str, settings: Settings) -> PIL.Image.Image:
    """A photograph, cut from its middle to the proportions of the settings' video, so that it is not stretched.

    InputError for a name that is not in `SAMPLES`.
    """
    if name not in SAMPLES:
        raise InputError(f"there is no sample picture {name!r}; there are {', '.join(SAMPLES)}")
    picture = PIL.Image.fromarray(SAMPLES[name]()).convert("RGB")
    scale = min(picture.width / settings.width, picture.height / settings.height)
    width, height = round(settings.width * scale), round(settings.height * scale)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    picture = picture.crop((left, top, left + width, top + height))
    return picture


def drawn_scene(prompt: str | None, settings: Settings) -> PIL.Image.Image:
    """A scene of the scene language (None: `SCENE`), a square as large as the video's longer side.

    InputError for a prompt that cannot be read, see `parse_prompt`.
    """
    return reference_image(SCENE if prompt is None else prompt, "toy", max(settings.width, settings.height))
