"""Time-to-Move: a crude animation says where things go, and is imposed for longer where it matters.

Singer, Rotstein, Mann, Kimmel, Litany: "Time-to-Move: Training-Free Motion Controlled Video Generation via Dual-Clock
Denoising" (arXiv 2511.08633, ICLR 2026). As in SDEdit, denoising does not begin with noise but with the crude video,
noised to the level of a first clock, t_weak, so that its layout survives and its ugliness does not. Outside the mask
the model is free from there on. Inside, its latents are replaced by the crude video's, noised to the level of each
step, until a second clock, t_strong ("dual-clock denoising", section 3):

    x_weak = reference + sigma_weak * noise
    x_i    = M * (reference + sigma_i * noise) + (1 - M) * (what the model made),    weak < i <= strong

One fixed noise is used at all levels. No gradients are needed: it costs less than a plain run, whose first steps it
skips. The clocks are the authors' for SVD, steps 16 and 21 of 50 (their repository, time-to-move/TTM), as fractions.

Adapted: the crude video is `copy_paste`'s, and the mask is the whole box, as we have no outline of the object, so the
background that came along in the box is imposed with it. The noise is the seed's own, as in every other method here.
Left out: the reference's own autoencoder sampling (its mode is taken) and their lower motion bucket of 17 (the
settings decide). A mask of cells is taken from `latent_cells`, which rounds as it does for SG-I2V.
"""

from collections.abc import Iterator

from sgi2v_lab.baselines.copy_paste import paste_along
from sgi2v_lab.baselines.regions import covered
from sgi2v_lab.errors import InputError
from sgi2v_lab.latents import encode_video
from sgi2v_lab.models.model import Conditioning, Model
from sgi2v_lab.sampling import DenoiseStep, Sampler, Task, denoise
from sgi2v_lab.shapes import Latents

__all__ = ["time_to_move"]


def time_to_move(task: Task, *, weak: float = 16 / 50, strong: float = 21 / 50) -> Sampler:
    """Denoise a copy-and-paste video that is held in place by two clocks.

    Args:
        task: the boxes are the mask; of the settings, what belongs to SG-I2V alone plays no part.
        weak: when denoising begins outside the boxes, as a fraction of the run's steps. Too early, and the scene
            deforms; too late, and it stands still.
        strong: when it begins inside them, `weak` or later. Too early, and things leave their path; too late, and they
            stay as crude as they were pasted.

    Raises:
        InputError: clocks out of order or not within the run.
    """
    if not 0 <= weak <= strong <= 1:
        raise InputError(f"the clocks are weak {weak} and strong {strong}, but must be 0 <= weak <= strong <= 1")
    total = task.settings.num_inference_steps
    first, end = round(weak * total), round(strong * total)
    if first >= total:
        raise InputError(f"weak is {weak}, which leaves none of the {total} steps; take a smaller one")

    def sampler(
        model: Model, conditioning: Conditioning, noise: Latents, last: DenoiseStep | None
    ) -> Iterator[DenoiseStep]:
        video, _ = paste_along(task.picture, task.boxes)
        reference = encode_video(model, video, task.settings.decode_chunk_size)
        mask = covered(task.cells, *noise.shape[-2:]).any(dim=0)[:, None].to(noise)

        def impose(index: int, sigma: float, latents: Latents) -> Latents:
            noised = model.noisy(reference, noise, sigma)
            if index == first:
                return noised
            return mask * noised + (1 - mask) * latents if index <= end else latents

        return denoise(model, conditioning, noise, task.settings, edit=impose, first_step=first, resume_from=last)

    return sampler
