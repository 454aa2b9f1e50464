"""Scenes drawn at random: what the toy learns from, and is examined on."""

import math
from dataclasses import replace

import torch

from sgi2v_lab.errors import InputError
from sgi2v_lab.toy.world.cutouts import CUTOUTS
from sgi2v_lab.toy.world.rng import Rng
from sgi2v_lab.toy.world.scenes import BACKGROUNDS, COLOURS, PHOTOGRAPHS, SHAPES, TEXTURES, Scene, Sprite

__all__ = ["sample_scene"]


def sample_scene(
    seed: int, num_frames: int = 8, simple: bool = False, hard: bool = False, moving: bool = False
) -> Scene:
    """Draw a random scene.

    One or two sprites (rarely none) travel up to 0.7 of the picture, straight or bent, evenly or easing in and out;
    some stand still. In about a third of the scenes the camera pans or zooms. The same seed gives the same scene.

    The `simple` world is a curriculum's first part: one sprite, no photographs, and a camera that stands still.

    With `moving`, the camera always pans or zooms.

    The `hard` world is for examination: things cut out of photographs (one at least), drop shadows, light that changes
    during the clip, and sprites that pass over others, each in more than half of the scenes.

    Raises:
        InputError: `simple` is asked for together with `hard` or with `moving`.
    """
    if simple and (hard or moving):
        other = "hard" if hard else "moving"
        raise InputError(f"simple=True and {other}=True: a scene is of one world; give one of them")
    rng = Rng(seed)
    if hard:
        return _sample_hard(rng, seed, num_frames)
    camera = _sample_camera(rng, num_frames, still=0.0 if moving else 0.65)
    count = rng.choice((0, 1, 2), (0.04, 0.62, 0.34))
    if simple:
        camera, count = torch.tensor([0.0, 0.0, 1.0]).repeat(num_frames, 1), 1
    textures, backgrounds = (0.15, 0.3, 0.15, 0.2, 0.2), (0.2, 0.35, 0.2, 0.25)
    if simple:
        textures, backgrounds = (*textures[:-1], 0.0), (*backgrounds[:-1], 0.0)
    return Scene(
        sprites=tuple(_sample_sprite(rng, num_frames, camera, textures) for _ in range(count)),
        camera=camera,
        background=rng.choice(BACKGROUNDS, backgrounds),
        colours=tuple(_colour(rng) for _ in range(3)),
        seed=seed,
        fps=rng.choice(tuple(range(5, 11))),
    )


def _sample_hard(rng: Rng, seed: int, num_frames: int) -> Scene:
    camera = _sample_camera(rng, num_frames)
    looks = (0.15, 0.3, 0.15, 0.2, 0.2)
    sprites = [_sample_sprite(rng, num_frames, camera, looks) for _ in range(rng.choice((1, 2), (0.2, 0.8)))]
    names, photographs = [*CUTOUTS], set()
    for i, sprite in enumerate(sprites):
        if i == 0 or rng.uniform() < 0.6:
            name = names.pop(rng.choice(range(len(names))))  # no two of the same
            photographs.add(CUTOUTS[name])
            upright = rng.uniform(-0.4, 0.4)
            sprites[i] = replace(sprite, shape="cutout", texture=name, angle=upright, radius=rng.uniform(0.15, 0.23))
    if rng.uniform() < 0.5:
        sprites.reverse()
    if len(sprites) == 2 and rng.uniform() < 0.9:
        sprites[1] = _passing_over(rng, sprites[0], sprites[1], camera)
    ground = seed
    while Rng(ground).choice(PHOTOGRAPHS) in photographs:  # a cat over itself can be told from nothing
        ground = int(rng.uniform(0, 2**30))
    return Scene(
        sprites=tuple(sprites),
        camera=camera,
        background=rng.choice(BACKGROUNDS, (0.15, 0.3, 0.2, 0.35)),
        colours=tuple(_colour(rng) for _ in range(3)),
        seed=ground,
        fps=rng.choice(tuple(range(5, 11))),
        shadow=rng.uniform(0.35, 0.65) if rng.uniform() < 0.75 else 0.0,
        light=_sample_light(rng, num_frames) if rng.uniform() < 0.6 else None,
    )


def _passing_over(rng: Rng, below: Sprite, above: Sprite, camera: torch.Tensor) -> Sprite:
    """Send `above` straight over `below` in the middle of the clip; in the first frame they are apart.

    Where no such way through the picture is found, `above` keeps its own path.
    """
    seen = (below.path - 0.5 - camera[:, :2]) * camera[:, 2:] + 0.5
    t = torch.linspace(0, 1, len(camera))[:, None]
    for _ in range(100):
        meeting = rng.choice(range(len(camera))[len(camera) // 3 : 1 + 2 * len(camera) // 3])
        angle, length = rng.uniform(0, 2 * math.pi), rng.uniform(0.5, 0.9)
        way = seen[meeting] + (t - t[meeting]) * length * torch.tensor([math.cos(angle), math.sin(angle)])
        apart = (way[0] - seen[0]).norm() > 0.95 * (below.radius + above.radius)
        if apart and (way[[0, -1]] > 0.1).all() and (way[[0, -1]] < 0.9).all():
            return replace(above, path=(way - 0.5) / camera[:, 2:] + 0.5 + camera[:, :2])
    return above


def _sample_light(rng: Rng, num_frames: int) -> torch.Tensor:
    """Dusk, dawn, a lamp: brightness and tint go evenly from one end to the other, (frames, 3)."""
    t = _timing(rng, num_frames)[:, None]
    tint = rng.uniform(-0.15, 0.15)  # warm above zero
    end = math.exp(-rng.uniform(0.3, 0.7)) * torch.tensor([1 + tint, 1.0, 1 - tint])
    light = 1 + t * (end - 1)
    return light if rng.uniform() < 0.6 else light.flip(0)


def _timing(rng: Rng, num_frames: int) -> torch.Tensor:
    t = torch.linspace(0, 1, num_frames)
    return t if rng.uniform() < 0.7 else 3 * t**2 - 2 * t**3


def _sample_camera(rng: Rng, num_frames: int, still: float = 0.65) -> torch.Tensor:
    t = _timing(rng, num_frames)
    if rng.uniform() < still:
        return torch.tensor([0.0, 0.0, 1.0]).repeat(num_frames, 1)
    angle, length = rng.uniform(0, 2 * math.pi), rng.uniform(0.05, 0.45)
    zoom = math.exp(rng.uniform(-0.35, 0.35)) if rng.uniform() < 0.35 else 1.0
    move = torch.tensor([length * math.cos(angle), length * math.sin(angle)])
    return torch.cat([t[:, None] * move, zoom ** t[:, None]], dim=1)


def _sample_sprite(rng: Rng, num_frames: int, camera: torch.Tensor, textures: tuple[float, ...]) -> Sprite:
    radius = rng.uniform(0.14, 0.26)
    start = torch.tensor([rng.uniform(0.12, 0.88), rng.uniform(0.12, 0.88)])
    if rng.uniform() < 0.15:
        end = start.clone()
    else:  # redraw until the sprite's centre also ends inside the picture
        for _ in range(50):
            angle, length = rng.uniform(0, 2 * math.pi), rng.uniform(0.1, 0.7)
            end = start + length * torch.tensor([math.cos(angle), math.sin(angle)])
            if (end > 0.06).all() and (end < 0.94).all():
                break
        else:
            end = start.clone()
    bend = rng.uniform(-0.5, 0.5) if rng.uniform() < 0.4 else 0.0
    across = torch.stack([-(end - start)[1], (end - start)[0]])
    control = (start + end) / 2 + bend * across
    t = _timing(rng, num_frames)[:, None]
    on_screen = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    colour = _colour(rng)
    accent = max(
        (_colour(rng) for _ in range(3)), key=lambda c: sum(abs(a - b) for a, b in zip(c, colour, strict=True))
    )
    return Sprite(
        shape=rng.choice(SHAPES),
        texture=rng.choice(TEXTURES, textures),
        colour=colour,
        accent=accent,
        radius=radius,
        # paths were drawn on the screen; a moving camera carries them into the world
        path=(on_screen - 0.5) / camera[:, 2:] + 0.5 + camera[:, :2],
        angle=rng.uniform(0, math.pi),
        period=rng.uniform(0.8, 1.3),
        seed=int(rng.uniform(0, 2**30)),
    )


def _colour(rng: Rng) -> tuple[float, float, float]:
    base = COLOURS[rng.choice(tuple(COLOURS))]
    return tuple(min(1.0, max(0.0, c + rng.uniform(-0.08, 0.08))) for c in base)
