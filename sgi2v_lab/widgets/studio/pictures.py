"""Pictures to begin with: a scene of the toy's world, and photographs."""

import PIL.Image

from sgi2v_lab.errors import InputError
from sgi2v_lab.images.photographs import read_photograph
from sgi2v_lab.images.read import to_pil
from sgi2v_lab.prompts.reference_image import reference_image
from sgi2v_lab.settings import Settings

__all__ = ["SAMPLES", "SCENE", "drawn_scene", "sample_picture"]

SCENE = "a large red white striped circle at the left on blue clouds"
SAMPLES = {  # what they are called, and as which photograph
    "flower": "flower",
    "temple": "china",
    "cat": "chelsea",
    "cup of coffee": "coffee",
    "rocket": "rocket",
    "astronaut": "astronaut",
}


def sample_picture(name: str, settings: Settings) -> PIL.Image.Image:
    """A photograph, cut from its middle to the proportions of the settings' video, so that it is not stretched.

    InputError for a name that is not in `SAMPLES`.
    """
    if name not in SAMPLES:
        raise InputError(f"there is no sample picture {name!r}; there are {', '.join(SAMPLES)}")
    picture = to_pil(read_photograph(SAMPLES[name]))
    scale = min(picture.width / settings.width, picture.height / settings.height)
    width, height = round(settings.width * scale), round(settings.height * scale)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def drawn_scene(prompt: str | None, settings: Settings) -> PIL.Image.Image:
    """A scene of the scene language (None: `SCENE`), a square as large as the video's longer side.

    InputError for a prompt that cannot be read, see `parse_prompt`.
    """
    return reference_image(SCENE if prompt is None else prompt, "toy", max(settings.width, settings.height))
