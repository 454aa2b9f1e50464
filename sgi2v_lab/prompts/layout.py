"""Where the things of a prompt go: relations and places -> centres and radii."""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.prompts.grammar import Picture

__all__ = ["lay_out"]

RADII = {"small": 0.11, "": 0.155, "large": 0.215}  # in picture sides; the toy was trained on 0.11 to 0.22
LEAST_RADIUS = 0.06
EDGE = 0.02  # what is kept free at the picture's edge


def lay_out(picture: Picture) -> tuple[Float[Tensor, "items 2"], Float[Tensor, "items"]]:
    """Centres (x, y) and radii of all items, in picture sides, such that no two boxes meet.

    Raises InputError where relations contradict each other or a place, and where the items do not fit.
    """
    return _fit(_place(picture), torch.tensor([RADII[thing.size] for thing in picture.objects]))


def _place(picture: Picture) -> Tensor:
    """Centres (items, 2) that obey all relations and places."""
    count = len(picture.objects)
    groups = _groups(count, [(a, b) for _, a, b in picture.smaller])
    free = [g for g in groups if all(picture.objects[k].place is None for k in g)]
    # groups that have no place of their own share the picture: side by side, or as rows where some are themselves wide
    share = 1 if any(axis == 0 and a in group for axis, a, _ in picture.smaller for group in free) else 0
    room = [1 + sum(axis == share and a in group for axis, a, _ in picture.smaller) for group in free]
    cuts = [sum(room[:k]) / max(1, sum(room)) for k in range(len(room) + 1)]
    centres = torch.full((count, 2), torch.nan)
    for group in groups:
        walls = [(0.0, 1.0), (0.0, 1.0)]
        if group in free:
            walls[share] = (cuts[free.index(group)], cuts[free.index(group) + 1])
        for axis in (0, 1):
            edges = [(a, b) for which, a, b in picture.smaller if which == axis and a in group]
            fixed = {k: picture.objects[k].place[axis] for k in group if picture.objects[k].place is not None}
            for k in group:
                if k in fixed:
                    centres[k, axis] = fixed[k]
                elif any(k in edge for edge in edges):
                    centres[k, axis] = _between(k, edges, fixed, *walls[axis])
            _align(centres[:, axis], group, picture.smaller, sum(walls[axis]) / 2)
            for a, b in edges:
                if centres[a, axis] >= centres[b, axis] - 1e-4:
                    names = f"{picture.objects[a].name!r} and {picture.objects[b].name!r}"
                    raise InputError(f"the places and relations of {names} contradict each other; drop one of them")
    return centres


def _groups(count: int, pairs: list[tuple[int, int]]) -> list[list[int]]:
    """Objects that relations join, directly or not."""
    label = list(range(count))
    for a, b in pairs:
        label = [label[a] if k == label[b] else k for k in label]
    return [[k for k in range(count) if label[k] == name] for name in dict.fromkeys(label)]


def _between(k: int, edges: list[tuple[int, int]], fixed: dict[int, float], low: float, high: float) -> float:
    """A coordinate in even steps between the tightest pair of bounds: walls, or objects with a place."""
    before = _bounds(k, [(b, a) for a, b in edges], fixed, low)
    after = _bounds(k, edges, fixed, high)
    pairs = list(itertools.product(before, after))
    (start, i), (end, j) = min(pairs, key=lambda p: (p[1][0] - p[0][0]) / (p[0][1] + p[1][1]))
    return start + (end - start) * i / (i + j)


def _bounds(
    k: int, edges: list[tuple[int, int]], fixed: dict[int, float], wall: float, seen: tuple[int, ...] = ()
) -> list[tuple[float, float]]:
    """What k meets when going along edges: (coordinate, number of steps) of each placed object and of the wall."""
    if k in seen:
        raise InputError("the relations of the prompt go round in a circle; drop one of them")
    found = [(wall, 0.5)]
    for a, b in edges:
        if a == k and b in fixed:
            found.append((fixed[b], 1.0))
        elif a == k:
            found += [(at, steps + 1) for at, steps in _bounds(b, edges, fixed, wall, (*seen, k))]
    return found


def _align(coordinate: Tensor, group: list[int], smaller: list[tuple[int, int, int]], default: float) -> None:
    """Give objects that nothing places on this axis the coordinate of one that they are related to (in place)."""
    pairs = [(a, b) for _, a, b in smaller if a in group]
    if coordinate[group].isnan().all():
        coordinate[group[0]] = default
    while coordinate[group].isnan().any():
        for a, b in [*pairs, *((b, a) for a, b in pairs)]:
            if coordinate[a].isnan() and not coordinate[b].isnan():
                coordinate[a] = coordinate[b]


def _fit(centres: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Shrink radii until no two boxes meet, and keep boxes inside the picture."""
    radii = wanted.clone()
    for _ in range(60):
        edge = (radii + EDGE)[:, None]
        inside = torch.minimum(torch.maximum(centres, edge), 1 - edge)
        apart = (inside[:, None] - inside[None]).abs().amax(dim=-1)
        crowded = (1.05 * (radii[:, None] + radii[None]) > apart) & ~torch.eye(len(radii), dtype=torch.bool)
        if not crowded.any():
            return inside, radii
        radii = torch.where(crowded.any(dim=1), radii * 0.96, radii)
        if radii.min() < LEAST_RADIUS:
            break
    raise InputError(
        f"the {len(radii)} objects of the prompt do not fit beside each other; use fewer or small ones, or other places"
    )
