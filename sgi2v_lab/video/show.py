"""Show a video in a notebook."""

import base64
import html
import numbers
from io import BytesIO
from typing import TYPE_CHECKING, SupportsIndex

from sgi2v_lab.errors import whole_number
from sgi2v_lab.video.files import HIGHEST_FPS, checked_fps, encode_mp4
from sgi2v_lab.video.frames import AnyVideo, as_frames, enlarge

if TYPE_CHECKING:
    from IPython.display import HTML

__all__ = ["show_video"]

COMFORTABLE_WIDTH = 384  # pixels; a narrower video is enlarged by the largest whole factor that stays within it


def show_video(
    video: AnyVideo,
    fps: numbers.Real = 7,
    width: SupportsIndex | None = None,
    alt: str | None = None,
    title: str | None = None,
) -> "HTML":
    """The video as a notebook's display object, a cell's last line: it starts by itself, silently, and loops.

    `data` is one HTML element with the whole video inside (mp4 in base64).

    Tiny videos are enlarged by a whole factor before they are encoded, so that each pixel stays a crisp square.

    Args:
        video: (frames, 3, height, width) floats in 0..1, or (frames, height, width, 3) bytes.
        fps: frames per second, 0.1 to 240.
        width: width on the page in CSS pixels; None takes the video's own, after enlarging.
        alt: what the video shows, for readers who cannot see it; None states its size and length.
        title: a caption below the video.

    Raises:
        InputError: bad fps or width, or a bad video (see `as_frames`).
    """
    from IPython.display import HTML  # only notebooks need it

    rate = checked_fps(fps, HIGHEST_FPS[".mp4"])
    if width is not None:
        width = whole_number(width, "width", 1)
    frames = as_frames(video)
    count, rows, columns = frames.shape[:3]
    large = enlarge(frames, min(64, max(1, COMFORTABLE_WIDTH // columns)))
    mp4 = BytesIO()
    encode_mp4(mp4, large, rate)
    data = base64.b64encode(mp4.getvalue()).decode()
    told = html.escape(alt or title or f"Video of {count} frames, {columns} by {rows} pixels, {rate:g} per second")
    caption = f'<figcaption style="font: 13px sans-serif">{html.escape(title)}</figcaption>' if title else ""
    return HTML(
        '<figure style="display: inline-block; margin: 0">'
        f'<video autoplay loop muted playsinline controls width="{width or large.shape[2]}" aria-label="{told}"'
        ' style="display: block; max-width: 100%; height: auto; image-rendering: pixelated">'
        f'<source type="video/mp4" src="data:video/mp4;base64,{data}">{told}</video>{caption}</figure>'
    )
