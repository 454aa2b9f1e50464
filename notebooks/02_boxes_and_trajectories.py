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
# # 2 · Boxes and trajectories
#
# *You take hold of a thing by drawing a box around it, and you say where it goes by moving the box.*
#
# ![The stages of the method; this chapter is about the first frame, boxes and paths](../docs/pipeline/inputs.svg)
#
# **You will learn**
#
# - how one box and a destination become a box in every frame of the video;
# - how key boxes, drawn paths and timing say *when* and *how large*, and not only *where*;
# - why boxes on the background are a camera;
# - what is left of a box when pixels become cells of the latent grid.
#
# **Time**: about 45 minutes, and 35 for the exercises; the cells run in a few seconds.
#
# **In the paper**: section 3, where the task is stated. There, a box keeps its size and a trajectory is a list of
# positions, one for each frame. Everything else here is a convenient way to write such lists.

# %% tags=["parameters"]
import os

model_name = os.environ.get("SGI2V_MODEL", "toy")  # "toy", "svd", "svd-xt", or a checkpoint's folder
device = None  # the best there is; or "cpu", "cuda", "mps"
prompt = "a red white striped circle at the left and a yellow star at the top right on blue clouds"
seed = 817

# %%
import torch
from sgi2v_lab import InputError, Trajectories, Trajectory, generate, latent_cells, load_model, load_trajectories
from sgi2v_lab import objmc, prompt_boxes, reference_image, save_trajectories, show_video
from sgi2v_lab.course import EASINGS, KeyBox, TrajectoryEditor, camera_pan, camera_still, camera_zoom
from sgi2v_lab.course import draw_boxes, fit_image, predict, to_tensor
from sgi2v_lab.plots import new_figure, plot_film_strip, plot_trajectories, styled

model = load_model(model_name, device)
settings = model.settings
size = settings.width, settings.height
frames, channels, h, w = model.latent_shape(settings)
print(f"{model.name}: {frames} frames of {size[0]} × {size[1]} pixels, {w} × {h} latent cells")

# %% tags=["claim"]
from sgi2v_lab.evaluation.course_claims import Claims

claim = Claims(strict=(model_name, seed) == ("toy", 817))  # checked with seeds 817, 1, 2, 3: see claims.md

# %% [markdown]
# ## A box is four numbers
#
# A box is $(x_0, y_0, x_1, y_1)$: its left, top, right and bottom edge in pixels of the picture. The origin is the
# picture's top-left corner, $x$ runs to the right and $y$ runs **down**. Pictures of the toy's world are drawn from
# words, so that we know where the things in them are; `fit_image` brings the picture to the model's size and returns
# a `Fit`, which carries boxes along.

# %%
drawn = reference_image(prompt, size=max(size))
picture, fit = fit_image(drawn, size)
image = to_tensor(picture)
box_of = {name: fit.apply(box).round() for name, box in prompt_boxes(prompt, size=max(size)).items()}
for name, box in box_of.items():
    print(f"{name}: {box.tolist()}")

# %% [markdown]
# ## A trajectory is a box for every frame
#
# `Trajectory.move` takes the box in the first frame and says how far it goes, `Trajectory.pin` says that it stays.
# `Trajectories` puts several of them on one picture. Asked for their boxes, they answer with one tensor of shape
# `(boxes, frames, 4)`. Pinning is a request like any other: without it, the model may well decide that the star
# should move too.

# %%
width, height = size
ball, star = box_of.values()
asked = Trajectories(
    size,
    (
        Trajectory.move(ball, by=(0.37 * width, 0), name="ball"),
        Trajectory.pin(star, name="star"),
    ),
)
boxes = asked.boxes(frames)
boxes.shape

# %%
plot_trajectories(image, boxes, names=["ball", "star"])

# %% [markdown]
# The solid box is the first frame, the dashed one the last, and each dot is the centre in one frame. The star's box
# stands still, so it has a single dot. The same boxes as a video, before any model has been asked:

# %%
still = image.expand(frames, -1, -1, -1)
show_video(draw_boxes(still, boxes, scale=max(1, 384 // width)), fps=settings.fps, title="what is asked for")

# %% [markdown]
# ## Where, when and how large
#
# Time runs from $t = 0$ at the first frame to $t = 1$ at the last, so the same request serves models of 8, 14 or 25
# frames. An **easing** turns time into progress $p(t)$ along the way:
#
# $$ \text{box}(t) = (1 - p(t))\,\text{box}_\text{first} + p(t)\,\text{box}_\text{last} . $$
#
# *What do you expect?* All four curves below begin at 0 and end at 1. In which one is the ball fastest in the middle
# of the video, and where does "ease-out" have its largest step?

# %% tags=["prediction"]
# your prediction in place of the dots: words, in quotes
prediction = predict('In which easing is the ball fastest in the middle, and when is "ease-out" fastest?', ...)

# %%
t = torch.linspace(0, 1, frames)
with styled():
    figure = new_figure(2.8, width=8)
    left, right = figure.subplots(1, 2)
    for name, ease in EASINGS.items():
        progress = torch.as_tensor(ease(t.numpy()))
        left.plot(t, progress, "o-", markersize=3, label=name)
        right.plot(range(1, frames), progress.diff(), "o-", markersize=3)
    left.set(xlabel="time t", ylabel="progress p(t)")
    right.set(xlabel="frame", ylabel="progress in this step", ylim=(0, None))
    left.legend()
figure

# %% tags=["prediction"]
prediction.beside(
    "fastest in the middle:",
    max(EASINGS, key=lambda name: torch.as_tensor(EASINGS[name](t.numpy())).diff()[frames // 2 - 1]),
    "; ease-out is fastest in step",
    torch.as_tensor(EASINGS["ease-out"](t.numpy())).diff().argmax().item() + 1,
)

# %% [markdown]
# "ease-in-out" is the fastest in the middle, and "ease-out" takes its largest step at once.

# %% tags=["claim"]
paces = {name: torch.as_tensor(ease(t.numpy())).diff() for name, ease in EASINGS.items()}
middle = {name: pace[len(pace) // 2].item() for name, pace in paces.items()}
claim(
    '"ease-in-out" is the fastest in the middle',
    "its middle step / the largest of the others'",
    middle["ease-in-out"] / max(pace for name, pace in middle.items() if name != "ease-in-out"),
    ">",
    1,
)
claim('"ease-out" takes its largest step at once', "the largest step's number", paces["ease-out"].argmax(), "==", 0)

# %% [markdown]
# A path need not be straight: `via` lists points that the centre passes, and `Trajectory.along` takes a whole line drawn
# by hand. The centre travels along it with even speed, whatever the distances between its points. `scale` says how
# large the last box is, which is how a thing comes nearer. With `KeyBox`es you give whole boxes at chosen times.

# %%
x, y = (ball[:2] + ball[2:]).tolist()[0] / 2, (ball[:2] + ball[2:]).tolist()[1] / 2
side = (ball[2] - ball[0]).item()
arc = Trajectory.move(ball, via=[(0.5 * width, 0.25 * height), (0.75 * width, 0.6 * height)], easing="ease-in-out")
nearer = Trajectory.move(ball, by=(0.3 * width, 0.1 * height), scale=1.6)
there_and_back = Trajectory(
    (
        KeyBox(0.0, tuple(ball.tolist())),
        KeyBox(0.5, (x + 0.3 * width, y + 0.1 * height, x + 0.3 * width + side, y + 0.1 * height + side)),
        KeyBox(1.0, tuple(ball.tolist())),
    )
)
ways = Trajectories(size, (arc, nearer, there_and_back))
plot_trajectories(image, ways.boxes(frames))

# %% [markdown]
# All three begin at the ball. Orange is the arc: its dots lie closer together at both ends, because it eases in and out.
# Blue comes nearer, to a box 1.6 times as large. Green goes there and back again, so its last box is its first one.

# %% tags=["claim"]
of_ways = ways.boxes(frames)
middles = (of_ways[..., :2] + of_ways[..., 2:]) / 2
steps = middles[0].diff(dim=0).norm(dim=1)
claim(
    "its dots lie closer together at both ends",
    "larger end step / largest step",
    max(steps[0], steps[-1]) / steps.max(),
    "<",
    0.8,
)
widths = of_ways[1, :, 2] - of_ways[1, :, 0]
claim("to a box 1.6 times as large", "last width / first, off by", abs(widths[-1] / widths[0] - 1.6), "<", 0.01)
claim(
    "its last box is its first one", "largest difference (px)", (of_ways[2, -1] - of_ways[2, 0]).abs().max(), "<", 1e-3
)

# %% [markdown]
# ## A camera is made of boxes
#
# A box does not know what is in it. Put one on the background and you move the background, and when all of the
# background moves the same way, we see a camera that turns. Boxes that spread apart from the middle and grow are a
# zoom; pinned boxes all over the picture hold the camera still. `avoid` leaves out those that would touch an object.

# %%
moves = {
    "pan": camera_pan(size, (0.2 * width, 0), box_fraction=0.16),
    "zoom": camera_zoom(size, 1.35, box_fraction=0.16),
    "still, around the ball's way": camera_still(size, box_fraction=0.16, avoid=[asked[0]]),
}
views = [draw_boxes(still, Trajectories(size, each).boxes(frames), scale=3)[-1] for each in moves.values()]
figure = plot_film_strip(torch.stack(views))
for axes, name in zip(figure.axes, moves, strict=False):
    axes.set_title(f"{name}: {len(moves[name])} boxes")
figure

# %% [markdown]
# The lines show the paths of the centres, the boxes their place in the last frame. A pan of $+x$ means that the
# *content* goes to the right, as it does when a camera turns left. In the third picture the boxes in the ball's way are
# missing: it would make no sense to ask the same place to stand still and to let the ball pass.

# %% tags=["claim"]
panned = Trajectories(size, moves["pan"]).boxes(frames)
claim(
    "*content* goes to the right",
    "least shift of the pan's boxes along x (px)",
    (panned[:, -1, 0] - panned[:, 0, 0]).min(),
    ">",
    0,
)
everywhere = camera_still(size, box_fraction=0.16)
claim(
    "the boxes in the ball's way are",
    "boxes, around the ball's way / everywhere",
    len(moves["still, around the ball's way"]) / len(everywhere),
    "<",
    1,
)

# %% [markdown]
# ## From pixels to latent cells
#
# The method compares features on the grid of the latents, where one cell stands for $f \times f$ pixels ($f = 8$ in
# Stable Video Diffusion). Every coordinate is divided and rounded down, and a box keeps at least one cell:
#
# $$ c = \lfloor p / f \rfloor , \qquad x_1 \ge x_0 + 1, \quad y_1 \ge y_0 + 1 . $$
#
# *What do you expect?* Our ball moves evenly in pixels. Do its cells move evenly as well?

# %% tags=["prediction"]
# your prediction in place of the dots: such as [1, 1, 2]
prediction = predict("By how many cells does the ball's left edge move, from frame to frame?", ...)

# %%
cells = latent_cells(boxes, model.vae_factor, h, w)
for f in range(frames):
    print(f"frame {f:2}: x0 = {boxes[0, f, 0]:5.1f} pixels, cells {cells[0, f].tolist()}")

# %% tags=["prediction"]
prediction.beside(cells[0, :, 0].diff().tolist())

# %%
factor = model.vae_factor
shown = [0, frames // 2, frames - 1]
both = torch.cat([boxes[:1], factor * cells[:1]])[:, shown]
figure = plot_film_strip(still[shown], both, every=None)
for axes, f in zip(figure.axes, shown, strict=False):
    axes.vlines(range(0, width, factor), 0, height, color="white", lw=0.4, alpha=0.5)
    axes.hlines(range(0, height, factor), 0, width, color="white", lw=0.4, alpha=0.5)
    axes.set_title(f"frame {f}")
figure

# %% [markdown]
# Orange is the box that was asked for, blue are the cells that stand for it, on the grid of the latents. The box glides,
# its cells jump.

# %% tags=["claim"]
jumps = cells[0, :, 0].diff()
claim("its cells jump", "cells moved in one frame, largest - smallest", jumps.max() - jumps.min(), ">", 0)

# %% [markdown]
# If a box is not a whole number of cells wide, its cells even gain and lose a column on the way (exercise 3); the loss of
# chapter 5 then resizes the first frame's features. A box smaller than a cell stands for a place it does not fill, so
# draw boxes that are several cells wide.

# %% [markdown]
# ## Draw your own
#
# The editor shows the same picture. Drag on it to draw a box, drag a box's middle to draw its path, and press the play
# button to see it move. It warns about boxes that leave the picture, are too small for a cell or move faster than the
# model was told things move. What you draw is `editor.trajectories`, and what you assign to that is drawn.

# %%
editor = TrajectoryEditor(picture, asked, model=model)
editor

# %%
for remark in editor.remarks:
    print(remark.kind, "·", remark.text)
print(f"{len(editor.trajectories)} trajectories, {len(editor.remarks)} remarks")
plot_trajectories(image, editor.trajectories.boxes(frames))

# %% [markdown]
# Mistakes are answered with one sentence that says what was expected, whether they come from the mouse, a file or a
# cell:

# %%
for wrong in ((60, 40, 30, 70), (10, 40, 30), (10, 40, float("nan"), 70)):
    try:
        Trajectory.pin(wrong)
    except InputError as error:
        print(error)

# %% [markdown]
# Trajectories are kept as JSON, which people can read and write, or as the `traj.npy` of the method's first
# implementation, which holds positions for one number of frames and boxes that keep their size.

# %%
save_trajectories("../out/boxes.json", asked)
with open("../out/boxes.json") as file:
    print(*file.read().splitlines()[:16], "...", sep="\n")
again = load_trajectories("../out/boxes.json")

# %% [markdown]
# ## What comes out
#
# How such requests become a video is the matter of the next chapters. What the toy makes of three of them can be seen
# already: the ball that moves beside the pinned star, the pan and the zoom. (Without classifier-free guidance, to save
# time.)

# %%
quick = settings.replace(max_guidance_scale=1.0)
made = {
    name: generate(model, picture, request, quick, seed=seed, progress=False)
    for name, request in {
        "ball and star": asked,
        **{name: Trajectories(size, moves[name]) for name in ("pan", "zoom")},
    }.items()
}
plot_film_strip(made["ball and star"].video, made["ball and star"].boxes, title="the ball moves, the star is pinned")

# %%
plot_film_strip(made["pan"].video, made["pan"].boxes, title="a pan")

# %%
plot_film_strip(made["zoom"].video, made["zoom"].boxes, title="a zoom")

# %% [markdown]
# *Look at* the star. Pinned, it stays. Under the pan it goes to the right with everything else, and under the zoom it
# grows. The ball follows its box in the first video. In the other two no box is meant for it, and it loses its shape. The
# toy is small: how far this is the method's fault, and how far the model's, is a question for chapters 8, 9 and 13.

# %% tags=["claim"]
alone = star[None, None].expand(1, frames, 4)


def star_went(video):
    """How far to the right a tracker finds the star in the last frame, in pixels."""
    points = objmc(video, alone).tracks.points[0]
    return (points[-1, 0] - points[0, 0]).item()


def yellow(frame):
    """How many pixels are yellow."""
    red, green, blue = frame
    return ((red > 0.6) & (green > 0.5) & (blue < 0.45)).sum().item()


claim("Pinned, it stays.", "how far the star went (px)", abs(star_went(made["ball and star"].video)), "<", 2)
claim("Under the pan it goes to the right", "how far the star went (px)", star_went(made["pan"].video), ">", 8)
claim(
    "under the zoom it grows",
    "yellow pixels, last frame / first",
    yellow(made["zoom"].video[-1]) / yellow(made["zoom"].video[0]),
    ">",
    1.3,
)
claim(
    "The ball follows its box in the first video.",
    "mean distance (px)",
    objmc(made["ball and star"].video, made["ball and star"].boxes).per_object[0],
    "<",
    6,
)

# %% [markdown]
# ## Quick check
#
# Three claims: every trajectory starts as its own box, a path along points ends at the last of them, and a file gives
# back exactly what went in.

# %%
for trajectory in (*asked, *ways, *moves["pan"], *moves["zoom"]):
    first = torch.tensor(trajectory.keys[0].box)
    assert torch.allclose(trajectory.boxes(frames)[0], first), "a trajectory does not start as its box"
end = arc.boxes(frames)[-1]
assert torch.allclose((end[:2] + end[2:]) / 2, torch.tensor([0.75 * width, 0.6 * height]), atol=1e-3)
assert again == asked and torch.equal(again.boxes(frames), boxes)
assert (cells[..., 2:] > cells[..., :2]).all()
print("Every trajectory starts as its box, ends where it was sent, covers a cell, and survives being saved.")

# %% [markdown]
# ## Exercises
#
# ### 1. Pixels to cells
#
# *★☆☆ · about 10 minutes · 2 points*
#
# Write `to_cells(box, factor)`: a box `(4,)` in pixels becomes four whole numbers of cells, rounded **down** (also below
# zero), at least one cell wide and one cell high.
#
# <details><summary>Hint 1</summary>
#
# `torch.floor` rounds down, below zero too; `int()` and `.int()` alone cut towards zero, so -0.4 becomes 0.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Round all four numbers first. Then make sure that the right edge is at least one more than the left one, and the same
# for top and bottom.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "to-cells", "locked": false, "schema_version": 3, "solution": true, "task": false}
def to_cells(box: torch.Tensor, factor: int) -> torch.Tensor:
    ### BEGIN SOLUTION
    x0, y0, x1, y1 = torch.floor(box / factor).int().tolist()
    return torch.tensor([x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "to-cells-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
for f in range(frames):
    mine = torch.as_tensor(to_cells(boxes[0, f], factor)).tolist()
    assert mine == cells[0, f].tolist(), f"frame {f}: {mine} instead of {cells[0, f].tolist()}"
for box, expected, why in (
    ([9.0, 9.0, 11.0, 11.0], [1, 1, 2, 2], "a small box keeps one cell"),
    ([-3.0, 0.0, 20.0, 8.0], [-1, 0, 2, 1], "-3 lies in cell -1: round down"),
):
    assert torch.as_tensor(to_cells(torch.tensor(box), 8)).tolist() == expected, why
print("Your cells are the library's.")

# %% [markdown] tags=["discussion"]
# **Discussion.** Rounding down everything keeps the grid simple: a box that moves by whole cells keeps its size. The
# usual mistake is `.int()` without `floor`, which rounds towards zero: a box that leaves the picture on the left then
# sticks at its edge. Another one is to round the right edge up, which seems fairer but makes boxes a cell wider than
# the library's. `box // factor` is the same as `floor` for tensors, and `torch.maximum(high, low + 1)` does the last
# step for both directions at once.

# %% [markdown]
# ### 2. Easing by hand
#
# *★☆☆ · about 10 minutes · 2 points*
#
# "Ease-in-out" is the polynomial $p(t) = 3t^2 - 2t^3$. Write `eased_boxes(first, last, frames)`, which returns the box in
# every frame, shape `(frames, 4)`.
#
# <details><summary>Hint 1</summary>
#
# Time goes evenly from 0 to 1: `torch.linspace(0, 1, frames)`. Only the progress $p$ is uneven.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `first` has shape `(4,)`. If $p$ has shape `(frames, 1)`, then `(1 - p) * first + p * last` has shape `(frames, 4)`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "eased", "locked": false, "schema_version": 3, "solution": true, "task": false}
def eased_boxes(first: torch.Tensor, last: torch.Tensor, frames: int) -> torch.Tensor:
    ### BEGIN SOLUTION
    t = torch.linspace(0, 1, frames)[:, None]
    p = 3 * t**2 - 2 * t**3
    return (1 - p) * first + p * last
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "eased-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
last = ball + torch.tensor([0.4 * width, 10.0, 0.4 * width, 10.0])
mine = torch.as_tensor(eased_boxes(ball, last, frames)).float()
theirs = Trajectory.move(ball, to=last, easing="ease-in-out").boxes(frames)
assert mine.shape == (frames, 4), f"expected shape ({frames}, 4), not {tuple(mine.shape)}"
assert torch.allclose(mine, theirs, atol=1e-3), f"off by up to {(mine - theirs).abs().max():.3f} pixels"
print("Your boxes ease in and out as the library's do.")

# %% [markdown] tags=["discussion"]
# **Discussion.** The polynomial has slope 0 at both ends, so the box starts and stops gently. Size and place are mixed
# by the same $p$: a box that also grows, grows with the same easing. The usual mistake is the shape: with $p$ of shape
# `(frames,)` PyTorch refuses, or, for a video of four frames, multiplies each coordinate by another frame's progress
# without complaint. `torch.lerp(first, last, p)` does the mixing too, and so does a loop over frames.

# %% [markdown]
# ### 3. Which steps keep the size?
#
# *★★☆ · about 15 minutes · 3 points*
#
# A box of 20 × 20 pixels moves to the right by `step` pixels in every frame. *Predict* for which steps its width *in cells*
# never changes. Then write `changes(step)`: in how many of the frames after the first
# the width in cells differs from the first frame's. Use `latent_cells` and let the box start at $x_0 = y_0 = 5$.
#
# <details><summary>Hint 1</summary>
#
# Build the boxes of all frames at once: the start, plus `step` times the frame's number in $x_0$ and $x_1$ only.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `latent_cells` wants the shape `(boxes, frames, 4)`: add an axis with `[None]` and take it off again with `[0]`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# The width in cells is $x_1 - x_0$ of the result. Compare all widths with the first one, and count.
#
# </details>

# %% tags=["prediction"]
# your prediction in place of the dots: such as [0, 3]
prediction = predict("Which steps, from 0 to 16 pixels, never change the width in cells?", ...)


# %% nbgrader={"grade": false, "grade_id": "rounding", "locked": false, "schema_version": 3, "solution": true, "task": false}
def changes(step: float) -> int:
    ### BEGIN SOLUTION
    start = torch.tensor([5.0, 5.0, 25.0, 25.0])
    shift = step * torch.arange(frames)[:, None] * torch.tensor([1.0, 0.0, 1.0, 0.0])
    moved = latent_cells((start + shift)[None], factor, h, w)[0]
    widths = moved[:, 2] - moved[:, 0]
    return int((widths != widths[0]).sum())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "rounding-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
counts = [changes(step) for step in range(2 * factor + 1)]
assert counts[0] == 0, "a box that stands still keeps its size"
assert counts[factor] == counts[2 * factor] == 0, "a step of whole cells keeps the size"
assert 0 < counts[1] < frames, "a step of one pixel must change the width in some frames but not in all"
expected = sum((25 + f) // factor - (5 + f) // factor != 25 // factor - 5 // factor for f in range(1, frames))
assert counts[1] == expected, f"for a step of 1 pixel the width changes in {expected} frames, not in {counts[1]}"
print("Steps (pixels) that never change the width:", [step for step, count in enumerate(counts) if count == 0])

# %% tags=["prediction"]
prediction.beside([step for step, count in enumerate(counts) if count == 0])

# %% [markdown] tags=["discussion"]
# **Discussion.** Left and right edge are rounded each for itself. The width stays only if both edges pass the next
# line of the grid in the same frame, which is certain when the step is a whole number of cells: then nothing about the
# rounding changes. The usual mistake is to move $x_0$ alone, which makes the box narrower. A width that is a whole
# number of cells would never change either, whatever the step; so draw boxes of whole cells where it matters. In the
# library the loss resizes the target when the sizes differ (chapter 5), which blurs it a little.

# %% [markdown] nbgrader={"grade": false, "grade_id": "open-task", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": true}
# ### 4. Open: a request in boxes
#
# *★★☆ · about 25 minutes · 6 points, by the rubric*
#
# Choose a short video that you know, from a film or from your own camera, and write its motion down as boxes for a
# picture of yours: at least two trajectories, one of which bends, changes its size or stands still, with the timing of
# the original. Show the request (`plot_trajectories`, `draw_boxes`), save it as JSON, and say what of the original
# cannot be said in boxes.
#
# | criterion | 2 points | 1 point |
# |---|---|---|
# | fidelity | place, timing and size follow the original, and the reader can check it | only the places do |
# | use of the tools | easing or key boxes, and pins or camera boxes where they are needed; no remark of the editor is left unexplained | straight, even paths only |
# | limits | names what boxes cannot say, such as turning, depth or shape, with this video as the example | general remarks |

# %% [markdown]
# *Your answer begins here. Add as many cells below as you need.*

# %% [markdown]
# ## Further
#
# - [boxes.py](../sgi2v_lab/trajectories/boxes.py), [trajectory.py](../sgi2v_lab/trajectories/trajectory.py) and
#   [camera.py](../sgi2v_lab/trajectories/camera.py) are short, and say what happens to boxes that leave the picture.
# - [Chapter 3](03_attention_features_and_pca.ipynb) looks at what the model itself sees in a box.
