"""The demo: a drawn scene and a photograph, each generated without and with control, and a look inside."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import PIL.Image
import torch

from sgi2v_lab.cli.write import run_record, write_comparison, write_inside, write_run
from sgi2v_lab.efficiency.machine import describe_machine, peak_memory
from sgi2v_lab.files import result_folder, write_record
from sgi2v_lab.images.photographs import read_photograph
from sgi2v_lab.images.read import to_pil
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.model import Model
from sgi2v_lab.pipeline import Run, generate
from sgi2v_lab.prompts.reference_image import parse_prompt
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render, true_boxes
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from sgi2v_lab.trajectories.geometry import Box

__all__ = ["DEMO_PHOTOGRAPH", "DEMO_SCENE", "DrawnScene", "Photograph", "demo"]


@dataclass(frozen=True)
class DrawnScene:
    """A picture of the toy's world, and where one of its sprites is asked to go."""

    scene: str | int  # a prompt of the scene language, or a seed of `sample_scene` that the toy was not trained on
    sprite: int  # which one moves, in the order of the prompt
    path: tuple[tuple[float, float], ...]  # the corners of its way, from where it starts, in picture sides
    seed: int  # of the noise


@dataclass(frozen=True)
class Photograph:
    """A photograph, and where the things in a box on it are asked to go."""

    name: str  # as in `read_photograph`
    square: Box  # the part used, in pixels of the photograph
    box: Box  # in pixels of the square
    by: tuple[float, float]  # in pixels of the square
    seed: int  # of the noise


DEMO_SCENE = DrawnScene(
    scene="a large yellow circle at the left on blue clouds",
    sprite=0,
    path=((0.12, -0.14), (0.28, -0.2), (0.44, -0.14), (0.54, 0.0)),
    seed=817,
)
DEMO_PHOTOGRAPH = Photograph(
    name="flower",  # a dahlia before blurred leaves: nothing else could be meant by the box
    square=(150, 0, 577, 427),
    box=(18, 82, 298, 360),
    by=(107, 0),
    seed=817,
)


def demo(
    out: str | os.PathLike,
    *,
    model: str = "toy",
    seed: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    progress: bool = True,
    tell: Callable[[str], object] = lambda _: None,
) -> dict[str, object]:
    """Generate the demo's two pictures without and with control; write videos, figures and run.json into a folder.

    Args:
        out: the folder, made as a whole once everything is done; an earlier result there is replaced.
        model: as in `load_model`.
        seed: of all noise, instead of the two examples' own.
        device: as in `load_model`.
        dtype: as in `load_model`.
        progress: show progress bars.
        tell: is called with a line about what comes next.

    Returns:
        What run.json holds. `objmc` is the drawn scene's, `photo` the photograph's part.

    Raises:
        InputError: `out` cannot be written, which is checked first, or the model cannot be loaded.
    """
    with result_folder(out) as folder:
        start = time.perf_counter()
        tell(f"loading {model}")
        loaded = load_model(model, device, dtype)
        seconds = {"load": time.perf_counter() - start}

        tell("a drawn scene, without control and with it")
        picture, asked = _drawn_scene(DEMO_SCENE, max(loaded.settings.width, loaded.settings.height))
        scene_seed = DEMO_SCENE.seed if seed is None else seed
        uncontrolled, controlled = _both(loaded, picture, asked, scene_seed, progress)
        tell("a photograph, without control and with it")
        photo_picture, photo_asked = _photograph(DEMO_PHOTOGRAPH)
        photo_seed = DEMO_PHOTOGRAPH.seed if seed is None else seed
        photo_uncontrolled, photo_controlled = _both(loaded, photo_picture, photo_asked, photo_seed, progress)

        tell("videos and figures")
        drawing = time.perf_counter()
        picture.save(folder / "image.png")
        control = _write(folder, uncontrolled, controlled, asked)
        inside = write_inside(folder, loaded, uncontrolled, controlled)
        (folder / "photo").mkdir()
        photo_picture.save(folder / "photo" / "image.png")
        photo_control = _write(folder / "photo", photo_uncontrolled, photo_controlled, photo_asked)
        seconds["videos and figures"] = time.perf_counter() - drawing
        seconds["total"] = time.perf_counter() - start
        record = {
            "command": "demo",
            **run_record(controlled),
            "objmc": control,
            "looked_inside_at": inside,
            "photo": {**run_record(photo_controlled), "objmc": photo_control},
            **describe_machine(str(loaded.device)),
            "dtype": str(loaded.dtype).removeprefix("torch."),
            "seconds": {stage: round(value, 3) for stage, value in seconds.items()}
            | {"uncontrolled": run_record(uncontrolled)["seconds"], "controlled": run_record(controlled)["seconds"]},
            "peak_memory": peak_memory(),
        }
        write_record(folder, record)
    return record


def _drawn_scene(example: DrawnScene, side: int) -> tuple[PIL.Image.Image, Trajectories]:
    scene = parse_prompt(example.scene) if isinstance(example.scene, str) else sample_scene(example.scene)
    picture = to_pil(render(scene, side, slice(0, 1))[0])
    box = true_boxes(scene, side)[example.sprite, 0]
    center = (box[:2] + box[2:]) / 2
    stops = center + side * torch.tensor(example.path)
    return picture, Trajectories(picture.size, (Trajectory.move(box, via=stops.tolist(), easing="linear"),))


def _photograph(example: Photograph) -> tuple[PIL.Image.Image, Trajectories]:
    picture = to_pil(read_photograph(example.name)).crop(example.square)
    return picture, Trajectories(picture.size, (Trajectory.move(example.box, by=example.by),))


def _both(model: Model, picture: PIL.Image.Image, asked: Trajectories, seed: int, progress: bool) -> tuple[Run, Run]:
    """The same picture and noise without and with control."""
    uncontrolled = generate(model, picture, None, seed=seed, trace=["latents", "denoised"], progress=progress)
    return uncontrolled, generate(model, picture, asked, seed=seed, trace=["latents", "denoised"], progress=progress)


def _write(folder: Path, uncontrolled: Run, controlled: Run, asked: Trajectories) -> dict[str, object]:
    write_run(folder, controlled, controlled.boxes, asked)
    return write_comparison(folder, uncontrolled, controlled)
