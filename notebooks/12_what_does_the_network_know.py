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
# # 12 · What does the network know?
#
# *Every layer, at several noise levels, checked against a world whose truth is known; and a few heads switched off.*
#
# ![The stages of the method; this chapter is about what the network knows](../docs/pipeline/knowledge.svg)
#
# **You will learn**
#
# - to measure *matching*: can a feature find the same place again in the first frame?
# - in which layers, and at which noise levels, it can;
# - what a linear probe says, and what it does not say;
# - to switch attention heads off, and so to tell what the network *uses* from what it merely contains.
#
# **Time**: about 30 minutes, and 50 for the exercises; the cells run in about a minute.
#
# **In the paper**: section 3.2 chooses its features by looking at them. This chapter asks the same question with
# numbers. You need chapters [0](00_quickstart.ipynb), for ObjMC, [3](03_attention_features_and_pca.ipynb) and
# [4](04_aligned_features.ipynb).

# %% tags=["parameters"]
import os

model_name = os.environ.get("SGI2V_MODEL", "toy")  # "toy", "svd", "svd-xt", or a checkpoint's folder
device = None  # the best there is; or "cpu", "cuda", "mps"
seed = 817
count = 4  # clips; the atlas in the library's pages has 64
sigmas = (80, 7.3, 1.5, 0.19)  # noise levels

# %%
import torch
from sgi2v_lab import Trajectories, Trajectory, generate, intervene, load_model, matching_accuracy, objmc
from sgi2v_lab import prompt_boxes, reference_image
from sgi2v_lab.course import Atlas, AtlasExplorer, feature_sweep, features_at, layer_name, predict
from sgi2v_lab.course import probe_clips, sample_at, toy_clips
from sgi2v_lab.plots import plot_atlas, plot_film_strip, plot_series

model = load_model(model_name, device)
settings = model.settings
frames, channels, h, w = model.latent_shape(settings)
taught = [layer for layer in ((2, 1), (2, 2), (3, 0), (3, 1)) if layer in model.all_layers]
print(f"{model.name}: {len(model.all_layers)} layers with attention; latents {h} x {w} cells")

# %% tags=["claim"]
from sgi2v_lab.evaluation.course_claims import Claims

claim = Claims(strict=(model_name, seed) == ("toy", 817))  # checked with seeds 817, 1, 2, 3: see claims.md

# %% [markdown]
# ## A world that answers
#
# In a real video, nobody can say exactly where each place of the last frame was in the first one. In a drawn one, we can.
# The toy's world gives, for every cell of every frame, its *origin*: the place in frame 0 where the same thing was seen.
# The clips below were never trained on.

# %%
clips = [*toy_clips(model, count, first=seed % 1000 * count)]
clip = max(clips, key=lambda one: len(one.pairs))  # the one with the most cells that move
plot_film_strip(clip.video, clip.world.boxes)

# %% [markdown]
# Cells that stay where they are prove nothing: a network that knows no motion finds them too. So only cells that moved, by
# more than half a cell, and that can be seen in both frames, are asked about. `clip.pairs` lists them: a place in a later frame, and its origin.

# %%
pairs = clip.pairs
(x, y), (from_x, from_y) = pairs.here[0].tolist(), pairs.origin[0].tolist()
print(
    f"{clip.name}: {len(pairs)} pairs; the first one says that what is at ({x:.2f}, {y:.2f}) in frame {pairs.frame[0]}"
)
print(f"was at ({from_x:.2f}, {from_y:.2f}) in frame 0, as fractions of the picture's width and height")

# %% [markdown]
# ## Matching
#
# Take a place in a later frame, and its feature there. Which cell of frame 0 has the most similar one, by the cosine?
# If it lies within one cell of the true origin, the match is right. The share of right matches is the **accuracy**.
#
# (`accuracy` also holds the shares within half a cell and within two; we take one cell.)
#
# Two baselines keep us honest. A *blind guess* is right for a few places. And the answer "it was where it is now" is right
# for whatever moved by no more than a cell.
#
# *Prediction:* the network is given noisy latents at $\sigma = 1.5$. What share of this clip's places do its queries in
# layer (2, 1) match? (As in chapter 3, a layer is written (up block, transformer); ("down", block, transformer) is one on
# the way down.)

# %% tags=["prediction"]
# your prediction in place of the dots: a number from 0 to 1
prediction = predict("What share do the queries of layer (2, 1) match?", ...)

# %%
looks = [one.inspect(model, (1.5,), seed=seed) for one in clips]
look = looks[clips.index(clip)]
shown = taught[0] if taught else model.layers[-1]
query = features_at(look, 0, (shown,), ("query",))["query"][shown]  # 0: the first of the noise levels given above
by_queries, by_latents = (matching_accuracy(maps, pairs) for maps in (query, look.latents[0]))
print(f"queries of {shown}: {by_queries.accuracy[1]:.2f}")
print(f"noisy latents:     {by_latents.accuracy[1]:.2f}")
print(f"where it is now:   {by_queries.unmoved[1]:.2f}")
print(f"a blind guess:     {by_queries.chance[1]:.2f}")

# %% tags=["prediction"]
prediction.beside(by_queries.accuracy[1])

# %% [markdown]
# The queries match far more than the noisy latents that the network was given. It has worked out where things came from.

# %% tags=["claim"]
claim(
    "The queries match far more than the noisy latents",
    "accuracy, queries / noisy latents",
    by_queries.accuracy[1] / max(by_latents.accuracy[1], by_latents.chance[1]),
    ">",
    2,
)

# %% [markdown]
# ## The atlas
#
# Now every layer, at several noise levels, for two kinds of features: queries, and the aligned features that SG-I2V
# compares. `feature_sweep` writes one row for each clip, layer, noise level and kind into a table, and goes on where it
# was if it is interrupted. `Atlas` averages over clips.
#
# *Predict* where the bright cells will be: at the beginning of the network, in its middle, or towards its end? At strong
# noise or at weak noise?

# %% tags=["prediction"]
# your prediction in place of the dots: a row and a column in words, such as "middle, strong noise"
prediction = predict("Where in the network, and at which noise, is matching best?", ...)

# %%
table = feature_sweep(model, clips, out="../out/course_features", sigmas=sigmas, kinds=("query", "aligned"), seed=seed)
atlas = Atlas.of(table, "accuracy_1")
queries = dict(zip(atlas.layers, atlas.mean["query"].tolist(), strict=True))
unmoved = Atlas.of(table, "unmoved_1").mean["query"][0, 0].item()  # the same for every layer
chance = Atlas.of(table, "chance_1").mean["query"][0, 0].item()
plot_atlas(atlas.mean, atlas.layers, atlas.sigmas, "share of moved cells found within one cell", chance)

# %% tags=["prediction"]
prediction.beside("layer", atlas.best("query")[0], "at noise level", atlas.best("query")[1])

# %% [markdown]
# *Look at* the rows. Layers (2, 1), (2, 2) and (3, 0) are bright, (3, 1) is less so, and the best cell is one of
# theirs. The rows from (down, 2, 0) to (1, 2), the coarse middle of the network, stay dark: none of them finds half
# as much as the best. Then the columns: at $\sigma = 80$ no layer is bright. Matching appears as the noise falls.

# %% tags=["claim"]
middle = [queries[name] for name in ("down,2,0", "down,2,1", "mid,0,0", "1,0", "1,1", "1,2")]
top = {name: max(row) for name, row in queries.items()}
claim(
    "(3, 1) is less so",
    "accuracy of queries, (3, 1) / least of the other three",
    top["3,1"] / min(top[name] for name in ("2,1", "2,2", "3,0")),
    "<",
    0.95,
)
claim(
    "the best cell is one of theirs",
    "accuracy of queries, best of the four / best of the others",
    max(map(top.get, ("2,1", "2,2", "3,0", "3,1")))
    / max(value for name, value in top.items() if name not in ("2,1", "2,2", "3,0", "3,1")),
    ">",
    1.3,
)
claim(
    "none of them finds half as much as the best",
    "accuracy, best of the middle's / best of all",
    max(map(max, middle)) / max(map(max, queries.values())),
    "<",
    0.5,
)
claim(
    "no layer is bright",
    "accuracy of queries, best at noise level 80 / best of all",
    max(row[0] for row in queries.values()) / max(map(max, queries.values())),
    "<",
    0.5,
)

# %% [markdown]
# **Before you call this a discovery:** those four layers were *taught*. Early in the toy's training, a second loss
# told them where everything came from (chapter [4](04_aligned_features.ipynb)). Later it trained without this loss: what
# these layers still know, they have kept without a teacher. But that it is *these* layers was put there. What was not:
# that the noise level matters so much; that the coarse middle does not know it; and what the *other* layers do. The
# best of those follow.

# %%
untaught = {name: max(row) for name, row in queries.items() if name not in ("2,1", "2,2", "3,0", "3,1")}
for name in sorted(untaught, key=untaught.get, reverse=True)[:3]:
    print(f"layer {name:10} {untaught[name]:.2f}    (where it is now: {unmoved:.2f}, over all clips)")

# %% [markdown]
# No loss was put on these three layers, and the best of them beat the answer "where it is now". But the gradient of the
# second loss passed through (2, 0) and the way down, so that these may have learned it to serve the taught layers. Only
# (3, 2) comes after all taught layers, where no such gradient reached it. It beats that answer, too; but its input has
# passed through the taught layers, and it may repeat what they found.

# %% tags=["claim"]
claim(
    "the best of them beat the answer",
    "accuracy, best untaught layer / where it is now",
    max(untaught.values()) / unmoved,
    ">",
    1.05,
)
claim("It beats that answer, too", "accuracy, (3, 2) / where it is now", untaught["3,2"] / unmoved, ">", 1)

# %% [markdown]
# The explorer shows what is behind each cell. Click a cell of the map, then a place in the first frame.

# %%
AtlasExplorer(model, clip, table)

# %% [markdown]
# ## What can be read off: probes
#
# Matching asks *where was this before?* Other questions need other instruments. A **linear probe** is the simplest: a
# linear map from a cell's features to an answer, taught on all clips but one and asked about that one, in turn. We ask
# two things of each cell: does it belong to an object, or to the background? And where in the picture does the cell lie?
#
# The score of the first is the balanced accuracy: 0.5 is chance. That of the second is $R^2$, the share of the variance
# that is explained: 0 is chance.
#
# *Prediction:* these layers have no positional encoding. In which part of the network can a cell's *place* be read off best?

# %% tags=["prediction"]
# your prediction in place of the dots: "early", "middle" or "late"
prediction = predict("Where in the network can a cell's place be read off best?", ...)

# %%
blocks = [features_at(one, 0, model.all_layers, ("block",))["block"] for one in looks]  # what each layer puts out
scores = {
    target: [
        probe_clips(clips, [maps[layer] for maps in blocks], target, places=100).score for layer in model.all_layers
    ]
    for target in ("object", "position")
}
plot_series(
    [layer_name(layer).replace("down,", "down\n").replace("mid,", "mid\n") for layer in model.all_layers],
    {"object or background (chance 0.5)": scores["object"], "place in the picture (chance 0)": scores["position"]},
    "layer, from the first computed to the last",
    "score of a linear probe",
)

# %%
given = {"pixels": [one.video for one in clips], "noisy latents": [one.latents[0] for one in looks]}
for name, maps in given.items():
    told = {target: f"{probe_clips(clips, maps, target, places=100).score:.2f}" for target in scores}
    print(f"{name:14} {told}")

# %% tags=["prediction"]
best_place = max(range(len(model.all_layers)), key=lambda k: scores["position"][k])
prediction.beside(
    f"best in layer {layer_name(model.all_layers[best_place])}, number {best_place + 1} of {len(model.all_layers)}"
)

# %% [markdown]
# *Look at* the dashed line. The place can be read off best in up blocks 1 and 2, and hardly at all in the first layer.
# Convolutions pad the picture's border with zeros; layer by layer, that border tells cells how far away it is. In the
# atlas, up block 1 is dark, and (2, 1) and (2, 2) are bright: a layer can know where a cell is without knowing where it
# came from, or know both. For objects, the solid line, compare with the pixels printed above and not with chance: with
# four clips, even pixels score well, and some layers no better.

# %% tags=["claim"]
place = scores["position"]
claim(
    "The place can be read off best in up blocks 1 and 2",
    "the best layer is in one of them (1: yes)",
    model.all_layers[best_place][0] in (1, 2),
    "==",
    1,
)
claim("hardly at all in the first layer", "score of the first layer", place[0], "<", 0.3)
claim(
    "with four clips, even pixels score well, and some layers no better",
    "score for objects, the lowest layer's / the pixels'",
    min(scores["object"]) / probe_clips(clips, given["pixels"], "object", places=100).score,
    "<",
    0.95,
)

# %% [markdown]
# A probe says what *can* be read off. It does not say that the network reads it.
#
# ## What is needed: heads switched off
#
# To learn what the network uses, change it. Each attention layer has a few **heads**, which attend on their own. First,
# which heads *track*, that is, look at the place where their cell came from? `heads=True` measures each one by itself,
# by the place of frame 0 that its attention looks at most.

# %%
fine = tuple(layer for layer in model.all_layers if layer[0] in (1, 2, 3))
by_head = feature_sweep(
    model, clips, out="../out/course_heads", layers=fine, sigmas=(1.5,), kinds=("query-key",), heads=True, seed=seed
)
share = {}
for head in range(max(map(model.heads, fine))):
    found = Atlas.of(by_head, "accuracy_1", head)
    means = zip(found.layers, found.mean["query-key"][:, 0].tolist(), strict=True)
    share |= {(tuple(map(int, name.split(","))), head): value for name, value in means}
ranked = sorted(share, key=share.get, reverse=True)
for layer, head in ranked[:10]:
    print(f"layer {layer}, head {head}: {share[layer, head]:.2f}")

# %% [markdown]
# *Look at* the layers. The first four lines are the four heads of one layer, (3, 0), and on average they are right
# far more often than the next one. The six after them are heads of (2, 1) and (3, 1), with one exception at most. And
# (2, 2)? Its row in the atlas is as bright as that of (2, 1), but none of its heads is among these ten. The queries of a
# cell and of its origin are alike there, and yet attention looks elsewhere.

# %% tags=["claim"]
claim(
    "The first four lines are the four heads of one layer, (3, 0)",
    "heads of other layers",
    sum(layer != (3, 0) for layer, _ in ranked[:4]),
    "==",
    0,
)
claim(
    "on average they are right far more often than the next one",
    "accuracy, mean of the first four heads / the fifth",
    sum(share[one] for one in ranked[:4]) / 4 / share[ranked[4]],
    ">",
    1.2,
)
claim(
    "The six after them are heads of (2, 1) and (3, 1), with one exception at most.",
    "heads of other layers in lines 5 to 10",
    sum(layer not in ((2, 1), (3, 1)) for layer, _ in ranked[4:10]),
    "<=",
    1,
)
claim(
    "Its row in the atlas is as bright as that of (2, 1)",
    "best accuracy of queries, (2, 2) / (2, 1)",
    max(queries["2,2"]) / max(queries["2,1"]),
    ">",
    0.8,
)

# %% [markdown]
# `intervene` switches heads off: while it is open, their output is zero. We take the four that track best. As baselines
# we take layer (2, 2), which matches well, and four heads of the coarse layers, which match nothing. Then we ask for a
# video, as always.
#
# *Predict:* what will happen to the thing when the tracking heads are off? And when layer (2, 2) is off?

# %% tags=["prediction"]
# your prediction in place of the dots: words, in quotes: it stays, goes elsewhere, vanishes, or does as before
prediction = predict("What happens to the thing when tracking heads are off?", ...)

# %%
side = max(settings.width, settings.height)
prompt = "a yellow purple checked square at the left on grey tiles"
picture = reference_image(prompt, size=side)
box = next(iter(prompt_boxes(prompt, side).values())).tolist()
asked = Trajectories(picture.size, (Trajectory.move(box, by=(0.4 * side, 0), name="square"),))
quick = settings.replace(max_guidance_scale=1.0)  # without classifier-free guidance, to save time


def some(heads):
    """Heads as `intervene` takes them: {layer: [head, ...]}."""
    return {layer: [head for one, head in heads if one == layer] for layer, _ in heads}


coarse = [one for one in reversed(ranked) if one[0][0] == 1][:4]
off = {
    "all heads": {},
    "tracking heads off": some(ranked[:4]),
    "layer (2, 2) off": {(2, 2): [*range(model.heads((2, 2)))]},
    "coarse heads off": some(coarse),
}
runs = {}
for name, heads in off.items():
    with intervene(model, mute=heads):
        runs[name] = generate(model, picture, asked, quick, seed=seed, progress=False)
plot_film_strip(runs["all heads"].video, runs["all heads"].boxes, title="all heads")

# %%
plot_film_strip(runs["tracking heads off"].video, runs["all heads"].boxes, title="tracking heads off")

# %%
plot_film_strip(runs["layer (2, 2) off"].video, runs["all heads"].boxes, title="layer (2, 2) off")

# %%
distance = {}
for name, run in runs.items():
    result = objmc(run.video, run.boxes)
    distance[name], seen = result.value, result.tracks.visible.float().mean()
    changed_by = (run.video - runs["all heads"].video).abs().mean()
    print(
        f"{name:24} ObjMC {result.value:4.1f} px, seen in {seen:.0%} of the frames; video changed by {changed_by:.5f}"
    )

# %% tags=["prediction"]
prediction.beside([f"{name}: {value:.1f} px from its path" for name, value in distance.items()])

# %% [markdown]
# *Look at* the second strip. Without the tracking heads the square dissolves after the first frame: a faint blot is
# left, and ObjMC is far larger. (A tracker that has lost the square stays where it saw it last, so read the number
# beside the strip.) *Look at* the third strip. Without layer (2, 2) the square follows as before: that
# layer's queries say where things came from, and this video does without them. The coarse heads contribute next to
# nothing, so they are an easy baseline. A harder one would be heads that matter and do not track; look for one in
# exercise 4.
#
# It seems to be the tracking heads that carry the square's appearance from where it was to where it is: every frame is
# given the first frame's latents at the *old* place, and attention within the frame is the only way to fetch them from
# there. A teacher once told these heads to look there. The experiment adds that the video needs it.

# %% tags=["claim"]
apart = {name: (run.video - runs["all heads"].video).abs().mean() for name, run in runs.items()}
claim(
    "ObjMC is far larger",
    "ObjMC, tracking heads off / all heads",
    distance["tracking heads off"] / distance["all heads"],
    ">",
    3,
)
claim(
    "Without layer (2, 2) the square follows as before",
    "ObjMC, layer (2, 2) off / all heads",
    distance["layer (2, 2) off"] / distance["all heads"],
    "<",
    1.5,
)
claim(
    "The coarse heads contribute next to nothing",
    "change of the video, coarse heads off / tracking heads off",
    apart["coarse heads off"] / apart["tracking heads off"],
    "<",
    0.1,
)

# %% [markdown]
# ## Three kinds of evidence
#
# | instrument | it says | it does not say |
# |---|---|---|
# | matching | which features are alike where the truth is the same | that anything uses them |
# | a probe | what a linear map can read off | that the network reads it; and failing says little with few clips |
# | switching off | that a video needs a part | what the part computes: the network was never trained without it |
#
# A finding that all three support is worth believing. One instrument alone can fool you: layer (2, 2) matches as well
# as (2, 1) and has a good code for places, and its heads can be switched off with hardly a trace.
#
# [The findings page](../sgi2v_lab/analysis/README.md) has the same measurements on 32 clips, with intervals, and
# what others found in real models.

# %% [markdown]
# ## Quick check
#
# The instrument itself: features that *are* the origins must match perfectly, shuffled ones must be at chance, and an
# intervention must leave earlier layers alone.

# %%
truth = clip.world.origins.nan_to_num(-1.0)
angle = torch.cat([f(torch.pi * k * truth) for k in (1, 2, 3) for f in (torch.sin, torch.cos)], dim=-1).permute(
    0, 3, 1, 2
)
perfect = matching_accuracy(angle, pairs).accuracy[1]
dice = torch.Generator().manual_seed(seed)
later = torch.stack([maps.flatten(1)[:, torch.randperm(h * w, generator=dice)].view_as(maps) for maps in angle[1:]])
shuffled = matching_accuracy(torch.cat([angle[:1], later]), pairs)
assert perfect > 0.95, f"features made of the truth match only {perfect:.2f}"
assert shuffled.accuracy[1] < 0.15, f"shuffled features match {shuffled.accuracy[1]:.2f}"
first_layer, last_layer = model.all_layers[0], model.all_layers[-1]
with intervene(model, mute={last_layer: [0]}):
    changed = features_at(look, 0, (first_layer, last_layer), ("block",))["block"]
same = blocks[clips.index(clip)]
assert torch.equal(changed[first_layer], same[first_layer]), "a layer before the muted one should not change"
assert not torch.equal(changed[last_layer], same[last_layer]), "the muted layer's block should change"
print(f"The truth as a feature matches {perfect:.2f}, the same shuffled {shuffled.accuracy[1]:.2f}.")

# %% [markdown]
# ## Exercises
#
# ### 1. Matching by hand
#
# *★★☆ · about 20 minutes · 3 points*
#
# Write the measure yourself, for one frame. `asked_about` holds the features (n, channels) of n places, `first` those of
# frame 0's cells (h * w, channels), row by row, and `origins` the true places (n, 2) as x and y in sides of the picture.
# For each place, find the most similar cell by the cosine. It is right if its *middle* is at most one cell from the origin
# in x, and at most one in y. Return the share of places for which it is right.
#
# <details><summary>Hint 1</summary>
#
# The cosine is the product of vectors divided by their lengths: `torch.nn.functional.normalize` on both, then one matrix
# product (n, cells), then `argmax`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Cell number k lies in row `k // w` and column `k % w`. Its middle is half a cell further, in both.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Origins are in sides of the picture; multiply x by `w` and y by `h` to count in cells. Allow for rounding: `<= 1 + 1e-4`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "matching-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
def share_found(asked_about, first, origins, h, w):
    """The share of places whose best match lies within one cell of the truth, 0..1."""
    ### BEGIN SOLUTION
    normalize = torch.nn.functional.normalize
    best = (normalize(asked_about, dim=1) @ normalize(first, dim=1).T).argmax(dim=1)
    middles = torch.stack([best % w, best // w], dim=1) + 0.5
    off = (middles - origins * torch.tensor([w, h])).abs().amax(dim=1)
    return (off <= 1 + 1e-4).float().mean().item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "matching-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
import torch.nn.functional as F

for maps in (query, look.latents[0]):
    fine_first = F.interpolate(maps[:1].float().cpu(), (h, w), mode="bilinear", align_corners=False)[0].flatten(1).T
    expected = matching_accuracy(maps, pairs).error
    for frame in (1, frames - 1):
        mine = pairs.frame == frame
        if mine.any():
            found = share_found(sample_at(maps[frame], pairs.here[mine]).cpu(), fine_first, pairs.origin[mine], h, w)
            right = (expected[mine] <= 1 + 1e-4).float().mean().item()
            assert abs(float(found) - right) < 1e-3, (
                f"frame {frame}: a share of {float(found):.3f}, expected {right:.3f}"
            )
toy_first = torch.eye(6)
found = share_found(3 * toy_first[[5, 0]], toy_first, torch.tensor([[0.5, 0.25], [2.5 / 3, 0.75]]), 2, 3)
assert found is not None, "your function returns nothing"
assert abs(float(found) - 0.5) < 1e-6, (
    f"on a grid of 2 x 3 the share should be 0.5, not {float(found):.3f}: the middle of cell 5, the last of the second "
    "row, is one cell to the right of (0.5, 0.25) and one below, which counts"
)
print("Your measure is the library's.")

# %% [markdown] tags=["discussion"]
# **Discussion.** One matrix product compares every place with every cell. Normalising both sides makes it a cosine, so
# that large features do not win by their size. Two mistakes are common: rows and columns are swapped, which a square
# grid hides until the check's grid of 2 x 3; and the half cell is forgotten, which moves every match to a corner.
# `torch.cdist` on normalised vectors finds the same cells, since a small distance is a large cosine. The measure takes
# the single best match; DiffTrack and others also count how sure the match is.

# %% [markdown]
# ### 2. A baseline for every number
#
# *★☆☆ · about 10 minutes · 2 points*
#
# Which layers *know of motion* at $\sigma = 1.5$? Those whose queries find clearly more than the answer "where it is now",
# say by 0.1. Put their names, as the atlas has them, into `movers`.
#
# <details><summary>Hint 1</summary>
#
# `atlas.mean["query"]` has a row for each of `atlas.layers` and a column for each of `atlas.sigmas`; `unmoved` is the
# baseline.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `atlas.sigmas.index(1.5)` is the column. Compare each row's value in it with `unmoved + 0.1`.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "movers-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
movers = None  # a list of names, such as ["2,1"]
### BEGIN SOLUTION
column = atlas.sigmas.index(1.5)
at_this_level = zip(atlas.layers, atlas.mean["query"][:, column].tolist(), strict=True)
movers = [name for name, value in at_this_level if value > unmoved + 0.1]
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "movers-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert isinstance(movers, list | tuple | set), "put the names into `movers`, as a list"
level = atlas.mean["query"][:, list(atlas.sigmas).index(1.5)]
right = {name for name, value in zip(atlas.layers, level.tolist(), strict=True) if value > unmoved + 0.1}
assert set(movers) <= set(atlas.layers), f"unknown layers: {set(movers) - set(atlas.layers)}"
assert set(movers) == right, f"missing {right - set(movers) or 'none'}, too many {set(movers) - right or 'none'}"
print(f"{len(right)} of {len(atlas.layers)} layers know of motion: {', '.join(sorted(right))}.")

# %% [markdown] tags=["discussion"]
# **Discussion.** Without the baseline, 0.15 looks like knowledge; with it, it is about what a picture that stands
# still would score. The usual mistake is to compare with chance, about 0.02, which nearly every layer beats:
# neighbouring places look alike, so a feature that knows only *where it is* comes near. The margin of 0.1 is a
# choice, and with four clips a layer near it may fall on either side. An interval over clips, as on the findings
# page, would say so.

# %% [markdown]
# ### 3. Is one head enough?
#
# *★★☆ · about 20 minutes · 3 points*
#
# *Predict* first: how many of the tracking heads must be off before ObjMC is twice that of all heads? Then measure two
# cases. Make one video with the best head of `ranked` off and one with the best three off, both with the picture, request,
# settings and seed from above, and put each ObjMC into `after`.
#
# <details><summary>Hint 1</summary>
#
# `some(ranked[:n])` is what `intervene(model, mute=...)` takes.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Inside the `with` block: `run = generate(model, picture, asked, quick, seed=seed, progress=False)`, then
# `objmc(run.video, run.boxes).value`.
#
# </details>

# %% tags=["prediction"]
# your prediction in place of the dots: a number
prediction = predict("How many of the tracking heads must be off before ObjMC doubles?", ...)

# %% nbgrader={"grade": false, "grade_id": "muted-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
after = {1: None, 3: None}  # heads that are off -> ObjMC in pixels
### BEGIN SOLUTION
for off_now in after:
    with intervene(model, mute=some(ranked[:off_now])):
        muted = generate(model, picture, asked, quick, seed=seed, progress=False)
    after[off_now] = objmc(muted.video, muted.boxes).value
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "muted-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
import random

assert None not in after.values() and set(after) == {1, 3}, "put two numbers into `after`"
drawn = random.choice((1, 3))  # one of them is made again, drawn at random
with intervene(model, mute=some(ranked[:drawn])):
    again = generate(model, picture, asked, quick, seed=seed, progress=False)
expected = objmc(again.video, again.boxes).value
assert abs(float(after[drawn]) - expected) < 0.05, f"{drawn} off: {after[drawn]}, but it is {expected:.2f} px"
by_number = {0: distance["all heads"], **after, 4: distance["tracking heads off"]}
print({f"{number} off": f"{float(value):.1f} px" for number, value in by_number.items()})
plot_film_strip(again.video, again.boxes, title=f"tracking heads off: {drawn}")

# %% tags=["prediction"]
prediction.beside([f"{number} off: {float(value):.1f} px" for number, value in by_number.items()])

# %% [markdown] tags=["discussion"]
# **Discussion.** Look at the strip before you believe the number: a tracker that loses the square stays where it was.
# How many heads it takes depends on the video: try another seed. Heads of a layer do much the same, and layers follow
# one another, so one may stand in for another that is off. So "head 1 does it" is seldom true, and an experiment with
# single heads can find nothing where a set of them is vital. The usual mistake is to leave the `with` block before
# `generate` runs. Change the order of `ranked`, or mute heads of several layers, and the curve changes again: what is
# measured is a set of heads, in one video.

# %% [markdown] nbgrader={"grade": false, "grade_id": "open-task", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": true}
# ### 4. Open: one sentence, three instruments
#
# *★★★ · about 45 minutes · 6 points, by the rubric*
#
# Choose a sentence about this network that begins with "Layer ... knows ..." or "Head ... is responsible for ...", and
# test it with all three instruments. `intervene` can also mute temporal heads, take keys and values from another frame
# (`swap`), or bias temporal attention towards the first frame. Say what each instrument finds, and write the sentence
# again so that all three support it.
#
# | criterion | 2 points | 1 point |
# |---|---|---|
# | instruments | matching, a probe and an intervention, each with its baseline | two of them, or no baselines |
# | variation | several clips or seeds, and how much the numbers vary | one clip |
# | wording | the last sentence claims no more than was measured | it confuses "contains" with "uses" |

# %% [markdown]
# *Your answer begins here. Add as many cells below as you need.*

# %% [markdown]
# ## Further
#
# - [The findings page](../sgi2v_lab/analysis/README.md): the whole atlas, heads, probes and interventions, with intervals.
# - DiffTrack (arXiv 2506.17220) measures matching in video transformers;
#   Vélez et al. (arXiv 2502.07001) probe video diffusion models.
# - [Chapter 13](13_does_it_work.ipynb) asks the same of whole videos: does the method work, and who says so?
