# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1 · Latent video diffusion
#
# *A video begins as noise, and a network that has seen many videos removes the noise, a little at each step, until one
# picture has become several that follow each other.*
#
# ![The stages of the method; this chapter is about noisy latents, denoising, decoding](../docs/pipeline/diffusion.svg)
#
# **You will learn**
#
# - the parts of Stable Video Diffusion (SVD) and what each hands to the next;
# - what the latents are, and how much smaller than the pixels;
# - how noise levels, the network's guess and an Euler step fit together;
# - what classifier-free guidance does, by writing it yourself.
#
# **Time**: about 60 minutes, and 30 for the exercises; the cells run in under a minute on the toy.
#
# **In the paper**: section 2 and the beginning of section 3 recall SVD (arXiv 2311.15127); the noise levels are those of
# Karras et al. (arXiv 2206.00364). SG-I2V trains nothing: all that it uses is in this chapter.

# %% tags=["parameters"]
import os

model_name = os.environ.get("SGI2V_MODEL", "toy")  # "toy", "svd", "svd-xt", or a checkpoint's folder
device = None  # the best there is; or "cpu", "cuda", "mps"
prompt = "a large orange white striped circle at the left on cyan clouds"
seed = 817

# %%
from dataclasses import replace
import torch
from sgi2v_lab import decode_latents, denoise, encode_image, generate, load_model, make_schedule, reference_image
from sgi2v_lab import show_video
from sgi2v_lab.course import draw_noise, first_frame_psnr, fit_image, predict, to_tensor
from sgi2v_lab.plots import new_figure, plot_film_strip, plot_latents, styled

model = load_model(model_name, device)
settings = model.settings
size = settings.width, settings.height

# %% tags=["claim"]
from sgi2v_lab.evaluation.course_claims import Claims

claim = Claims(strict=(model_name, seed) == ("toy", 817))  # checked with seeds 817, 1, 2, 3: see claims.md

# %% [markdown]
# ## The parts
#
# | part | takes | gives |
# |---|---|---|
# | VAE encoder | a picture | its latents: a small map with a few channels |
# | CLIP image encoder | the first frame | one token, "what this is about" |
# | UNet | noisy latents, the first frame's latents, the token, the noise level | its guess of the noise-free video |
# | scheduler | the guess | slightly less noisy latents |
# | VAE decoder | clean latents | frames; it also looks at neighbouring frames, against flicker |
#
# SVD reads a picture and no text. Where a tool seems to turn text into video with it, a text-to-image model stands in
# front. The bundled toy has the same five parts, built from the same classes, only smaller:

# %%
for name in ("vae", "image_encoder", "unet"):
    count = sum(parameter.numel() for parameter in getattr(model, name).parameters())
    print(f"{name:14} {count / 1e6:8.2f} million parameters")
frames, channels, h, w = model.latent_shape(settings)
print(f"a video: {frames} frames of {size[0]} × {size[1]} pixels, or {channels} channels of {w} × {h} latent cells")

# %% [markdown]
# ## The VAE: pixels to latents and back
#
# The encoder $\mathcal{E}$ turns every block of $f \times f$ pixels into one cell with $c$ numbers, $x_0 = \mathcal{E}(I)$,
# and the decoder $\mathcal{D}$ makes a picture of it again, $\mathcal{D}(x_0) \approx I$.
#
# *What do you expect?* A picture of $3 \cdot H \cdot W$ numbers becomes $c \cdot \frac{H}{f} \cdot \frac{W}{f}$ of them.
# How many times fewer is that? What kind of detail would you give up first?

# %% tags=["prediction"]
# your prediction in place of the dots: a number
prediction = predict("How many times fewer numbers are the latents?", ...)

# %%
picture, _ = fit_image(reference_image(prompt, size=max(size)), size)
image = to_tensor(picture)
calm = settings.replace(noise_aug_strength=0.0)  # what it is comes below
told = encode_image(model, image, calm, torch.Generator().manual_seed(seed))
z = told.image_latents[0, :1].float() * model.vae.config.scaling_factor
print(f"{image.numel()} numbers become {z.numel()}: {image.numel() / z.numel():g} times fewer")

# %% tags=["prediction"]
prediction.beside(image.numel() / z.numel(), "times fewer")

# %%
figure = plot_latents(z.transpose(0, 1), every=1)  # the channels side by side
figure.axes[0].set_ylabel("")
for channel, axes in enumerate(figure.axes[:channels]):
    axes.set_title(f"channel {channel}", fontsize=8)
figure

# %% [markdown]
# You can still see the ball and its stripes: latents are a picture, not a list. SVD's four channels were learned and mean
# nothing in particular. The toy's sixteen are set by hand, and known: channel 0 is brightness, 1 and 2 are colours, and the
# others say how brightness and colours change within a cell along $x$ and $y$. Now back to pixels:

# %%
decoded = decode_latents(model, z)[0]
off = (decoded - image).abs().mean(dim=0, keepdim=True).expand(3, -1, -1)
figure = plot_film_strip(torch.stack([image, decoded, 4 * off]).clamp(0, 1))
for axes, title in zip(figure.axes, ("picture", "encoded and decoded", "difference, × 4"), strict=False):
    axes.set_title(title)
fidelity = first_frame_psnr(decoded[None], image)
print(f"PSNR {fidelity:.1f} dB")
figure

# %% [markdown]
# *Look at* the difference: edges and fine texture suffer most; that is the price. In return, everything that follows
# happens on the small grid.

# %% tags=["claim"]
grey = image.mean(dim=0)
edge = torch.zeros_like(grey)
edge[1:, 1:] = (grey[1:, 1:] - grey[:-1, 1:]).abs() + (grey[1:, 1:] - grey[1:, :-1]).abs()
at_edges = edge > edge.flatten().quantile(0.9)
claim(
    "edges and fine texture suffer most",
    "mean error where the picture changes most / elsewhere",
    off[0][at_edges].mean() / off[0][~at_edges].mean(),
    ">",
    2,
)

# %% [markdown]
# Latents are also *local*. We add something to a single cell and look where the picture changes. *How large will the
# patch be, and does it end where the cell ends?*

# %% tags=["prediction"]
# your prediction in place of the dots: a number
prediction = predict("How many pixels wide is the patch that one cell changes?", ...)

# %%
poked = z.clone()
poked[:, :, h // 2, w // 2] += 2 * z.std()
change = (decode_latents(model, poked)[0] - decoded).abs()
touched = (change.mean(dim=0) > 0.1 * change.mean(dim=0).max()).nonzero()
rows, columns = (touched.amax(dim=0) - touched.amin(dim=0) + 1).tolist()
print(f"one cell of {model.vae_factor} × {model.vae_factor} pixels changed a patch of about {columns} × {rows} pixels")
figure = plot_film_strip(torch.stack([decoded, decode_latents(model, poked)[0], (4 * change).clamp(0, 1)]))
for axes, title in zip(figure.axes, ("before", "one cell changed", "difference, × 4"), strict=False):
    axes.set_title(title)
figure

# %% tags=["prediction"]
prediction.beside(columns, "pixels; a cell is", model.vae_factor, "wide")

# %% [markdown]
# The patch is wider than the cell, since the decoder's convolutions look at neighbouring cells, and it stays small.

# %% tags=["claim"]
claim("The patch is wider than the cell", "width of the patch / of a cell", columns / model.vae_factor, ">", 1)
claim("it stays small", "share of the picture that the patch covers", len(touched) / change[0].numel(), "<", 0.2)

# %% [markdown]
# ## What the network is told
#
# Besides the noisy video, the UNet gets the first frame twice: as one CLIP token, which its cross-attention layers read,
# and as latents, laid next to the noisy ones in **every** frame. Three plain numbers say how the video should be: frames
# per second minus one, the *motion bucket* (0 to 255: how much should move), and how much noise was added to the first
# frame before it was encoded. That little noise teaches the network not to copy the picture pixel by pixel.

# %%
conditioning = encode_image(model, image, settings, torch.Generator().manual_seed(seed))
print("token:", tuple(conditioning.embedding.shape))
print("first frame's latents, repeated (one video, frames, channels, h, w):", tuple(conditioning.image_latents.shape))
print("fps - 1, motion bucket, noise augmentation:", [round(v, 3) for v in conditioning.time_ids[0].tolist()])
print("channels into the UNet:", model.unet.config.in_channels, "=", channels, "noisy +", channels, "told")

# %% [markdown]
# ## Noise levels
#
# With $\varepsilon$ drawn from the unit normal distribution, latents at noise level $\sigma$ are $z_\sigma = x_0 + \sigma
# \varepsilon$. The schedule goes from a $\sigma$ at which next to nothing of $x_0$ is left down to almost none, in steps
# that become smaller as $\sigma$ falls. (They look longer below, since the axis is logarithmic: from one line to the next
# lower one, $\sigma$ falls to a tenth.)

# %%
schedule = make_schedule(model, settings)
sigmas = schedule.sigmas.cpu()
first, last = settings.control_steps
with styled():
    figure = new_figure(2.8, width=6)
    axes = figure.subplots()
    axes.axvspan(first - 0.5, last + 0.5, color="#0072B2", alpha=0.12, lw=0, label="control steps of SG-I2V")
    axes.plot(sigmas[:-1], "o-", markersize=4)
    axes.set(xlabel="step", ylabel="noise level σ", yscale="log")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(axis="y")
    axes.legend()
figure

# %%
n = torch.randn(z.shape, generator=torch.Generator().manual_seed(seed)).to(z)
count = settings.num_inference_steps
some = torch.linspace(count * 3 // 4, first, 4).round().int().tolist()  # steps, from late to early
shown = [0.0, *(sigmas[step].item() for step in some)]
levels = torch.cat([(z + sigma * n) / (sigma**2 + 1) ** 0.5 for sigma in shown])[:, :1]
figure = plot_latents(levels, every=1)
for axes, sigma in zip(figure.axes, shown, strict=False):
    axes.set_title(f"σ = {sigma:.2g}", fontsize=8)
figure

# %% [markdown]
# This is channel 0 of one frame, divided by $\sqrt{\sigma^2 + 1}$ as the network receives it. At the first control step
# (the last picture) there is nothing to be seen of the ball. Keep that in mind for later chapters: that is where the
# method decides what moves.

# %% tags=["claim"]
seen = [torch.corrcoef(torch.stack([levels[0].flatten(), one.flatten()]))[0, 1] for one in levels]
claim("there is nothing to be seen of the ball", "correlation with the clean picture's channel 0", seen[-1], "<", 0.2)
claim(
    "in steps that become smaller",
    "smallest step / largest",
    -sigmas[:-1].diff().max() / -sigmas[:-1].diff().min(),
    "<",
    0.1,
)

# %% [markdown]
# ## Denoising
#
# The UNet predicts $v$, a mixture of signal and noise that is well scaled at every level. From it follows the guess of
# the clean video, and an Euler step moves along the line through both to the next level:
#
# $$ \hat z_0 = \frac{z}{\sigma^2 + 1} - \frac{\sigma}{\sqrt{\sigma^2 + 1}}\, v , \qquad
#    z' = z + (\sigma' - \sigma)\,\frac{z - \hat z_0}{\sigma} . $$
#
# *What do you expect?* We let the model make a video without any control and keep all its guesses $\hat z_0$. What will the
# first guess look like, made from pure noise: more noise, or something else?

# %% tags=["prediction"]
# your prediction in place of the dots: words, in quotes
prediction = predict("What does the first guess look like?", ...)

# %%
run = generate(model, image, seed=seed, trace=["latents", "denoised"], progress=False)
chosen = sorted({round(i) for i in torch.linspace(0, settings.num_inference_steps - 1, 6).tolist()})
guesses = torch.cat([decode_latents(model, run.trace[i].denoised[-1:].to(model.device)) for i in chosen])
figure = plot_film_strip(guesses)
for axes, i in zip(figure.axes, chosen, strict=False):
    axes.set_title(f"step {i}, σ = {run.sigmas[i]:.2g}", fontsize=8)
figure

# %% tags=["prediction"]
prediction.beside(
    "blurred: its sharpest edge is",
    (guesses[0].diff(dim=-1).abs().max() / guesses[-1].diff(dim=-1).abs().max()).item(),
    "times as high as that of the last guess",
)

# %% [markdown]
# The guess of the *last frame*, step by step. It begins blurred, as an average of everything that could follow, and
# becomes one particular video. Large things are settled first, detail later.

# %% tags=["claim"]
sharpness = [one.diff(dim=-1).abs().max() for one in guesses]
claim(
    "It begins blurred",
    "largest step between neighbouring pixels, first guess / last",
    sharpness[0] / sharpness[-1],
    "<",
    0.5,
)

# %% [markdown]
# The result:

# %%
show_video(run.video, fps=settings.fps, title="what the model makes by itself")

# %%
plot_film_strip(run.video, every=None)

# %% [markdown]
# The toy was trained on drawn scenes for hours, not months. It keeps the picture roughly and invents some motion, with
# smears. Where the ball goes is up to the noise: another `seed`, another path. Taking that decision away from chance is
# what the rest of the course is about.
#
# ## Quick check
#
# The VAE really compresses, and still gives the picture back; the first frame is in the conditioning, unchanged, for
# every frame; and each step of the run is the Euler step above.

# %%
factor = model.vae_factor
assert image.numel() / z.numel() == 3 * factor**2 / channels > 10, "the latents are not much smaller than the picture"
assert fidelity > 18, f"PSNR of {fidelity:.1f} dB: the decoded picture is not the picture"
(shown,) = conditioning.image_latents  # a batch of one video
assert all(torch.equal(each, shown[0]) for each in shown)
levels = [*run.sigmas, 0.0]
for step, after in zip(run.trace, levels[1:], strict=True):
    euler = step.mixed + (after - step.sigma) * (step.mixed - step.denoised) / step.sigma
    assert torch.allclose(euler, step.latents, rtol=1e-3, atol=2e-3 * (1 + after)), f"step {step.index} is not Euler's"
print(f"The latents hold {3 * factor**2 / channels:g} times fewer numbers; {len(run.trace)} steps are Euler's.")

# %% [markdown]
# ## Exercises
#
# ### 1. The noise levels
#
# *★☆☆ · about 10 minutes · 2 points*
#
# Karras et al. space the levels evenly in $\sigma^{1/\rho}$ with $\rho = 7$:
#
# $$ \sigma_i = \Bigl( \sigma_{\max}^{1/\rho}
#    + \tfrac{i}{N - 1} \bigl( \sigma_{\min}^{1/\rho} - \sigma_{\max}^{1/\rho} \bigr) \Bigr)^{\rho} ,
#    \quad i = 0, \dots, N - 1 . $$
#
# Write `karras(count, low, high)`, which returns the `count` levels as a tensor, from `high` down to `low`.
#
# <details><summary>Hint 1</summary>
#
# `torch.linspace(0, 1, count)` is $i / (N - 1)$ for all $i$ at once, so no loop is needed.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Read the formula from the inside: take both ends to the power $1/7$, go evenly from the first to the second, and take
# the result to the power 7.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "karras", "locked": false, "schema_version": 3, "solution": true, "task": false}
def karras(count: int, low: float, high: float) -> torch.Tensor:
    ### BEGIN SOLUTION
    ramp = torch.linspace(0, 1, count)
    return (high ** (1 / 7) + ramp * (low ** (1 / 7) - high ** (1 / 7))) ** 7
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "karras-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
mine = torch.as_tensor(
    karras(settings.num_inference_steps, schedule.config.sigma_min, schedule.config.sigma_max)
).float()
assert mine.shape == (settings.num_inference_steps,), (
    f"expected {settings.num_inference_steps} levels, got shape {tuple(mine.shape)}"
)
assert mine[0] > mine[-1], "the levels go down, from the most noise to the least"
assert torch.allclose(mine, sigmas[:-1], rtol=1e-3), f"level 1 is {mine[1]:.3f}, the schedule has {sigmas[1]:.3f}"
print("Your noise levels are the scheduler's.")

# %% [markdown] tags=["discussion"]
# **Discussion.** Evenly spaced roots mean that the levels lie close together where $\sigma$ is small, which is where a
# step of a given size would do most harm. The usual mistake is $i / N$ in place of $i / (N - 1)$: then the last level
# is not `low`. Another one swaps the two ends, and the levels rise. A list comprehension over $i$ does as well as
# `linspace`. In float32 the seventh power loses a few digits, which is why the check allows a thousandth.

# %% [markdown]
# ### 2. Classifier-free guidance
#
# *★★☆ · about 15 minutes · 3 points*
#
# The network can also be asked *without* the first frame: token and latents are zero. Guidance exaggerates what the
# picture changes about the guess, in frame $f$ of $F$ with a strength that rises evenly from `low` to `high`:
#
# $$ \hat z_f = \hat z^{\text{without}}_f + g_f \,\bigl( \hat z^{\text{with}}_f - \hat z^{\text{without}}_f \bigr) , \qquad
#    g_f = \text{low} + \tfrac{f}{F - 1} (\text{high} - \text{low}) . $$
#
# Write `guided(without, told, low, high)` for guesses of shape `(frames, channels, h, w)`. What must come out where
# $g_f = 1$?
#
# <details><summary>Hint 1</summary>
#
# The strength is one number for each frame: `torch.linspace(low, high, frames)` has them all.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# To multiply `(frames, channels, h, w)` by one number per frame, the strengths need the shape `(frames, 1, 1, 1)`: use
# `view`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Where $g_f = 1$ the two guesses without the picture cancel. If your first frame is not the guess with the picture,
# check which of the two you subtract.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "guidance", "locked": false, "schema_version": 3, "solution": true, "task": false}
def guided(without: torch.Tensor, told: torch.Tensor, low: float, high: float) -> torch.Tensor:
    ### BEGIN SOLUTION
    strength = torch.linspace(low, high, len(told)).view(-1, 1, 1, 1).to(told)
    return without + strength * (told - without)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "guidance-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def first_guess(conditioning, high: float) -> torch.Tensor:
    """The guess of the first step, with the library's guidance from 1 to `high`."""
    noise = draw_noise(model, settings, torch.Generator().manual_seed(seed))
    strengths = settings.replace(min_guidance_scale=1.0, max_guidance_scale=high)
    return next(denoise(model, conditioning, noise, strengths)).denoised.float().cpu()


ones = torch.ones(5, 1, 2, 2)
few = torch.as_tensor(guided(0 * ones, ones, 1.0, 3.0)).float()
assert torch.allclose(few[:, 0, 0, 0], torch.tensor([1.0, 1.5, 2.0, 2.5, 3.0])), "five frames: 1, 1.5, 2, 2.5 and 3"
nothing = replace(
    conditioning,
    embedding=torch.zeros_like(conditioning.embedding),
    image_latents=torch.zeros_like(conditioning.image_latents),
)
without, told = first_guess(nothing, 1.0), first_guess(conditioning, 1.0)
mine, theirs = guided(without, told, 1.0, 3.0).float(), first_guess(conditioning, 3.0)
exact = 1e-3 if model.dtype == torch.float32 else 5e-2
assert torch.allclose(mine[0], told[0], atol=exact), "in the first frame the strength is 1: the guess with the picture"
assert torch.allclose(mine, theirs, rtol=exact, atol=exact), f"off by up to {(mine - theirs).abs().max():.4f}"
print("Your guidance is the library's. Strength 3 changes the last guess by", f"{(mine - told)[-1].abs().mean():.3f}.")

# %% [markdown] tags=["discussion"]
# **Discussion.** At strength 1 the guess without the picture cancels, and the plain guess is left; above 1 the
# difference is exaggerated, so the formula goes beyond what the network said. SVD raises the strength over the frames
# because late frames lie furthest from the picture and need the most help. The usual mistake is a strength of shape
# `(frames,)`, which PyTorch lines up with the last axis, the columns, without any error when the numbers happen to
# agree. `torch.lerp(without, told, strength)` is the same formula, and so is `without * (1 - g) + told * g`.

# %% [markdown]
# (SVD is run with guidance from 1 to 3, the toy from 1 to 1.5: two passes a step, and clearer videos.)
#
# ### 3. How much moves?
#
# *★☆☆ · about 5 minutes · 1 point*
#
# Write `motion(video)`: the mean absolute difference between neighbouring frames, averaged over everything. Then ask the
# model for little and for much motion, with the same noise. *Predict* which of the two numbers is larger, and by how much.
#
# <details><summary>Hint 1</summary>
#
# `video[1:]` are all frames but the first, `video[:-1]` all but the last: their difference is the change from frame to
# frame.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A pixel that becomes darker has changed as much as one that becomes brighter: take `abs()` before the mean.
#
# </details>

# %% tags=["prediction"]
# your prediction in place of the dots: a number
prediction = predict("How many times as much moves in bucket 240 as in bucket 10?", ...)


# %% nbgrader={"grade": false, "grade_id": "motion", "locked": false, "schema_version": 3, "solution": true, "task": false}
def motion(video: torch.Tensor) -> float:
    ### BEGIN SOLUTION
    return (video[1:] - video[:-1]).abs().mean().item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "motion-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
ramp = torch.linspace(0, 0.5, 6).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
assert abs(float(motion(ramp)) - 0.1) < 1e-5, "each frame of this video is 0.1 brighter than the one before"
assert abs(float(motion(ramp.flip(0))) - 0.1) < 1e-5, "getting darker is a change as well: take absolute values"
assert float(motion(image.expand(frames, -1, -1, -1))) == 0, "a still picture has no motion"
short = settings.replace(num_inference_steps=min(10, settings.num_inference_steps), control_steps=(0, 0))
short = short.replace(max_guidance_scale=1.0)  # half as many passes of the UNet
moved = {}
for bucket in (10, 240):
    moving = generate(model, image, settings=short.replace(motion_bucket_id=bucket), seed=seed, progress=False)
    moved[bucket] = float(motion(moving.video))
    print(f"motion bucket {bucket:3}: {moved[bucket]:.4f}")

# %% tags=["prediction"]
prediction.beside(moved[240] / moved[10], "times as much")

# %% [markdown] tags=["discussion"]
# **Discussion.** Shifting the video by one frame against itself gives all differences at once. The usual mistake is to
# leave out the absolute value: brighter and darker then cancel, and a flickering video seems to stand still. This
# number measures any change, also noise and flicker, so a low one does not mean that the model understood. The motion
# bucket is a wish that the network learned to read, not a switch: how much it changes depends on picture and noise.
# `video.diff(dim=0).abs().mean()` is the same.

# %% [markdown] nbgrader={"grade": false, "grade_id": "open-task", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": true}
# ### 4. Open: what the first frame decides
#
# *★★★ · about 25 minutes · 6 points, by the rubric*
#
# The network gets the first frame twice, as a token and as latents. Find out what each is good for: replace one of
# them by zeros or by another picture's (`dataclasses.replace(conditioning, ...)`, as in exercise 2), run `denoise` to
# its end and decode. Show the videos beside the unchanged one, and say what the token tells the network and what the
# latents do.
#
# | criterion | 2 points | 1 point |
# |---|---|---|
# | method | one part is changed at a time; the same noise throughout; the code is shown | parts are changed together, or the noise differs |
# | evidence | pictures of at least three cases, and a number such as PSNR or `motion` for each | pictures only, or one case |
# | conclusion | says what each part does and how sure that is after one picture | says more than the pictures show |

# %% [markdown]
# *Your answer begins here. Add as many cells below as you need.*

# %% [markdown]
# ## Further
#
# - [latents.py](../sgi2v_lab/latents.py) encodes and decodes, [sampling.py](../sgi2v_lab/sampling.py) is the loop.
#   Without control it does what diffusers' own pipeline does.
# - [Chapter 2](02_boxes_and_trajectories.ipynb) says what should move, and where to.
