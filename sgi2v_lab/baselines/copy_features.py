"""Copied features: what SG-I2V asks for by a loss is put in place by hand.

Tumanyan, Geyer, Bagon, Dekel: "Plug-and-Play Diffusion Features for Text-Driven Image-to-Image Translation" (arXiv
2211.12572) inject features of one picture into the denoising of another. Here the other is a later frame, and the
features go along the path: at control steps, in each of the settings' layers, the output of self-attention in the box
of frame f is replaced by what the box has in the first frame, cell by cell:

    F_f[box in f]  <-  F_1[box in 1]

Latents are not optimised, and no gradients are needed. Where the box was, nothing is changed.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

from torch import Tensor, nn

from sgi2v_lab.baselines.regions import nearest_cells, paint_order
from sgi2v_lab.models.model import Conditioning, Model, Tokens
from sgi2v_lab.sampling import DenoiseStep, Sampler, Task, denoise
from sgi2v_lab.shapes import CellBoxes, Latents

__all__ = ["copied", "copy_features"]


def copy_features(task: Task) -> Sampler:
    """Denoise while some layers' attention is copied along the paths.

    Args:
        task: of the settings, the control steps and layers say when and where; the rest of what belongs to SG-I2V plays
            no part.
    """

    def sampler(
        model: Model, conditioning: Conditioning, noise: Latents, last: DenoiseStep | None
    ) -> Iterator[DenoiseStep]:
        now = 0

        def count(index: int, _sigma: float, latents: Latents) -> Latents:
            nonlocal now
            now = index
            return latents

        def attend(
            _layer: nn.Module, _hidden: Tokens, grid: tuple[int, int, int], usual: Callable[[], Tokens]
        ) -> Tokens:
            out = usual()
            if not task.settings.is_control_step(now):
                return out
            maps = out.reshape(-1, *grid, out.shape[-1])
            return copied(maps, task.cells, noise.shape[-1] // grid[2]).reshape(out.shape)

        with ExitStack() as changed:
            for layer in task.settings.layers:
                changed.enter_context(model.attend_with(layer, attend))
            yield from denoise(model, conditioning, noise, task.settings, edit=count, resume_from=last)

    return sampler


def copied(maps: Tensor, cells: CellBoxes, coarser: int = 1) -> Tensor:
    """Maps (videos, frames, h, w, channels) in which each box of a later frame holds the first frame's.

    Boxes are in cells `coarser` times smaller than the maps'; those that are less than a cell wide are left out.
    """
    maps = maps.clone()
    h, w = maps.shape[2:4]
    boxes = (cells.double() / coarser).round().long()
    for index in paint_order(cells):
        first = boxes[index, 0]
        for frame, box in enumerate(boxes[index, 1:], start=1):
            rows, source_rows = nearest_cells(box[1::2], first[1::2], h)
            columns, source_columns = nearest_cells(box[0::2], first[0::2], w)
            maps[:, frame, rows[:, None], columns] = maps[:, 0, source_rows[:, None], source_columns]
    return maps
