"""Videos in which all motion is known."""

from dataclasses import replace

import torch

from sgi2v_lab.evaluation.scenes.scenes import stretched
from sgi2v_lab.models.model import Model
from sgi2v_lab.prompts.reference_image import parse_prompt
from sgi2v_lab.shapes import Boxes, Video
from sgi2v_lab.toy.network.architecture import SIZE
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render, true_boxes

__all__ = ["known_motion", "world_video"]


def known_motion(model: Model, prompt: str, by: tuple[float, float]) -> tuple[Video, Boxes]:
    """A drawn video of the model's size, and the true boxes of what moves in it.

    Args:
        model: it says how large the video is, and how many frames it has.
        prompt: what is drawn, as in `reference_image`. Only its first thing moves.
        by: how far, to the right and down, in sides of the picture.

    Returns:
        The video (frames, 3, height, width) in 0..1, and boxes (things, frames, 4) in pixels.
    """
    settings = model.settings
    frames, size = model.num_frames(settings), (settings.width, settings.height)
    scene = parse_prompt(prompt, frames)
    time = torch.linspace(0, 1, frames)[:, None]
    first, *others = scene.sprites
    scene = replace(scene, sprites=(replace(first, path=first.path + time * torch.tensor(by)), *others))
    return stretched(render(scene, max(size)), size), true_boxes(scene, 1) * torch.tensor([*size, *size])


def world_video(seed: int) -> tuple[Video, Boxes]:
    """A video of the world in which the toy is trained, and the true boxes of its things; a seed is a video.

    The video is (frames, 3, height, width) in 0..1, boxes are (things, frames, 4) in pixels.
    """
    scene = sample_scene(seed)
    return render(scene, SIZE), true_boxes(scene, SIZE)
