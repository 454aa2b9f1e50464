"""Film strips: a video as one PNG, its frames side by side, 8 bits and without loss."""

from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image
import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.shapes import Video
from sgi2v_lab.video import as_frames, as_video

__all__ = ["read_strip", "strip_of"]


def strip_of(video: Video) -> bytes:
    """The frames (frames, 3, h, w) side by side, as the content of a PNG file."""
    content = BytesIO()
    PIL.Image.fromarray(np.concatenate(list(as_frames(video).numpy()), axis=1)).save(content, "PNG")
    return content.getvalue()


def read_strip(path: Path, num_frames: int) -> Video:
    """The video of a film strip, (num_frames, 3, h, w) in 0..1. InputError where it cannot be read."""
    try:
        with PIL.Image.open(path) as picture:
            strip = torch.from_numpy(np.array(picture.convert("RGB")))
    except OSError as error:
        raise InputError(f"{path} is no film strip ({error}); delete it, and run the same again") from error
    return as_video(torch.stack(strip.chunk(num_frames, dim=1)).contiguous())
