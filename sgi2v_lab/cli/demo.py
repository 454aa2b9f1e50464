"""The demo: a drawn scene and a photograph, each generated without and with control, and a look inside."""

import os
import time
from collections.abc import Callable
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
from sgi2v_lab.toy.world.scenes import render, true_boxes
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory

__all__ = ["demo", "drawn_scene", "photograph"]

SEED = 817  # of the noise
PROMPT = "a large red white striped circle at the left on blue clouds"
PATH = ((0.12, -0.14), (0.28, -0.2), (0.44, -0.14), (0.54, 0.0))  # from where the circle starts, in picture sides
PHOTOGRAPH = "flower"  # a dahlia in front of blurred leaves: nothing else could be meant by the box
Asked = tuple[PIL.Image.Image, Trajectories]


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

    The folder `out` is made as a whole once everything is done; an earlier result there is replaced. A seed of None is
    the demo's own; model, device and dtype are those of `load_model`; `tell` is called with a line about what comes
    next. Returns what run.json holds: `objmc` is the drawn scene's, `photo` the photograph's part.

    Raises:
        InputError: `out` cannot be written, which is checked first, or the model cannot be loaded.
    """
    with result_folder(out) as folder:
        start = time.perf_counter()
        tell(f"loading {model}")
        loaded = load_model(model, device, dtype)
        seconds = {"load": time.perf_counter() - start}

        seed = SEED if seed is None else seed
        tell("a drawn scene, without control and with it")
        scene = drawn_scene(max(loaded.settings.width, loaded.settings.height))
        uncontrolled, controlled = _both(loaded, scene, seed, progress)
        tell("a photograph, without control and with it")
        photo = photograph()
        photo_runs = _both(loaded, photo, seed, progress)

        tell("videos and figures")
        drawing = time.perf_counter()
        record = {"command": "demo", **_write(folder, scene, uncontrolled, controlled)}
        record["looked_inside_at"] = write_inside(folder, loaded, uncontrolled, controlled)
        (folder / "photo").mkdir()
        record["photo"] = _write(folder / "photo", photo, *photo_runs)
        seconds |= {"videos and figures": time.perf_counter() - drawing, "total": time.perf_counter() - start}
        record["seconds"] = {stage: round(value, 3) for stage, value in seconds.items()}
        for name, run in (("uncontrolled", uncontrolled), ("controlled", controlled)):
            record["seconds"][name] = run_record(run)["seconds"]
        dtype = str(loaded.dtype).removeprefix("torch.")
        record |= {**describe_machine(str(loaded.device)), "dtype": dtype, "peak_memory": peak_memory()}
        write_record(folder, record)
    return record


def drawn_scene(side: int) -> Asked:
    """A square picture of the toy's world, and the way that its object is asked to go."""
    scene = parse_prompt(PROMPT)
    picture = to_pil(render(scene, side, slice(0, 1))[0])
    box = true_boxes(scene, side)[0, 0]
    stops = (box[:2] + box[2:]) / 2 + side * torch.tensor(PATH)
    return picture, Trajectories(picture.size, (Trajectory.move(box, via=stops.tolist(), easing="linear"),))


def photograph() -> Asked:
    """A square part of a photograph, and the way that the thing in a box on it is asked to go."""
    picture = to_pil(read_photograph(PHOTOGRAPH)).crop((150, 0, 577, 427))
    return picture, Trajectories(picture.size, (Trajectory.move((18, 82, 298, 360), by=(107, 0)),))


def _both(model: Model, asked: Asked, seed: int, progress: bool) -> tuple[Run, Run]:
    """The same picture and noise without and with control."""
    picture, trajectories = asked
    given = {"seed": seed, "trace": ["latents", "denoised"], "progress": progress}
    return generate(model, picture, **given), generate(model, picture, trajectories, **given)


def _write(folder: Path, asked: Asked, uncontrolled: Run, controlled: Run) -> dict[str, object]:
    picture, trajectories = asked
    picture.save(folder / "image.png")
    write_run(folder, controlled, trajectories)
    return {**run_record(controlled), "objmc": write_comparison(folder, uncontrolled, controlled)}
