"""Copy and paste: cut the box out of the first frame and slide the cut-out over it. Nothing is denoised.

The trivial answer to the task, and Time-to-Move's "cut-and-drag" reference (arXiv 2511.08633, section 4). It goes
exactly where it is asked to, keeps every pixel of the object, and looks like what it is: a rectangle on a still
picture. So it bounds ObjMC from below (what is left is the tracker's own error), and shows that ObjMC alone is not
what one wants.

What the cutting uncovers is filled by OpenCV's inpainting (Telea 2004, "An image inpainting technique based on the
fast marching method"), which continues what is around it, smeared and without texture. A box that never moves leaves
no hole. A box that grows or shrinks is resampled bilinearly. Of a box that reaches beyond the first frame only the
part inside is known, and pasted. Larger boxes lie below smaller ones, and carry no copy of a smaller one that moves.

The video is encoded and decoded by the model's VAE, as every method's is: no method that works in latent space
can look better than that.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from sgi2v_lab.baselines.regions import covered, paint_order
from sgi2v_lab.errors import needs
from sgi2v_lab.latents import encode_video
from sgi2v_lab.models.model import Conditioning, Model
from sgi2v_lab.sampling import DenoiseStep, Sampler, Task
from sgi2v_lab.shapes import Boxes, Image, Latents

__all__ = ["copy_paste", "paste_along"]

MARGIN = 2  # pixels by which a hole is larger than its box: an object's smooth edge may reach beyond
REACH = 10.0  # pixels around a hole that its filling looks at


def copy_paste(task: Task) -> Sampler:
    """The latents of the box's content, pasted along the path over the still first frame; the noise plays no part."""

    def sampler(
        model: Model, _conditioning: Conditioning, _noise: Latents, _last: DenoiseStep | None
    ) -> Iterator[DenoiseStep]:
        video, _ = paste_along(task.picture, task.boxes)
        z = encode_video(model, video, task.settings.decode_chunk_size)
        step = DenoiseStep(index=0, sigma=0.0, before=z, optimized=None, mixed=z, iterations=(), denoised=z, latents=z)
        return iter([step])

    return sampler


def paste_along(
    picture: Image, boxes: Boxes
) -> tuple[Float[Tensor, "frames 3 height width"], Bool[Tensor, "frames height width"]]:
    """Paste what is in each box of the first frame wherever the box goes.

    Args:
        picture: the first frame (3, height, width), 0..1, on the CPU.
        boxes: (boxes, frames, 4) in its pixels.

    Returns:
        The video, 0..1, whose first frame is the picture itself; and which of its pixels were pasted.
    """
    height, width = picture.shape[1:]
    inside = covered(boxes, height, width)
    moves = (boxes != boxes[:, :1]).flatten(1).any(dim=1)
    holes = inside[:, 0] & moves[:, None, None]
    order = paint_order(boxes)
    video = _inpaint(picture, holes.any(dim=0)).repeat(boxes.shape[1], 1, 1, 1)
    pasted = torch.zeros_like(inside[0])
    for place, index in enumerate(order):
        smaller = holes[order[place + 1 :]].any(dim=0)
        layer, known = _follow(_inpaint(picture, smaller), boxes[index])
        mine = inside[index] & known
        video = torch.where(mine[:, None], layer, video)
        pasted |= mine
    video[0] = picture  # which it is already, but for the holes' margins and the rounding of positions
    return video.clamp(0, 1), pasted


def _follow(picture: Image, box: Float[Tensor, "frames 4"]) -> tuple[Tensor, Tensor]:
    """The picture moved and scaled as the box is, (frames, 3, height, width), and where it was known."""
    height, width = picture.shape[1:]
    size, box = torch.tensor([width, height]), box.double()
    low, length = box[:, :2], box[:, 2:] - box[:, :2]
    # a pixel at x comes from (x - low) * length[0] / length + low[0]; here in coordinates -1..1
    scale = length[0] / length
    shift = scale * (1 - 2 * low / size) + 2 * low[0] / size - 1
    ways = torch.cat([torch.diag_embed(scale), shift[:, :, None]], dim=2)
    grid = F.affine_grid(ways, [len(box), 3, height, width], align_corners=False)
    frames = picture.expand(len(box), -1, -1, -1)
    moved = F.grid_sample(frames, grid.float(), mode="bilinear", padding_mode="border", align_corners=False)
    return moved, (grid.abs() <= 1).all(dim=-1)


def _inpaint(picture: Image, hole: Bool[Tensor, "height width"]) -> Tensor:
    """The picture with a hole filled from around it; unchanged where there is no hole, or nothing but hole."""
    with needs("evaluation"):
        import cv2
    hole = F.max_pool2d(hole[None].float(), 2 * MARGIN + 1, stride=1, padding=MARGIN)[0] > 0
    if not hole.any() or hole.all():
        return picture
    values = (picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    filled = cv2.inpaint(values, hole.numpy().astype(np.uint8), REACH, cv2.INPAINT_TELEA)
    return torch.where(hole, torch.from_numpy(filled).permute(2, 0, 1).float() / 255, picture)
