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
# # 8 · The full method
#
# *Features, loss, optimiser, filter, denoiser: five small parts that together make a video go where it was told.*
#
# ![The stages of the method; this chapter is about all of them](../docs/pipeline/whole.svg)
#
# **You will learn**
#
# - how the stages of chapters 3 to 7 follow one another within a single denoising step;
# - to run all of it, by hand in the Studio or by one call, and to watch the video appear step by step;
# - how the toy's own settings differ from the paper's recipe, and why;
# - what control costs, in time and in picture quality;
# - to change one part and measure what it was good for.
#
# **Time**: about 40 minutes, and 40 for the exercises; the cells run in about a minute.
#
# **In the paper**: section 3 as a whole, algorithm 1; the measure is that of section 4.1. You need chapters
# [5](05_trajectory_loss.ipynb), [6](06_latent_optimisation.ipynb) and [7](07_frequencies.ipynb).

# %% tags=["parameters"]
import os

model_name = os.environ.get("SGI2V_MODEL", "toy")  # "toy", "svd", "svd-xt", or a checkpoint's folder
device = None  # the best there is; or "cpu", "cuda", "mps"
prompt = "a red white striped circle at the left on blue clouds"
seed = 817
num_inference_steps = 12  # fewer than the recipe's, to save time; None takes those

# %%
import torch
from sgi2v_lab import Trajectories, Trajectory, butterworth_mask, control_step, decode_latents, generate, generate_steps
from sgi2v_lab import latent_cells, load_model, mix_frequencies, objmc, prompt_boxes, reference_image, show_video
from sgi2v_lab.course import Studio, first_frame_psnr, inspect_run, paper_recipe, predict, side_by_side, to_tensor
from sgi2v_lab.plots import plot_comparison, plot_film_strip, plot_gallery, plot_losses, plot_series, plot_tracks
from sgi2v_lab.plots import plot_trajectories

model = load_model(model_name, device)
settings = paper_recipe(model, num_inference_steps)  # the recipe of chapters 6 and 7
frames, channels, h, w = model.latent_shape(settings)
first, last = settings.control_steps
print(f"{model.name}: {settings.num_inference_steps} steps; latents {channels} x {h} x {w}")

# %% tags=["claim"]
from sgi2v_lab.evaluation.course_claims import Claims

claim = Claims(strict=(model_name, seed) == ("toy", 817))  # checked with seeds 817, 1, 2, 3: see claims.md

# %% [markdown]
# ## The algorithm
#
# Denoising begins with noise $z$ at the highest level $\sigma_0$ and goes down the levels
# $\sigma_0 > \sigma_1 > \dots$ Each step $i$ does this:
#
# | | what | chapter | function |
# |---|---|---|---|
# | | *only if step $i$ is a control step*, $K$ times: | | |
# | 1 | $F = $ aligned features of $z$ | [4](04_aligned_features.ipynb) | `extract_features` |
# | 2 | $\mathcal L = $ trajectory loss of $F$ along the boxes | [5](05_trajectory_loss.ipynb) | `trajectory_loss` |
# | 3 | $z^{*} \leftarrow$ AdamW step on $\nabla_z \mathcal L$ | [6](06_latent_optimisation.ipynb) | `optimize_latents` |
# | | *then once:* | | |
# | 4 | $z' = \mathrm{IFFT}\big(L\,\mathrm{FFT}(z^{*}) + (1-L)\,\mathrm{FFT}(z)\big)$ | [7](07_frequencies.ipynb) | `mix_frequencies` |
# | | *at every step:* | | |
# | 5 | $z \leftarrow z' + (\sigma_{i+1} - \sigma_i)\,(z' - \hat z_0)\,/\,\sigma_i$ | [1](01_latent_video_diffusion.ipynb) | `denoise` |
#
# In line 5, $\hat z_0$ is the model's guess of the clean latents. Nothing is trained: the weights are the same before
# and after. This is the paper's recipe, and what this chapter runs, in fewer steps; the toy's own settings come below.
#
# *Predict:* which should be the control steps? At the beginning the latents are nearly pure noise; at the end the
# layout is settled.

# %% tags=["prediction"]
# your prediction in place of the dots: the first and the last one, such as (3, 9)
prediction = predict("Which steps should be control steps, from which one to which one?", ...)

# %% tags=["prediction"]
prediction.beside("steps", first, "to", last, "of 0 to", settings.num_inference_steps - 1)

# %% [markdown]
# ## In the Studio
#
# The Studio holds the whole method: draw boxes and paths on the picture, change settings, press *Generate*, compare
# runs in the gallery. Each run is stored with its settings and its seed. Play first; the cells below do not depend on
# it.

# %%
side = max(settings.width, settings.height)
picture = reference_image(prompt, size=side)
box = next(iter(prompt_boxes(prompt, side).values())).tolist()
asked = Trajectories(picture.size, (Trajectory.move(box, by=(0.4 * side, -0.25 * side), name="ball"),))
studio = Studio(model, picture, asked, folder="../out/studio", settings=settings)
studio

# %%
plot_trajectories(to_tensor(picture), asked.boxes(frames), names=["ball"])

# %% [markdown]
# ## In one call
#
# `generate` is the table above. Both runs begin with the same picture and the same noise, so all that differs comes
# from lines 1 to 4. *What do you expect* of the background: will it stay where it is?

# %% tags=["prediction"]
# your prediction in place of the dots: words, in quotes
prediction = predict("Does the background stay where it is, with control and without?", ...)

# %%
traces = ["latents", "denoised"]
alone = generate(model, picture, None, settings, seed=seed, trace=traces, progress=False)
run = generate(model, picture, asked, settings, seed=seed, trace=traces, progress=False)
pair = side_by_side(
    [alone.video, run.video], ["without control", "with control"], run.boxes, scale=max(1, 256 // settings.width)
)
show_video(pair, fps=settings.fps, alt="the video without and with control, with the boxes asked for")

# %%
plot_comparison(alone.video, run.video, run.boxes)

# %% tags=["prediction"]
lower = {
    name: (one.video[-1] - one.image)[:, 3 * settings.height // 4 :].abs().mean().item()
    for name, one in (("alone", alone), ("asked", run))
}
prediction.beside(
    f"in its lower quarter the last frame differs from the picture by {100 * lower['asked']:.1f} % of full brightness "
    f"with control, and by {100 * lower['alone']:.1f} % without"
)

# %% [markdown]
# *Look at* three things in the lower row. The ball keeps to its box, which without control it does not. Is it still the
# same ball? And did anything change that nobody asked for?

# %% tags=["claim"]
followed = {name: objmc(one.video, run.boxes).value for name, one in (("alone", alone), ("asked", run))}
claim("The ball keeps to its box", "ObjMC with control / without", followed["asked"] / followed["alone"], "<", 0.4)

# %% [markdown]
# ## Watching it appear
#
# After each step we can decode the guess $\hat z_0$. Below is the *last* frame of it, at several steps, with the box
# that the ball should be in: first without control, then with it.

# %%
looks = sorted(
    {0, first, (first + last) // 2, last, (last + settings.num_inference_steps) // 2, settings.num_inference_steps - 1}
)
panels = {}
for name, one in (("alone", alone), ("asked", run)):
    for index in looks:
        guess = one.trace[index].denoised[-1:].to(model.device, model.dtype)
        panels[f"{name}, step {index}"] = decode_latents(model, guess)[0]
plot_gallery(panels, boxes=run.boxes[:, -1])

# %% [markdown]
# *Look at* when the two rows part. By the last control step the place of the ball is decided; the steps after it add
# edges and texture to whatever layout they find. So later control would come too late for the motion.

# %% tags=["claim"]
end = panels[f"asked, step {looks[-1]}"]
short_of = {index: (panels[f"asked, step {index}"] - end).abs().mean() for index in looks}
claim(
    "By the last control step the place of the ball is decided",
    "difference from the end, after the last control step / after step 0",
    short_of[last] / short_of[0],
    "<",
    0.4,
)

# %% [markdown]
# ## The loss, step by step
#
# One line for each control step, a point for each iteration, before its update. *Look at* the lines: each of them falls.
# The filter and the denoiser come between them.

# %%
plot_losses(list(run.losses.values()), [run.sigmas[k] for k in run.losses])

# %% tags=["claim"]
claim(
    "each of them falls",
    "largest of last loss / first loss",
    max(one[-1] / one[0] for one in run.losses.values()),
    "<",
    1,
)

# %% [markdown]
# ## What it costs
#
# A step by itself is one forward pass of the UNet (two with classifier-free guidance). Each iteration adds a forward
# pass up to the last recorded layer, and a backward pass. The weights are frozen, so the backward pass computes gradients
# of activations only: on SVD, by count of operations, an iteration is worth 1.42 forward passes.

# %%
iterations = sum(len(losses) for losses in run.losses.values())
print(f"{settings.num_inference_steps} denoising steps and {iterations} optimiser iterations")
for name, one in (("without control", alone), ("with control", run)):
    print(f"{name:15}", {stage: f"{taken:.1f} s" for stage, taken in one.seconds.items()})

# %% [markdown]
# ## Did it follow?
#
# ObjMC is the mean distance, over frames and boxes, between the centre asked for and the place where a tracker finds
# the thing that was in the box.

# %%
found = {"without control": objmc(alone.video, run.boxes), "with control": objmc(run.video, run.boxes)}
centres = (run.boxes[..., :2] + run.boxes[..., 2:]) / 2
plot_tracks(run.video, centres, {name: result.tracks.points for name, result in found.items()})

# %%
by_frame = {name: result.per_frame for name, result in found.items()}
plot_series(range(frames), by_frame, "frame", "distance from the path (px)")

# %% [markdown]
# The lines say *when* the object is lost, which a mean does not. And the price in quality: how well does the first
# frame of the video still resemble the picture that it should begin with?

# %%
for name, one in (("without control", alone), ("with control", run)):
    distance = found[name].value
    print(f"{name:15} ObjMC {distance:5.1f} px, first frame {first_frame_psnr(one.video, one.image):.1f} dB")

# %% [markdown]
# ## The toy's own recipe
#
# What the toy runs when nothing else is said was found by trying, for speed on a CPU and for control. `generate`,
# `make demo` and chapter 0 use it. *Predict* which of these differences matters most for the time.

# %% tags=["prediction"]
# your prediction in place of the dots: a number
prediction = predict("How many times as many iterations does the paper's recipe take as the toy's own?", ...)

# %%
own = model.settings
for name, value in settings.as_dict().items():
    if own.as_dict()[name] != value:
        print(f"{name:20} here {value!s:30} the toy's own {own.as_dict()[name]}")

# %%
quickly = generate(model, picture, asked, own, seed=seed, progress=False)
plot_film_strip(quickly.video, quickly.boxes, title="the toy's own recipe")

# %%
for name, one in (("the paper's recipe", run), ("the toy's own", quickly)):
    count = sum(len(losses) for losses in one.losses.values())
    print(f"{name:20} {count} iterations, ObjMC {objmc(one.video, one.boxes).value:.1f} px")

# %% tags=["prediction"]
taken = [sum(len(losses) for losses in one.losses.values()) for one in (run, quickly)]
prediction.beside(taken[0] / taken[1], "times as many; most of the time goes into them")

# %% [markdown]
# *Look at* the ball here and in the comparison above: both follow. The toy's own recipe does so with fewer iterations, for
# two reasons. It divides the gradient by its largest element, so that only the latents that matter move by the whole
# rate: they can take larger steps, and the filter may be left out (cut-off 1). And with `early_stop` a control step ends
# once its loss is below 0.3 of the run's first one. On SVD neither has been tried here.

# %% tags=["claim"]
count, fewer = (sum(len(losses) for losses in one.losses.values()) for one in (run, quickly))
own_distance, radius = objmc(quickly.video, run.boxes).value, (box[2] - box[0]) / 2
claim(
    "both follow",
    "ObjMC, the larger of the two / the ball's radius",
    max(own_distance, followed["asked"]) / radius,
    "<",
    0.4,
)
claim("does so with fewer iterations", "iterations, the toy's own / here", fewer / count, "<", 1)

# %% [markdown]
# One picture and one seed prove little. In the paper, over the VIPSeg set at 576 x 1024 px, control brings ObjMC from
# 39.59 px down to 14.43 px, while FID goes from 30.50 to 28.87 and FVD from 340.52 to 298.10: videos that follow, and
# no worse pictures. These numbers belong to real SVD and to another tracker; do not compare them with yours.

# %% [markdown]
# ## Quick check
#
# The five parts are really what `generate` does: before the first control step both runs are the same to the bit; over
# the control steps together, and in most of them, the loss falls; the mixture is that of chapter 7; with no iterations,
# or with a cut-off of 0, nothing of control is left.

# %%
for index in range(first):
    assert torch.equal(run.trace[index].latents, alone.trace[index].latents), "a step without control knows no boxes"
assert not torch.equal(run.trace[first].mixed, alone.trace[first].mixed), "control should change the latents"
mask = butterworth_mask(h, w, settings.cutoff, settings.butterworth_order)
for index in run.losses:
    step = run.trace[index]
    error = (mix_frequencies(step.optimized, step.before, mask) - step.mixed).abs().max().item()
    assert error < (1e-5 if model.dtype == torch.float32 else 1e-2) * step.sigma, f"the mixture is off in step {index}"
worked = [run.losses[step] for step in run.working_steps]  # in others it was low enough at once
begin, end = ([losses[k] for losses in worked] for k in (0, -1))
fell = sum(b > e for b, e in zip(begin, end, strict=True))
assert sum(end) < sum(begin), "over all control steps the loss should fall"
assert 2 * fell > len(begin), f"the loss fell in only {fell} of {len(begin)} control steps"
brief = paper_recipe(model, 3).replace(control_steps=(1, 1), iterations=1)
for change in ({"iterations": 0}, {"cutoff": 0.0}):
    plain = generate_steps(model, picture, None, brief, seed=seed)
    same = generate_steps(model, picture, asked, brief.replace(**change), seed=seed)
    for _, a, b in zip(range(3), plain, same, strict=False):  # after three steps a video would be decoded
        assert torch.equal(a.latents, b.latents), f"{change} should leave nothing of control"
print(
    f"The loss falls in {fell} of {len(begin)} control steps, to {sum(end) / sum(begin):.2f} of its sum at their beginnings."
)

# %% [markdown]
# ## Exercises
#
# ### 1. A control step by hand
#
# *★★☆ · about 15 minutes · 3 points*
#
# Write lines 1 to 4 of the table: optimise the latents, then put the short waves back. You need `control_step`, which is
# `optimize_latents` with what `settings` says (here AdamW, five iterations): a generator whose last yield holds the
# optimised latents. Then `butterworth_mask` and `mix_frequencies`.
#
# <details><summary>Hint 1</summary>
#
# `control_step(model, latents, sigma, conditioning, cells, settings)` is a generator: nothing happens until you ask
# for its values. `*_, end = ...` runs it to its end and keeps the last one.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `end.latents` are the optimised latents. The latents that came in are still what they were, and you need both.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `mix_frequencies(optimized, original, mask)` with `butterworth_mask(h, w, settings.cutoff,
# settings.butterworth_order)`.
#
# </details>

# %%
conditioning = inspect_run(model, run).conditioning
cells = latent_cells(run.boxes, model.vae_factor, h, w).to(model.device)


# %% nbgrader={"grade": false, "grade_id": "control-step-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
def controlled(latents, sigma):
    """The latents that are denoised at a control step, from those that the step found."""
    ### BEGIN SOLUTION
    *_, end = control_step(model, latents, sigma, conditioning, cells, settings)
    low_pass = butterworth_mask(h, w, settings.cutoff, settings.butterworth_order)
    return mix_frequencies(end.latents, latents, low_pass)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "control-step-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
step = run.trace[first]
mine = controlled(step.before.to(model.device, model.dtype), step.sigma).float().cpu()
moved = (step.mixed - step.before).abs().max().item()
error = (mine - step.mixed).abs().max().item() / moved
assert not torch.equal(mine, step.before), "nothing was changed; did you run the generator to its end?"
assert error < (1e-3 if model.dtype == torch.float32 else 0.2), f"off by {error:.2g} of the largest change"
print(f"Your step is the run's, to {error:.1g} of the largest change.")

# %% [markdown] tags=["discussion"]
# **Discussion.** A control step is two calls: optimise, then mix with what was there before. The usual mistake is to
# call the generator and drop it, or to take `next()` of it, which is one iteration of five. Another one is the order
# of arguments of `mix_frequencies`: swapped, it keeps the short waves of the optimised latents, which is all damage
# and no control. Mixing after every iteration, not once at the end, is another method; it is easy to try here. A `for`
# loop that overwrites `end` does the same as the starred assignment.

# %% [markdown]
# ### 2. Euler's step
#
# *★☆☆ · about 5 minutes · 2 points*
#
# Line 5: from the latents, the guess $\hat z_0$ and the two noise levels, the latents of the next step.
#
# <details><summary>Hint 1</summary>
#
# $(z - \hat z_0) / \sigma$ is the noise that the model believes to be in the latents, at strength 1.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The step goes from `sigma` to `next_sigma`, so its length is `next_sigma - sigma`, a negative number.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "euler-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
def euler(latents, guess, sigma, next_sigma):
    """One Euler step from noise level sigma to next_sigma."""
    ### BEGIN SOLUTION
    return latents + (next_sigma - sigma) * (latents - guess) / sigma
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "euler-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
tolerance = 1e-4 if model.dtype == torch.float32 else 2e-2
for now, later in zip(run.trace, [*run.sigmas[1:], 0.0], strict=True):
    mine = euler(now.mixed, now.denoised, now.sigma, later)
    error = ((mine - now.latents).abs().max() / now.latents.abs().max()).item()
    assert error < tolerance, f"step {now.index}: off by {error:.2g}; at the last step the next sigma is 0"
print("Your Euler step takes the video from noise to its end, at every step of the run.")

# %% [markdown] tags=["discussion"]
# **Discussion.** The line through the latents and the guess is followed from one noise level to the next; at
# `next_sigma = 0` one arrives at the guess. This makes the last step a good test. The usual mistake is the sign:
# `sigma - next_sigma` moves away from the guess, and the latents grow from step to step. The same formula can be
# written as a mixture, `guess + next_sigma / sigma * (latents - guess)`, which shows that an Euler step only scales
# the noise down. Better solvers (Heun, DPM) correct the direction with a second look.

# %% [markdown]
# ### 3. Change one part
#
# *★★☆ · about 20 minutes · 2 points*
#
# Choose **one** setting of the method to change, such as `features="self-attention"`, `gaussian_sigma=None`, `cutoff=1.0`,
# `iterations=1` or other `layers`. *Predict* what it does. Then make a run with `quick` as it is and one with your
# change, the same seed in both, and put the ObjMC of each into `distances`. `quick` has few steps, and compares the one
# fine layer that the toy was not taught, (3, 2) (chapter 4): so what you find says something about the method.
#
# <details><summary>Hint 1</summary>
#
# `changed = quick.replace(features="self-attention")` changes one setting. It must not be the one that `quick` has
# already.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Run `generate(model, picture, asked, settings, seed=seed, progress=False)` with each of the two settings; its
# `.video` goes into `objmc(video, run.boxes).value`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Both runs need the same picture, request and seed; only the settings differ.
#
# </details>

# %% tags=["prediction"]
# your prediction in place of the dots: words, in quotes
prediction = predict("Which setting do you change, and what will it do to ObjMC?", ...)

# %% nbgrader={"grade": false, "grade_id": "ablation-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
quick = paper_recipe(model, 6).replace(iterations=3, learning_rate=1.5 * settings.learning_rate, layers=((3, 2),))
changed = quick  # quick.replace(...): one setting
distances = {"as it is": None, "changed": None}  # ObjMC, in pixels
### BEGIN SOLUTION
changed = quick.replace(features="self-attention")
for name, chosen in (("as it is", quick), ("changed", changed)):
    video = generate(model, picture, asked, chosen, seed=seed, progress=False).video
    distances[name] = objmc(video, run.boxes).value
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "ablation-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
ours, yours = quick.as_dict(), changed.as_dict()
differs = [name for name in ours if ours[name] != yours[name]]
assert len(differs) == 1, f"change exactly one setting; you changed {differs or 'none'}"
assert None not in distances.values(), "put two numbers into `distances`"
import random

drawn = random.choice(("as it is", "changed"))  # one of the two is made again, drawn at random
again = generate(model, picture, asked, quick if drawn == "as it is" else changed, seed=seed, progress=False)
expected = objmc(again.video, run.boxes).value
assert abs(float(distances[drawn]) - expected) < 0.05, (
    f"{drawn}: {distances[drawn]}, but its ObjMC is {expected:.2f} px"
)
print(f"{differs[0]}: {ours[differs[0]]} -> {yours[differs[0]]}: {distances}")

# %% tags=["prediction"]
prediction.beside("ObjMC:", [f"{name}: {float(value):.1f} px" for name, value in distances.items()])

# %% [markdown] tags=["discussion"]
# **Discussion.** An experiment that changes one thing says something about that thing; with two changes nobody knows.
# The same seed matters as much, since two seeds can differ by more than two methods do. Layer (3, 2) is used because
# nobody taught it correspondence, so a difference between aligned and self-attention features is the method's. The
# usual mistakes are a setting that is as it was, so that nothing changes, and boxes of another run. With one seed this
# is an example and no evidence: a loop over ten seeds, and the paired differences, would be a beginning.

# %% [markdown]
# With self-attention features of this layer the ball misses its path by far more: the paper's main claim.

# %% tags=["claim"]
claim(
    "With self-attention features of this layer the ball misses its path by far more",
    "ObjMC, self-attention / aligned, layer (3, 2)",
    distances["changed"] / distances["as it is"],
    ">",
    2.5,
)

# %% [markdown]
# One seed, one picture: to claim anything, repeat it over seeds and pictures. `sgi2v evaluate --grid paper` does that.

# %% [markdown] nbgrader={"grade": false, "grade_id": "open-task", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": true}
# ### 4. Open: a claim over seeds
#
# *★★★ · about 40 minutes · 6 points, by the rubric*
#
# Take one sentence about the method that you believe, such as "the Gaussian weight helps" or "late control steps are
# wasted", and test it over at least five seeds and two pictures, in few steps. Give the paired differences, and an
# interval if you know how, and write the sentence again so that it says no more than your runs do. `sgi2v evaluate
# --help` says how the project does it at scale.
#
# | criterion | 2 points | 1 point |
# |---|---|---|
# | design | one change, paired seeds, and the number of runs fixed before looking | unpaired runs, or stopped when it looked good |
# | result | every pair is shown, with the mean difference and how much it varies | means only |
# | wording | the last sentence claims what was measured, for these pictures and this model | it claims more |

# %% [markdown]
# *Your answer begins here. Add as many cells below as you need.*

# %% [markdown]
# ## Further
#
# - [pipeline.py](../sgi2v_lab/pipeline.py) and [sampling.py](../sgi2v_lab/sampling.py): the table above as code. There
#   is little more to it than the table says.
# - Section 4.3 of the paper takes the parts out one by one, over many videos.
# - [Chapter 9](09_when_it_fails.ipynb): what it cannot do, and how to notice.
