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
# ![The stages of the method; this chapter is about latent optimisation](../docs/pipeline/optimisation.svg)
#
# **You will learn**
#
# - what is optimised, with which optimiser, and why it starts afresh at every step;
# - to read the loss of a whole run, step by step and iteration by iteration;
# - how far Adam's steps move a number, and what the learning rate means next to the noise;
# - to write the gradient yourself, from the library's parts.
#
# **Time**: about 40 minutes, and 40 for the exercises; the cells run in about a minute.
#
# **In the paper**: section 3.2 and algorithm 1; the appendix for the learning rate. You need
# [chapter 5](05_trajectory_loss.ipynb), on the trajectory loss.
#
# **The recipe here** is the paper's: AdamW, five iterations at each control step, cut-off 0.5. The toy's own settings, with
# which `generate` runs when nothing else is said, are another recipe, and chapter 8 introduces it.

# %% tags=["parameters"]
import os

model_name = os.environ.get("SGI2V_MODEL", "toy")  # "toy", "svd", "svd-xt", or a checkpoint's folder
device = None  # the best there is; or "cpu", "cuda", "mps"
seed = 817
num_inference_steps = 12  # fewer than the recipe's, to save time; None takes those

# %%
import torch
from sgi2v_lab import Trajectories, Trajectory, control_step, extract_features, generate, latent_cells, load_model
from sgi2v_lab import objmc, prompt_boxes, reference_image, similarity_maps, trajectory_loss
from sgi2v_lab.course import LossExplorer, assemble, features_with_graph, inspect_run, paper_recipe, predict
from sgi2v_lab.plots import plot_comparison, plot_losses, plot_magnitudes, plot_series, plot_similarity
from sgi2v_lab.plots import plot_trajectories

model = load_model(model_name, device)
settings = paper_recipe(model, num_inference_steps)  # SVD has its own learning rate, the toy one that suits it
frames, _, h, w = model.latent_shape(settings)
first, last = settings.control_steps
print(f"{model.name}: {settings.num_inference_steps} steps, of which {first} to {last} are control steps")

# %% tags=["claim"]
from sgi2v_lab.evaluation.course_claims import Claims

claim = Claims(strict=(model_name, seed) == ("toy", 817))  # checked with seeds 817, 1, 2, 3: see claims.md

# %% [markdown]
# ## One run, kept in slow motion
#
# A striped ball, and the wish that it go to the right. We generate once, and let `trace` keep what happens inside: the
# latents before and after every step, and each iteration of the optimiser.

# %%
prompt = "a white black striped circle at the left on orange clouds"
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

# %% tags=["prediction"]
# your prediction in place of the dots: a number
prediction = predict("In which frame is the gradient smallest?", ...)

# %%
step = run.trace[settings.control_steps[0]]
change = step.optimized - step.before
for iteration in step.iterations:
    print(f"iteration {iteration.iteration}: loss {iteration.loss:.5f} before its update")
print(f"the latents moved by {change.std():.2f} per number, in noise of sigma {step.sigma:.1f}")

# %%
lengths = {"gradient": step.iterations[0].gradient.norm(dim=1), "change": change.norm(dim=1)}
lengths = {name: length / length.max() for name, length in lengths.items()}
plot_magnitudes(run.video, lengths, run.boxes, label="length (largest = 1)")

# %% tags=["prediction"]
prediction.beside("frame", step.iterations[0].gradient.norm(dim=1).mean(dim=(1, 2)).argmin().item())

# %% [markdown]
# *Look at* the two rows: the first iteration's gradient, and the sum of all five updates. The gradient is strongest
# around the boxes of the later frames, and reaches beyond them, since a cell's feature depends on its neighbours too.
# In frame 0 it is weak: its features are the target, and its latents reach the loss only through the layers that
# connect the frames. The change is spread far more evenly. That is Adam's doing.

# %% tags=["claim"]
asked_cells = latent_cells(run.boxes, model.vae_factor, h, w)[0].tolist()
in_box = torch.zeros(frames, h, w, dtype=torch.bool)
for f, (x0, y0, x1, y1) in enumerate(asked_cells):
    in_box[f, y0:y1, x0:x1] = True
slope, moved = step.iterations[0].gradient.norm(dim=1), change.norm(dim=1)
contrast = {
    name: each[1:][in_box[1:]].mean() / each[1:][~in_box[1:]].mean() for name, each in (("g", slope), ("c", moved))
}
claim("The gradient is strongest", "mean length in the boxes / outside them, later frames", contrast["g"], ">", 2)
claim(
    "In frame 0 it is weak",
    "mean length in frame 0 / in the later frames",
    slope[0].mean() / slope[1:].mean(),
    "<",
    0.7,
)
claim(
    "The change is spread far more evenly",
    "contrast of boxes and rest: the change's; half of the gradient's",
    contrast["c"],
    "<",
    contrast["g"] / 2,
)

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

# %% tags=["prediction"]
# your prediction in place of the dots: such as "a tenth of it"
prediction = predict(
    "From the lowest to the highest noise level of the control steps, how does the gradient change?", ...
)

# %%
rate = settings.learning_rate * (step.sigma if settings.scale_lr_by_sigma else 1.0)
for index in run.losses:
    each = run.trace[index]
    slope = each.iterations[0].gradient[1:].abs().median()
    moved = (each.iterations[0].latents - each.before)[1:].abs().median()
    here = settings.learning_rate * (each.sigma if settings.scale_lr_by_sigma else 1.0)
    print(f"sigma {each.sigma:6.2f}: median gradient {slope:.1e}, median move {moved / here:.2f} rates")

# %% tags=["prediction"]
sizes = [run.trace[k].iterations[0].gradient[1:].abs().median().item() for k in (max(run.losses), min(run.losses))]
prediction.beside(
    "it is",
    sizes[1] / sizes[0],
    "times as large; the noise is",
    run.sigmas[min(run.losses)] / run.sigmas[max(run.losses)],
    "times as strong",
)

# %% [markdown]
# The scaling alone would make the gradient shrink as $1/\sigma$, to a tenth from the last control step to the first. On
# the toy more than a fifth is left, since the loss is larger at high noise (the lines below). And it is always far
# above $\epsilon$, so nearly every number moves by the whole rate, whether it matters to the loss or not. That adds a
# kind of noise to the latents. [Chapter 7](07_frequencies.ipynb) says what is done about that.

# %% tags=["claim"]
steps_of = [run.trace[index] for index in run.losses]
medians = [each.iterations[0].gradient[1:].abs().median().item() for each in steps_of]
claim("more than a fifth is left", "median gradient, first control step / last", medians[0] / medians[-1], ">", 0.2)
claim("it is always far above", "smallest median gradient / epsilon", min(medians) / 1e-8, ">", 10)
rates = [settings.learning_rate * (each.sigma if settings.scale_lr_by_sigma else 1.0) for each in steps_of]
least = min(
    ((each.iterations[0].latents - each.before)[1:].abs().median() / rate).item()
    for each, rate in zip(steps_of, rates, strict=True)
)
claim("number moves by the whole rate", "smallest median move, in rates", least, ">", 0.9)

# %% [markdown]
# ## The whole run
#
# Each line below is one control step; its points are the loss before each iteration.
#
# *What do you expect* between one line's end and the next line's start: does the next step begin where the last ended?

# %% tags=["prediction"]
# your prediction in place of the dots: "there", "above" or "below"
prediction = predict("Does the next line begin where the last one ended, above it or below?", ...)

# %%
plot_losses(list(run.losses.values()), [run.sigmas[k] for k in run.losses])

# %% tags=["prediction"]
ends_and_starts = list(zip(list(run.losses.values())[:-1], list(run.losses.values())[1:], strict=True))
prediction.beside([f"{after[0] / before[-1]:.2f} times the end before" for before, after in ends_and_starts])

# %% [markdown]
# *Look at* the starts. The next line begins elsewhere than the last one ended: between two control steps the denoiser has
# its say, the filter takes back a part, the noise level changes, and with it the features. Losses of different noise
# levels are not on one scale. Then look at the ends. The first line falls by more than a third. A later one may rise
# again: nearly every number moves by the whole rate, however near the minimum is, and steps over it. That is a reason to
# stop early (`early_stop`).

# %% tags=["claim"]
from itertools import pairwise

losses = list(run.losses.values())
gaps = [abs(after[0] / before[-1] - 1) for before, after in pairwise(losses)]
claim(
    "The next line begins elsewhere than the last one ended",
    "largest gap between them, as a share of the end",
    max(gaps),
    ">",
    0.1,
)
claim(
    "The first line falls by more than a third", "its last loss / its first", losses[0][-1] / losses[0][0], "<", 2 / 3
)

# %% [markdown]
# In the explorer: choose a step and an iteration, and see the loss by frame and the gradient on the latents.

# %%
LossExplorer(run, names=["ball"])

# %% [markdown]
# ## Did the features follow?
#
# Take the first control step, before and after its five iterations, and ask again which cells resemble the ball of the
# first frame. The features inside the boxes should have become more similar to it.

# %%
conditioning = inspect_run(model, run).conditioning
size = (settings.width, settings.height)


def ball_likeness(latents):
    """Similarity (frames, h, w) of aligned features to the ball's box in frame 0."""
    layers = extract_features(model, latents.to(model.device), step.sigma, conditioning, settings.layers)
    return similarity_maps(assemble(layers, (h, w)), box=run.boxes[0, 0].tolist(), picture_size=size)


likeness = {"before": ball_likeness(step.before), "optimized": ball_likeness(step.optimized)}
plot_similarity(run.video, likeness)

# %%
cells = latent_cells(run.boxes, model.vae_factor, h, w)
inside = {
    name: [maps[f, y0:y1, x0:x1].mean() for f, (x0, y0, x1, y1) in enumerate(cells[0].tolist())]
    for name, maps in likeness.items()
}
plot_series(range(frames), inside, "frame", "mean similarity inside the box")

# %% [markdown]
# *Look at* the distance between the lines: this is what five iterations buy, in every frame but the first ones, where
# the box has hardly left its place.

# %% tags=["claim"]
gain = torch.tensor(inside["optimized"]) - torch.tensor(inside["before"])
claim("this is what five iterations buy", "gain in mean similarity inside the box, last frame", gain[-1], ">", 0.1)

# %% [markdown]
# ## How large a learning rate?
#
# The paper's rate is 0.21 in the units of the latents. SVD's control steps lie at noise levels of tens to hundreds,
# where that is a nudge. The toy's lie between 50 and 5, so its settings give the rate as a share of $\sigma$
# (`scale_lr_by_sigma`): the same nudge at every step.
#
# *Predict* the three curves: a tenth of the rate, the rate, and ten times it.

# %% tags=["prediction"]
# your prediction in place of the dots: three numbers, such as [0.9, 0.5, 0.1]
prediction = predict(
    "To what share of its start does each loss fall: a tenth of the rate, the rate, ten times it?", ...
)

# %%
start = step.before.to(model.device)
by_rate = {}
for factor in (0.1, 1, 10):
    tried = settings.replace(learning_rate=factor * settings.learning_rate)
    steps = control_step(model, start, step.sigma, conditioning, cells.to(model.device), tried)
    by_rate[f"{factor:g} x the rate"] = [iteration.loss for iteration in steps]
plot_series(range(1, settings.iterations + 1), by_rate, "iteration", "trajectory loss before the update")

# %% tags=["prediction"]
prediction.beside([f"{values[-1] / values[0]:.2f} at {name}" for name, values in by_rate.items()])

# %% [markdown]
# *Look at* where each curve ends. A tenth of the rate hardly begins; the rate comes down in every iteration; ten times the
# rate overshoots, and ends above it. Nor is a lower loss a better video: a large rate can satisfy the loss by destroying
# the picture. How far may a number be moved, next to the noise?

# %% tags=["claim"]
ends = {name: values[-1] / values[0] for name, values in by_rate.items()}
claim(
    "the rate comes down in every iteration",
    "loss / the one before, the largest",
    max(after / before for before, after in pairwise(by_rate["1 x the rate"])),
    "<",
    1,
)
claim(
    "ten times the rate overshoots, and ends above it",
    "last loss, ten times / the rate",
    by_rate["10 x the rate"][-1] / by_rate["1 x the rate"][-1],
    ">",
    1,
)
claim(
    "A tenth of the rate hardly begins", "last loss / first loss, a tenth of the rate", ends["0.1 x the rate"], ">", 0.7
)

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
# *Look at* the lower row: the ball goes with its box. `objmc` measures how far a tracker finds it from the path. This is
# one picture and one seed, in fewer steps than the paper's recipe has.

# %% tags=["claim"]
claim("the ball goes with its box", "ObjMC with control / without", with_control / without, "<", 0.4)

# %% [markdown]
# ## Quick check
#
# What comes in is not modified; no number moves further than five rates (a little more is possible in principle, because
# Adam's two running means forget at different speeds); other steps are left alone.

# %%
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
print(f"In {len(falls)} control steps the loss came to {min(falls):.2f} .. {max(falls):.2f} of where each began.")

# %% [markdown]
# ## Exercises
#
# ### 1. AdamW's first step by hand
#
# *★☆☆ · about 10 minutes · 2 points*
#
# From latents and gradient, compute what AdamW's **first** iteration makes of the latents. Weight decay comes first: it
# multiplies the latents by $1 - \eta\lambda$. Then comes the step, $\eta\, g / (|g| + \epsilon)$ with
# $\epsilon = 10^{-8}$.
#
# <details><summary>Hint 1</summary>
#
# Two steps, in this order: the latents are multiplied by $1 - \eta\lambda$, then the step is subtracted.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The step is `rate * gradient / (gradient.abs() + 1e-8)`. Its sign is the gradient's: we go downhill, so it is
# subtracted.
#
# </details>


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
    mine = torch.as_tensor(first_step(each.before, each.iterations[0].gradient, rate_here, settings.weight_decay))
    error = ((mine - each.iterations[0].latents).abs().max() / rate_here).item()
    assert error < 1e-3, f"step {index}: differs by {error:.2g} learning rates; which way does the step go?"
by_hand = torch.as_tensor(first_step(torch.tensor([10.0, 10.0]), torch.tensor([1e-3, -5.0]), 0.5, 0.1)).float()
assert torch.allclose(by_hand, torch.tensor([9.0, 10.0]), atol=1e-4), "weight decay: 10 becomes 9.5 first"
near = torch.as_tensor(first_step(torch.zeros(1), torch.full((1,), 1e-8), 1.0, 0.0)).float()
assert torch.allclose(near, torch.tensor([-0.5]), atol=1e-3), "a gradient as small as epsilon moves by half the rate"
print("Your step is AdamW's, at every control step of the run.")

# %% [markdown] tags=["discussion"]
# **Discussion.** At the first iteration both running means are the gradient's own, so Adam divides a number by its own
# size: the sign is left. Whoever writes `rate * gradient.sign()` is right wherever the gradient is far above epsilon,
# and wrong where it is not; the check has a gradient as small as epsilon. The usual mistake is a plus sign, which
# climbs. The second is to let the weight decay act on the latents after the step, or to multiply it into the gradient,
# as the older Adam with L2 does; *AdamW* keeps the two apart. `torch.optim.AdamW` on a parameter with that gradient
# gives the same latents.

# %% [markdown]
# ### 2. The gradient from its parts
#
# *★★☆ · about 15 minutes · 3 points*
#
# Write what `optimize_latents` differentiates. `features_with_graph` gives the recorded features with their graph;
# you bring them to one size, compute the loss, and ask `torch.autograd.grad` for the gradient, all inside the `with`
# block. (It has to be open while you differentiate; see its docstring.)
#
# <details><summary>Hint 1</summary>
#
# `assemble(layers, (h, w))` brings the recorded maps to the latents' size and stacks their channels.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The loss is `trajectory_loss(features, cells.to(z.device), settings.gaussian_sigma).total`, a tensor without axes
# that still has its graph.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `torch.autograd.grad(loss, z)` returns a tuple with one gradient for each tensor that was asked for: take the first.
#
# </details>


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

# %% [markdown] tags=["discussion"]
# **Discussion.** Three lines are the whole of what is differentiated: features, loss, gradient. The gradient must be
# taken inside the `with` block, since the recorder removes its hooks when the block ends. The usual mistakes are `.item()`
# too early, which cuts the graph, and `loss.backward()`, which also works but adds to `z.grad` and would ask for
# gradients of weights if they were not frozen. Keep the comma in `(gradient,) = ...`: without it you hold a tuple. The
# UNet's later layers are never run, because nothing after the last recorded layer matters to this loss.

# %% [markdown]
# ### 3. One big step or five small ones?
#
# *★★☆ · about 15 minutes · 2 points*
#
# Both may move every number equally far: one iteration at five times the rate, or five iterations at the rate.
# *Predict* which ends at the lower loss, and why. Then measure: put the loss **after** each into `after`. The loss of
# given latents is what the first iteration reports: `next(control_step(...)).loss`. (`control_step` is `optimize_latents`
# with what a model's settings say.)
#
# <details><summary>Hint 1</summary>
#
# `step.optimized` are the latents after the run's own five iterations: the first number is
# `loss_of(step.optimized.to(model.device))`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# For the big step, change two settings: `settings.replace(iterations=1, learning_rate=settings.iterations *
# settings.learning_rate)`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `next(control_step(model, start, ...))` with these settings has the latents after its one iteration in `.latents`;
# ask `loss_of` for their loss.
#
# </details>

# %% tags=["prediction"]
# your prediction in place of the dots: a sentence, in quotes
prediction = predict("Which ends at the lower loss, one big step or five small ones, and why?", ...)

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
assert None not in after.values(), "put two numbers into `after`"
after = {name: float(value) for name, value in after.items()}
leap = settings.replace(iterations=1, learning_rate=settings.iterations * settings.learning_rate)
leapt = next(control_step(model, start, step.sigma, conditioning, cells.to(model.device), leap)).latents
for name, reached in (("five small", step.optimized), ("one big", leapt)):
    expected = loss_of(reached.to(model.device))
    assert abs(after[name] - expected) < 1e-3 * expected, (
        f"{name}: {after[name]:.6f}, but the loss is another one there"
    )
ends = ", ".join(f"{name}: {value:.5f}" for name, value in after.items())
print(f"The loss began at {step.iterations[0].loss:.5f} and ended at: {ends}.")

# %% tags=["prediction"]
prediction.beside(
    min(after, key=after.get), "ends lower:", [f"{value:.4f} after {name}" for name, value in after.items()]
)

# %% [markdown] tags=["discussion"]
# **Discussion.** Both may move a number equally far, but the five small steps look again after each move. Adam's first
# step is all sign: it sends every number the whole way, also where the gradient would turn round after a fifth of it.
# The usual mistake is to report the loss that `control_step` yields for the big step: that is the loss *before* its
# update. Another one is to change the rate and keep five iterations. A schedule between the two, a large first step
# and smaller later ones, is worth a try.

# %% [markdown]
# A gradient is only true where it was taken. Five small steps look again after each; one big step walks five times as
# far on the first guess, and here ends at the higher loss.

# %% tags=["claim"]
claim(
    "here ends at the higher loss",
    "loss after one big step / after five small ones",
    after["one big"] / after["five small"],
    ">",
    1,
)

# %% [markdown] nbgrader={"grade": false, "grade_id": "open-task", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": true}
# ### 4. Open: another optimiser
#
# *★★★ · about 40 minutes · 6 points, by the rubric*
#
# AdamW moves every number by the whole rate, whether it matters or not. Try another rule for the same five iterations:
# plain gradient descent, momentum, Adam without its sign-like first step, or one of your own (`make_optimizer` of
# `optimize_latents` takes any). Find a rate that is fair to it, then compare loss, spread of the change and the video
# that comes out, over at least two seeds.
#
# | criterion | 2 points | 1 point |
# |---|---|---|
# | fairness | each optimiser has the rate that suits it best, and the way in which it was found is shown | one rate for all |
# | measures | loss, change of the background and ObjMC, for two seeds or more | the loss only |
# | judgement | says for which use which rule is better, and what was not tried | names a winner |

# %% [markdown]
# *Your answer begins here. Add as many cells below as you need.*

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
