"""FreeTraj: noise that moves makes things move.

Qiu, Chen, Wang, He, Xia, Liu: "FreeTraj: Tuning-Free Trajectory Control in Video Diffusion Models" (arXiv 2406.16863).
Its finding: the low frequencies of the initial noise decide where things are. If the same patch of noise lies in the
box of every frame ("noise flow"), what grows from it moves with the box; since noise that repeats itself is no noise
that the model knows, its high frequencies are drawn anew:

    flow  = noise, with the first frame's patch in every frame's box
    start = IFFT( L * FFT(flow) + (1 - L) * FFT(noise) ),    L a Butterworth low-pass of order 4, cut-off 0.25

Adapted from text-to-video to image-to-video: the patch is what the first frame's noise holds in the box (a fresh one
there), so that the first frame, which the model is given, keeps its noise; and the other frames' own noise, which is
independent of the patch, serves as the fresh high frequencies. So a seed's noise is that of every other method here,
but for the low frequencies in the boxes. L filters in space only: the authors' also has a cut-off of 0.1 in time, which
in a video of 8 or 14 frames passes little but the mean over time, and so no motion. A box that changes its size takes
the nearest noise, as interpolated noise would have too little variance.

Left out: the second half of FreeTraj, its guidance in attention. It raises the weight of the prompt's words in the box
in cross-attention, and SVD has no prompt (its cross-attention sees a single token, so its weights are all 1); the masks
on self-attention and temporal attention go with that. SG-I2V's authors, too, found an adapted FreeTraj to control SVD
hardly at all (table 1 of arXiv 2411.04989).
"""

from collections.abc import Iterator

from sgi2v_lab.baselines.copy_features import copied
from sgi2v_lab.frequency import butterworth_mask, mix_frequencies
from sgi2v_lab.models.model import Conditioning, Model
from sgi2v_lab.sampling import DenoiseStep, Sampler, Task, denoise
from sgi2v_lab.shapes import CellBoxes, Latents

__all__ = ["flow_noise", "freetraj"]


def freetraj(task: Task, *, cutoff: float = 0.25, order: int = 4) -> Sampler:
    """Denoise the seed's noise after its low frequencies were moved along the paths.

    Args:
        task: of the settings, what belongs to SG-I2V alone plays no part.
        cutoff: of the low-pass, 0..1 in units of Nyquist; 0 leaves the noise as it is.
        order: how steeply the low-pass falls.

    Raises:
        InputError: a cut-off out of range.
    """
    butterworth_mask(1, 1, cutoff)  # checks the cut-off before anything is computed

    def sampler(
        model: Model, conditioning: Conditioning, noise: Latents, last: DenoiseStep | None
    ) -> Iterator[DenoiseStep]:
        mask = butterworth_mask(*noise.shape[-2:], cutoff, order)
        start = mix_frequencies(flow_noise(noise, task.cells), noise, mask)
        return denoise(model, conditioning, start, task.settings, resume_from=last)

    return sampler


def flow_noise(noise: Latents, cells: CellBoxes) -> Latents:
    """Noise (frames, channels, h, w) in which each box's first-frame noise lies in its box of every later frame.

    What a box of the first frame holds beyond the grid is not known, and not moved. Boxes are half-open, in cells.
    """
    return copied(noise.permute(0, 2, 3, 1)[None], cells)[0].permute(0, 3, 1, 2).contiguous()
