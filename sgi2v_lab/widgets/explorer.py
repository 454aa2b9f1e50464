"""What explorers share: work with a busy sign and errors in place, remembered results, a point to compare, pictures."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import PIL.Image
import torch
import torch.nn.functional as F
import traitlets
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.colors import to_hex
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.explore import Inspection, best_matches, latent_stride
from sgi2v_lab.pca import similarity_maps
from sgi2v_lab.shapes import Boxes, Features, Image, Video
from sgi2v_lab.video import PALETTE
from sgi2v_lab.video.frames import as_frames
from sgi2v_lab.widgets.threads import OneAtATime

__all__ = [
    "LARGEST",
    "Explorer",
    "PointExplorer",
    "checked_choice",
    "colour_stops",
    "coloured",
    "drawn_boxes",
    "png",
    "strip",
]

LARGEST = 320  # pixels of width at which a frame is sent to the browser


class Explorer(OneAtATime):
    """A widget that computes on demand: says that it is busy, remembers results, shows errors in place."""

    _remembered = 64  # results at most
    _ready = False  # traits that are set while the widget is made should not compute one by one
    failure: Exception | None = None  # behind the error
    about = traitlets.Dict(help="the model, the picture's size, the number of frames").tag(sync=True)
    shown = traitlets.Dict(help="what the pictures belong to").tag(sync=True)
    busy = traitlets.Unicode("", help="what is being computed").tag(sync=True)
    error = traitlets.Unicode("", help="what went wrong with what was last asked for").tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        self._results: OrderedDict[Hashable, Any] = OrderedDict()
        super().__init__(**traits)
        self._ready = True

    @contextmanager
    def _working(self, what: str) -> Iterator[None]:
        """Show `what` while the block runs; a failure is shown too, and the pictures stay as they were."""
        self.error, self.failure, self.busy = "", None, what
        try:
            yield
        except Exception as failure:  # whichever: on the way from the browser nobody else would hear of it
            self.failure = failure
            reason = str(failure).split("\n")[0] or type(failure).__name__
            with self.hold_sync():  # one message: who sees the error does not see that work goes on
                self.error = reason if isinstance(failure, InputError) else f"{what} failed: {reason}"
                self.busy = ""
        finally:
            self.busy = ""

    def _once(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """The result for a key, computed if it is not among the last few."""
        if key not in self._results:
            self._results[key] = compute()
        self._results.move_to_end(key)
        while len(self._results) > self._remembered:
            self._results.popitem(last=False)
        return self._results[key]


class PointExplorer(Explorer):
    """An explorer of features, which compares those at a point of the first frame with those of all frames."""

    _remembered = 6  # the features of a layer are 165 MB in SVD's last block

    boxes = traitlets.List(help="boxes in the video, in pixels").tag(sync=True)
    first_png = traitlets.Bytes(help="first frame, as the model was given it").tag(sync=True)
    frames_png = traitlets.Bytes(help="frames of the video, side by side").tag(sync=True)
    frame = traitlets.Int(0, help="frame shown large").tag(sync=True)
    point = traitlets.List(traitlets.Float(), help="point (x, y) of the first frame, in pixels").tag(sync=True)
    strength = traitlets.Float(0.7, min=0, max=1, help="opacity of the similarity over the frames").tag(sync=True)

    def __init__(
        self, inspection: Inspection, boxes: Boxes | None, start: Float[Tensor, "4"] | None, about: dict, **traits: Any
    ) -> None:
        """Show what is looked into, and boxes on it; the point begins in the middle of the box `start`, or the picture.

        `about` is what a subclass has to say beside the model, the size and the frames.
        """
        self.inspection = inspection
        width, height = inspection.picture
        stride = latent_stride(inspection.video, inspection.latents[0])
        super().__init__(
            about={
                "model": Path(inspection.model.name).name,
                "width": width,
                "height": height,
                "frames": len(inspection.latents[0]),
                "stride": stride,
                **about,
            },
            boxes=drawn_boxes(None if boxes is None else boxes[:, ::stride]),
            first_png=strip(inspection.image[None], 2 * LARGEST),
            frames_png=strip(inspection.video[::stride], LARGEST),
            point=[width / 2, height / 2] if start is None else start.view(2, 2).mean(dim=0).tolist(),
            **traits,
        )

    @traitlets.validate("point")
    def _inside(self, proposal: Any) -> list[float]:
        if len(proposal["value"]) != 2:
            raise InputError(f"point is {proposal['value']}, but must be two numbers, x and y")
        limits = zip(proposal["value"], self.inspection.picture, strict=True)
        return [min(max(value, 0.0), size - 1e-3) for value, size in limits]  # the far edge belongs to no cell

    def _compared(self, maps: Features) -> tuple[bytes, list[list[float]]]:
        """Similarity to the point as colours, and of each frame the most similar place: x, y, similarity."""
        picture = self.inspection.picture
        similar = similarity_maps(maps, point=tuple(self.point), picture_size=picture)
        best = similar.flatten(1).max(dim=1).values
        matches = torch.cat([best_matches(similar, picture), best[:, None]], dim=1).tolist()
        return strip(coloured(similar, -1, 1, "RdBu_r")), matches


def checked_choice(value: Any, name: str, choices: list) -> Any:
    """The value, or InputError if it is none of the choices."""
    if value not in choices:
        raise InputError(f"{name} is {value!r}, but must be one of {', '.join(map(str, choices))}")
    return value


def png(picture: Image) -> bytes:
    """A picture (3, height, width), 0..1, as the bytes of a PNG file."""
    buffer = BytesIO()
    PIL.Image.fromarray(as_frames(picture[None])[0].numpy()).save(buffer, "png")
    return buffer.getvalue()


def strip(video: Video, largest: int | None = None) -> bytes:
    """All frames of (frames, 3, height, width) side by side in one PNG, each at most `largest` pixels wide."""
    if largest and video.shape[-1] > largest:
        size = (round(video.shape[-2] * largest / video.shape[-1]), largest)
        video = F.interpolate(video.float(), size=size, mode="bilinear", antialias=True)
    return png(torch.cat(list(video.float().cpu()), dim=2).clamp(0, 1))


def coloured(
    values: Float[Tensor, "frames h w"], low: float | int, high: float | int, colours: str
) -> Float[Tensor, "frames 3 h w"]:
    """Numbers in low..high as colours of one of matplotlib's colour maps."""
    scaled = ((values - low) / max(high - low, 1e-12)).clamp(0, 1)
    return torch.from_numpy(colormaps[colours](scaled.numpy())[..., :3]).permute(0, 3, 1, 2).float()


def colour_stops(colours: str) -> list[str]:
    """Eleven colours of a colour map as #RRGGBB, from its low to its high end, for a colour bar."""
    return [to_hex(colormaps[colours](i / 10)) for i in range(11)]


def drawn_boxes(boxes: Boxes | None) -> list[dict]:
    """Boxes for the browser: of each its colour, and its corners in every frame, in pixels; none for None."""
    listed = [] if boxes is None else boxes.tolist()
    return [{"colour": PALETTE[i % len(PALETTE)], "frames": frames} for i, frames in enumerate(listed)]
