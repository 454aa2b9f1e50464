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
# # 3 · Attention features and PCA
#
# *While it removes noise, the network works out what each place of the video shows. This chapter makes that visible.*
#
# ![The stages of the method; this chapter is about the UNet's features](../docs/pipeline/features.svg)
#
# **You will learn**
#
# - what a self-attention layer of the UNet computes, and how to compute it yourself from its queries, keys and values;
# - how to record features of any layer, without changing what the network does;
# - how principal components turn a hundred channels into three colours;
# - how to ask "which other places look like this one?", in every frame.
#
# **Time**: about 60 minutes, and 50 for the exercises; the cells run in well under a minute on the toy.
#
# **In the paper**: section 3.1 looks for features that match across frames, and section 4.3 compares layers. Layers are
# written (up block, transformer) here, both counted from 0. The paper counts the transformers of a block from 1: its M2
# and M3 are our (2, 1) and (2, 2).

# %% tags=["parameters"]
import os

model_name = os.environ.get("SGI2V_MODEL", "toy")  # "toy", "svd", "svd-xt", or a checkpoint's folder
device = None  # the best there is; or "cpu", "cuda", "mps"
prompt = "an orange blue dotted circle at the left on green clouds"
seed = 817

# %%
import torch
from sgi2v_lab import encode_image, encode_video, extract_features, fit_pca, load_model, make_schedule, similarity_maps
from sgi2v_lab.course import FeatureExplorer, best_matches, known_motion, predict
from sgi2v_lab.plots import new_figure, plot_film_strip, plot_pca_strip, plot_similarity, styled

model = load_model(model_name, device)
settings = model.settings
width, height = settings.width, settings.height
frames, channels, h, w = model.latent_shape(settings)

# %% tags=["claim"]
from sgi2v_lab.evaluation.course_claims import Claims

claim = Claims(strict=(model_name, seed) == ("toy", 817))  # checked with seeds 817, 1, 2, 3: see claims.md

# %% [markdown]
# ## A video whose motion we know
#
# To judge what the network sees, we need a video in which we know where everything is. The toy's world draws one: a ball
# that rolls to the right over a background that stands still. `truth` is the ball's box in every frame.
#
# One thing to know beforehand. Stable Video Diffusion found out by itself which places of two frames belong together.
# The bundled toy is too small for that, and was **taught**: early in its training, a second loss told layers (2, 1) and
# (2, 2) where aligned attention (chapter 4) should look, and layers (3, 0) and (3, 1) the same of their own
# self-attention. Later, it trained without this loss. So when these layers find the ball, the toy remembers a lesson.
# Layer (3, 2) was taught nothing of the kind.

# %%
clip, truth = known_motion(model, prompt, by=(0.5, 0.0))
centres = (truth[0, :, :2] + truth[0, :, 2:]) / 2
plot_film_strip(clip, truth, every=None)

# %% [markdown]
# The network never sees clean pictures. We encode every frame into latents $x_0$ and add noise of strength $\sigma$, as
# in training: $z = x_0 + \sigma \varepsilon$. `encode_image` is what tells the network what the first frame looks like.

# %%
generator = torch.Generator().manual_seed(seed)
conditioning = encode_image(model, clip[0], settings, generator)
z = encode_video(model, clip).float()
noise = torch.randn(z.shape, generator=generator).to(z)
sigmas = make_schedule(model, settings).sigmas[:-1].cpu()
print(f"latents {tuple(z.shape)}, noise levels from {sigmas[0]:.3g} to {sigmas[-1]:.3g}")

# %% [markdown]
# ## What a self-attention layer computes
#
# Inside the UNet a frame is a map of tokens, one for each place. From every token a layer makes a query $q$, a key $k$
# and a value $v$, each with $d$ numbers per head. Every place asks with its query, all places of the same frame answer
# with their keys, and the place receives a weighted mean of their values:
#
# $$ \text{feature} = \operatorname{softmax}\!\left(\frac{Q K^\top}{\sqrt{d}}\right) V . $$
#
# Heads do this side by side on slices of the channels, and their results are laid next to each other. Here are all
# spatial self-attention layers of the UNet's decoding half. Up block 0 has none.

# %%
middle = int((sigmas - 1).abs().argmin())
x, sigma = z + sigmas[middle].item() * noise, sigmas[middle].item()
layers = model.layers
attended = extract_features(model, x, sigma, conditioning, layers, "self-attention")
for layer, maps in attended.items():
    attention = model.unet.up_blocks[layer[0]].attentions[layer[1]].transformer_blocks[0].attn1
    used = "  <- compared by the loss" if layer in settings.layers else ""
    print(
        f"layer {layer}: {maps.shape[1]:4} channels in {attention.heads} heads, {maps.shape[3]} × {maps.shape[2]}{used}"
    )

# %% [markdown]
# `extract_features` runs the UNet once, only as far as the last layer that is wanted, and returns a dictionary: for every
# layer the maps `(frames, channels, h', w')`. It hooks the layers and removes the hooks afterwards; the network computes
# what it always does.
#
# ## A hundred channels, three colours
#
# A place is now a point in a space of about a hundred dimensions. Principal component analysis finds the three
# directions $u_1, u_2, u_3$ along which these points differ most,
#
# $$ f \approx \mu + c_1 u_1 + c_2 u_2 + c_3 u_3 , $$
#
# and we paint $(c_1, c_2, c_3)$ as red, green and blue. One basis serves all frames, so **equal colour means equal
# feature**, in whichever frame. Colours of two rows with different bases must not be compared.
#
# *What do you expect?* The first rows have fewer and larger cells. In which rows can you find the ball? Does it keep its
# colour while it moves?

# %% tags=["prediction"]
# your prediction in place of the dots: words, in quotes
prediction = predict("In which layers can you find the ball, and does it keep its colour?", ...)

# %%
chosen = tuple(dict.fromkeys((layers[0], *settings.layers, layers[-1])))
bases = {layer: fit_pca(attended[layer]) for layer in chosen}
colours = {layer: bases[layer].rgb(attended[layer]) for layer in chosen}
plot_pca_strip({f"layer {layer}": rows for layer, rows in colours.items()}, clip, truth)

# %%
for layer, basis in bases.items():
    print(f"layer {layer}: three components hold {sum(basis.explained):.0%} of the variance")


# %% tags=["prediction"]
def ball_colour(rows, frame):
    """The mean colour in the ball's box."""
    x0, y0, x1, y1 = (truth[0, frame] * rows.shape[-1] / width).int().tolist()
    return rows[frame, :, y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)].mean(dim=(1, 2))


changes = [f"{(ball_colour(rows, -1) - ball_colour(rows, 0)).norm():.2f} in {layer}" for layer, rows in colours.items()]
prediction.beside("from the first to the last frame its colour changes by", changes)

# %% [markdown]
# Five things to look for on the toy:
#
# - In the rows of up blocks 2 and 3 a patch of its own colour travels with the box: the network knows the ball.
# - In layer (2, 1) the ball keeps its colour. Around it, much of the colour says how high a cell lies.
# - In layer (3, 2) the ball has one colour in frame 0 and another one from frame 1 on, although it is the same ball.
# - There, too, a second patch stays behind where the ball began, because the picture of the first frame is shown to the
#   network in *every* frame.
# - In layer (1, 0) about half of the colour says which frame a cell belongs to, whatever is there.
#
# What is not in three colours is not lost, only not painted; the shares above say how much that is.


# %% tags=["claim"]
def stands_out(rows: torch.Tensor, frame: int, box: torch.Tensor) -> torch.Tensor:
    """How far the mean colour in a box is from that of a ring of two cells around it."""
    cells = rows.shape[-1] / width
    x0, y0, x1, y1 = (box * cells).round().int().clamp(0, rows.shape[-1]).tolist()
    inside = torch.zeros(rows.shape[2:], dtype=torch.bool)
    around = inside.clone()
    inside[y0:y1, x0:x1] = True
    around[max(0, y0 - 2) : y1 + 2, max(0, x0 - 2) : x1 + 2] = True
    return (rows[frame][:, inside].mean(dim=1) - rows[frame][:, around & ~inside].mean(dim=1)).norm()


coarse, *between, last = colours.values()
claim(
    "a patch of its own colour travels with the box",
    "least distance of the box's colour from its surroundings, last frame, layers (2, 1), (3, 0) and (3, 2)",
    min(stands_out(rows, -1, truth[0, -1]) for rows in (*between, last)),
    ">",
    0.3,
)
claim(
    "In layer (2, 1) the ball keeps its colour",
    "distance of the ball's mean colours in frame 0 and a later frame, mean, layer (2, 1)",
    torch.stack([ball_colour(between[0], f) - ball_colour(between[0], 0) for f in range(1, frames)]).norm(dim=1).mean(),
    "<",
    0.25,
)
claim(
    "much of the colour says how high a cell lies",
    "share of the colours' variance between the means of rows of cells, layer (2, 1)",
    between[0].mean(dim=(0, 3)).var(dim=1).mean() / between[0].var(dim=(0, 2, 3)).mean(),
    ">",
    0.3,
)
claim(
    "the ball has one colour in frame 0 and another one",
    "least distance of the ball's mean colours in frame 0 and a later frame, layer (3, 2)",
    min((ball_colour(last, f) - ball_colour(last, 0)).norm() for f in range(1, frames)),
    ">",
    0.3,
)
claim(
    "a second patch stays behind where the ball began",
    "distance of the first box's colour from its surroundings, last frame, layer (3, 2)",
    stands_out(last, -1, truth[0, 0]),
    ">",
    0.3,
)
claim(
    "about half of the colour says which frame a cell belongs to",
    "share of the colours' variance between the means of frames, layer (1, 0)",
    coarse.mean(dim=(2, 3)).var(dim=0).mean() / coarse.var(dim=(0, 2, 3)).mean(),
    ">",
    0.35,
)

# %% [markdown]
# The coarsest layers have too few cells to place a box; the finest ones also carry texture and noise. The paper
# compares layers in between: fine enough to place a box, coarse enough to know the ball as one thing.

# %% [markdown]
# ## Features depend on the noise
#
# *What do you expect?* The same video, with less and less noise on it. Below each row is a second one for comparison:
# the same first frame and the same noise, but the ball stays at rest. At which noise level do the features tell the two
# videos apart? What could the network know of later frames before that?

# %% tags=["prediction"]
# your prediction in place of the dots: a number
prediction = predict("From which noise level σ down do the features tell a moving ball from one at rest?", ...)

# %%
layer = settings.layers[-1]
controlled = sum(settings.control_steps) // 2
resting, _ = known_motion(model, prompt, by=(0.0, 0.0))
z_resting = encode_video(model, resting).float()
by_noise, apart = {}, {}
for step in dict.fromkeys((0, controlled, middle)):
    level = sigmas[step].item()
    moves, rests = (
        extract_features(model, clean + level * noise, level, conditioning, (layer,), "self-attention")[layer].float()
        for clean in (z, z_resting)
    )
    basis = fit_pca(moves)  # one basis for both rows
    by_noise[f"σ = {level:.2g}"], by_noise[f"{level:.2g}, at rest"] = basis.rgb(moves), basis.rgb(rests)
    apart[f"σ = {level:.2g}"] = ((moves - rests)[1:].pow(2).mean() / moves.var(dim=(0, 2, 3)).mean()).item()
plot_pca_strip(by_noise, clip, truth)

# %% tags=["prediction"]
differences = [f"{difference:.2g} variances at {label}" for label, difference in apart.items()]
prediction.beside("mean squared difference of the two videos' features, later frames:", differences)

# %% [markdown]
# *Look at* the two rows of a noise level; the box is that of the moving ball in both. At the highest noise level they
# are the same: noise hides the ball's path, and the network knows of the later frames only what it was told, the first
# frame. Whatever travels there is a guess, since it travels for a ball at rest as well. At the lower levels the rows
# differ. In the last frame of the lowest level, only the ball that moves stands out in the box.
#
# This is not a flaw; it is what the method exploits. Early in denoising the motion is not yet decided, so a small push
# can still decide it.

# %% tags=["claim"]
claim(
    "At the highest noise level they are the same",
    "mean squared difference of the two videos' features, highest noise (variances)",
    next(iter(apart.values())),
    "<",
    0.02,
)
claim(
    "At the lower levels the rows differ",
    "least mean squared difference of the two videos' features, lower noise levels (variances)",
    min(list(apart.values())[1:]),
    ">",
    0.2,
)
claim(
    "only the ball that moves stands out in the box",
    "distance of the box's colour from its surroundings, last frame, lowest noise, at rest / moving",
    stands_out(list(by_noise.values())[-1], -1, truth[0, -1])
    / stands_out(list(by_noise.values())[-2], -1, truth[0, -1]),
    "<",
    0.5,
)

# %% [markdown]
# ## Other things a layer has
#
# Queries, keys and values are maps as well. So are the result of the *temporal* attention, in which every place looks
# along time, and the output of the whole transformer block.

# %%
kinds = ("self-attention", "query", "key", "value", "temporal", "block")
parts = {kind: extract_features(model, x, sigma, conditioning, (layer,), kind)[layer] for kind in kinds}
plot_pca_strip({kind: fit_pca(maps).rgb(maps) for kind, maps in parts.items()}, clip)

# %% [markdown]
# ## Which other places look like this one?
#
# Colours are for the eye. To measure, take the feature at one place of the first frame, $f_0$, and compare it with every
# place of every frame by the cosine of the angle between them (after the mean over all places is taken off, since
# attention features share a large common part):
#
# $$ s(p) = \frac{\langle f(p), f_0 \rangle}{\lVert f(p) \rVert \, \lVert f_0 \rVert} . $$
#
# *What do you expect?* The ring marks the ball's middle. If features followed the ball, the red spot would move along
# with it.

# %% tags=["prediction"]
# your prediction in place of the dots: a list of layers, such as [(2, 1)]
prediction = predict("In which layers does the red spot move along with the ball?", ...)

# %%
point, size = tuple(centres[0].tolist()), (width, height)
compared = tuple(dict.fromkeys((*settings.layers, layers[-1])))
similar = {f"layer {layer}": similarity_maps(attended[layer], point=point, picture_size=size) for layer in compared}
plot_similarity(clip, similar, point)

# %% [markdown]
# How far is the most similar place of each frame from the ball's true centre? A cell is 16 px wide in up block 2 and 8 px
# in up block 3.

# %%
off = {name: (best_matches(maps, size) - centres).norm(dim=1) for name, maps in similar.items()}
for name, distances in off.items():
    print(f"{name}: off by {distances.int().tolist()} px, frame by frame")

# %% tags=["prediction"]
prediction.beside(", ".join(f"{name}: {distances[1:].mean():.0f} px off" for name, distances in off.items()))

# %% [markdown]
# In the first frame the answer is right by construction, since a place is most similar to itself. Follow the most
# similar place through later frames: on the toy it stays on the ball in all three layers, taught or not. But look at
# how red the ball is. In layer (2, 1) it stays as red as it was. In layer (3, 2) it is far redder in frame 0 than in
# any other frame: the same ball gets another feature as soon as it is another frame's, since every frame mixes its
# *own* values. [Chapter 4](04_aligned_features.ipynb) changes one line of the attention and looks again.

# %% tags=["claim"]
claim(
    "it stays on the ball in all three layers",
    "largest of the layers' mean distances (px), the ball's radius",
    max(distances[1:].mean() for distances in off.values()),
    "<",
    (truth[0, 0, 2] - truth[0, 0, 0]) / 2,
)


def redness(maps: torch.Tensor) -> list[torch.Tensor]:
    """The mean similarity in the ball's box, frame by frame."""
    spans = (truth[0] * maps.shape[-1] / width).int().tolist()
    return [frame[y0:y1, x0:x1].mean() for frame, (x0, y0, x1, y1) in zip(maps, spans, strict=True)]


steady, fading = (redness(similar[f"layer {one}"]) for one in (settings.layers[0], layers[-1]))
claim(
    "In layer (2, 1) it stays as red as it was",
    "mean similarity in the box, later frames / frame 0, layer (2, 1)",
    torch.stack(steady[1:]).mean() / steady[0],
    ">",
    0.8,
)
claim(
    "it is far redder in frame 0 than in any other frame",
    "mean similarity in the box, largest of the later frames / frame 0, layer (3, 2)",
    max(fading[1:]) / fading[0],
    "<",
    0.65,
)

# %% [markdown]
# ## Explore
#
# The explorer has all of it: choose layer, step and kinds, click on the picture to ask for another place, and slide
# through the frames. Everything that you set is also an attribute, such as `explorer.point` or `explorer.layer`.

# %%
explorer = FeatureExplorer(model, image=clip[0], latents=z.cpu())
explorer.step, explorer.left, explorer.right = middle, "self-attention", "block"
explorer

# %%
plot_similarity(
    clip,
    {kind: similarity_maps(parts[kind], point=point, picture_size=size) for kind in ("self-attention", "block")},
    point,
)

# %% [markdown]
# ## Quick check
#
# Features really come from multi-head self-attention: we rebuild them from the recorded queries, keys and values, head by
# head. And recording changes nothing: the same forward pass gives the same features, whatever else is recorded.


# %%
def heads(maps: torch.Tensor, count: int) -> torch.Tensor:
    """(frames, channels, h, w) -> (frames, heads, places, channels of a head)."""
    return maps.float().flatten(2).unflatten(1, (count, -1)).transpose(2, 3)


count = model.unet.up_blocks[layer[0]].attentions[layer[1]].transformer_blocks[0].attn1.heads
rebuilt = torch.nn.functional.scaled_dot_product_attention(
    *(heads(parts[kind], count) for kind in ("query", "key", "value"))
)
rebuilt = rebuilt.transpose(2, 3).flatten(1, 2).unflatten(2, parts["self-attention"].shape[2:])
exact = model.dtype == torch.float32
error = (rebuilt - parts["self-attention"]).abs().max().item()
assert torch.allclose(rebuilt, parts["self-attention"].float(), atol=1e-4 if exact else 5e-2), f"off by {error}"
assert torch.allclose(parts["self-attention"].float(), attended[layer].float(), atol=1e-4 if exact else 5e-2)
layers_before = [(a, a.processor) for a in model.unet.modules() if hasattr(a, "to_q")]
again = extract_features(model, x, sigma, conditioning, (layer,), "self-attention")[layer]
assert torch.equal(again, parts["self-attention"]), "the same forward should give the same features"
assert all(a.processor is before for a, before in layers_before), "the recorder left something behind"
print(f"Softmax of queries on keys, times values, gives the recorded features in {count} heads, to {error:.0e}.")

# %% [markdown]
# ## Exercises
#
# ### 1. Similarity in five lines
#
# *★★☆ · about 15 minutes · 2 points*
#
# Write `cosine_map(features, row, column)`: the cosine similarity of every place of every frame to cell `(row, column)`
# of frame 0, shape `(frames, h, w)`. First subtract the mean over all frames and places, channel by channel.
#
# <details><summary>Hint 1</summary>
#
# The mean is over frames and places, for each channel by itself: `features.mean(dim=(0, 2, 3), keepdim=True)`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Divide by the length of each place's vector, which is a norm over channels (`dim=1`). The cosine of two vectors of
# length 1 is the sum of their products.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# The reference is one vector of shape `(channels,)`. Give it the shape `(1, channels, 1, 1)` before you multiply.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "cosine", "locked": false, "schema_version": 3, "solution": true, "task": false}
def cosine_map(features: torch.Tensor, row: int, column: int) -> torch.Tensor:
    ### BEGIN SOLUTION
    centred = features - features.mean(dim=(0, 2, 3), keepdim=True)
    unit = centred / centred.norm(dim=1, keepdim=True)
    return (unit * unit[0, :, row, column].view(1, -1, 1, 1)).sum(dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "cosine-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
maps = attended[layer].float().cpu()
for row, column in ((0, 0), (maps.shape[2] // 2, maps.shape[3] // 4)):
    mine = torch.as_tensor(cosine_map(maps, row, column)).float()
    theirs = similarity_maps(maps, point=(column + 0.5, row + 0.5))
    assert mine.shape == theirs.shape, f"expected shape {tuple(theirs.shape)}, not {tuple(mine.shape)}"
    assert abs(mine[0, row, column] - 1) < 1e-4, "a place is most similar to itself: its similarity is 1"
    assert torch.allclose(mine, theirs, atol=1e-5), f"off by up to {(mine - theirs).abs().max():.4f}: did you centre?"
print("Your similarity is the library's.")

# %% [markdown] tags=["discussion"]
# **Discussion.** Three steps: centre, normalise, and one inner product for each place. Without centring nearly all
# places look alike, because attention features share a large common part; the map is then pale red everywhere. The
# usual mistake is to centre each frame by itself: then a difference between frames, which is what we look for, is
# removed. Another one is to take the reference from the features before they were centred.
# `torch.nn.functional.cosine_similarity(centred, reference, dim=1)` and `torch.einsum` do the last two steps in a
# line.

# %% [markdown]
# ### 2. Where does one place look?
#
# *★★★ · about 20 minutes · 3 points*
#
# Write `looks_at(query, key, count, head, place)`: the attention weights with which `place` (an index into the flattened
# map) of every frame looks at all places of the *same* frame, in one head. `query` and `key` are maps
# `(frames, channels, h, w)`; use `heads` from above. The result has shape `(frames, places)`.
#
# <details><summary>Hint 1</summary>
#
# `heads(query, count)` has shape `(frames, heads, places, channels of a head)`. Choose one head and one place of the
# queries, and all places of the keys.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A score is the inner product of a query and a key, divided by $\sqrt{d}$; $d$ is the number of channels of *one
# head*, the last axis.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# The softmax runs over the places that are looked at, the last axis of the scores, so that the weights of each frame
# add up to 1.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "looks-at", "locked": false, "schema_version": 3, "solution": true, "task": false}
def looks_at(query: torch.Tensor, key: torch.Tensor, count: int, head: int, place: int) -> torch.Tensor:
    ### BEGIN SOLUTION
    q, k = heads(query, count)[:, head, place], heads(key, count)[:, head]
    scores = (k * q[:, None]).sum(dim=-1) / q.shape[-1] ** 0.5
    return scores.softmax(dim=-1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "looks-at-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
rows, columns = parts["query"].shape[2:]
place = int(point[1] * rows / height) * columns + int(point[0] * columns / width)
weights = torch.as_tensor(looks_at(parts["query"], parts["key"], count, 0, place)).float()
assert weights.shape == (frames, rows * columns), f"expected ({frames}, {rows * columns}), not {tuple(weights.shape)}"
assert torch.allclose(weights.sum(dim=1), torch.ones(frames).to(weights), atol=1e-4), (
    "the weights of a frame add up to 1"
)
mixed = (weights[..., None] * heads(parts["value"], count)[:, 0]).sum(dim=1)
recorded = heads(parts["self-attention"], count)[:, 0, place]
assert torch.allclose(mixed, recorded, atol=1e-4 if exact else 5e-2), "weights times values are not the feature: √d?"
print("Your weights, times the values, are the recorded feature.")

# %% [markdown] tags=["discussion"]
# **Discussion.** The weights say where one place of a frame looks; times the values they are its feature, which is
# what the check verifies. The most common mistake is $d$: it is the width of a head, not the number of all channels.
# With the wrong one the weights are still a distribution, only a flatter one, so nothing but the comparison with the
# recorded feature shows it. The second one is a softmax over the wrong axis. `torch.einsum("fd,fpd->fp", q, k)` gives
# the scores as well, and so does a matrix product with a transposed key.

# %% [markdown]
# With the weights in hand, look at them: where does the ball's middle look in the first frame, and does each head look
# somewhere else?

# %%
with styled():
    figure = new_figure(2.3 * height / width + 0.4, width=2.3 * count + 0.6, layout="compressed")
    axes_of = figure.subplots(1, count, squeeze=False)[0]
    for head, axes in enumerate(axes_of):
        seen = looks_at(parts["query"], parts["key"], count, head, place)[0].view(rows, columns).cpu()
        axes.imshow(seen, extent=(0, width, height, 0), cmap="magma")
        axes.plot(*point, "o", ms=9, mfc="none", mec="white", mew=1.5)
        axes.set(title=f"head {head}", xticks=[], yticks=[])
figure

# %% [markdown]
# ### 3. Principal components without a library
#
# *★★☆ · about 15 minutes · 2 points*
#
# Write `shares(features)`: the share of the variance that each of the first three components holds.
#
# <details><summary>Hint 1</summary>
#
# Make a matrix with one row for each place of each frame and one column for each channel: `permute` the channels to
# the end, then `flatten`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# After centring, the squared singular values of this matrix (`torch.linalg.svdvals`) are the variances along the
# components, up to a common factor.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Divide by the sum of *all* squared singular values before you take the first three.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "shares", "locked": false, "schema_version": 3, "solution": true, "task": false}
def shares(features: torch.Tensor) -> torch.Tensor:
    ### BEGIN SOLUTION
    tokens = features.permute(0, 2, 3, 1).flatten(0, 2)
    singular = torch.linalg.svdvals(tokens - tokens.mean(dim=0))
    return (singular**2 / (singular**2).sum())[:3]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "shares-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
for each in chosen:
    mine = torch.as_tensor(shares(attended[each].float().cpu())).float()
    theirs = torch.tensor(bases[each].explained)
    assert mine.shape == (3,), f"expected three shares, not shape {tuple(mine.shape)}"
    assert torch.allclose(mine, theirs, atol=1e-4), f"layer {each}: {mine.tolist()} instead of {theirs.tolist()}"
print("Your shares are the library's.")

# %% [markdown] tags=["discussion"]
# **Discussion.** A singular value is the length of the data along one direction, so its square is a variance, up to
# the number of rows, which cancels in the share. The usual mistake is to forget the square. The second is to flatten
# without `permute`: the numbers are then the same but the rows mix channels and places, and the shares come out
# plausible and wrong. Dividing by the sum of the first three only says how the three share among themselves. The
# eigenvalues of the covariance matrix (`torch.linalg.eigvalsh`, from largest to smallest) are the same variances, at
# the price of squared rounding errors.

# %% [markdown] nbgrader={"grade": false, "grade_id": "open-task", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": true}
# ### 4. Open: what a head looks for
#
# *★★★ · about 30 minutes · 6 points, by the rubric*
#
# Choose one layer and describe what its heads attend to. Use `looks_at` for several places (on the ball, at its edge,
# beside it) and several frames, and find at least one head with a pattern that you can put into words, such as "the
# same height" or "the nearest edge". Then make a prediction from it for a picture that you have not yet looked at, and
# test that.
#
# | criterion | 2 points | 1 point |
# |---|---|---|
# | observation | several heads, places and frames; pictures with legible captions | one head, or one place |
# | hypothesis | one sentence that could turn out false | too vague to be tested |
# | test | a new picture or a number, and an honest verdict | the pictures that suggested it are used again |

# %% [markdown]
# *Your answer begins here. Add as many cells below as you need.*

# %% [markdown]
# ## Further
#
# - [features.py](../sgi2v_lab/features.py) is the recorder, [pca.py](../sgi2v_lab/pca.py) the colours and similarities.
# - [Chapter 4](04_aligned_features.ipynb): keys and values of the first frame for all frames, and features align.
