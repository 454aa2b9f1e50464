"""Array types: the one statement of axis order and units.

Every array in this package follows these conventions; functions convert at their own border and nowhere else.

* Pictures and videos are floats in 0..1, channels first: (3, height, width), (frames, 3, height, width).
* Points are (x, y), boxes are (x0, y0, x1, y1), in pixels of the picture they belong to, x to the right, y down, the
  origin at the picture's top-left corner (so pixel (0, 0) covers 0..1). Boxes over time are (boxes, frames, 4).
* Latents and feature maps are (frames, channels, height, width): one video, no batch axis. Where a model's latents hold
  several frames each (`Model.frames_per_latent`), theirs are the latents', fewer than the video's.
* Boxes in latent cells are integers, half-open: columns x0..x1-1 and rows y0..y1-1.

The names below are jaxtyping annotations. Nothing checks them at run time unless a caller asks for it; the tests do,
with beartype.
"""

from jaxtyping import Float, Int, UInt8
from torch import Tensor

__all__ = ["Boxes", "CellBoxes", "Features", "Frames", "Image", "Latents", "Mask", "Points", "Video"]

Image = Float[Tensor, "3 height width"]
Video = Float[Tensor, "frames 3 height width"]
Frames = UInt8[Tensor, "frames height width 3"]
Boxes = Float[Tensor, "boxes frames 4"]
CellBoxes = Int[Tensor, "boxes latent_frames 4"]
Points = Float[Tensor, "boxes frames 2"]
Latents = Float[Tensor, "latent_frames channels h w"]
Features = Float[Tensor, "latent_frames channels h w"]
Mask = Float[Tensor, "h w"]
