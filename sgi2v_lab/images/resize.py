"""How coordinates change when a picture is fitted to the size that the model wants.

Per axis the change is a scale and a shift: target = source * scale + shift. Coordinates are those of pixel edges, so a
picture's own rectangle is (0, 0, width, height) and no half pixel is needed anywhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sgi2v_lab.errors import InputError

__all__ = ["FITS", "Fit", "check_size"]

FITS = ("stretch", "crop", "pad")


def check_size(size: Sequence[float | int], what: str) -> tuple[int, int]:
    """Read a size as (width, height) in whole pixels; raise InputError, naming `what`, if it is not one."""
    try:
        width, height = (int(side) for side in size)
        whole = (width, height) == tuple(size)
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole or width < 1 or height < 1:
        raise InputError(f"{what} is {size!r}: expected (width, height) in whole pixels, each at least 1")
    return width, height


@dataclass(frozen=True)
class Fit:
    """From pixels of the source picture to pixels of the target picture."""

    source: tuple[int, int]  # (width, height) of the picture as it was read
    target: tuple[int, int]  # (width, height) of the picture as the model sees it
    scale: tuple[float, float]  # factors along x and y, positive
    shift: tuple[float, float]  # target pixels added along x and y after scaling

    def __post_init__(self) -> None:
        """Refuse a map that loses the picture."""
        object.__setattr__(self, "source", check_size(self.source, "the source size"))
        object.__setattr__(self, "target", check_size(self.target, "the target size"))
        if not all(math.isfinite(s) and s > 0 for s in self.scale) or not all(map(math.isfinite, self.shift)):
            raise InputError(f"a fit has scale {self.scale} and shift {self.shift}: expected finite numbers, scale > 0")

    @classmethod
    def plan(cls, source: tuple[int, int], target: tuple[int, int], how: str = "stretch") -> "Fit":
        """Say where a picture of size `source` goes in a frame of size `target`, both (width, height).

        Args:
            source: size of the picture.
            target: size of the frame.
            how: "stretch" fills the frame and may distort, as SG-I2V's reference implementation does; "crop" fills it
                with the middle of the picture, undistorted; "pad" shows the whole picture between bars, undistorted up
                to the rounding of its edges to whole pixels.

        Raises:
            InputError: if `how` is none of these or a size is not positive.
        """
        (sw, sh), (tw, th) = check_size(source, "the source size"), check_size(target, "the target size")
        if how == "stretch":
            return cls((sw, sh), (tw, th), (tw / sw, th / sh), (0.0, 0.0))
        if how == "crop":
            scale = max(tw / sw, th / sh)
            return cls((sw, sh), (tw, th), (scale, scale), ((tw - sw * scale) / 2, (th - sh * scale) / 2))
        if how == "pad":
            scale = min(tw / sw, th / sh)
            # the picture is pasted on whole pixels; its coordinates follow what is really drawn
            width, height = max(1, round(sw * scale)), max(1, round(sh * scale))
            return cls(
                (sw, sh), (tw, th), (width / sw, height / sh), (float((tw - width) // 2), float((th - height) // 2))
            )
        raise InputError(f"unknown way to fit a picture {how!r}: expected one of {', '.join(FITS)}")

    @property
    def content(self) -> tuple[float, float, float, float]:
        """The part of the target, x0, y0, x1, y1 in its pixels, that shows the picture: all of it unless padded."""
        start = [max(0.0, shift) for shift in self.shift]
        stop = [
            min(float(t), s * scale + shift)
            for s, t, scale, shift in zip(self.source, self.target, self.scale, self.shift, strict=True)
        ]
        return (*start, *stop)

    def apply(self, places: Float[Tensor, "*places c"]) -> Float[Tensor, "*places c"]:
        """Carry points (..., 2) or boxes (..., 4) from source to target pixels; dtype and device stay."""
        scale, shift = self._matching(places)
        return (places.double() * scale + shift).to(places.dtype)

    def inside(self, places: Float[Tensor, "*places c"]) -> Bool[Tensor, "*places"]:
        """Which places, given in *target* pixels, show some of the picture.

        A point (..., 2) must lie on `content`, borders included. A box (..., 4) must have some of its area there.
        """
        self._matching(places)
        low = places.new_tensor(self.content[:2])
        high = places.new_tensor(self.content[2:])
        if places.shape[-1] == 2:
            return ((places >= low) & (places <= high)).all(dim=-1)
        return ((places[..., 2:] > low) & (places[..., :2] < high)).all(dim=-1)

    def _matching(self, places: Tensor) -> tuple[Tensor, Tensor]:
        if places.shape[-1] not in (2, 4):
            raise InputError(
                f"coordinates have shape {tuple(places.shape)}: expected points (..., 2) or boxes (..., 4)"
            )
        repeat = places.shape[-1] // 2
        return tuple(
            torch.tensor(pair * repeat, dtype=torch.float64, device=places.device) for pair in (self.scale, self.shift)
        )
