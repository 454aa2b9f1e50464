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
# # 11 · Real SVD on a GPU
#
# *The same cells, one word changed: from 128 pixels and a laptop to 1024 x 576 and Stable Video Diffusion.*
#
# ![The stages of the method; this chapter is about all of them](../docs/pipeline/whole.svg)
#
# **You will learn**
#
# - where the weights come from, under which licence, and how to see what is on this computer;
# - how much memory weights and gradients take, and what each memory mode saves;
# - which settings differ between the bundled toy and SVD, and why;
# - what to expect of a real run, by the paper's numbers.
#
# **Time**: about 30 minutes, and 25 for the exercises; the cells run in under a minute on the toy, in some minutes with
# SVD on a GPU.
#
# **In the paper**: section 4.1 (setting and measures), table 1, and the appendix for the hyperparameters. You need
# [chapter 8](08_the_full_method.ipynb).
#
# This chapter runs anywhere. Without a GPU or the weights its cells take the toy, and print what they would do with SVD.

# %% tags=["parameters"]
import os

model_name = os.environ.get("SGI2V_MODEL", "toy")  # "toy", "svd", "svd-xt", or a checkpoint's folder
device = None  # the best there is; or "cpu", "cuda", "mps"
dtype = None  # "fp32", "bf16" or "fp16"; None: fp32 on a CPU, else fp16
prompt = "an orange blue dotted circle at the left on green clouds"
seed = 817
num_inference_steps = 5  # of the run on a small model; real SVD takes its own 50

# %%
import torch
from sgi2v_lab import Settings, Trajectories, Trajectory, control_step, decode_latents, encode_image, generate
from sgi2v_lab import latent_cells, load_model, make_schedule, objmc, prompt_boxes, reference_image, show_video
from sgi2v_lab.course import count_bytes, describe_machine, describe_model, fit_image, in_fewer_steps, network
from sgi2v_lab.course import one_iteration, peak_memory, predict, recomputing, to_tensor, total_memory, workload
from sgi2v_lab.plots import plot_comparison, plot_series, plot_trajectories


# %% [markdown]
# ## What is here?
#
# First the machine, then the weights. Looking is all this does: nothing is downloaded.

# %%
for what, value in describe_machine(device).items():
    print(f"{what}: {value}")
for where, size in total_memory(device).items():
    print(f"memory of {where}: {size / 2**30:.1f} GiB")

# %% tags=["claim"]
from sgi2v_lab.evaluation.course_claims import Claims

claim = Claims(strict=(model_name, seed) == ("toy", 817))  # checked with seeds 817, 1, 2, 3: see claims.md

# %%
for name in ("toy", "svd", "svd-xt"):
    found = describe_model(name)
    size = f"{found.width} x {found.height} px" if found.width else "size unknown"
    print(f"{name}: {'here' if found.here else 'not on this computer'}, {size}, from {found.source}")

# %% [markdown]
# ## Getting the weights
#
# SVD is published by Stability AI on the Hugging Face hub: *stable-video-diffusion-img2vid* (14 frames, here `svd`) and
# *stable-video-diffusion-img2vid-xt* (25 frames, `svd-xt`). Once, on a computer with a network:
#
# 1. open https://huggingface.co/stabilityai/stable-video-diffusion-img2vid, read the licence, and accept it if you
#    can. It is Stability AI's own, with terms for commercial use; it is not the licence of this package. Videos that
#    you make and publish are subject to it.
# 2. `hf auth login`, with a token of your account;
# 3. `hf download stabilityai/stable-video-diffusion-img2vid`, or let the first `load_model("svd")` do it. A GPU
#    needs the half-precision copy only.
#
# A cluster without a network: download elsewhere, copy the folder, and give its path as `model_name`. Only
# safetensors are read, and no code from the hub is ever run.
#
# Then every chapter of this course runs on it:
#
#     SGI2V_MODEL=svd make lab
#     papermill notebooks/08_the_full_method.ipynb out/08.ipynb -p model_name svd
#     sgi2v generate photo.jpg --boxes boxes.json --model svd --compare --out out/photo

# %%
gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
plan = [] if gpu else ["no GPU is to be seen here: SVD would take hours for a run on a CPU"]
plan += [] if describe_model("svd").here else ["SVD's weights are not here: accept the licence, then `hf download`"]
print("\n".join(plan) or "all that SVD needs is here: set SGI2V_MODEL=svd and run this notebook again")
model = load_model(model_name, device, dtype)
real = model.settings.width >= 512
print(f"this notebook now goes on with {model.name} on {model.device} in {model.dtype}")

# %% [markdown]
# ## What differs
#
# The parts, the classes and the layers' addresses are the same. The settings are not: those of SVD are the paper's,
# those of the toy were found by trying. *Predict* the three most important differences before you run the cell.

# %% tags=["prediction"]
# your prediction in place of the dots: a list of names, in quotes
prediction = predict("Which three settings differ most between the toy and SVD?", ...)

# %%
paper, own = Settings().as_dict(), model.settings.as_dict()
print(f"{'setting':20}{'paper, for SVD':28}{model.name}")
for name in paper:
    if paper[name] != own[name]:
        print(f"{name:20}{paper[name]!s:28}{own[name]}")

# %% tags=["prediction"]
prediction.beside([name for name in paper if paper[name] != own[name]])

# %% [markdown]
# *Look at* the learning rate and `scale_lr_by_sigma`. SVD's noise levels go from 700 down to 0.002, and its control
# steps lie at 374 down to 37, where a change of 0.21 per iteration is small (exercise 3). The toy's control steps lie
# lower, so its rate is a share of $\sigma$. Chapter 8 says what its other settings are for.

# %% tags=["claim"]
claim("so its rate is a share of $\\sigma$", "scale_lr_by_sigma, of the toy", own["scale_lr_by_sigma"], "==", True)

# %% [markdown]
# ## Memory 1: the weights
#
# A weight takes 4 bytes in fp32, 2 in fp16 and bf16. SVD's UNet has 1.52 billion of them: 6.1 GB or 3.0 GB for it alone.
# On a GPU the package loads fp16 unless told otherwise. Latents, loss and optimiser stay in fp32, whatever the
# weights are: gradients are too small for half precision.

# %%
parts = {"UNet": model.unet, "VAE": model.vae, "image encoder": model.image_encoder}
sizes = {name: sum(weight.numel() for weight in part.parameters()) for name, part in parts.items()}
for name, count in sizes.items():
    print(f"{name:14} {count / 1e6:10.2f} million weights, {count * model.dtype.itemsize / 2**20:8.1f} MiB here")
print(f"{'SVD, UNet':14} {1520:10.2f} million weights, {1.52e9 * 2 / 2**20:8.1f} MiB in fp16")

# %% [markdown]
# ## Memory 2: the gradient
#
# The backward pass needs what the forward pass computed, so each iteration holds on to the activations of all layers
# up to the last recorded one. At full size this is far more than the weights. **Checkpointing** keeps only what enters
# each layer and computes the rest again on the way back: less memory, up to two thirds more time, the same gradient.
# Here it is called `recomputing`, and its modes are named by how much they compute again. PyTorch tells us what it
# keeps.

# %%
side = max(model.settings.width, model.settings.height)
size = (model.settings.width, model.settings.height)
drawn = reference_image(prompt, size=side)
picture, fit = fit_image(drawn, size)
box = fit.apply(next(iter(prompt_boxes(prompt, size=side).values()))).tolist()
asked = Trajectories(size, (Trajectory.move(box, by=(0.35 * size[0], 0), name="ball"),))
frames, _, h, w = model.latent_shape(model.settings)
cells = latent_cells(asked.boxes(frames), model.vae_factor, h, w).to(model.device)

generator = torch.Generator().manual_seed(seed)
conditioning = encode_image(model, to_tensor(picture), model.settings, generator)
schedule = make_schedule(model, model.settings)
first = model.settings.control_steps[0]
noise = torch.randn(model.latent_shape(model.settings), generator=generator).to(model.device)
latents = schedule.sigmas[first] * noise


def kept_for_backward(mode):
    """Bytes kept between forward and backward pass in one iteration, and its gradient."""
    storages = {}

    def keep(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor.detach()  # the graph itself must not be held on to

    weights = {weight.untyped_storage().data_ptr() for weight in model.unet.parameters()}
    once = model.settings.replace(iterations=1)
    last = max(once.layers)  # where the forward pass ends
    with recomputing(model, mode, last), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        step = next(control_step(model, latents, schedule.sigmas[first], conditioning, cells, once))
    return sum(size for place, size in storages.items() if place not in weights), step.gradient


# %%
everything, gradient = kept_for_backward("fast")
little, same_gradient = kept_for_backward("full")
print(f"kept for the backward pass: {everything / 2**20:.1f} MiB; with checkpointing {little / 2**20:.1f} MiB")

# %% [markdown]
# Checkpointing keeps less than a quarter.

# %% tags=["claim"]
claim("Checkpointing keeps less than a quarter.", "kept, with checkpointing / without", little / everything, "<", 0.25)

# %% [markdown]
# With checkpointing a layer's activations still come back one layer at a time, so the peak is somewhat higher than what
# is kept. What saves memory in a run:
#
# | what | how | saves | costs |
# |---|---|---|---|
# | half precision | `load_model(..., dtype="fp16")`, `--dtype fp16` | half of weights and activations | rounding |
# | checkpointing | `generate(..., memory="full")`, `--memory full` | most activations | up to two thirds more time |
# | decode in pieces | `decode_chunk_size=2`, `--decode-chunk-size 2` | memory of the last stage | see below |
# | a shorter pass | always on | the layers after the last recorded one | nothing |
# | a smaller picture | `width`, `height`, multiples of 64 | all activations | SVD knows 1024 x 576 best |
#
# On SVD the shorter pass leaves out a quarter of a forward pass. One whole pass at full size is 44.8 TFLOP, of which
# attention's own products are 8.7. The code published with the paper needs about 30 GB, by reports of its users.

# %% [markdown]
# ## Memory 3: decoding
#
# The decoder looks at neighbouring frames to keep colours from flickering. In pieces it sees fewer of them. *Predict:*
# which frames differ if two are decoded at a time? On the toy none does, since its decoder's temporal layers do nothing.

# %% tags=["prediction"]
# your prediction in place of the dots: words, in quotes
prediction = predict("Which frames differ on the toy, and on SVD, if two are decoded at a time?", ...)

# %%
small = latents[:4] / schedule.sigmas[first]
whole, pieces = (decode_latents(model, small, chunk) for chunk in (None, 2))
print("largest difference by frame:", [f"{value:.4f}" for value in (whole - pieces).abs().amax(dim=(1, 2, 3)).tolist()])

# %% tags=["prediction"]
prediction.beside(
    "here:",
    [k for k, off in enumerate((whole - pieces).abs().amax(dim=(1, 2, 3))) if off > 1e-3] or "none",
    "; with SVD, those beside a cut",
)

# %% tags=["claim"]
claim("On the toy none does", "largest difference of all frames", (whole - pieces).abs().max(), "<", 1e-3)

# %% [markdown]
# ## Memory 4: SVD's own, counted on this computer
#
# On the device `meta` a tensor has a shape and no numbers: 1.5 billion weights take no memory there, and a forward and
# backward pass of SVD at full size takes seconds, since nothing is computed. What can be done is to count the bytes of
# all tensors that are alive at once. *Predict:* which of the memory modes (`--memory`) would fit a card of 16 GB?

# %% tags=["prediction"]
# your prediction in place of the dots: a list of "fast", "selective", "full"
prediction = predict("Which of the memory modes fit a card of 16 GB?", ...)

# %%
full_size = network("svd", "meta", "fp16")
work = workload(full_size)  # noise, a picture's conditioning, one box: all without numbers
weights = sum(
    weight.nbytes for part in (full_size.unet, full_size.vae, full_size.image_encoder) for weight in part.parameters()
)
counted = {
    mode: weights + count_bytes(lambda mode=mode: one_iteration(work, mode)) for mode in ("fast", "selective", "full")
}
for mode, total in counted.items():
    card = next(card for card in (8, 12, 16, 24, 48, 80) if total < 0.9 * card * 1e9)
    print(f"{mode:10}{total / 1e9:6.1f} GB with the weights: a card of {card} GB")

# %% tags=["prediction"]
prediction.beside([mode for mode, total in counted.items() if total < 0.9 * 16e9] or "none")

# %% [markdown]
# *Look at* how little `full` needs: it fits a card of 16 GB. Remember what it costs: up to two thirds more time, since all
# but the layers' inputs is computed twice. `offload` also takes from the GPU what a stage does not use. Left to itself,
# `generate` takes the first of them that fits into what is free.

# %% tags=["claim"]
claim("it fits a card of 16 GB", "GB that `full` needs, nine tenths of the card", counted["full"] / 1e9, "<", 0.9 * 16)

# %% [markdown]
# ## The run
#
# With SVD: 50 steps, 16 of them control steps, five iterations each; about 4 minutes on an A6000 with the paper's own
# code, by its authors' figure. With the toy: its own settings, in a few steps.

# %%
settings = model.settings
if not real and num_inference_steps and num_inference_steps < settings.num_inference_steps:
    settings = in_fewer_steps(settings, num_inference_steps).replace(iterations=min(3, settings.iterations))
plot_trajectories(to_tensor(picture), asked.boxes(frames), names=["ball"])

# %%
alone = generate(model, picture, None, settings, seed=seed, progress=real)
run = generate(model, picture, asked, settings, seed=seed, progress=real)
print({stage: f"{taken:.1f} s" for stage, taken in run.seconds.items()})
print({where: f"{used:.0f} MiB at most" for where, used in peak_memory().items()})
show_video(run.video, fps=settings.fps, alt="the video with control")

# %%
plot_comparison(alone.video, run.video, run.boxes)

# %%
for name, one in (("by itself", alone), ("asked", run)):
    print(f"{name}: ObjMC {objmc(one.video, run.boxes).value:.1f} px at {size[0]} x {size[1]} px, {frames} frames")

# %% [markdown]
# Asked, the ball comes closer to the path than by itself.

# %% tags=["claim"]
claim(
    "Asked, the ball comes closer to the path than by itself.",
    "ObjMC, asked / by itself",
    objmc(run.video, run.boxes).value / objmc(alone.video, run.boxes).value,
    "<",
    0.5,
)

# %% [markdown]
# ## What to expect
#
# Table 1 of the paper, on VIPSeg, with CoTracker, at 576 x 1024 px:
#
# | | FID | FVD | ObjMC |
# |---|---|---|---|
# | SVD, no control | 30.50 | 340.52 | 39.59 px |
# | SG-I2V | 28.87 | 298.10 | 14.43 px |
# | DragNUWA (trained for it; 320 x 576 px) | 30.73 | 253.57 | 10.84 px |
#
# A drawn ball on clouds, as above, is not what SVD was trained on: give it a photograph. Expect it to follow most
# paths of moderate length; to move the camera where a box on the background moves; to drag nearby background along;
# and to fail as in [chapter 9](09_when_it_fails.ipynb). ObjMC depends on the tracker, the picture's size and the number
# of frames, so compare runs of yours with runs of yours.

# %% [markdown]
# ## Quick check
#
# Checkpointing keeps less, at full size too, and gives the same gradient; SVD's latents and its number of passes are
# the paper's; the precision of weights is what was asked for.

# %%
assert little < everything, "checkpointing should keep less"
assert counted["full"] < counted["selective"] < counted["fast"], "what keeps less should need less"
error = ((gradient - same_gradient).abs().max() / gradient.abs().max()).item()
assert error < (1e-4 if model.dtype == torch.float32 else 0.1), f"checkpointing changed the gradient by {error:.2g}"
svd = Settings()
assert (svd.height // 8, svd.width // 8) == (72, 128), "SVD's latents have 72 x 128 cells"
assert svd.control_steps[1] - svd.control_steps[0] + 1 == 16 and svd.iterations == 5
assert next(model.unet.parameters()).dtype == model.dtype
print(f"Checkpointing keeps {little / everything:.0%} of the activations; the gradient agrees to {error:.1g}.")

# %% [markdown]
# ## Exercises
#
# ### 1. Will it fit?
#
# *★☆☆ · about 5 minutes · 1 point*
#
# Write `gib`: the memory of a number of weights in GiB (1 GiB = $2^{30}$ bytes), for "fp32", "fp16" or "bf16".
#
# <details><summary>Hint 1</summary>
#
# A number in fp32 takes 4 bytes, in fp16 and bf16 it takes 2. A dictionary from name to bytes is enough.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# 1 GiB is `2**30` bytes, 7% more than the $10^9$ bytes that makers of disks call a gigabyte.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "memory-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gib(weights, precision):
    """GiB that so many weights take."""
    ### BEGIN SOLUTION
    return weights * {"fp32": 4, "fp16": 2, "bf16": 2}[precision] / 2**30
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "memory-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert abs(float(gib(2**30, "fp32")) - 4) < 1e-9, "2^30 weights of 4 bytes are 4 GiB"
assert gib(1000, "fp16") == gib(1000, "bf16") == gib(1000, "fp32") / 2, "half precision takes half, of either kind"
named = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}[model.dtype]
measured = sum(weight.numel() * weight.element_size() for weight in model.unet.parameters()) / 2**30
assert abs(gib(sizes["UNet"], named) - measured) < 1e-6, "the UNet loaded here takes another amount"
print(f"SVD's UNet takes {gib(1.52e9, 'fp16'):.1f} GiB in fp16 and {gib(1.52e9, 'fp32'):.1f} GiB in fp32.")

# %% [markdown] tags=["discussion"]
# **Discussion.** Bits divided by eight, times the number of weights: the name of the format says it. The usual mistake
# is $10^9$ in place of $2^{30}$, which is 7% off: enough to decide whether a model fits a card. fp16 and bf16 take the
# same memory; they divide their bits differently, bf16 has the wider range and fp16 the finer steps. Weights are only
# the beginning: the chapter's own numbers show that activations kept for the gradient take more.
# `torch.finfo(dtype).bits / 8` or `dtype.itemsize` would know the bytes without a table.

# %% [markdown]
# ### 2. How many passes?
#
# *★☆☆ · about 10 minutes · 2 points*
#
# Count the UNet passes of a controlled run from its settings. `denoising`: one forward pass for each step, two with
# classifier-free guidance (`max_guidance_scale` above 1). `optimizing`: one forward and backward pass for each iteration.
#
# <details><summary>Hint 1</summary>
#
# `control_steps` is the first and the last control step, both included: from 5 to 20 there are 16.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Guidance is on when `max_guidance_scale` is above 1; then each denoising step has two forward passes.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Each control step has `iterations` forward and backward passes, without guidance.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "passes-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
def passes(settings):
    """(denoising, optimizing): UNet passes of a run."""
    ### BEGIN SOLUTION
    first, last = settings.control_steps
    return settings.num_inference_steps * (2 if settings.max_guidance_scale > 1 else 1), (
        last - first + 1
    ) * settings.iterations
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "passes-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert tuple(passes(Settings())) == (100, 80), f"SVD by the paper: 100 and 80, not {passes(Settings())}"
assert tuple(passes(Settings(max_guidance_scale=1.0, iterations=0))) == (50, 0), "no guidance: one pass a step"
assert tuple(passes(Settings(control_steps=(3, 3), iterations=2))) == (100, 2), "from step 3 to step 3 is one step"
assert passes(settings)[1] >= sum(len(losses) for losses in run.losses.values()), (
    "a run makes no more iterations than that: its steps may end early, never late"
)
denoising, optimizing = passes(Settings())
worth = denoising + 1.42 * optimizing  # weights are frozen, so a backward pass computes gradients of activations only
print(f"SVD: {denoising} forward passes and {optimizing} iterations, in all worth {worth:.0f} forward passes.")

# %% [markdown] tags=["discussion"]
# **Discussion.** The two counts answer two questions: what a video costs anyway, and what control adds. The usual
# mistake is one control step too few, `last - first`, because both ends count. Another one doubles the optimiser's
# passes for guidance: the loss is taken from a single pass with the picture. An iteration is dearer than a forward
# pass but less than twice as dear, because weights are frozen and the later layers are left out. `len(range(first,
# last + 1)) * iterations` says the same with the ends made visible.

# %% [markdown]
# ### 3. SVD's noise levels
#
# *★☆☆ · about 10 minutes · 2 points*
#
# Write the levels of Karras et al. (2022): for $i = 0 \dots n - 1$,
#
# $$\sigma_i = \Big(\sigma_{\max}^{1/\rho} + \tfrac{i}{n-1}\big(\sigma_{\min}^{1/\rho} -
# \sigma_{\max}^{1/\rho}\big)\Big)^{\rho}, \qquad \rho = 7 .$$
#
# Then: what share of $\sigma$ is the paper's rate, 0.21, at the first and at the last control step of SVD?
#
# <details><summary>Hint 1</summary>
#
# You have written it in chapter 1; here `rho` is an argument.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.linspace(0, 1, n, dtype=torch.float64)` is $i / (n - 1)$ for all $i$ at once.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "karras-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
def karras(n, lowest, highest, rho=7.0):
    """n noise levels, falling from highest to lowest."""
    ### BEGIN SOLUTION
    ramp = torch.linspace(0, 1, n, dtype=torch.float64)
    return (highest ** (1 / rho) + ramp * (lowest ** (1 / rho) - highest ** (1 / rho))) ** rho
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "karras-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
svd_levels = torch.as_tensor(karras(50, 0.002, 700.0)).double()
assert svd_levels.shape == (50,) and abs(svd_levels[0] - 700) < 1e-3 and abs(svd_levels[-1] - 0.002) < 1e-6
ours = make_schedule(model, model.settings).sigmas[:-1].double().cpu()  # without the zero at the end
mine = torch.as_tensor(karras(len(ours), model.scheduler.config.sigma_min, model.scheduler.config.sigma_max)).double()
assert torch.allclose(mine, ours, rtol=1e-3), "the model's own levels differ"
begin, end = (svd_levels[step].item() for step in Settings().control_steps)
assert 370 < begin < 378 and 36 < end < 38, f"SVD's control steps go from 374 to 37, not from {begin:.0f} to {end:.0f}"
print(
    f"SVD's control steps go from sigma {begin:.0f} to {end:.0f}: a rate of 0.21 is {0.21 / begin:.2%} to {0.21 / end:.2%} of it."
)

# %% [markdown] tags=["discussion"]
# **Discussion.** This is chapter 1's exercise at full size, and the numbers explain a choice: at SVD's control steps a
# rate of 0.21 is well below a hundredth of the noise, a nudge. The toy's steps lie lower, and the same rate would be a
# shove; so its settings give the rate as a share of $\sigma$. The usual mistake is again $i / n$ in place of $i / (n -
# 1)$. Single precision is enough here, although the seventh power loses a digit or two; `numpy.linspace` and Python's
# own floats are in double precision anyway.

# %%
plot_series(
    range(50), {"SVD": svd_levels.float()}, "step", "noise level", marks={"control from": 5, "to": 20}, log=True
)

# %% [markdown] nbgrader={"grade": false, "grade_id": "open-task", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": true}
# ### 4. Open: a plan for a real run
#
# *★★☆ · about 30 minutes · 6 points, by the rubric*
#
# Plan a study with real SVD that somebody with one GPU could run in a night: one question, the settings and pictures,
# the number of runs, the memory mode, the hours (from this chapter's counts and one figure for the speed of the card),
# and what each possible result would mean. If you have the GPU, run a tenth of it and correct the plan.
#
# | criterion | 2 points | 1 point |
# |---|---|---|
# | question | one question that the runs can answer either way, with a baseline | a demonstration |
# | budget | passes, hours and memory are computed, with the source of each number | estimated without computing |
# | analysis | says before the runs what is measured, over how many seeds and pictures, and what would count as no effect | to be decided afterwards |

# %% [markdown]
# *Your answer begins here. Add as many cells below as you need.*

# %% [markdown]
# ## Further
#
# - [load.py](../sgi2v_lab/models/load.py): one loader for the toy, SVD, SVD-XT and any folder in their format.
# - [settings.py](../sgi2v_lab/settings.py): every hyperparameter, with where it comes from.
# - Section 4.1 and table 1 of the paper; then a photograph of your own, in the Studio of
#   [chapter 8](08_the_full_method.ipynb).
