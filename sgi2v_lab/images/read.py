"""Pictures: read one safely, fit it to the model's size, and turn it into a tensor.

A picture that somebody uploads may be anything, so it is judged by its header before a single pixel is decoded.
"""

import io
import os
import warnings
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.images.resize import Fit, check_size
from sgi2v_lab.shapes import Image

__all__ = ["Fit", "Picture", "fit_image", "read_image", "to_pil", "to_tensor"]

Picture = str | os.PathLike | PIL.Image.Image | Image  # a file, Pillow's, or a tensor (3, height, width) in 0..1
# formats decoded in-process by well-kept libraries; PostScript, for one, would be run rather than read
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "GIF", "TIFF", "PPM")


def read_image(picture: str | os.PathLike | bytes | PIL.Image.Image, max_pixels: int = 50_000_000) -> PIL.Image.Image:
    """Read a picture as 8-bit RGB, upright.

    Its EXIF rotation is applied and transparent parts are laid on white. Of an animation the first frame is taken.
    16-bit values are reduced to 8 bits; floating-point ones are read as 0..1, or 0..255 if any exceeds 1.

    Args:
        picture: a file's path, a file's content as bytes (an upload), or an image of Pillow's, which stays unchanged.
        max_pixels: the most pixels to decode, checked against the size in the header beforehand.

    Raises:
        InputError: if the file is missing, unreadable, no picture, of another format than PNG, JPEG, WebP, AVIF, BMP,
            GIF, TIFF and PPM, damaged or cut short, or has more than `max_pixels`.
    """
    name = "the picture" if isinstance(picture, bytes | PIL.Image.Image) else str(picture)
    try:
        with warnings.catch_warnings():
            # Pillow warns of many pixels, by a limit of its own, and of damage; both are judged here
            warnings.simplefilter("ignore")
            with _opened(picture) as image:
                if image.width * image.height > max_pixels:
                    raise InputError(
                        f"{name} has {image.width} x {image.height} pixels: expected at most {max_pixels} in all, "
                        "so scale it down"
                    )
                check_size(image.size, f"the size of {name}")
                return _to_rgb(PIL.ImageOps.exif_transpose(image))
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"there is no file {name}: expected a picture, so check the path") from None
    except (IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise InputError(f"{name} cannot be read ({error.strerror}): expected a picture file") from None
    except PIL.UnidentifiedImageError:
        raise InputError(f"{name} is not a picture that can be read: expected one of {', '.join(FORMATS)}") from None
    except PIL.Image.DecompressionBombError:
        raise InputError(f"{name} has far more than {max_pixels} pixels: expected fewer, so scale it down") from None
    except Exception as error:  # decoders raise anything on hostile bytes, and all of it means the same
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise InputError(f"{name} is damaged ({reason}): expected a whole picture, so save it again") from None


def fit_image(image: PIL.Image.Image, size: tuple[int, int], how: str = "stretch") -> tuple[PIL.Image.Image, Fit]:
    """Make a picture of exactly the size that the model wants.

    Args:
        image: an RGB picture, as `read_image` gives.
        size: (width, height) wanted.
        how: "stretch", "crop" or "pad" (with black bars), see `Fit.plan`.

    Returns:
        The picture, and the `Fit` that carries boxes and trajectories along.

    Raises:
        InputError: if `how` is unknown or the size is not positive.
    """
    fit = Fit.plan(image.size, size, how)
    x0, y0, x1, y1 = fit.content
    (sx, sy), (tx, ty) = fit.scale, fit.shift
    # the part of the source that shows, which Pillow takes in fractions of a pixel
    shown = (
        max(0.0, (x0 - tx) / sx),
        max(0.0, (y0 - ty) / sy),
        min(float(image.width), (x1 - tx) / sx),
        min(float(image.height), (y1 - ty) / sy),
    )
    drawn = image.resize((round(x1 - x0), round(y1 - y0)), PIL.Image.Resampling.LANCZOS, box=shown)
    if drawn.size == fit.target:
        return drawn, fit
    frame = PIL.Image.new(image.mode, fit.target)
    frame.paste(drawn, (round(x0), round(y0)))
    return frame, fit


def to_tensor(image: PIL.Image.Image) -> Image:
    """A picture as float32 (3, height, width), values 0..1."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255


def to_pil(image: Image) -> PIL.Image.Image:
    """A (3, height, width) tensor as an 8-bit RGB picture; values beyond 0..1 are clipped.

    Raises:
        InputError: if the shape is another or there is a NaN, which has no colour.
    """
    if image.ndim != 3 or len(image) != 3 or image.numel() == 0:
        raise InputError(f"a picture has shape {tuple(image.shape)}: expected (3, height, width)")
    if image.isnan().any():
        raise InputError("a picture has NaN values: expected numbers 0..1")
    values = (image.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return PIL.Image.fromarray(values.permute(1, 2, 0).cpu().numpy())


def _opened(picture: str | os.PathLike | bytes | PIL.Image.Image) -> AbstractContextManager[PIL.Image.Image]:
    """Read the header only; pixels are decoded when they are first asked for."""
    if isinstance(picture, PIL.Image.Image):
        return nullcontext(picture)
    PIL.Image.init()
    stream = io.BytesIO(picture) if isinstance(picture, bytes) else picture
    return PIL.Image.open(stream, formats=[name for name in FORMATS if name in PIL.Image.OPEN])


def _to_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        image = PIL.Image.fromarray(
            (values / _full_scale(image.mode, values.max()) * 255).clip(0, 255).round().astype(np.uint8)
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image)
    # a conversion to the mode that it has already is a copy
    return image.convert("RGB")


def _full_scale(mode: str, most: float) -> int:
    """The value that means white, in a picture of one number per pixel that is not 8-bit."""
    if mode == "F":
        return 1 if most <= 1 else 255
    # "I" is whatever the file had as whole numbers: 16-bit ones, as a rule
    return 65535 if mode.startswith("I;16") or most > 255 else 255
