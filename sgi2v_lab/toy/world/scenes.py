"""The toy's world: seeded scenes of textured sprites over moving backgrounds, with known motion.

A scene is described in *unit coordinates*: the picture is the square [0, 1] x [0, 1], x to the right and y down, and
lengths are fractions of its side. `render` draws it at any size. Because everything that moves is placed by a formula,
the true box of every sprite in every frame is known (`true_boxes`), and so is the true path of every background point.

The background is a canvas twice as wide as the picture, so that the camera has somewhere to go.

A sprite may also be a real thing cut out of a photograph (shape "cutout", its texture one of `cutouts.CUTOUTS`); and a
scene may have drop shadows and a light that changes. That is the hard set: nothing of it is drawn unless it is asked
for.
"""

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
import torch.nn.functional as F

from sgi2v_lab.images.photographs import read_photograph
from sgi2v_lab.shapes import Boxes, Video
from sgi2v_lab.toy.world.cutouts import cutout_colours, cutout_distance
from sgi2v_lab.toy.world.rng import Rng

__all__ = [
    "BACKGROUNDS",
    "COLOURS",
    "SHAPES",
    "TEXTURES",
    "Scene",
    "Sprite",
    "motion_bucket",
    "outside",
    "render",
    "true_boxes",
    "turned",
]

SHAPES = ("circle", "square", "diamond", "ring", "triangle", "star", "cross", "pill")
TEXTURES = ("plain", "striped", "dotted", "checked", "photo")
BACKGROUNDS = ("plain", "clouds", "tiles", "photo")
COLOURS = {
    "red": (0.84, 0.19, 0.15),
    "orange": (0.95, 0.53, 0.13),
    "yellow": (0.96, 0.83, 0.25),
    "green": (0.22, 0.62, 0.30),
    "cyan": (0.24, 0.72, 0.78),
    "blue": (0.17, 0.37, 0.75),
    "purple": (0.52, 0.27, 0.66),
    "pink": (0.93, 0.51, 0.67),
    "brown": (0.50, 0.33, 0.20),
    "black": (0.08, 0.08, 0.09),
    "grey": (0.55, 0.55, 0.55),
    "white": (0.95, 0.95, 0.93),
}
SPEED_AT_FULL_BUCKET = 0.75  # picture widths per second at motion bucket 255
SHADOW_SHIFT, SHADOW_BLUR = (0.22, 0.3), 0.5  # in units of the radius: the lamp stands above the picture's left
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")  # the demo's is another, and so are the benchmark's


@dataclass(frozen=True)
class Sprite:
    """One textured shape. `path` holds its centre per frame (frames, 2), in world units; `radius` its half-size.

    The shape "cutout" takes the name of a cut-out (`cutouts.CUTOUTS`) for its texture; its colours are not used.
    """

    shape: str
    texture: str
    colour: tuple[float, float, float]
    accent: tuple[float, float, float]
    radius: float
    path: torch.Tensor
    angle: float = 0.0
    period: float = 0.5  # texture period, in units of the radius
    seed: int = 0  # which crop, for the "photo" texture


@dataclass(frozen=True)
class Scene:
    """Sprites, back to front, over a background, seen by a camera (frames, 3): shift x, shift y, zoom.

    `shadow` is how dark the sprites' drop shadows are, 0 (none) to 1 (black). `light` (frames, 3) multiplies what is
    red, green and blue in each frame; None leaves it as it is.
    """

    sprites: tuple[Sprite, ...]
    camera: torch.Tensor
    background: str = "plain"
    colours: tuple[tuple[float, float, float], ...] = field(default=((0.6, 0.6, 0.6),) * 3)
    seed: int = 0
    fps: int = 7
    shadow: float = 0.0
    light: torch.Tensor | None = None

    @property
    def num_frames(self) -> int:
        """How many frames the scene lasts."""
        return len(self.camera)


# --- the truth about a scene -----------------------------------------------------------------------------------------


def _screen_paths(scene: Scene) -> torch.Tensor:
    paths = torch.stack([s.path for s in scene.sprites])
    return (paths - 0.5 - scene.camera[:, :2]) * scene.camera[:, 2:] + 0.5


def true_boxes(scene: Scene, size: int = 64) -> Boxes:
    """The true box of every sprite in every frame, (sprites, frames, 4), in pixels of `render(scene, size)`.

    Boxes are tight around what is drawn, shadows left out, to about a hundredth of the sprite's radius.
    """
    if not scene.sprites:
        return torch.zeros(0, scene.num_frames, 4)
    extents = torch.tensor([_extent(s.shape, s.texture if s.shape == "cutout" else "", s.angle) for s in scene.sprites])
    radius = torch.tensor([s.radius for s in scene.sprites])[:, None, None] * scene.camera[None, :, 2:]
    return (_screen_paths(scene).repeat(1, 1, 2) + radius * extents[:, None]) * size


@lru_cache(maxsize=4096)
def _extent(shape: str, cutout: str, angle: float) -> tuple[float, float, float, float]:
    """The box (x0, y0, x1, y1) of a turned shape, its centre and radius taken as 0 and 1."""
    axis = torch.linspace(-1.15, 1.15, 185)  # a turned square leaves the unit circle
    points = turned(torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1), angle)
    inside = (cutout_distance(cutout, points) if shape == "cutout" else _distance(shape, points)) <= 0
    (x0, x1), (y0, y1) = (axis[inside.any(dim=d)][[0, -1]].tolist() for d in (0, 1))
    return x0, y0, x1, y1


def motion_bucket(scene: Scene) -> int:
    """SVD's motion bucket (0..255) of a scene: the mean speed, in pictures per second, of whatever moves most."""
    corners = torch.tensor([[0.25, 0.25], [0.75, 0.75]])[:, None]
    seen = [(corners - 0.5 - scene.camera[:, :2]) * scene.camera[:, 2:] + 0.5]
    if scene.sprites:
        seen.append(_screen_paths(scene))
    steps = torch.cat(seen).diff(dim=1).norm(dim=-1).mean(dim=1)
    return round(255 * min(1.0, steps.max().item() * scene.fps / SPEED_AT_FULL_BUCKET))


# --- pixels ----------------------------------------------------------------------------------------------------------


def render(scene: Scene, size: int = 64, frames: slice = slice(None)) -> Video:
    """Draw a scene: (frames, 3, size, size), values 0..1, edges antialiased over one pixel."""
    scene = replace(
        scene,
        camera=scene.camera[frames],
        sprites=tuple(replace(s, path=s.path[frames]) for s in scene.sprites),
        light=None if scene.light is None else scene.light[frames],
    )
    axis = (torch.arange(size) + 0.5) / size
    screen = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)  # (size, size, 2), x first
    shift, zoom = scene.camera[:, None, None, :2], scene.camera[:, None, None, 2:]
    world = (screen - 0.5) / zoom + 0.5 + shift  # (frames, size, size, 2)
    canvas = _canvas(scene, size)
    # the canvas covers world [-0.5, 1.5]; grid_sample wants -1..1
    video = F.grid_sample(
        canvas.expand(len(world), -1, -1, -1), world - 0.5, align_corners=False, padding_mode="reflection"
    )
    for sprite in scene.sprites:
        offset = (world - sprite.path[:, None, None]) / sprite.radius
        if scene.shadow > 0:
            cast = outside(sprite, turned(offset - torch.tensor(SHADOW_SHIFT), sprite.angle))
            video = video * (1 - scene.shadow * _smooth(0.5 - cast / SHADOW_BLUR))[:, None]
        local = turned(offset, sprite.angle)
        pixel = 1 / (size * sprite.radius * zoom[..., 0])  # one pixel in the sprite's own units
        alpha = (0.5 - outside(sprite, local) / pixel).clamp(0, 1)[:, None]
        video = video + alpha * (_paint(sprite, local, size) - video)
    if scene.light is not None:
        video = video * scene.light[:, :, None, None]
    return video.clamp(0, 1)


def turned(p: torch.Tensor, angle: float) -> torch.Tensor:
    """Points (..., 2) as a sprite turned by `angle` radians has them."""
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.stack([cos * p[..., 0] + sin * p[..., 1], cos * p[..., 1] - sin * p[..., 0]], dim=-1)


def _smooth(t: torch.Tensor) -> torch.Tensor:
    t = t.clamp(0, 1)
    return 3 * t**2 - 2 * t**3


def outside(sprite: Sprite, p: torch.Tensor) -> torch.Tensor:
    """Signed distance, negative inside, of points (..., 2) in the sprite's own coordinates; its radius is 1."""
    return cutout_distance(sprite.texture, p) if sprite.shape == "cutout" else _distance(sprite.shape, p)


def _distance(shape: str, p: torch.Tensor) -> torch.Tensor:
    """Signed distance, negative inside, of points p (..., 2) to a shape that fills the unit circle."""
    x, y = p[..., 0], p[..., 1]
    match shape:
        case "circle":
            return p.norm(dim=-1) - 1
        case "square":
            return torch.maximum(x.abs(), y.abs()) - 0.78
        case "diamond":
            return (x.abs() / 0.7 + y.abs() - 1) * 0.57
        case "ring":
            return (p.norm(dim=-1) - 0.72).abs() - 0.27
        case "triangle":
            return torch.maximum(0.866 * x.abs() - 0.5 * y, y) - 0.48
        case "star":
            wave = torch.cos(5 * torch.atan2(y, x))
            return p.norm(dim=-1) - (0.7 + 0.28 * wave)
        case "cross":
            bar = lambda u, v: torch.maximum(u.abs() - 0.95, v.abs() - 0.34)  # noqa: E731
            return torch.minimum(bar(x, y), bar(y, x))
        case "pill":
            return torch.stack([(x.abs() - 0.5).clamp(min=0), y], dim=-1).norm(dim=-1) - 0.48
    raise ValueError(f"unknown shape {shape!r}: expected one of {', '.join(SHAPES)} or cutout")


def _paint(sprite: Sprite, p: torch.Tensor, size: int) -> torch.Tensor:
    """The sprite's colours at its own coordinates p (frames, h, w, 2): (frames, 3, h, w)."""
    if sprite.shape == "cutout" or sprite.texture == "photo":
        # a cut-out is as fine as it will be seen, to the next power of two: coarser blurs it, finer makes it flicker
        fine = 2 ** math.ceil(math.log2(max(4.0, 2 * sprite.radius * size)))
        crop = cutout_colours(sprite.texture, fine) if sprite.shape == "cutout" else _photo_crop(sprite.seed, 96)
        return F.grid_sample(crop.expand(len(p), -1, -1, -1), p, align_corners=False, padding_mode="reflection")
    k = 2 * math.pi / sprite.period
    match sprite.texture:
        case "plain":
            wave = torch.full_like(p[..., 0], -1.0)
        case "striped":
            wave = torch.sin(k * p[..., 0])
        case "dotted":
            wave = torch.sin(k * p[..., 0]) * torch.sin(k * p[..., 1]) * 2 - 0.6
        case "checked":
            wave = torch.sin(k * p[..., 0]) * torch.sin(k * p[..., 1]) * 3
        case _:
            raise ValueError(f"unknown texture {sprite.texture!r}: expected one of {', '.join(TEXTURES)}")
    mix = torch.sigmoid(4 * wave)[:, None]
    colour, accent = (torch.tensor(c).view(1, 3, 1, 1) for c in (sprite.colour, sprite.accent))
    return colour + mix * (accent - colour)


def _canvas(scene: Scene, size: int) -> torch.Tensor:
    """The background that the camera looks at: (1, 3, 2*size, 2*size), values 0..1."""
    side = 2 * size
    colours = torch.tensor(scene.colours)
    if scene.background == "photo":
        return _photo_crop(scene.seed, side, least=0.8)
    if scene.background == "plain":
        return colours[0].view(1, 3, 1, 1).expand(1, 3, side, side)
    generator = torch.Generator().manual_seed(scene.seed)
    if scene.background == "tiles":
        count = int(torch.randint(4, 9, (), generator=generator))
        pick = torch.randint(0, 3, (count, count), generator=generator)
        tint = 0.06 * torch.randn(count, count, 1, generator=generator)
        coarse = (0.75 * colours.mean(0) + 0.25 * colours[pick] + tint).permute(2, 0, 1)[None]
        return F.interpolate(coarse, size=(side, side), mode="nearest")
    if scene.background == "clouds":
        weights = torch.zeros(1, 3, side, side)
        for cells, strength in ((3, 1.0), (6, 0.6), (12, 0.3)):
            noise = strength * torch.randn(1, 3, cells + 1, cells + 1, generator=generator)
            weights += F.interpolate(noise, size=(side, side), mode="bicubic", align_corners=True)
        return torch.einsum("bkhw,kc->bchw", (1.5 * weights).softmax(dim=1), colours)
    raise ValueError(f"unknown background {scene.background!r}: expected one of {', '.join(BACKGROUNDS)}")


def _photo_crop(seed: int, side: int, least: float = 0.2) -> torch.Tensor:
    """A random square of a random photograph, resized: (1, 3, side, side)."""
    rng = Rng(seed)
    photo = read_photograph(rng.choice(PHOTOGRAPHS))
    span = int(rng.uniform(least, 1.0) * min(photo.shape[1:]))
    top = int(rng.uniform(0, photo.shape[1] - span))
    left = int(rng.uniform(0, photo.shape[2] - span))
    crop = photo[None, :, top : top + span, left : left + span]
    if rng.uniform() < 0.5:
        crop = crop.flip(-1)
    return F.interpolate(crop, size=(side, side), mode="bilinear", antialias=True)
