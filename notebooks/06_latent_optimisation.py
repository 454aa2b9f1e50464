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
# # 6 · Latent optimisation
#
# *No weight of the network changes: five small steps on the noise itself, at a few early moments, and the video goes
# another way.*
#
# **You will learn**
#
# - what is optimised, with which optimiser, and why it starts afresh at every step;
# - to read the loss of a whole run, step by step and iteration by iteration;
# - how far Adam's steps move a number, and what the learning rate means next to the noise;
# - to write the gradient yourself, from the library's parts.
#
# **Time**: about 40 minutes; the cells run in about a minute.
#
# **In the paper**: section 3.2 and algorithm 1; the appendix for the learning rate. You need
# [chapter 5](05_trajectory_loss.ipynb), on the trajectory loss.

# %% tags=["parameters"]
import os

model_name = os.environ.get("SGI2V_MODEL", "toy")  # "toy", "svd", "svd-xt", or a checkpoint's folder
device = None  # the best there is; or "cpu", "cuda", "mps"
seed = 817
num_inference_steps = 8  # fewer than the recipe's, to save time; None takes those

# %%
import torch

from sgi2v_lab import (
    Trajectories,
    Trajectory,
    control_step,
    extract_features,
    generate,
    latent_cells,
    load_model,
    objmc,
    optimize_latents,
    prompt_boxes,
    reference_image,
    similarity_maps,
    trajectory_loss,
)
from sgi2v_lab.explore import inspect_run, place_norms
from sgi2v_lab.features import assemble
from sgi2v_lab.plots import (
    plot_comparison,
    plot_losses,
    plot_magnitudes,
    plot_series,
    plot_similarity,
    plot_trajectories,
)

model = load_model(model_name, device)
settings = model.preset("paper")  # the paper's recipe; for SVD these are its own settings
if settings.optimizer != "adamw":  # this chapter is about the paper's, with five iterations, at a gentler rate
    settings = settings.replace(
        optimizer="adamw", learning_rate=settings.learning_rate / 5, iterations=5, early_stop=None
    )
if num_inference_steps:  # control over the same stretch of the run, in fewer steps
    scaled = [
        max(1, round(step * num_inference_steps / settings.num_inference_steps)) for step in settings.control_steps
    ]
    settings = settings.replace(num_inference_steps=num_inference_steps, control_steps=scaled)
frames, _, h, w = model.latent_shape(settings)
first, last = settings.control_steps
print(f"{model.name}: {settings.num_inference_steps} steps, of which {first} to {last} are control steps")

# %% [markdown]
# ## One run, kept in slow motion
#
# A striped ball, and the wish that it go to the right. We generate once, and let `trace` keep what happens inside: the
# latents before and after every step, and each iteration of the optimiser.

# %%
prompt = "a red white striped circle at the left on blue clouds"
side = max(settings.width, settings.height)
picture = reference_image(prompt, size=side)
box = next(iter(prompt_boxes(prompt, side).values())).tolist()
asked = Trajectories(picture.size, (Trajectory.move(box, by=(0.45 * side, 0), name="ball"),))

run = generate(model, picture, asked, settings, seed=seed, trace=["latents", "optimization"], progress=False)
plot_trajectories(run.image, run.boxes, names=["ball"])

# %% [markdown]
# ## What is optimised
#
# At a control step the noisy latents $z$ are still mostly noise. The loss $\mathcal L$ of chapter 5 depends on them
# through the UNet's features, so it has a gradient with respect to every number in $z$. SG-I2V looks for
#
# $$z^{*} = \arg\min_{z}\; \mathcal L\big(F(z, \sigma),\, B\big),$$
#
# with $F$ the aligned features at noise level $\sigma$ and $B$ the boxes, and takes five steps of AdamW towards it, no
# more: latents that were optimised to the end would no longer look like anything the denoiser was trained on. The
# network's weights are constants throughout.
#
# *Prediction:* in which frame will the gradient be smallest?

# %%
step = run.trace[settings.control_steps[0]]
change = step.optimized - step.before
for iteration in step.iterations:
    print(f"iteration {iteration.iteration}: loss {iteration.loss:.5f} before its update")
print(f"the latents moved by {change.std():.2f} per number, in noise of sigma {step.sigma:.1f}")

# %%
lengths = {"gradient": place_norms(step.iterations[0].gradient), "change": place_norms(change)}
lengths = {name: length / length.max() for name, length in lengths.items()}
plot_magnitudes(run.video, lengths, run.boxes, label="length (largest = 1)")

# %% [markdown]
# *Look at* the two rows: the first iteration's gradient, and the sum of all five updates. The gradient is strong
# around the boxes of the later frames, and wider than the boxes, for a cell's feature depends on its neighbours too.
# In frame 0 it is weak: its features are the target, and its latents reach the loss only through the layers that
# connect the frames. The change is spread far more evenly. That is Adam's doing.

# %% [markdown]
# ## Adam's first step
#
# AdamW keeps running means $m$ of the gradient $g$ and $v$ of its square and moves by
#
# $$z \leftarrow z - \eta\left(\frac{\hat m}{\sqrt{\hat v} + \epsilon} + \lambda z\right),$$
#
# with the learning rate $\eta$, the weight decay $\lambda$ and $\epsilon = 10^{-8}$, which avoids a division by zero.
# At the first iteration $\hat m = g$ and $\hat v = g^2$, so a number moves by $\eta\,|g| / (|g| + \epsilon)$: by the
# whole rate, up or down, wherever its gradient is far larger than $\epsilon$, and by less where it is not. The
# optimiser is fresh at every control step, since running means from another noise level would mislead it.
#
# *Predict:* latents are scaled down by about $\sigma$ before the UNet sees them. What does that do to $g$ at high
# noise?

# %%
rate = settings.learning_rate * (step.sigma if settings.scale_lr_by_sigma else 1.0)
for index in run.losses:
    each = run.trace[index]
    slope = each.iterations[0].gradient[1:].abs().median()
    moved = (each.iterations[0].latents - each.before)[1:].abs().median()
    here = settings.learning_rate * (each.sigma if settings.scale_lr_by_sigma else 1.0)
    print(f"sigma {each.sigma:6.2f}: median gradient {slope:.1e}, median move {moved / here:.2f} rates")

# %% [markdown]
# The gradient shrinks with the scaling, so at high noise it is tiny. Where it is not far above $10^{-8}$, $\epsilon$
# takes part: the numbers that matter most for the loss move by the full rate, the others by a part of it. Where it is
# far above, every number moves equally far, whether it matters or not, which adds a kind of noise to the latents.
# [Chapter 7](07_frequencies.ipynb) says what is done about that.

# %% [markdown]
# ## The whole run
#
# Each line below is one control step; its points are the loss before each iteration.
#
# *What do you expect* between one line's end and the next line's start: does the next step begin where the last ended?

# %%
plot_losses(list(run.losses.values()), [run.sigmas[k] for k in run.losses])

# %% [markdown]
# *Look at* the starts. Every line falls, but between two control steps the denoiser has a say, the noise level changes,
# and with it the features; losses of different noise levels are not on one scale. Low noise makes features larger and
# clearer, so a later line may well lie higher.
#
# In the explorer: choose a step and an iteration, and see the loss by frame and the gradient on the latents.

# %%
from sgi2v_lab.widgets import LossExplorer

LossExplorer(run, names=["ball"])

# %% [markdown]
# ## Did the features follow?
#
# Take the last control step, before and after its five iterations, and ask again which cells resemble the ball of the
# first frame. The features inside the boxes should have become more similar to it.

# %%
late = run.trace[settings.control_steps[1]]
conditioning = inspect_run(model, run).conditioning
size = (settings.width, settings.height)


def ball_likeness(latents):
    """Similarity (frames, h, w) of aligned features to the ball's box in frame 0."""
    layers = extract_features(model, latents.to(model.device), late.sigma, conditioning, settings.layers)
    return similarity_maps(assemble(layers, (h, w)), box=run.boxes[0, 0].tolist(), picture_size=size)


likeness = {"before": ball_likeness(late.before), "optimized": ball_likeness(late.optimized)}
plot_similarity(run.video, likeness)

# %%
cells = latent_cells(run.boxes, model.vae_factor, h, w)
inside = {
    name: [maps[f, y0:y1, x0:x1].mean() for f, (x0, y0, x1, y1) in enumerate(cells[0].tolist())]
    for name, maps in likeness.items()
}
plot_series(range(frames), inside, "frame", "mean similarity inside the box")

# %% [markdown]
# *Look at* the distance between the lines: this is what five iterations buy. The earlier control steps have bought
# their part already.

# %% [markdown]
# ## How large a learning rate?
#
# The paper's rate is 0.21 in the units of the latents. SVD's control steps lie at noise levels of tens to hundreds,
# where that is a nudge. Those of a small model with a shorter schedule lie at lower noise too, so its settings give the
# rate as a share of $\sigma$ (`scale_lr_by_sigma`): the same nudge at every step.
#
# *Predict* the three curves: a tenth of the rate, the rate, and ten times it.

# %%
from functools import partial

from torch.optim import AdamW

start = step.before.to(model.device)
by_rate = {}
for factor in (0.1, 1, 10):
    steps = optimize_latents(
        model,
        start,
        step.sigma,
        conditioning,
        cells.to(model.device),
        layers=settings.layers,
        gaussian_sigma=settings.gaussian_sigma,
        iterations=settings.iterations,
        learning_rate=factor * rate,
        make_optimizer=partial(AdamW, weight_decay=settings.weight_decay),
    )
    by_rate[f"{factor:g} x the rate"] = [iteration.loss for iteration in steps]
plot_series(range(1, settings.iterations + 1), by_rate, "iteration", "trajectory loss before the update")

# %% [markdown]
# *Look at* how far each curve comes in its few points, and whether it keeps falling. A lower loss is not a better
# video: a large rate can satisfy the loss by destroying the picture. How far may a number be moved, next to the
# noise?

# %%
for factor in (0.1, 1, 10):
    reach = factor * rate * settings.iterations / step.sigma
    print(f"{factor:g} x the rate: up to {reach:.3f} sigma in {settings.iterations} iterations")

# %% [markdown]
# Once the changes are as large as the noise itself, the latents are no longer what the denoiser expects at this step.
# Chapter 9 shows what then becomes of the video.

# %% [markdown]
# ## What came of it
#
# The same picture and the same noise, without control and with it.

# %%
plain = generate(model, picture, None, settings, seed=seed, progress=False)
plot_comparison(plain.video, run.video, run.boxes)

# %%
without, with_control = objmc(plain.video, run.boxes).value, objmc(run.video, run.boxes).value
print(f"mean distance from the path: {without:.1f} px without control, {with_control:.1f} px with it")

# %% [markdown]
# *Look at* the lower row: does the ball stay in its box to the end? This is a shortened run of a small model, one
# seed, one picture; if the two rows look much alike, set `num_inference_steps = None` and run the notebook again. `objmc`
# measures how far a tracker finds the ball from the path; chapter 8 takes the settings that suit the model best.

# %% [markdown]
# ## Quick check
#
# In every control step the loss falls; what comes in is not modified; no number moves further than five rates (a little
# more is possible in principle, because Adam's two running means forget at different speeds); other steps are left
# alone.

# %%
for index, losses in run.losses.items():
    assert losses[-1] < losses[0], f"the loss did not fall in step {index}"
for each in run.trace:
    if each.index in run.losses:
        rate_here = settings.learning_rate * (each.sigma if settings.scale_lr_by_sigma else 1.0)
        decay = settings.iterations * rate_here * settings.weight_decay * each.before.abs().max()
        assert (each.optimized - each.before).abs().max() <= 1.02 * settings.iterations * rate_here + decay
    else:
        assert each.optimized is None and torch.equal(each.mixed, each.before)
before = start.clone()
next(control_step(model, start, step.sigma, conditioning, cells.to(model.device), settings))
assert torch.equal(start, before), "the latents given must stay as they are"
falls = [losses[-1] / losses[0] for losses in run.losses.values()]
print(
    f"In each of {len(falls)} control steps the loss fell, to {min(falls):.2f} .. {max(falls):.2f} of where it began."
)

# %% [markdown]
# ## Exercises
#
# ### 1. AdamW's first step by hand
#
# From latents and gradient, compute what AdamW's **first** iteration makes of the latents. Weight decay comes first: it
# multiplies the latents by $1 - \eta\lambda$. Then comes the step, $\eta\, g / (|g| + \epsilon)$ with
# $\epsilon = 10^{-8}$.


# %% nbgrader={"grade": false, "grade_id": "adam-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
def first_step(latents, gradient, rate, weight_decay):
    """The latents after AdamW's first iteration."""
    ### BEGIN SOLUTION
    return latents * (1 - rate * weight_decay) - rate * gradient / (gradient.abs() + 1e-8)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "adam-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
for index in run.losses:
    each = run.trace[index]
    rate_here = settings.learning_rate * (each.sigma if settings.scale_lr_by_sigma else 1.0)
    mine = first_step(each.before, each.iterations[0].gradient, rate_here, settings.weight_decay)
    error = ((mine - each.iterations[0].latents).abs().max() / rate_here).item()
    assert error < 1e-3, f"step {index}: differs by {error:.2g} learning rates; which way does the step go?"
toy_numbers = first_step(torch.tensor([10.0, 10.0]), torch.tensor([1e-3, -5.0]), 0.5, 0.1)
assert torch.allclose(toy_numbers, torch.tensor([9.0, 10.0]), atol=1e-4), "weight decay: 10 becomes 9.5 first"
print("Your step is AdamW's, at every control step of the run.")

# %% [markdown]
# ### 2. The gradient from its parts
#
# Write what `optimize_latents` differentiates. `features_with_graph` gives the recorded features with their graph;
# you bring them to one size, compute the loss, and ask `torch.autograd.grad` for the gradient, all inside the `with`
# block. (It has to be open while you differentiate; see its docstring.)

# %%
from sgi2v_lab.features import features_with_graph


# %% nbgrader={"grade": false, "grade_id": "gradient-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
def loss_and_gradient(latents, sigma):
    """The trajectory loss of noisy latents, and its gradient with respect to them."""
    z = latents.detach().float().clone().requires_grad_(True)
    with features_with_graph(model, z, sigma, conditioning, settings.layers) as layers:
        ### BEGIN SOLUTION
        features = assemble(layers, (h, w))
        loss = trajectory_loss(features, cells.to(z.device), settings.gaussian_sigma).total
        (gradient,) = torch.autograd.grad(loss, z)
        ### END SOLUTION
    return loss.item(), gradient


# %% nbgrader={"grade": true, "grade_id": "gradient-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
tolerance = 1e-4 if model.dtype == torch.float32 else 5e-2
loss, gradient = loss_and_gradient(start, step.sigma)
theirs = step.iterations[0]
assert abs(loss - theirs.loss) < tolerance * theirs.loss, f"the loss is {loss:.6f}, but the run had {theirs.loss:.6f}"
error = ((gradient.cpu() - theirs.gradient).abs().max() / theirs.gradient.abs().max()).item()
assert error < tolerance, f"the gradient differs by {error:.2g} of its largest value"
print(f"Loss {loss:.5f} and its gradient: as in the run.")

# %% [markdown]
# ### 3. One big step or five small ones?
#
# Both may move every number equally far: one iteration at five times the rate, or five iterations at the rate.
# *Predict* which ends at the lower loss, and why. Then measure: put the loss **after** each into `after`. The loss of
# given latents is what the first iteration reports: `next(control_step(...)).loss`. (`control_step` is `optimize_latents`
# with what a model's settings say.)

# %% nbgrader={"grade": false, "grade_id": "budget-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
after = {"five small": None, "one big": None}  # losses, floats


def loss_of(latents):
    """The trajectory loss of latents at this step, before any update."""
    return next(control_step(model, latents, step.sigma, conditioning, cells.to(model.device), settings)).loss


### BEGIN SOLUTION
big = settings.replace(iterations=1, learning_rate=settings.iterations * settings.learning_rate)
leap = next(control_step(model, start, step.sigma, conditioning, cells.to(model.device), big))
after["five small"] = loss_of(step.optimized.to(model.device))
after["one big"] = loss_of(leap.latents)
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "budget-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert all(isinstance(value, float) for value in after.values()), "put two numbers into `after`"
expected = loss_of(step.optimized.to(model.device))
assert abs(after["five small"] - expected) < 1e-3 * expected, f"five small steps end at {expected:.6f} in this run"
assert after["one big"] != after["five small"], "the two end at different latents, so their losses differ"
ends = ", ".join(f"{name}: {value:.5f}" for name, value in after.items())
print(f"The loss began at {step.iterations[0].loss:.5f} and ended at: {ends}.")

# %% [markdown]
# The gradient is only true where it was taken. Five small steps look again after each; one big step walks five times
# as far on the first guess.

# %% [markdown]
# ## Further
#
# - Algorithm 1 of the paper next to [optimize.py](../sgi2v_lab/optimize.py): about fifteen lines, a generator that you
#   can stop early.
# - Set `optimizer="sgd"` and find a rate that works at all noise levels; you will learn to like Adam. Then try
#   `"normalized"`, which divides the gradient by its largest element: which latents does it leave alone that Adam
#   moves?
# - [Chapter 7](07_frequencies.ipynb): the optimiser also adds noise of its own kind. What to keep of it is a
#   question of frequencies.
