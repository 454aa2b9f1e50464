"""Draw on videos: boxes with their paths, and several videos next to each other under labels."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.shapes import Boxes, Frames, Video
from sgi2v_lab.video.frames import as_video, enlarge

__all__ = ["PALETTE", "draw_boxes", "side_by_side"]

# Okabe and Ito's colours, told apart by colour-blind readers; the two strongest first
PALETTE = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
FINENESS = 4  # draw this much larger, then shrink: PIL's lines are not antialiased


def draw_boxes(
    video: Video | Frames, boxes: Boxes, paths: bool = True, scale: int | None = None
) -> Float[Tensor, "frames 3 _ _"]:
    """Draw every frame's boxes on it, and the way their centres go from the first frame to the last.

    Args:
        video: (frames, 3, height, width) floats in 0..1, or (frames, height, width, 3) bytes.
        boxes: (boxes, frames, 4) as x0, y0, x1, y1 in pixels of `video`; what lies outside the picture is cut off.
        paths: draw the paths too, with a dot at the current centre.
        scale: enlarge by this whole factor before drawing, so that lines on tiny videos stay fine.

    Returns:
        (frames, 3, scale * height, scale * width), floats in 0..1.

    Raises:
        InputError: boxes of another shape or number of frames, or NaN or infinity in them.
    """
    frames = enlarge(video, scale)
    if boxes.ndim != 3 or boxes.shape[1:] != (len(frames), 4):
        raise InputError(f"the boxes have shape {tuple(boxes.shape)}: expected (boxes, {len(frames)}, 4)")
    if not boxes.isfinite().all():
        raise InputError("the boxes hold NaN or infinity: expected x0, y0, x1, y1 in pixels for every frame")
    boxes = boxes.detach().cpu().float() * (scale or 1)
    if len(boxes) == 0:
        return as_video(frames)
    drawn = [_with_boxes(frame, boxes, f, paths) for f, frame in enumerate(frames.numpy())]
    return as_video(torch.from_numpy(np.stack(drawn)))


def _with_boxes(frame: np.ndarray, boxes: Boxes, now: int, paths: bool) -> np.ndarray:
    height, width = frame.shape[:2]
    fine = FINENESS if height * width <= 512 * 512 else 2
    layer = Image.new("RGBA", (width * fine, height * fine))
    draw = ImageDraw.Draw(layer)
    line = max(1.0, min(height, width) / 140) * fine
    for box, colour in zip((boxes * fine).tolist(), cycle(PALETTE), strict=False):
        centres = [((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in box]
        # a pale casing under each line keeps it visible on any picture
        for extra, paint in ((line, (255, 255, 255, 150)), (0, colour)):
            if paths and len(centres) > 1:
                draw.line(centres, fill=paint, width=round(line + extra), joint="curve")
            x0, y0, x1, y1 = box[now]
            grow = (line + extra) / 2
            outer = (min(x0, x1) - grow, min(y0, y1) - grow, max(x0, x1) + grow, max(y0, y1) + grow)
            draw.rectangle(outer, outline=paint, width=round(line + extra))
            if paths:
                draw.circle(centres[now], 2 * line + extra / 2, fill=paint)
    layer = layer.resize((width, height), Image.Resampling.BOX)
    return np.asarray(Image.alpha_composite(Image.fromarray(frame).convert("RGBA"), layer).convert("RGB"))


def side_by_side(
    videos: Sequence[Video | Frames],
    labels: Sequence[str] | None = None,
    boxes: Boxes | None = None,
    scale: int | None = None,
) -> Float[Tensor, "frames 3 _ _"]:
    """Put videos of one size and length next to each other on white, with a label above each.

    Args:
        videos: each (frames, 3, height, width) floats in 0..1, or (frames, height, width, 3) bytes.
        labels: one for each video, or None for no labels.
        boxes: (boxes, frames, 4) in pixels of one video, drawn on every one of them (see `draw_boxes`).
        scale: enlarge by this whole factor first; labels are drawn after it and stay sharp.

    Returns:
        (frames, 3, height + label band, widths + gaps), floats in 0..1.

    Raises:
        InputError: no videos, videos of different shapes, or not one label each.
    """
    if len(videos) == 0:
        raise InputError("there are no videos to put side by side; give at least one")
    parts = [as_video(enlarge(v, scale)) if boxes is None else draw_boxes(v, boxes, scale=scale) for v in videos]
    shapes = sorted({tuple(p.shape) for p in parts})
    if len(shapes) > 1:
        raise InputError(f"the videos have shapes {shapes}; give videos with equal frames, height and width")
    if labels is not None and len(labels) != len(videos):
        raise InputError(f"there are {len(labels)} labels for {len(videos)} videos; give one label for each")
    frames, _, height, width = shapes[0]
    gap = max(4, width // 64)
    if labels is not None:
        bands = _bands(labels, height, width)
        parts = [torch.cat([b.expand(frames, -1, -1, -1), p], dim=2) for b, p in zip(bands, parts, strict=True)]
    space = torch.ones(frames, 3, parts[0].shape[2], gap)
    return torch.cat([piece for part in parts for piece in (space, part)][1:], dim=3)


def _bands(labels: Sequence[str], height: int, width: int) -> list[Video]:
    """White bands with a label in the middle of each, all in the largest letters that fit every one of them."""
    size = max(11, min(28, round(height / 16)))
    band_height = round(size * 1.7)
    while size > 8 and max(ImageFont.load_default(size).getlength(text) for text in labels) > width - 4:
        size -= 1
    font, bands = ImageFont.load_default(size), []
    for label in labels:
        while len(label) > 1 and font.getlength(label) > width - 2:
            label = label.removesuffix("…")[:-1] + "…"
        band = Image.new("RGB", (width, band_height), "white")
        ImageDraw.Draw(band).text((width / 2, band_height / 2), label, font=font, fill="#222222", anchor="mm")
        bands.append(as_video(torch.from_numpy(np.array(band)[None])))
    return bands
