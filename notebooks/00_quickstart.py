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
# # 0 · Quickstart
#
# *One picture, one box, one path: a video in which the thing in the box follows the path.*
#
# ![The stages of the method; this chapter is about all of them](../docs/pipeline/whole.svg)
#
# **You will learn**
#
# - to draw a box and a path on a picture, and to make a video that follows them;
# - to compare it with what the model does when nobody asks for anything;
# - to say in pixels how well it followed.
#
# **Time**: about 20 minutes, and 15 for the exercises; the cells run in about a minute on a laptop.
#
# **In the paper**: SG-I2V (Namekata et al., arXiv 2411.04989). This chapter is its first figure; the measure is that
# of section 4.1.
#
# Run the cells from top to bottom with Shift+Enter. Nothing is downloaded: the model is a small one that comes with
# the package. One thing to know about this **toy**: real Stable Video Diffusion learned by itself which places of two
# frames belong together, and SG-I2V builds on that. The toy is too small to find it out alone: early in its training a
# second loss told four of its attention layers where in the first frame everything came from (chapters 3, 4 and 10). It
# was never taught to follow boxes.

# %% tags=["parameters"]
import os

model_name = os.environ.get("SGI2V_MODEL", "toy")  # "toy", "svd", "svd-xt", or a checkpoint's folder
device = None  # the best there is; or "cpu", "cuda", "mps"
prompt = "a large red white striped circle at the left on blue clouds"
seed = 817

# %%
import torch
from sgi2v_lab import Trajectories, Trajectory, generate, load_model, objmc, prompt_boxes, reference_image, show_video
from sgi2v_lab.course import TrajectoryEditor, fit_image, photograph, predict, side_by_side, to_tensor
from sgi2v_lab.plots import plot_comparison, plot_losses, plot_tracks, plot_trajectories

model = load_model(model_name, device)
settings = model.settings
width, height = settings.width, settings.height
frames = model.num_frames(settings)
print(f"{model.name} on {model.device}: {frames} frames of {width} × {height} pixels")

# %% tags=["claim"]
from sgi2v_lab.evaluation.course_claims import Claims

claim = Claims(strict=(model_name, seed) == ("toy", 817))  # checked with seeds 817, 1, 2, 3: see claims.md

# %% [markdown]
# ## A picture
#
# The picture may be any file, `read_image("photo.jpg")`. We begin with one that the toy's world draws from words,
# because then we also know where the ball is.

# %%
drawn = reference_image(prompt, size=max(width, height))
picture, fit = fit_image(drawn, (width, height))
(ball,) = (fit.apply(box).round() for box in prompt_boxes(prompt, size=max(width, height)).values())
picture

# %% [markdown]
# ## A box and a path
#
# A box is $(x_0, y_0, x_1, y_1)$ in pixels, $y$ down. `Trajectory.move` sends it somewhere, here over a hill to the
# right. The editor shows the same on the picture: drag the box, drag its path, draw another one, press play. Whatever
# you draw is `editor.trajectories`.

# %%
x, y = ((ball[:2] + ball[2:]) / 2).tolist()
corners = ((0.12, -0.14), (0.28, -0.2), (0.44, -0.14), (0.54, 0.0))  # from where it starts, in sides of the picture
hill = [(x + dx * width, y + dy * height) for dx, dy in corners]
asked = Trajectories((width, height), (Trajectory.move(ball, via=hill, easing="linear", name="ball"),))
editor = TrajectoryEditor(picture, asked, model=model)
editor

# %%
boxes = editor.trajectories.boxes(frames)
plot_trajectories(to_tensor(picture), boxes)

# %% [markdown]
# Solid is the box in the first frame, dashed in the last; each dot is its centre in one frame.
#
# ## Generate
#
# *What do you expect?* The model was never trained to follow boxes, and it is not trained now. What will it make of the
# ball by itself, and what when we ask? Both videos begin with the same picture and the same noise.

# %% tags=["prediction"]
# your prediction in place of the dots: a sentence, in quotes
prediction = predict("What will the ball do by itself, and what when we ask?", ...)

# %%
uncontrolled = generate(model, picture, seed=seed)
controlled = generate(model, picture, editor.trajectories, seed=seed)
videos = {"uncontrolled": uncontrolled.video, "controlled": controlled.video}
pair = side_by_side(list(videos.values()), list(videos), boxes, scale=max(1, 256 // width))
show_video(pair, fps=settings.fps, alt="the video without and with control, with the boxes asked for")

# %%
plot_comparison(uncontrolled.video, controlled.video, boxes)

# %% [markdown]
# *Look at* where the ball is relative to the box, in the last frames above all. Without control it goes its own way; with
# control it stays close to the box. Be fair to the toy: it is a small network, trained on drawn scenes on an ordinary
# computer. Things smear, and it follows some requests only part of the way. The same cells run with real Stable Video
# Diffusion on a GPU (`SGI2V_MODEL=svd`, chapter 11).
#
# ## How well did it follow?
#
# A tracker starts at the middle of the ball in the first frame and looks for it in every other one. **ObjMC** is the mean
# distance between where it finds the ball, $\hat{p}$, and where the box's centre $p$ was asked to be, over all $N$ boxes
# and $F$ frames; lower is better:
#
# $$ \mathrm{ObjMC} = \frac{1}{N F} \sum_{k, f} \lVert p_{k,f} - \hat{p}_{k,f} \rVert . $$

# %%
measured = {name: objmc(video, boxes) for name, video in videos.items()}
for name, result in measured.items():
    seen = result.tracks.visible.float().mean()
    print(
        f"{name:12} ObjMC {result.value:5.1f} px (tracker {result.tracker}, which saw the ball {seen:.0%} of the time)"
    )

# %%
centres = (boxes[..., :2] + boxes[..., 2:]) / 2
plot_tracks(controlled.video, centres, {name: result.tracks.points for name, result in measured.items()})

# %% tags=["prediction"]
prediction.beside(
    "by itself it is",
    measured["uncontrolled"].value,
    "px from the path on average; when asked,",
    measured["controlled"].value,
    "px",
)

# %% [markdown]
# A number without its picture can mislead: if the ball falls apart, the tracker may follow one of its pieces, or stay at
# the last place it was sure of. Look at the film strip again: did either happen here?

# %% tags=["claim"]
ends = {name: (result.tracks.points[0, -1] - centres[0, -1]).norm() for name, result in measured.items()}
claim(
    "Without control it goes its own way",
    "distance in the last frame, without control; the ball's radius (px)",
    ends["uncontrolled"],
    ">",
    (ball[2] - ball[0]) / 2,
)
claim(
    "control it stays close to the box",
    "ObjMC with control / without",
    measured["controlled"].value / measured["uncontrolled"].value,
    "<",
    0.5,
)

# %% [markdown]
# ## What happened inside
#
# At some of the early, noisy steps the method looked at the network's attention features, measured how much what is in
# the box differs from what was in it in the first frame, and pushed the noise a little so that it differs less: the
# **trajectory loss** falls. Then the video was denoised as usual.

# %%
steps = sorted(controlled.losses)
plot_losses([controlled.losses[step] for step in steps], [controlled.sigmas[step] for step in steps])

# %% [markdown]
# Each line is one **control step**, a denoising step at which the noise was pushed; its points are the iterations. The
# first line falls by a third or more. With the toy's own settings a step ends once its loss is below 0.3 of the first one
# (`early_stop`); such a line is shorter, and a step that finds nothing left to do is a single point.

# %% tags=["claim"]
first_line = controlled.losses[steps[0]]
claim(
    "first line falls by a third or more",
    "last loss / first loss of the first control step",
    first_line[-1] / first_line[0],
    "<",
    2 / 3,
)

# %% [markdown]
# ## A photograph
#
# A picture need not be drawn. This flower is asked to go to the right, by a quarter of the picture; boxes are in the
# photograph's own pixels, and are brought to the video's size with it.

# %%
photo, wish = photograph()
flower = {name: generate(model, photo, request, seed=seed) for name, request in (("alone", None), ("asked", wish))}
plot_comparison(flower["alone"].video, flower["asked"].video, flower["asked"].boxes)

# %% [markdown]
# *Look at* the flower: asked to, it goes with the box. It pays in detail, for the toy has seen few photographs.

# %% tags=["claim"]
claim(
    "asked to, it goes with the box",
    "ObjMC with control / without",
    objmc(flower["asked"].video, flower["asked"].boxes).value
    / objmc(flower["alone"].video, flower["asked"].boxes).value,
    "<",
    0.5,
)

# %% [markdown]
# ## Quick check
#
# Asking made a difference, in the right direction: the loss fell, the two videos are not the same, and the ball is closer
# to the path than it would have been by itself.

# %%
worked = [controlled.losses[step] for step in controlled.working_steps]  # in others it was low enough at once
fell = [losses[-1] < losses[0] for losses in worked]
assert sum(fell) > len(fell) / 2, "the trajectory loss did not fall in most control steps"
assert not torch.equal(*videos.values()), "control changed nothing"
assert torch.equal(boxes[0, 0], ball), "the box does not start on the ball"
without, along = (result.value for result in measured.values())
assert along < without, f"the ball is no closer to the path: {along:.1f} px, and {without:.1f} px by itself"
print(
    f"Of {len(controlled.losses)} control steps {len(fell)} had something to do; the loss fell in {sum(fell)} of them."
)
print(f"ObjMC went from {without:.1f} to {along:.1f} px.")

# %% [markdown]
# ## Exercises
#
# Each says how hard it is, from ★☆☆ to ★★★, how long it takes and what it is worth. Write where a line raises
# `NotImplementedError`, then run the cell below, which checks it. Hints are folded: open one, try again, and only then
# open the next.
#
# ### 1. Measure it yourself
#
# *★☆☆ · about 5 minutes · 2 points*
#
# Write `mean_distance(found, boxes)`: the mean Euclidean distance, in pixels, between the places found, shape
# `(boxes, frames, 2)`, and the centres of the boxes, shape `(boxes, frames, 4)`.
#
# <details><summary>Hint 1</summary>
#
# A box's centre is the mean of its top left and its bottom right corner: `boxes[..., :2]` and `boxes[..., 2:]`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The distance of each pair of points is `(found - centres).norm(dim=-1)`: the last axis holds $x$ and $y$. One mean
# over boxes and frames remains.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "distance", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mean_distance(found: torch.Tensor, boxes: torch.Tensor) -> float:
    ### BEGIN SOLUTION
    middles = (boxes[..., :2] + boxes[..., 2:]) / 2
    return (found - middles).norm(dim=-1).mean().item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "distance-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert float(mean_distance(centres, boxes)) < 1e-4, "whoever is at the centre of every box has no distance from it"
shifted = centres + torch.tensor([3.0, 4.0])
assert abs(float(mean_distance(shifted, boxes)) - 5) < 1e-3, "3 px to the right and 4 px down are 5 px"
for name, result in measured.items():
    assert abs(float(mean_distance(result.tracks.points, boxes)) - result.value) < 1e-3, (
        f"{name}: the library says {result.value}"
    )
print("Your distance is the library's ObjMC.")

# %% [markdown] tags=["discussion"]
# **Discussion.** The measure needs three steps: centres, one distance for each box and frame, and one mean. The usual
# mistake is to average too early. The distance of the mean places is smaller than the mean of the distances, because a
# ball that is too far left in one frame and too far right in another one would count as right. Another one is `norm()`
# without `dim`, which gives a single length for all numbers together. `torch.hypot` of the two differences, or
# `torch.linalg.vector_norm(..., dim=-1)`, would do as well.

# %% [markdown]
# ### 2. Another way
#
# *★★☆ · about 10 minutes · 2 points*
#
# Make one `Trajectory` and put it into `detour`. It begins at the ball's box, and its centre ends where `hill` ends. In at
# least one frame the centre is a tenth of the picture's height or more *below* the straight line between the two. The
# box starts slowly and stops slowly.
#
# <details><summary>Hint 1</summary>
#
# `Trajectory.move` takes `via`, a list of points that the centre passes, and `easing`. The cell that made `asked`
# shows both; the easing that is slow at both ends is called `"ease-in-out"`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The last point of `via` is where the centre ends, so it has to be `hill[-1]`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# $y$ grows downwards. Below the line means a larger $y$: put a point in the middle of the way at `y + 0.2 * height`.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "detour", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
detour = Trajectory.move(ball, via=[(x + 0.18 * width, y + 0.2 * height), hill[-1]], easing="ease-in-out")
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "detour-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert isinstance(detour, Trajectory), f"`detour` is a {type(detour).__name__}: expected one Trajectory"
made = detour.boxes(frames)
middles = (made[:, :2] + made[:, 2:]) / 2
assert torch.allclose(made[0], ball), "the detour begins at the ball's box"
assert torch.allclose(middles[-1], torch.tensor(hill[-1]), atol=0.5), (
    f"its centre should end at {[round(side, 1) for side in hill[-1]]}, not {[round(side, 1) for side in middles[-1].tolist()]}"
)
below = (middles[:, 1] - y).max().item()
assert below >= 0.1 * height, (
    f"the lowest centre of a frame is {below:.1f} px below the line, expected {0.1 * height:.1f} px or more; y grows "
    "downwards, and no frame need fall on the lowest point of the path"
)
pace = middles.diff(dim=0).norm(dim=1)
assert pace[0] < 0.8 * pace.max() and pace[-1] < 0.8 * pace.max(), "it should be slower at both ends than in between"
print("Off it goes. Give it to generate() and see whether the ball takes the detour.")

# %% [markdown] tags=["discussion"]
# **Discussion.** `via` lists the points that the centre passes, and the last one is where it ends. So two points are
# enough, one below the line and the end. The usual mistake is a minus sign: in pictures $y$ grows downwards, and a
# smaller $y$ gives a detour above the line. A point exactly a tenth below may miss the mark, since no frame has to
# fall on it; a little more is safe. `Trajectory.along` with a drawn line, or `KeyBox`es at three times (chapter 2),
# would give a detour as well.

# %% [markdown] nbgrader={"grade": false, "grade_id": "open-task", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": true}
# ### 3. Open: a path that it follows, and one that it does not
#
# *★★☆ · about 20 minutes · 6 points, by the rubric*
#
# Find two paths for one picture: one that the ball follows well and one on which it is lost. The picture may be this
# one, another `prompt` or a photograph (`read_image`). Show both videos and both numbers, then say in a few sentences
# what makes the second path harder. Change only the path between the two runs.
#
# | criterion | 2 points | 1 point |
# |---|---|---|
# | evidence | both videos or film strips, both ObjMC values, the same seed and settings | numbers without pictures, or pictures without numbers |
# | comparison | the two requests differ in one respect, which is named | they differ in several respects at once |
# | explanation | says what makes it hard, and what would have to happen if that were wrong | only describes what is seen |

# %% [markdown]
# *Your answer begins here. Add as many cells below as you need.*

# %% [markdown]
# ## Further
#
# - Chapters [1](01_latent_video_diffusion.ipynb) to [7](07_frequencies.ipynb) take the method apart, one stage each;
#   chapter 8 puts it together again, and chapter 9 shows when it fails.
# - [pipeline.py](../sgi2v_lab/pipeline.py) is `generate`, on three pages; the stages that it calls read in its order.
