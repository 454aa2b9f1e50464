"""Videos as floats and as bytes for the screen, and enlarging them by whole factors."""

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from sgi2v_lab.errors import InputError, whole_number
from sgi2v_lab.images.read import Picture, read_image
from sgi2v_lab.shapes import Frames, Video

__all__ = ["AnyVideo", "as_frames", "as_video", "enlarge"]

AnyVideo = Video | Frames | np.ndarray | Sequence[Picture]  # an array is as the tensors are, floats or bytes


def as_frames(video: AnyVideo) -> Frames:
    """Bytes for the screen: (frames, height, width, 3), 0..255, on the CPU; of tensors, arrays or a list of pictures.

    Floats (frames, 3, height, width) are rounded; what a decoder leaves a little outside 0..1 is clipped. Bytes
    (frames, height, width, 3) are returned as they are.

    Raises:
        InputError: wrong number of axes, not three colours, no frames, no pixels, NaN or infinity.
    """
    if isinstance(video, list | tuple):
        pictures = [np.array(read_image(picture)) for picture in video]
        if len({picture.shape for picture in pictures}) > 1:
            raise InputError("the pictures have different sizes; a video needs one or more frames of one size")
        video = torch.from_numpy(np.stack(pictures)) if pictures else torch.zeros(0, 3, 0, 0)
    if isinstance(video, np.ndarray) and video.dtype.kind in "fu":
        video = torch.from_numpy(np.ascontiguousarray(video))
    if not isinstance(video, torch.Tensor) or not (video.is_floating_point() or video.dtype == torch.uint8):
        kind = f"{video.dtype} tensor" if isinstance(video, torch.Tensor) else type(video).__name__
        raise InputError(f"the video is a {kind}; pass a torch tensor of floats in 0..1 or of bytes (uint8)")
    colours, wanted = -1, "(frames, height, width, 3)"
    if video.is_floating_point():
        colours, wanted = 1, "(frames, 3, height, width)"
    if video.ndim != 4 or video.shape[colours] != 3:
        raise InputError(f"the video has shape {tuple(video.shape)}; a {video.dtype} video is expected as {wanted}")
    if video.numel() == 0:
        raise InputError(f"the video is empty, shape {tuple(video.shape)}; it needs at least one frame and one pixel")
    video = video.detach().cpu()
    if not video.is_floating_point():
        return video
    if not video.isfinite().all():
        raise InputError("the video holds NaN or infinity: expected floats in 0..1, so look at the step that made it")
    return (video.float().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def as_video(frames: Frames) -> Video:
    """Bytes (frames, height, width, 3) to floats (frames, 3, height, width) in 0..1."""
    return frames.permute(0, 3, 1, 2).float() / 255


def enlarge(video: AnyVideo, scale: SupportsIndex | None, smooth: bool = False) -> UInt8[Tensor, "frames _ _ 3"]:
    """Enlarge by a whole factor: every pixel a crisp square, or Lanczos if `smooth`. None and 1 change nothing.

    Returns:
        Bytes (frames, scale * height, scale * width, 3).

    Raises:
        InputError: a factor that is not a whole number from 1 to 64, or a bad video (see `as_frames`).
    """
    frames, scale = as_frames(video), 1 if scale is None else whole_number(scale, "scale", 1, 64)
    if scale == 1:
        return frames
    if not smooth:
        return frames.repeat_interleave(scale, dim=1).repeat_interleave(scale, dim=2)
    size = (frames.shape[2] * scale, frames.shape[1] * scale)
    pictures = (Image.fromarray(f).resize(size, Image.Resampling.LANCZOS) for f in frames.numpy())
    return torch.from_numpy(np.stack([np.asarray(p) for p in pictures]))
