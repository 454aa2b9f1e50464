"""The public API as a user's program uses it, mistakes included: mypy reads this file (`make check`), nothing runs it.

Where a line says `type: ignore`, mypy has to find that mistake; if it does not, it complains of the comment.
"""

from pathlib import Path
from typing import assert_type

import PIL.Image
from torch import Tensor

import sgi2v_lab as sg
from sgi2v_lab.images.read import to_pil


def draw(photograph: Path) -> tuple[PIL.Image.Image, sg.Trajectories]:
    image = sg.read_image(photograph)
    assert_type(image, PIL.Image.Image)
    ball = sg.Trajectory.move((10, 20, 60, 80), by=(40, 0), name="ball")
    way = sg.Trajectory.along((10, 20, 60, 80), [(35, 50), (80, 90)])
    asked = sg.Trajectories(image.size, (ball, way))
    assert_type(asked[0], sg.Trajectory)
    assert_type(asked.boxes(14), Tensor)
    sg.Trajectory.move("ball", by=(40, 0))  # type: ignore[arg-type]
    sg.Trajectory.moves((10, 20, 60, 80), by=(40, 0))  # type: ignore[attr-defined]
    return image, asked


def animate(photograph: Path) -> sg.Run:
    model = sg.load_model("toy")
    assert_type(model, sg.Model)
    settings = model.settings.replace(iterations=3)
    assert_type(settings, sg.Settings)
    image, asked = draw(photograph)
    run = sg.generate(model, image, asked, settings, seed=1, progress=False)
    assert_type(run, sg.Run)
    assert_type(run.video, Tensor)
    sg.generate(model, image, asked, settings, seed="1")  # type: ignore[arg-type]
    sg.generate(5, image, asked)  # type: ignore[arg-type]
    return run


def look(run: sg.Run, asked: sg.Trajectories, folder: Path) -> None:
    assert_type(sg.write_video(folder / "video.mp4", run.video), Path)
    assert_type(sg.read_video(folder / "video.mp4"), Tensor)
    assert_type(to_pil(run.video[0]), PIL.Image.Image)
    sg.objmc(run.video, asked.boxes(len(run.video)))
    sg.write_video(run.video, folder / "video.mp4")  # type: ignore[arg-type]
    sg.animate(run)  # type: ignore[attr-defined]
