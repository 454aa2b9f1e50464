"""Pictures: read one safely, fit it to the model's size, and turn it into a tensor.

A picture that somebody uploads may be anything, so it is judged by its header before a single pixel is decoded.
"""

import io
import os
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch
from jaxtyping import UInt8
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.files import as_path
from sgi2v_lab.images.resize import Fit, check_size
from sgi2v_lab.shapes import Image

__all__ = ["Fit", "Picture", "first_frame", "fit_image", "read_image", "to_pil", "to_tensor"]

# a file's path, content or open file; Pillow's; or an array, of any library that NumPy can read
Picture = str | os.PathLike | bytes | bytearray | memoryview | io.IOBase | PIL.Image.Image | np.ndarray | Tensor
# formats decoded in-process by well-kept libraries; PostScript, for one, would be run rather than read
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "GIF", "TIFF", "PPM")
ROUNDING = 0.02  # by which resizing leaves 0..1
SEEN = 1.1  # a stretch of one side against the other that is seen


def read_image(picture: Picture, max_pixels: int = 50_000_000) -> PIL.Image.Image:
    """Read a picture as 8-bit RGB, upright.

    Its EXIF rotation is applied and transparent parts are laid on white. Of an animation the first frame is taken.
    Unsigned values of 8 or 16 bits are read by their type. Others are read as 0..1 if they are floats and none exceeds
    1, else as 0..255, and as 0..65535 if any exceeds 255.

    Args:
        picture: a file's path, a file's content as bytes (an upload), an open binary file, an image of Pillow's, which
            stays unchanged, or an array (NumPy's, PyTorch's, ...): (height, width), (height, width, 1, 3 or 4) or
            (1, 3 or 4, height, width) in RGB order, alone or in a batch of one. OpenCV's are BGR: turn them by
            `picture[..., ::-1]`.
        max_pixels: the most pixels to decode, checked against the size in the header beforehand.

    Raises:
        InputError: if the file is missing, unreadable, no picture, of another format than PNG, JPEG, WebP, AVIF, BMP,
            GIF, TIFF and PPM, damaged or cut short, or has more than `max_pixels`; or if the array has another shape,
            or values that are not finite, negative or too large.
    """
    content = _content(picture)
    name = str(content) if isinstance(content, Path) else "the picture"
    try:
        with warnings.catch_warnings():
            # Pillow warns of many pixels, by a limit of its own, and of damage; both are judged here
            warnings.simplefilter("ignore")
            with _opened(content) as image:
                if image.width * image.height > max_pixels:
                    raise InputError(
                        f"{name} has {image.width} x {image.height} pixels: expected at most {max_pixels} in all, "
                        "so scale it down"
                    )
                check_size(image.size, f"the size of {name}")
                return _to_rgb(PIL.ImageOps.exif_transpose(image), name)
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


def fit_image(image: Picture, size: tuple[int, int], how: str = "stretch") -> tuple[PIL.Image.Image, Fit]:
    """Make a picture of exactly the size that the model wants.

    Args:
        image: whatever `read_image` takes.
        size: (width, height) wanted.
        how: "stretch", "crop" or "pad" (with black bars), see `Fit.plan`.

    Returns:
        The picture, and the `Fit` that carries boxes and trajectories along.

    Raises:
        InputError: if `how` is unknown or the size is not positive.
    """
    image = read_image(image)
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
    frame = PIL.Image.new("RGB", fit.target)
    frame.paste(drawn, (round(x0), round(y0)))
    return frame, fit


def first_frame(image: Picture, size: tuple[int, int], how: str = "stretch") -> tuple[Image, Fit]:
    """A picture as the model wants it: (3, height, width) in 0..1, and how it got there.

    A tensor in 0..1 of that very size is used as it is, without rounding to 8 bits. A stretch that is seen is told by
    a warning. Arguments and errors are those of `fit_image`.
    """
    picture = read_image(image)
    fitted, fit = fit_image(picture, size, how)
    stretch = max(fit.scale) / min(fit.scale)
    if stretch > SEEN:
        warnings.warn(
            f"The picture of {picture.width} x {picture.height} px is stretched to {size[0]} x {size[1]}, which "
            f"distorts its shape by {stretch - 1:.0%}; fit 'crop' and 'pad' keep it, as do a width and height nearer "
            "to its own.",
            stacklevel=5,
        )
    exact = isinstance(image, torch.Tensor) and image.is_floating_point() and image.shape == (3, *size[::-1])
    return image.float().cpu() if exact and image.min() >= 0 and image.max() <= 1 else to_tensor(fitted), fit


def to_tensor(image: Picture) -> Image:
    """A picture, of Pillow's or whatever `read_image` takes, as float32 (3, height, width), values 0..1."""
    return torch.from_numpy(np.array(read_image(image))).permute(2, 0, 1).float() / 255


def to_pil(image: Image | Picture) -> PIL.Image.Image:
    """A (3, height, width) tensor as an 8-bit RGB picture; values beyond 0..1 are clipped. For all else `read_image`.

    Raises:
        InputError: if the shape is another or there is a NaN, which has no colour.
    """
    if not isinstance(image, Tensor) or not image.is_floating_point():
        return read_image(image)
    if image.ndim != 3 or len(image) != 3 or image.numel() == 0:
        raise InputError(f"a picture has shape {tuple(image.shape)}: expected (3, height, width)")
    if image.isnan().any():
        raise InputError("a picture has NaN values: expected numbers 0..1")
    values = (image.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return PIL.Image.fromarray(values.permute(1, 2, 0).cpu().numpy())


def _content(picture: object) -> Path | bytes | PIL.Image.Image:
    """What Pillow can open, from anything that people hold."""
    if isinstance(picture, PIL.Image.Image | bytes):
        return picture
    if isinstance(picture, bytearray | memoryview):
        return bytes(picture)
    if callable(getattr(picture, "read", None)):
        try:
            content = picture.read()
        except (OSError, ValueError) as error:
            raise InputError(
                f"the open file cannot be read ({error}): expected one opened by open(path, 'rb')"
            ) from None
        if not isinstance(content, bytes):
            raise InputError("the open file gives text: expected a picture's bytes, so open it by open(path, 'rb')")
        return content
    if isinstance(picture, Tensor):
        try:
            picture = picture.detach().cpu()
            picture = picture.float().numpy() if picture.is_floating_point() else picture.numpy()
        except (RuntimeError, TypeError, NotImplementedError):
            raise InputError(f"the picture is a tensor on {picture.device}: expected a dense one with data") from None
    if hasattr(picture, "__array__"):
        return _from_array(np.asarray(picture))
    return as_path(picture, "a picture")


def _from_array(array: np.ndarray) -> PIL.Image.Image:
    values = array[0] if array.ndim == 4 and len(array) == 1 else array
    if values.ndim == 3 and values.shape[2] not in (1, 3, 4) and values.shape[0] in (1, 3, 4):
        values = np.moveaxis(values, 0, 2)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if not (values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (3, 4))) or values.size == 0:
        raise InputError(
            f"the picture is an array of shape {array.shape}: expected (height, width, 3) or (3, height, width)"
        )
    return PIL.Image.fromarray(np.ascontiguousarray(_to_bytes(values, "the picture")))


def _opened(content: Path | bytes | PIL.Image.Image) -> AbstractContextManager[PIL.Image.Image]:
    """Read the header only; pixels are decoded when they are first asked for."""
    if isinstance(content, PIL.Image.Image):
        return nullcontext(content)
    PIL.Image.init()
    stream = io.BytesIO(content) if isinstance(content, bytes) else content
    return PIL.Image.open(stream, formats=[name for name in FORMATS if name in PIL.Image.OPEN])


def _to_rgb(image: PIL.Image.Image, name: str) -> PIL.Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        image = PIL.Image.fromarray(_to_bytes(np.asarray(image), name))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image)
    # a conversion to the mode that it has already is a copy
    return image.convert("RGB")


def _to_bytes(values: np.ndarray, name: str) -> UInt8[np.ndarray, "..."]:
    """Values of any type as 8-bit ones: the one place that decides which value means white."""
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind not in "buif":
        raise InputError(f"{name} has values of type {values.dtype}: expected numbers")
    numbers = values.astype(np.float64)
    low, high = numbers.min(), numbers.max()
    if not np.isfinite(low + high):
        raise InputError(f"{name} has NaN or infinite values: expected numbers 0..1, so replace them")
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        white = 65535
    elif values.dtype.kind == "f" and high <= 1 + ROUNDING:
        white = 1
    else:
        levels = (1,) if values.dtype == bool else (255, 65535)
        white = next((most for most in levels if high <= most), 0)
    if not white or low < -ROUNDING or (values.dtype.kind == "f" and 1 + ROUNDING < high < 2):
        raise InputError(
            f"{name} has values from {low:g} to {high:g}: expected 0..1, 0..255 or 0..65535, so scale them"
        )
    return (numbers / white * 255).clip(0, 255).round().astype(np.uint8)
