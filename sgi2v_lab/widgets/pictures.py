"""Pictures on their way to the browser: anything that a notebook may hold, as a file's content."""

import io
import os

import numpy as np
import PIL.Image
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.images.read import read_image, to_pil

__all__ = ["Picture", "encoded", "read_any"]

Picture = str | os.PathLike | bytes | PIL.Image.Image | np.ndarray | torch.Tensor
LARGEST_SHOWN = (2048, 1152)  # pixels: what the editor shows, on a screen of two pixels per CSS pixel
LOSSLESS_UP_TO = 512 * 512  # pixels; larger pictures are sent as JPEG, a tenth of the size


def read_any(picture: Picture) -> PIL.Image.Image:
    """A picture as 8-bit RGB.

    Args:
        picture: a file, a file's content, an image of Pillow's, bytes (height, width, 3), or floats 0..1
            (3, height, width).

    Raises:
        InputError: if it cannot be read, see `read_image`, or is an array of another shape or type.
    """
    if isinstance(picture, np.ndarray):
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
            raise InputError(
                f"the picture is an array of {picture.dtype} {picture.shape}: expected uint8 (height, width, 3)"
            )
        return PIL.Image.fromarray(picture)
    return to_pil(picture) if isinstance(picture, torch.Tensor) else read_image(picture)


def encoded(image: PIL.Image.Image) -> bytes:
    """A file's content to show: PNG, so exact, for small pictures; JPEG for large ones, no larger than the screen."""
    content = io.BytesIO()
    if image.width > LARGEST_SHOWN[0] or image.height > LARGEST_SHOWN[1]:
        image = image.copy()
        image.thumbnail(LARGEST_SHOWN)
    if image.width * image.height <= LOSSLESS_UP_TO:
        image.save(content, format="PNG")
    else:
        image.save(content, format="JPEG", quality=92)
    return content.getvalue()
