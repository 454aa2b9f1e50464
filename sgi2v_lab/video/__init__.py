"""Videos: `frames` (floats, bytes), `files` (mp4, gif, webp, PNGs), `overlay` (boxes, side by side), `show` (HTML)."""

from sgi2v_lab.video.files import read_video, write_frames, write_video
from sgi2v_lab.video.frames import as_frames, as_video, enlarge
from sgi2v_lab.video.overlay import PALETTE, draw_boxes, side_by_side
from sgi2v_lab.video.show import show_video

__all__ = [
    "PALETTE",
    "as_frames",
    "as_video",
    "draw_boxes",
    "enlarge",
    "read_video",
    "show_video",
    "side_by_side",
    "write_frames",
    "write_video",
]
