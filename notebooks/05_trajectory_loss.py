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
# # 5 · The trajectory loss
#
# *One number says how badly a video follows the path that was drawn; seen over all paths, it is a landscape, and its
# valleys are where things went.*
#
# ![The stages of the method; this chapter is about the loss along the paths](../docs/pipeline/loss.svg)
#
# **You will learn**
#
# - how a box in pixels becomes a handful of latent cells, and what rounding does to it;
# - the loss, term by term: target, crop, Gaussian weight, average;
# - how the loss looks over all paths, for clean latents, self-attention and aligned features;
# - what its gradient asks the noisy latents to change, and where.
#
# **Time**: about 40 minutes, and 50 for the exercises; the cells run in under a minute.
#
# **In the paper**: section 3.2, the loss (equation 1 in the first version on arXiv, equation 2 in later ones). You need
# [chapter 4](04_aligned_features.ipynb), on aligned features.

# %% tags=["parameters"]
import os

model_name = os.environ.get("SGI2V_MODEL", "toy")  # "toy", "svd", "svd-xt", or a checkpoint's folder
device = None  # the best there is; or "cpu", "cuda", "mps"
seed = 817
noise_level = 1.5  # sigma at which we look inside
layer = (3, 2)  # the one fine layer of the toy that was never taught correspondence (chapter 4)

# %%
import torch
from sgi2v_lab import Trajectories, Trajectory, encode_video, extract_features, gaussian_weight, generate
from sgi2v_lab import latent_cells, load_model, optimize_latents, trajectory_loss
from sgi2v_lab.course import LossExplorer, assemble, inspect_latents, known_motion, place_norms, predict
from sgi2v_lab.plots import plot_film_strip, plot_gaussian, plot_landscape, plot_loss_terms, plot_losses
from sgi2v_lab.plots import plot_magnitudes

model = load_model(model_name, device)
settings = model.settings
frames, _, h, w = model.latent_shape(settings)
size = (settings.width, settings.height)
print(f"{model.name}: {frames} frames of {size[0]} x {size[1]} px; a latent cell is {model.vae_factor} px wide")

# %% tags=["claim"]
from sgi2v_lab.evaluation.course_claims import Claims

claim = Claims(strict=(model_name, seed) == ("toy", 817))  # checked with seeds 817, 1, 2, 3: see claims.md

# %% [markdown]
# ## The same video as before
#
# Again the ball of chapter 4, whose true motion we know, encoded and mixed with noise. And again aligned features of the
# layer that was taught nothing. `assemble` brings the maps of all chosen layers to the latents' size and stacks their
# channels (section 4.1 of the paper, which takes two layers).

# %%
clip, boxes = known_motion(model, "a yellow black striped circle at the left on grey clouds", by=(0.5, 0.1))
clean = encode_video(model, clip)
subject = inspect_latents(model, clip[0], clean, settings, seed=seed, video=clip)
step = min(range(len(subject.sigmas)), key=lambda k: abs(subject.sigmas[k] - noise_level))


def features_at(step, kind="aligned"):
    """Assembled features (frames, channels, h, w), on the CPU."""
    latents, sigma = subject.latents[step].to(model.device), subject.sigmas[step]
    layers = extract_features(model, latents, sigma, subject.conditioning, (layer,), kind)
    return assemble(layers, (h, w)).cpu()


features = features_at(step)
print(f"layer {layer} at sigma {subject.sigmas[step]:.2f}: features {tuple(features.shape)}")

# %% [markdown]
# ## From pixels to cells
#
# The loss lives on the latent grid. `latent_cells` divides every coordinate by the autoencoder's factor and rounds
# down, so a box becomes whole cells; one that would vanish keeps a single cell. A smooth path thus becomes a walk
# in small jumps.

# %%
cells = latent_cells(boxes, model.vae_factor, h, w)
rounded = (cells * model.vae_factor).float()
print("cells of the box:", cells[0].tolist())
plot_film_strip(clip, torch.cat([boxes, rounded]), every=None)

# %% [markdown]
# *Look at* the second colour, the box that the loss really uses. Its corners are up to a cell away from the first one's.
# Motion finer than a cell is invisible to the loss.

# %% tags=["claim"]
claim(
    "up to a cell away from the first one's",
    "largest distance of rounded corners (px), a cell",
    (rounded - boxes).abs().max(),
    "<=",
    model.vae_factor,
)

# %% [markdown]
# ## The loss
#
# Cut the box out of the first frame's features: the **target**. Cut the box out of every later frame where the path
# says it should be: the **crop**. Compare them cell by cell,
#
# $$\mathcal L = \frac{\sum_{b}\sum_{f\ge 2}\sum_{p\in B_{b,f}} G_{b,f}(p)\;\tfrac1C\left\lVert\,
# F_f(p) - \mathrm{sg}\left[F_1(p')\right]\right\rVert^2}
# {\sum_{b}\sum_{f\ge 2}\sum_{p\in B_{b,f}} G_{b,f}(p)} .$$
#
# $F_f$ are the aligned features of frame $f$ with $C$ channels, $B_{b,f}$ the cells of box $b$ in frame $f$, $p'$ the
# cell of the first-frame box at the same place within the box, $G$ the Gaussian weight, and $\mathrm{sg}$ stops the
# gradient: later frames should become like the first one, never the other way round.

# %%
loss = trajectory_loss(features, cells, settings.gaussian_sigma)
print(f"loss {loss.total:.4g} = sum of terms {loss.terms.sum():.4g} / sum of weights {loss.weights.sum():.4g}")

# %% [markdown]
# ## The Gaussian weight
#
# A box holds background in its corners. The Gaussian says that the middle matters and the corners hardly do,
#
# $$G(u, v) = \exp\left(-\frac{u^2+v^2}{2 s^2}\right),$$
#
# with $u, v$ running from −1 to 1 over the box and $s$ = `gaussian_sigma`, 0.4 in the paper: a wide soft spot, not a
# point. *Prediction:* how much weight is left in the middle of an edge, where $u = 1$ and $v = 0$?

# %% tags=["prediction"]
# your prediction in place of the dots: a number between 0 and 1
prediction = predict("How much weight is left in the middle of an edge?", ...)

# %%
plot_gaussian(gaussian_weight(9, 13, settings.gaussian_sigma or 0.4))

# %% tags=["prediction"]
prediction.beside(
    "in the equation",
    2.718281828 ** (-1 / (2 * 0.4**2)),
    "; in the outermost cell, whose middle lies inside the edge,",
    gaussian_weight(9, 13, 0.4)[4, 0].item(),
)

# %% [markdown]
# *Look at* the edges: $\exp(-1/(2\cdot 0.4^2)) \approx 0.04$, and the outermost cells, whose middles lie a little
# inside the edge, keep a bit more. The profiles are the same in both directions because distances are in half-sizes of
# the box.

# %% tags=["claim"]
weight = gaussian_weight(9, 13, 0.4)
claim("keep a bit more", "weight of the outermost cell in the middle row", weight[4, 0], ">", 0.04)
claim("keep a bit more", "weight of the outermost cell in the middle row", weight[4, 0], "<", 0.1)

# %% [markdown]
# ## A landscape of paths
#
# Now the question that matters: does a low loss mean that the object is there? Take straight paths from the ball's
# first box to many last places and compute the loss of each. Nothing is optimised here; the features stay as they are.
#
# The loss does not care what its features are, so we can begin with an ideal case, the video's own clean latents, and
# then look at what the UNet makes of the noisy ones.
#
# *Prediction:* where will the lowest loss be for clean latents, for self-attention features, for aligned ones?

# %% tags=["prediction"]
# your prediction in place of the dots: a list of names, such as ["clean latents"]
prediction = predict("For which of the three does the lowest loss lie at the true path?", ...)

# %%
cell = model.vae_factor
stride = max(1, round(w / 16))  # in cells: a coarser search on a finer grid
shifts_x = [cell * stride * i for i in range(-2, 11)]
shifts_y = [cell * stride * i for i in range(-4, 6)]


def path_to(x, y):
    """The ball's box on a straight path that ends shifted by (x, y) pixels, as cells."""
    asked = Trajectories(size, (Trajectory.move(boxes[0, 0].tolist(), by=(x, y)),))
    return latent_cells(asked.boxes(frames), cell, h, w)


def landscape(features):
    """The loss of every path, (rows, columns)."""
    losses = [
        trajectory_loss(features, path_to(x, y), settings.gaussian_sigma).total for y in shifts_y for x in shifts_x
    ]
    return torch.stack(losses).view(len(shifts_y), len(shifts_x))


truth = ((boxes[0, -1] - boxes[0, 0])[:2]).tolist()
shown = {"clean latents": clean, "self-attention": features_at(step, "self-attention"), "aligned": features}
valleys = {name: landscape(each) for name, each in shown.items()}
plot_landscape(valleys, shifts_x, shifts_y, truth)

# %% tags=["prediction"]
lowest = {name: divmod(valley.argmin().item(), len(shifts_x)) for name, valley in valleys.items()}
places = [f"({shifts_x[column]}, {shifts_y[row]}) for {name}" for name, (row, column) in lowest.items()]
prediction.beside(f"the true path ends at ({truth[0]:.0f}, {truth[1]:.0f}); the lowest loss is at", places)

# %% [markdown]
# *Look at* the cross, the lowest place, and the ring, the truth. With clean latents and with aligned features the cross
# is at the ring. With self-attention features it is far off, and most paths cost less than the true one. A loss can
# only guide if it is low where the object is: here is the reason for the modified attention. (In a layer whose
# self-attention was *taught* correspondence, it may find the ring as well: set `layer = (3, 1)` at the top and see.)


# %% tags=["claim"]
def miss(valley):
    """Pixels between the lowest place of a landscape and the truth."""
    row, column = divmod(valley.argmin().item(), len(shifts_x))
    return ((shifts_x[column] - truth[0]) ** 2 + (shifts_y[row] - truth[1]) ** 2) ** 0.5


claim(
    "With clean latents and with aligned features the cross is at the ring",
    "larger distance of the two lowest places from the truth, the diagonal of a step of the search (px)",
    max(miss(valleys["clean latents"]), miss(valleys["aligned"])),
    "<",
    2**0.5 * stride * cell,
)
claim(
    "With self-attention features it is far off",
    "distance of the lowest place from the truth, two steps of the search (px)",
    miss(valleys["self-attention"]),
    ">",
    2 * stride * cell,
)
own_truth = trajectory_loss(shown["self-attention"], cells, settings.gaussian_sigma).total
claim(
    "most paths cost less than the true one",
    "share of the paths that cost less than the true one, self-attention",
    (valleys["self-attention"] < own_truth).float().mean(),
    ">",
    0.6,
)

# %% [markdown]
# ## Box by box, frame by frame
#
# Several boxes share one loss. Let us add a second one, *pinned* to the background in the lower right, where nothing
# should move, and a third that asks the ball to go up, which it did not do.

# %%
corner = (0.72 * size[0], 0.7 * size[1], 0.97 * size[0], 0.95 * size[1])
wrong = Trajectory.move(boxes[0, 0].tolist(), by=(0.3 * size[0], -0.3 * size[1]))
asked = Trajectories(size, (Trajectory.from_boxes(boxes[0]), Trajectory.pin(corner), wrong))
three = trajectory_loss(features, latent_cells(asked.boxes(frames), cell, h, w), settings.gaussian_sigma)
plot_loss_terms(three.mean_errors, names=["ball, true path", "background, pinned", "ball, wrong path"])

# %% [markdown]
# *Look at* the rows. The true path costs about half as much as the wrong one, whose cost grows until box and ball have
# parted. The pinned background costs least, but it is not free although it stands still: every frame has noise of its own,
# and the features see it. Frame 0 has no term: it is the target.

# %% tags=["claim"]
true_cost, still_cost, wrong_cost = three.mean_errors[:, 1:].nanmean(dim=1)
claim(
    "The true path costs about half as much as the wrong one", "cost, true / wrong", true_cost / wrong_cost, "<", 0.65
)
claim(
    "whose cost grows until box and ball have parted",
    "cost of the wrong path, first frame / largest",
    three.mean_errors[2, 1] / three.mean_errors[2, 1:].max(),
    "<",
    0.5,
)
claim("pinned background costs least", "cost, pinned / true", still_cost / true_cost, "<", 1)
claim("it is not free", "cost of the pinned background", still_cost, ">", 1e-4)

# %% [markdown]
# ## Where the gradient pulls
#
# The loss is differentiated with respect to the *noisy latents* $z_\sigma$, through the UNet up to the recorded layers.
# One iteration of `optimize_latents` gives us that gradient $\partial\mathcal L/\partial z_\sigma$, here for the wrong
# path, so that there is something to pull at. *Where do you expect it to be large: at the ball, at the box, or both?*

# %% tags=["prediction"]
# your prediction in place of the dots: words, in quotes
prediction = predict("Where is the gradient large: at the ball, at the box, or at both?", ...)

# %%
upwards = latent_cells(Trajectories(size, (wrong,)).boxes(frames), cell, h, w)
start, sigma = subject.latents[step].to(model.device), subject.sigmas[step]
pull = next(
    optimize_latents(
        model,
        start,
        sigma,
        subject.conditioning,
        upwards.to(model.device),
        layers=(layer,),
        gaussian_sigma=settings.gaussian_sigma,
        iterations=1,
    )
)
plot_magnitudes(clip, {"gradient": place_norms(pull.gradient)}, Trajectories(size, (wrong,)).boxes(frames))


# %% tags=["prediction"]
def mean_length(boxes):
    """The gradient's mean length in a box of the last frame."""
    x0, y0, x1, y1 = latent_cells(boxes, cell, h, w)[0, -1].clamp(min=0).tolist()
    return place_norms(pull.gradient)[-1, y0:y1, x0:x1].mean().item()


at_box, at_ball = (mean_length(one) for one in (Trajectories(size, (wrong,)).boxes(frames), boxes))
everywhere = place_norms(pull.gradient)[-1].mean().item()
prediction.beside(
    f"in the last frame it is {at_box / everywhere:.1f} times its mean at the box, and {at_ball / everywhere:.1f} times at the ball"
)

# %% [markdown]
# *Look at* where it is strong: around the boxes of the later frames, but not only there. Through attention and
# convolutions, far cells have a say in what a feature becomes, if a small one: even cells of frame 0, whose features
# are a fixed target.

# %% tags=["claim"]
lengths, in_box = place_norms(pull.gradient), torch.zeros(frames, h, w, dtype=torch.bool)
for f, (x0, y0, x1, y1) in enumerate(upwards[0].tolist()):
    in_box[f, max(0, y0) : y1, x0:x1] = True
inside, outside = (lengths[1:][place[1:]].mean() for place in (in_box, ~in_box))
claim(
    "where it is strong: around the boxes", "mean length in the boxes / outside, later frames", inside / outside, ">", 2
)
claim("if a small one: even cells of frame 0", "mean length in frame 0", lengths[0].mean(), ">", 0)
claim(
    "if a small one: even cells of frame 0",
    "mean length, frame 0 / the boxes of later frames",
    lengths[0].mean() / inside,
    "<",
    0.2,
)

# %% [markdown]
# The explorer shows loss, terms and gradient of a whole (very short) controlled run with the toy's own layers: two control
# steps, three iterations each.

# %%
short = settings.replace(num_inference_steps=5, control_steps=(1, 2), iterations=3)
run = generate(model, clip[0], asked, short, seed=seed, trace=["optimization"], progress=False)
LossExplorer(run, names=["ball", "background", "ball, upwards"])

# %%
plot_losses(list(run.losses.values()), [run.sigmas[k] for k in run.losses])

# %% [markdown]
# ## Quick check
#
# The loss compares what it says it compares: it is zero for a still picture with pinned boxes, it does not depend on
# anything outside the boxes, no gradient reaches the first frame's features, and in the video's clean latents the true
# path costs less than staying put.

# %%
still = features[:1].expand_as(features)
pinned = cells[:, :1].expand_as(cells)
assert trajectory_loss(still, pinned).total == 0, "nothing moves, so nothing differs"

x0, y0, x1, y1 = cells[0, -1].tolist()
changed = features.clone()
changed[-1, :, :, : max(0, x0)] += 1.0  # left of the box
assert torch.equal(trajectory_loss(changed, cells).total, trajectory_loss(features, cells).total), "outside counts?"

free = features.clone().requires_grad_(True)
trajectory_loss(free, cells).total.backward()
assert free.grad[0].abs().max() == 0 and free.grad[1:].abs().max() > 0, "the target must not move"

share = {
    name: (trajectory_loss(each, cells).total / trajectory_loss(each, pinned).total).item()
    for name, each in shown.items()
}
assert share["clean latents"] < 1, "the true path should cost less than a box that stays behind"
print("The true path costs, in terms of a box that stays behind:", {name: round(one, 2) for name, one in share.items()})

# %% [markdown]
# ## Exercises
#
# ### 1. The Gaussian weight
#
# *★★☆ · about 15 minutes · 2 points*
#
# Write it for a box of `rows` x `columns` cells. A cell's place is that of its *middle*: the box spans −1..1 in each
# direction, so of three cells the middles are at −2/3, 0 and 2/3. Then divide by the largest value, so that the peak
# is 1 even where no cell's middle is the box's middle.
#
# <details><summary>Hint 1</summary>
#
# The middles of `n` cells that span −1..1 are `(2 * i + 1) / n - 1` for `i` from 0 to `n - 1`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Rows need the shape `(rows, 1)` and columns `(1, columns)`; their sum of squares then has the shape `(rows,
# columns)`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Divide by `weight.max()` at the end.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "gaussian-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gaussian(rows, columns, sigma=0.4):
    """Weight (rows, columns) of each cell of a box, its peak 1."""
    ### BEGIN SOLUTION
    y = (2 * torch.arange(rows) + 1) / rows - 1
    x = (2 * torch.arange(columns) + 1) / columns - 1
    weight = torch.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / (2 * sigma**2))
    return weight / weight.max()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "gaussian-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
for shape in ((5, 5), (4, 7), (1, 1), (6, 2)):
    mine = torch.as_tensor(gaussian(*shape)).float()
    assert mine.shape == shape, f"a box of {shape} cells needs weights of that shape, not {tuple(mine.shape)}"
    assert abs(mine.max().item() - 1) < 1e-6, f"the peak should be 1, but is {mine.max():.3f} for {shape}"
    assert torch.allclose(mine, gaussian_weight(*shape), atol=1e-5), f"differs from the library's for {shape}"
narrow = torch.as_tensor(gaussian(5, 5, 0.2)).float()
assert torch.allclose(narrow, gaussian_weight(5, 5, 0.2), atol=1e-5), "with another sigma it differs from the library's"
print("Your Gaussian is the library's, to 1e-5.")

# %% [markdown] tags=["discussion"]
# **Discussion.** A cell stands for its middle, so the outermost cells lie inside the box and not at its edge. The
# usual mistake is `linspace(-1, 1, n)`, which puts the outer cells *on* the edges: they then weigh less than they
# should, and a box of one cell has its only cell in a corner. The division matters for boxes with an even number of
# cells, where no cell sits in the middle. A product of two one-dimensional Gaussians gives the same weight, because
# the exponent is a sum; `torch.outer` writes that in one call.

# %% [markdown]
# ### 2. The loss of one box by hand
#
# *★★☆ · about 20 minutes · 3 points*
#
# Write the loss for a single box that stays within the picture and keeps its size. `cells` is (frames, 4), each row
# x0, y0, x1, y1: the cells of rows y0..y1−1 and columns x0..x1−1. Use `gaussian_weight`.
#
# <details><summary>Hint 1</summary>
#
# Cut the box out of every frame: `features[f, :, y0:y1, x0:x1]`. The first crop is the target, so `detach` it.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The error of a cell is a *mean* over channels of the squared difference; the weight then multiplies cells, not
# channels.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Divide once, at the end: by the weight of all cells that were compared, which is `weight.sum()` times the number of
# later frames.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "loss-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
def one_box_loss(features, cells, sigma=0.4):
    """The trajectory loss of one box on features (frames, channels, h, w)."""
    ### BEGIN SOLUTION
    crops = [features[f, :, y0:y1, x0:x1] for f, (x0, y0, x1, y1) in enumerate(cells.tolist())]
    target = crops[0].detach()
    weight = gaussian_weight(*target.shape[1:], sigma)
    errors = torch.stack([(weight * (crop - target).pow(2).mean(dim=0)).sum() for crop in crops[1:]])
    return errors.sum() / (weight.sum() * len(errors))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "loss-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
walk = torch.arange(frames) % 3  # a box of 4 x 3 cells that sways
box = torch.stack([1 + walk, 2 + walk, 5 + walk, 5 + walk], dim=1)
for sigma_of_weight in (0.4, 0.8, None):
    mine = float(one_box_loss(features, box, sigma_of_weight))
    theirs = float(trajectory_loss(features, box[None], sigma_of_weight).total)
    assert abs(mine - theirs) < 1e-4 * theirs, f"sigma {sigma_of_weight}: {mine:.6g}, but the library says {theirs:.6g}"
with_graph = features.clone().requires_grad_(True)
one_box_loss(with_graph, box).backward()
assert with_graph.grad[0].abs().max() == 0, "the first frame got a gradient: the target must be detached"
assert with_graph.grad[1:].abs().max() > 0, "no gradient reaches the later frames"
print("Target, crop, weight, average: your loss is the library's.")

# %% [markdown] tags=["discussion"]
# **Discussion.** Everything happens within one frame's crop; frames only meet in the sum. `detach` looks needless,
# since the value stays the same; but without it the gradient also reaches the first frame, and the optimiser could
# lower the loss by spoiling the ball that it should copy. The usual mistake in the number is a sum over channels in
# place of a mean, or a division by the number of cells in place of the sum of weights: then the loss grows with
# channels, or shrinks with a narrow Gaussian. `torch.einsum` over stacked crops does it without a loop as long as the
# box keeps its size.

# %% [markdown]
# ### 3. Reading a motion out of pixels
#
# *★★☆ · about 15 minutes · 2 points*
#
# Feed the loss neither latents nor features but the video's own *colours*, averaged over latent cells, and find the
# end shift with the lowest loss among `shifts_x` and `shifts_y`. (You have then written a template matcher, an old
# friend of computer vision.) Put the colours into `colours` (frames, 3, h, w) and the shift into `found`, a pair.
#
# *Predict:* if colours find the motion so well in a clean video, why does SG-I2V not use them for control?
#
# <details><summary>Hint 1</summary>
#
# `torch.nn.functional.interpolate(clip, (h, w), mode="area")` averages the colours over each latent cell.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `landscape(colours)` is the loss of every path, one row for each of `shifts_y` and one column for each of `shifts_x`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `argmin()` counts along the rows: `divmod(valley.argmin().item(), len(shifts_x))` is the row and the column.
#
# </details>

# %% tags=["prediction"]
# your prediction in place of the dots: a sentence, in quotes
prediction = predict("Why does SG-I2V not use colours for control?", ...)

# %% nbgrader={"grade": false, "grade_id": "pixels-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
colours = None  # (frames, 3, h, w)
found = None  # (x, y) in pixels
### BEGIN SOLUTION
colours = torch.nn.functional.interpolate(clip, (h, w), mode="area")
valley = landscape(colours)
row, column = divmod(valley.argmin().item(), len(shifts_x))
found = (shifts_x[column], shifts_y[row])
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "pixels-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert colours is not None and colours.shape == (frames, 3, h, w), "colours should be the video at the latents' size"
assert (colours.mean(dim=(2, 3)) - clip.mean(dim=(2, 3))).abs().max() < 0.01, "these are not the video's mean colours"
assert found is not None and len(found) == 2, "found should be a pair (x, y) of shifts in pixels"
assert found[0] in shifts_x and found[1] in shifts_y, f"{found} is not among shifts_x and shifts_y"
away = max(abs(found[0] - truth[0]), abs(found[1] - truth[1]))
assert away <= stride * cell, f"{found} is {away:.0f} px from the true shift ({truth[0]:.0f}, {truth[1]:.0f})"
print(f"Found {tuple(found)}, true ({truth[0]:.0f}, {truth[1]:.0f}): the nearest path of the grid, or next to it.")

# %% [markdown] tags=["discussion"]
# **Discussion.** Colours are features too: any map of numbers can be compared along a path. In a clean video they find
# the motion as well as anything does. During generation there is no clean video, and the colours of noise say nothing
# about what it will become, while the UNet's features of the noise do. The usual mistakes are `mode="nearest"`, which
# takes one pixel for a whole cell, and rows taken for columns. A search with `min` over all pairs of shifts does as
# well as `argmin`. Template matching of this kind fails when the light changes or a thing turns, for which learned
# features are better.

# %% [markdown]
# During generation there is no clean video to compare, only noise in which the picture is still being decided. Colours
# of noise say nothing; the UNet's features of noise already say what the noise is about to become.

# %% tags=["prediction"]
prediction.beside("while a video is made there are only noisy latents, and colours of noise say nothing")

# %% [markdown] nbgrader={"grade": false, "grade_id": "open-task", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": true}
# ### 4. Open: a better weight
#
# *★★★ · about 30 minutes · 6 points, by the rubric*
#
# The Gaussian weight takes every box for a disc. Invent another weight, for example one that follows the object's
# outline, one that ignores cells which look like what surrounds the box, or one that grows from frame to frame. Write
# it as a function, put it into a copy of `one_box_loss`, and compare its landscape with that of the Gaussian on at
# least two videos: how far is the lowest place from the truth, and how steep is the valley?
#
# | criterion | 2 points | 1 point |
# |---|---|---|
# | idea | one sentence says which fault of the Gaussian it mends | another weight without a reason |
# | code | a short function with a test that could fail, such as one on a map you can check by hand | runs, untested |
# | comparison | two videos or more, numbers beside pictures, and a case where it is worse | one video, or only cases in favour |

# %% [markdown]
# *Your answer begins here. Add as many cells below as you need.*

# %% [markdown]
# ## Further
#
# - [loss.py](../sgi2v_lab/loss.py): what happens to boxes that leave the picture, and when rounding
#   changes a size, in about a hundred lines.
# - Set `gaussian_sigma=None` in `trajectory_loss`, and all cells weigh the same. How much does the valley change? (Without the
#   Gaussian weight, SG-I2V's control is reported to be a little worse: ObjMC 14.7 instead of 14.4 pixels.)
# - [Chapter 6](06_latent_optimisation.ipynb) follows the gradient: five steps of AdamW on the noisy latents.
