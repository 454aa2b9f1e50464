"""Text -> reference image, the stage before an image-to-video model (which reads no text).

Two ways: a small scene language that the toy's world can draw (`prompts.grammar` describes it), and any text-to-image
diffusion model that the user names.

    >>> list(prompt_boxes("a red striped circle left of a blue square on grey"))
    ['red striped circle', 'blue square']
"""

import itertools
import math
import os
import zlib

import PIL.Image
import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.images.read import to_pil
from sgi2v_lab.models.checkpoint_files import why_not_loaded
from sgi2v_lab.prompts.grammar import Picture, read_prompt
from sgi2v_lab.prompts.layout import lay_out
from sgi2v_lab.toy.world.scenes import COLOURS, Scene, Sprite, render, true_boxes

__all__ = ["parse_prompt", "prompt_boxes", "reference_image"]


def reference_image(
    prompt: str,
    model: str | os.PathLike = "toy",
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    **options: object,
) -> PIL.Image.Image:
    """The reference image of a prompt: drawn from the scene language by "toy", or made by a text-to-image model.

    Of a model, weights are read from safetensors only, and no code of its repository is run. The seed's noise is drawn
    on the CPU, so it does not depend on the device.

    Args:
        prompt: For "toy", the scene language; otherwise free text in the model's language.
        model: "toy", or a model that diffusers knows: a repository on the Hugging Face hub, or a folder.
        size: A side for "toy" (default 64); width and height, multiples of 8, for a model (default 1024 x 576).
        seed: For a model only: the toy's drawing is fixed by the prompt.
        options: For a model only. `device` (default "cpu"); `dtype` of the weights (default float16 on cuda and mps,
            else float32); `steps` of denoising (default 30); `guidance` scale (default the model's own).

    Raises:
        InputError: As `parse_prompt`; a size or an option that the choice does not have; weights that cannot be had
            (offline, gated, no such repository, no safetensors); too little memory; or a picture that the model's
            safety checker withheld.
    """
    if model == "toy":
        if options:
            raise InputError(f"the toy's drawing has no {', '.join(options)}; drop it or name a text-to-image model")
        sides = {*size} if isinstance(size, tuple) else {size or 64}
        if len(sides) > 1:
            raise InputError(f"the toy draws squares, not {size[0]}x{size[1]} px; give one side, such as size=64")
        return to_pil(render(parse_prompt(prompt, num_frames=1), sides.pop())[0])
    if size is not None:
        options["size"] = (size, size) if isinstance(size, int) else size
    return _generated(prompt, os.fspath(model), seed=seed, **options)


# --- the scene language ----------------------------------------------------------------------------------------------


def _scene(prompt: str, num_frames: int) -> tuple[Scene, list[str]]:
    picture = read_prompt(prompt)
    centres, radii = lay_out(picture)
    seed = zlib.crc32(" ".join(prompt.lower().split()).encode())  # the same words, the same photograph crops
    sprites = []
    for k, thing in enumerate(picture.objects):
        colour = COLOURS[thing.colours[0] if thing.colours else "red"]
        bright = 0.3 * colour[0] + 0.6 * colour[1] + 0.1 * colour[2] > 0.6
        accent = COLOURS[thing.colours[1] if len(thing.colours) > 1 else "black" if bright else "white"]
        sprites.append(
            Sprite(
                shape=thing.shape,
                texture=thing.texture,
                colour=colour,
                accent=accent,
                radius=radii[k].item(),
                path=centres[k].expand(num_frames, 2).clone(),
                angle=-math.pi / 2 if thing.shape == "star" else 0.0,  # a star stands on two points
                period=1.0,  # of the size that the toy was trained on
                seed=seed + k + 1,
            )
        )
    camera = torch.tensor([0.0, 0.0, 1.0]).repeat(num_frames, 1)
    colours = _background_colours(picture)
    return Scene(tuple(sprites), camera, picture.background, colours, seed), [t.name for t in picture.objects]


def _background_colours(picture: Picture) -> tuple[tuple[float, float, float], ...]:
    """The three colours of a background: shades of a single one; grey or white where the prompt names none."""
    names = picture.colours
    if not names:
        names = ["white"] if any(t.colours[:1] == ["grey"] for t in picture.objects) else ["grey"]
    given = [COLOURS[name] for name in names]
    if len(given) == 1:
        light = tuple(c + 0.45 * (1 - c) for c in given[0])
        dark = tuple(0.75 * c for c in given[0])
        return given[0], light, dark
    if len(given) == 2:
        return given[0], given[1], tuple((a + b) / 2 for a, b in zip(*given, strict=True))
    return tuple(given)


def parse_prompt(prompt: str, num_frames: int = 8) -> Scene:
    """Read the scene language: a scene whose sprites and camera stand still for `num_frames` frames.

    Raises InputError for an unknown word (naming it, what is known and the nearest known word), for words in an order
    that `prompts.grammar` does not have, for relations that contradict each other, and for more objects than fit.
    """
    return _scene(prompt, num_frames)[0]


def prompt_boxes(prompt: str, size: int = 64) -> dict[str, Float[Tensor, "4"]]:
    """Each object's name and its box (x0, y0, x1, y1) in pixels of the picture drawn at that size, to attach paths to.

    The name is the object's words without its article; a repeated one gets a number. Errors as `parse_prompt`.
    """
    scene, names = _scene(prompt, 1)
    boxes: dict[str, Tensor] = {}
    for name, box in zip(names, true_boxes(scene, size)[:, 0], strict=True):
        numbered = itertools.chain([name], (f"{name} {i}" for i in itertools.count(2)))
        unique = next(n for n in numbered if n not in boxes)
        boxes[unique] = box
    return boxes


# --- a text-to-image model -------------------------------------------------------------------------------------------


def _generated(
    prompt: str,
    name: str,
    size: tuple[int, int] = (1024, 576),
    seed: int = 0,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    steps: int = 30,
    guidance: float | None = None,
) -> PIL.Image.Image:
    width, height = size
    if min(size) < 8 or width % 8 or height % 8:
        near = tuple(max(8, round(s / 8) * 8) for s in size)
        raise InputError(
            f"a picture of {width}x{height} px needs sides that are multiples of 8; try {near[0]}x{near[1]}"
        )
    device = torch.device(device)
    if dtype is None:
        dtype = torch.float16 if device.type in ("cuda", "mps") else torch.float32
    try:
        pipeline = _load(name, dtype).to(device)
        pipeline.set_progress_bar_config(disable=True)
        optional = {} if guidance is None else {"guidance_scale": guidance}
        output = pipeline(
            prompt,
            width=width,
            height=height,
            num_inference_steps=steps,
            generator=torch.Generator().manual_seed(seed),
            **optional,
        )
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"{name!r} ran out of memory on {device} at {width}x{height} px; make a smaller picture, use half "
            "precision (dtype=torch.float16) or a smaller model"
        ) from error
    if any(getattr(output, "nsfw_content_detected", None) or []):
        raise InputError(f"the safety checker of {name!r} withheld the picture; change the prompt or the seed")
    return output.images[0]


def _load(name: str, dtype: torch.dtype):
    from diffusers import AutoPipelineForText2Image  # seconds to import, and only this path needs it

    local = os.path.isdir(name)
    if not local and (os.path.isabs(name) or name.startswith(".") or name.count("/") > 1):
        raise InputError(f"there is no folder {name!r}; give a diffusers pipeline's folder or a hub name (owner/name)")
    try:
        return AutoPipelineForText2Image.from_pretrained(
            name, dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # diffusers and the hub raise many kinds
        raise InputError(why_not_loaded(name, "text-to-image pipeline", local, error)) from error
