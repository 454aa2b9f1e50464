"""What the explorers share: work with a busy sign and errors in place, remembered results, pictures as PNG bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from io import BytesIO
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
from sgi2v_lab.shapes import Boxes, Image, Video
from sgi2v_lab.video import PALETTE
from sgi2v_lab.video.frames import as_frames
from sgi2v_lab.widgets.threads import OneAtATime

__all__ = [
    "LARGEST",
    "Explorer",
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
