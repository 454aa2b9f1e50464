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
# # 10 · Train your own toy
#
# *A video model from nothing: a world whose motion is known, a code for its pictures, a network that learns to remove
# noise; in a minute you see it begin to learn, in fourteen hours it is the toy of this course.*
#
# ![The stages of the method; this chapter is about those that run the network](../docs/pipeline/network.svg)
#
# **You will learn**
#
# - what the toy is trained on, and why a seed is a video;
# - what its latents mean, channel by channel, and which part of the VAE is trained;
# - the v-prediction loss, and at which noise levels it is taken;
# - to train for a minute, to average weights, and to read whether it helps.
#
# **Time**: about 40 minutes, and 30 for the exercises; the cells run in about a minute.
#
# **In the paper**: nothing; SG-I2V trains nothing. What is here follows Stable Video Diffusion (arXiv 2311.15127,
# appendix D) and Karras et al. (arXiv 2206.00364, section 5). You need [chapter 1](01_latent_video_diffusion.ipynb).

# %% tags=["parameters"]
import os

model_name = os.environ.get("SGI2V_MODEL", "toy")  # "toy", "svd", "svd-xt", or a checkpoint's folder
device = "cpu"  # a minute's training of a small network needs no GPU
seed = 817
decoder_steps = 16  # of training, in this notebook
unet_steps = 7

# %%
import copy
import torch
from sgi2v_lab import load_model, read_image
from sgi2v_lab.course import encode_patches, kernels, model_card, predict, preview, psnr, to_tensor, world_video
from sgi2v_lab.plots import plot_film_strip, plot_gallery, plot_series
from sgi2v_lab.toy.training import attention, data, optimizers, smoke, training, unet_stage

torch.manual_seed(seed)
if model_name in ("svd", "svd-xt"):
    print(f"{model_name} is not what is trained here: this chapter compares with the bundled toy instead")
    model_name = "toy"
bundled = load_model(model_name, device)
print(f"the bundled toy: {bundled.settings.width} x {bundled.settings.height} px")

# %% tags=["claim"]
from sgi2v_lab.evaluation.course_claims import Claims

claim = Claims(strict=(model_name, seed) == ("toy", 817))  # checked with seeds 817, 1, 2, 3: see claims.md

# %% [markdown]
# ## A world in which all motion is known
#
# The toy learns from videos of a small world: a few shapes with textures, over clouds, tiles or photographs, sometimes
# with a moving camera. A scene is drawn from a seed and rendered when it is needed; nothing is stored. Because it is
# a formula that moves things, their true boxes are known, which is how the trackers of this package are tested.
#
# Seeds from `HELD_OUT` on are never trained on.

# %%
film, boxes = world_video(data.HELD_OUT + 3)
plot_film_strip(film, boxes)

# %%
plot_gallery({f"seed {k}": world_video(k)[0][0] for k in range(6)})

# %% [markdown]
# ## A code whose meaning is known
#
# SVD's encoder is learned, and nobody can say what its four channels mean. The toy's is *set*: each latent is the inner
# product of an 8 x 8 patch $P$ with a pattern $\phi_c$,
#
# $$x_c = \langle P, \phi_c \rangle, \qquad c = 0 \dots 15,$$
#
# and the patterns are the lowest waves of the cosine transform, in brightness and colour. It is linear, so a mirrored
# video's latents follow from the video's own. *Predict* what the sixteen patterns look like: what would you keep, if you
# had sixteen numbers for 192?

# %% tags=["prediction"]
# your prediction in place of the dots: words, in quotes
prediction = predict("Which sixteen numbers would you keep of a patch of 8 × 8 pixels?", ...)

# %%
patterns = kernels()
meaning = (
    "brightness",
    "red - blue",
    "green - others",
    "slope x",
    "slope y",
    "red - blue, x",
    "red - blue, y",
    "saddle",
    "bulge x",
    "bulge y",
    "green, x",
    "green, y",
    "bulge x, slope y",
    "slope x, bulge y",
    "red - blue bulge x",
    "red - blue bulge y",
)
looks = patterns / patterns.abs().amax(dim=(1, 2, 3), keepdim=True) / 2.6 + 0.5
plot_gallery({f"{c}: {name}": looks[c] for c, name in enumerate(meaning)})

# %% tags=["prediction"]
prediction.beside("; ".join(meaning))

# %% [markdown]
# What do sixteen numbers hold? `preview` draws exactly what they say; the bundled decoder has *learned* what else is
# likely, such as sharp edges.

# %%
with torch.no_grad():
    latents = encode_patches(film * 2 - 1)
    scaling = bundled.vae.config.scaling_factor
    first = bundled.vae.decode(latents[:1] / scaling, num_frames=1).sample.float().clamp(-1, 1) / 2 + 0.5
blocky = (preview(latents[:1]) / 2 + 0.5).clamp(0, 1)
shown = {"picture": film[0], "what the code keeps": blocky[0], "the decoder's guess": first[0]}
plot_gallery(shown)

# %%
for name, picture in list(shown.items())[1:]:
    print(f"{name}: {psnr(picture[None], film[:1]).item():.1f} dB")

# %% [markdown]
# *Look at* the edges: the decoder's guess has them, and is the closer one.

# %% tags=["claim"]
kept, guessed = (psnr(picture[None], film[:1]) for picture in list(shown.values())[1:])
claim(
    "the decoder's guess has them, and is the closer one",
    "PSNR, the decoder's guess - what the code keeps (dB)",
    guessed - kept,
    ">",
    0,
)

# %% [markdown]
# ## Stage 1: the decoder
#
# It learns to undo the code: pictures in, latents by the formula, pictures out, and the loss is how much they differ,
# in colour and in contours. `learn_decoder` does a few steps from nothing and looks at held-out pictures before and
# after. *Predict:* will a few steps be seen?

# %% tags=["prediction"]
# your prediction in place of the dots: a number between 0 and 1
prediction = predict("To what share of its start does the loss fall in a few steps?", ...)

# %%
decoder = smoke.learn_decoder(decoder_steps, "../out/decoder.png")
rows = to_tensor(read_image("../out/decoder.png")).split(film.shape[-1], dim=1)
two = [row[..., : 2 * film.shape[-1]] for row in rows]  # of the pictures; the loss is taken from all of them
plot_gallery(dict(zip(("held-out pictures", "before", f"after {decoder_steps} steps"), two, strict=True)))

# %%
print(f"loss on held-out pictures: {decoder.before:.3f} before, {decoder.after:.3f} after {decoder.steps} steps")

# %% tags=["prediction"]
prediction.beside(decoder.after / decoder.before)

# %% [markdown]
# *Look at* the second panel: it is not noise. The decoder *begins* by painting each patch in its mean colour, because its
# weights are set that way, and training adds the rest.

# %% tags=["claim"]
wanted, begun, learned = (row.flatten() for row in rows[:3])
claim(
    "it is not noise",
    "correlation of the panel before training with the pictures",
    torch.corrcoef(torch.stack([wanted, begun]))[0, 1],
    ">",
    0.5,
)
claim("training adds the rest", "loss after / before", decoder.after / decoder.before, "<", 1)

# %% [markdown]
# ## Stage 2: what the denoiser is asked
#
# A video's latents $x_0$ get noise $\varepsilon$ of a level $\sigma$: $z = x_0 + \sigma \varepsilon$. The network sees $z / \sqrt{1 + \sigma^2}$
# and the first frame, and should say
#
# $$v = \frac{\varepsilon - \sigma x_0}{\sqrt{1 + \sigma^2}} .$$
#
# At low noise this asks for the noise, at high noise for the video with its sign changed: always for what cannot be read
# off the input. The loss is the plain squared error of $v$, about 1 for a network that outputs zeros.
#
# At which $\sigma$? Drawn from a log-normal distribution. At very low noise there is nothing to learn about motion, at
# very high noise only averages. Most of the draws should fall where motion is decided.

# %%
many = unet_stage.draw_sigmas(1000, torch.Generator().manual_seed(seed)).sort().values
shares = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]
quantiles = {"noise level": [many[int(share * 1000)].item() for share in shares]}
plot_series(shares, quantiles, "share of the draws that lie below", "sigma", log=True)

# %%
print(f"between sigma 1 and 20, where motion is decided: {((many > 1) & (many < 20)).float().mean():.0%} of the draws")

# %% [markdown]
# ## Train
#
# Here is the loop of [unet_stage.py](../sgi2v_lab/toy/training/unet_stage.py) without its checkpoints and clocks, on
# the *simple* world: one shape, no photographs, still camera. Beside the weights we keep their **exponential moving
# average**,
#
# $$\bar\theta \leftarrow \bar\theta + (1 - d)\,(\theta - \bar\theta),$$
#
# which jitters less than the last weights do. (In so few steps it only lags behind; in thousands it is better.)

# %%
torch.manual_seed(seed)
pool = data.ClipPool(start=seed, stride=1, simple=1.0)
denoiser = unet_stage.Denoiser()
denoiser.unet.set_attn_processor(attention.ShortAttention())  # the same function, quicker on a CPU
untrained = copy.deepcopy(denoiser).requires_grad_(False)
average = copy.deepcopy(untrained)
optimizer = optimizers.MuonWithAdamW(denoiser, unet_stage.FIRST_AND_LAST)
losses = []
for step in range(unet_steps):
    batch = pool.batch(2)
    noise = torch.randn(batch.latents.shape)
    with training.mixed_precision():
        loss = unet_stage.denoising_loss(denoiser, batch, unet_stage.draw_sigmas(2), noise, torch.ones(2)).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(denoiser.parameters(), 1.0)
    optimizer.step(1e-3 * min(1.0, (step + 1) / 4))  # small steps at first
    training.update_ema(average, denoiser, step)
    losses.append(loss.item())
plot_series(range(1, unet_steps + 1), {"squared error of v": losses}, "step", "training loss")

# %% [markdown]
# *Look at* how the line jumps: each step sees two other videos, with other noise, and some of it is hard. Whether
# anything was learned shows on held-out videos with noise that stays the same, below. What is learned first is the easy
# part, such as mean colours; motion comes much later.

# %% tags=["claim"]
from itertools import pairwise

claim(
    "how the line jumps",
    "steps at which the training loss rises",
    sum(b > a for a, b in pairwise(losses)),
    ">=",
    2,
)

# %% [markdown]
# ## Against the bundled one
#
# The same held-out videos and the same noise for three networks: untrained, yours, and the bundled one, which trained for
# hours. We take one noise level at a time. *Where* will yours be close, and where far?

# %% tags=["prediction"]
# your prediction in place of the dots: such as "close at 20, far at 1"
prediction = predict("At which noise levels is yours close to the bundled one, and where far?", ...)


# %%
def bundled_denoiser():
    """The bundled toy's UNet and image encoder, as the training code wants them."""
    trained = unet_stage.Denoiser()
    trained.unet, trained.image_encoder = bundled.unet, bundled.image_encoder
    return trained.eval()


exam = unet_stage.held_out_batch(2)
exam_noise = torch.randn(exam.latents.shape, generator=torch.Generator().manual_seed(seed))
levels = [0.2, 1.0, 4.0, 20.0]
trained = bundled_denoiser()


@torch.no_grad()
def error(network, sigma):
    """Mean squared error of v on the held-out videos."""
    return unet_stage.denoising_loss(network, exam, torch.full((2,), sigma), exam_noise, torch.ones(2)).mean().item()


networks = {"untrained": untrained, f"{unet_steps} steps": denoiser, "bundled": trained}
errors = {name: [error(network, sigma) for sigma in levels] for name, network in networks.items()}
plot_series([f"{sigma:g}" for sigma in levels], errors, "noise level sigma", "squared error of v")

# %% tags=["prediction"]
ratios = zip(levels, errors[f"{unet_steps} steps"], errors["bundled"], strict=True)
prediction.beside(
    "your error is", [f"{mine / theirs:.1f} times the bundled one's at {sigma:g}" for sigma, mine, theirs in ratios]
)

# %% [markdown]
# *Look at* where your line has left the untrained one: least at low noise, where $v$ is the noise itself, another
# number in every cell; more at high noise, where $v$ is the video with its sign changed, of which the first frame, which
# the network is given, says much. What the bundled line has beyond that took hours: where things are, and where they
# go.

# %% tags=["claim"]
gained = [before - after for before, after in zip(errors["untrained"], errors[f"{unet_steps} steps"], strict=True)]
claim("least at low noise", "gain at the lowest noise level / the largest gain", gained[0] / max(gained), "<", 0.5)
claim(
    "What the bundled line has beyond that",
    "largest error, bundled / yours, level by level",
    max(b / y for b, y in zip(errors["bundled"], errors[f"{unet_steps} steps"], strict=True)),
    "<",
    1,
)

# %% [markdown]
# And a video from each, from the first frame and noise, in a few Euler steps, drawn by `preview`:

# %%
one = data.Batch(*(part[:1] for part in vars(exam).values()))
with torch.no_grad():
    made = {
        "yours": unet_stage.sample(denoiser, one, steps=5)[0],
        "bundled": unet_stage.sample(trained, one, steps=5)[0],
    }
frames = {"true": exam.latents[0], **made}
plot_gallery(
    {
        f"{name}, frame {k}": (preview(z[k : k + 1]) / 2 + 0.5).clamp(0, 1)[0]
        for name, z in frames.items()
        for k in (0, 2, 5, 7)
    },
    columns=4,
)

# %% [markdown]
# *Look at* the rows. So few steps make no video: yours is noise in every frame. The bundled one begins with the picture
# that it was given, and moves what is in it. Where to, nobody told it.


# %% tags=["claim"]
def alike(one, other):
    """The correlation of two frames' latents."""
    return torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1].item()


claim(
    "yours is noise in every frame",
    "mean step between neighbouring cells, yours / true, the least frame",
    (made["yours"].diff(dim=-1).abs().mean(dim=(1, 2, 3)) / exam.latents[0].diff(dim=-1).abs().mean()).min(),
    ">",
    2,
)
claim(
    "The bundled one begins with the picture",
    "correlation of its first frame with the picture",
    alike(made["bundled"][0], exam.latents[0, 0]),
    ">",
    0.9,
)
claim(
    "moves what is in it",
    "correlation of its last frame with its first",
    alike(made["bundled"][-1], made["bundled"][0]),
    "<",
    0.95,
)

# %% [markdown]
# ## The bundled toy's own training
#
# It is the same code, for hours instead of seconds, and with a second loss that our loop left out. Nothing in the error
# of $v$ says that attention should find the same thing again, and a small network takes very long to come upon it. So
# training tells four of its attention layers where everything came from, which a drawn world knows exactly
# ([origins.py](../sgi2v_lab/toy/world/origins.py),
# [correspondence.py](../sgi2v_lab/toy/training/correspondence.py)): layers (2, 1) and (2, 2) about their aligned
# attention, layers (3, 0) and (3, 1) about their own. This help fades: the last 74,500 of 122,512 clips went
# without. SVD was not told: it saw thousands of times as many videos.
#
# One thing more is different there. In training a network sees true clips with noise; when it makes a video, it sees
# its own guesses, which are blurred, and takes the blur for given (*exposure bias*). So from clip 70,448 on, a part of
# each batch (half, in the end a quarter) is the network's own result after one to three Euler steps, with the true clip
# as the target (`roll_out` in [unet_stage.py](../sgi2v_lab/toy/training/unet_stage.py)). The model card says how long
# the toy was trained, on what, and how well it does:

# %%
model_card(model_name)

# %% [markdown]
# To train one of your own, in a terminal (a short form; [CONTRIBUTING.md](../CONTRIBUTING.md) has the bundled toy's
# commands, which take eleven hours):
#
#     python -m sgi2v_lab.toy.training.train decoder --minutes 15
#     python -m sgi2v_lab.toy.training.train unet --minutes 105 --processes 2 --batch-size 8 --learning-rate 2e-3
#     python -m sgi2v_lab.toy.training.train export --to my_toy
#
# A killed run goes on where it was. It writes `log.jsonl`, with the loss and the error on held-out videos, and sample
# grids; then `SGI2V_MODEL=my_toy make lab` runs this course on your toy. Look at the grids, not only at the loss: the
# loss is nearly flat for the whole time in which videos go from smears to things that move.

# %% [markdown]
# ## Quick check
#
# The patterns are orthogonal, so `preview` loses only what the code does not keep; coding what was previewed gives the
# same code; on held-out pictures and videos both networks are better than they were; and the bundled one is better than
# the untrained one by far.

# %%
products = torch.einsum("acyx,bcyx->ab", patterns, patterns)
assert (products - products.diagonal().diag()).abs().max() < 1e-5, "the patterns should be orthogonal"
assert torch.allclose(encode_patches(preview(latents)), latents, atol=1e-4), "code, picture, code: nothing is lost"
assert decoder.after < decoder.before, "the decoder did not learn"
mean = {name: sum(values) / len(values) for name, values in errors.items()}
assert mean[f"{unet_steps} steps"] < 0.95 * mean["untrained"], "the denoiser did not learn"
assert mean["bundled"] < 0.7 * mean["untrained"], "hours of training should be seen"
print("Error of v:", {name: f"{value:.3f}" for name, value in mean.items()})

# %% [markdown]
# ## Exercises
#
# ### 1. The target, and back
#
# *★★☆ · about 15 minutes · 3 points*
#
# Write $v$ for latents, noise and $\sigma$. Then the inverse: from $z$, a predicted $v$ and $\sigma$, the guess of the
# clean latents. (Put $z = x_0 + \sigma \varepsilon$ into $v$, and get rid of $\varepsilon$.)
#
# <details><summary>Hint 1</summary>
#
# `target` is the equation above, with $\sqrt{1 + \sigma^2}$ below the line.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# For the inverse, put $\varepsilon = (z - x_0) / \sigma$ into the equation of $v$ and solve it for $x_0$; or start from $z
# = x_0 + \sigma \varepsilon$ and look for $a z + b v$ in which $\varepsilon$ cancels.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# $x_0 = z / (1 + \sigma^2) - \sigma v / \sqrt{1 + \sigma^2}$. Check it at $\sigma = 0$ and at a very large $\sigma$.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "target-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
def target(x0, noise, sigma):
    """What the network should say of clean latents with this noise at level sigma."""
    ### BEGIN SOLUTION
    return (noise - sigma * x0) / (1 + sigma**2) ** 0.5
    ### END SOLUTION


def clean(z, v, sigma):
    """The clean latents, from noisy ones and v."""
    ### BEGIN SOLUTION
    return z / (1 + sigma**2) - sigma * v / (1 + sigma**2) ** 0.5
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "target-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
x0, noise = exam.latents[0], exam_noise[0]
assert torch.allclose(target(x0, noise, 1e-6).float(), noise, atol=1e-4), "without noise, v is the noise"
assert torch.allclose(target(x0, noise, 1e4).float(), -x0, atol=1e-2), (
    "in very much noise, v is the video, sign changed"
)
for sigma in (0.1, 1.0, 10.0):
    back = clean(x0 + sigma * noise, target(x0, noise, sigma), sigma).float()
    assert torch.allclose(back, x0, atol=1e-4), f"sigma {sigma}: the clean latents do not come back"


class Silent(torch.nn.Module):
    """A network that outputs zeros, as a ruler for the loss."""

    def forward(self, x, sigma, batch, keep):
        return torch.zeros_like(x)


theirs = unet_stage.denoising_loss(Silent(), exam, torch.full((2,), 2.0), exam_noise, torch.ones(2))
mine = target(exam.latents, exam_noise, 2.0).float()
assert torch.allclose(mine.pow(2).mean(dim=(1, 2, 3, 4)), theirs, rtol=1e-4), "the training's target is another one"
print(f"Your target is the training's; a network that outputs zeros scores {theirs.mean():.2f}.")

# %% [markdown] tags=["discussion"]
# **Discussion.** $v$ is a rotation of the pair $(x_0, \varepsilon)$, scaled to length 1 at each noise level, so it can be undone
# by rotating back: that is what `clean` does. It is also chapter 1's formula for the model's guess, with the same
# signs. The usual mistake is to solve with $\varepsilon = (z - x_0) / \sigma$ and to divide by $\sigma$ in the code: right on
# paper, and useless at small noise, where it divides rounding errors by nearly nothing. Swapped signs are found at the
# two ends: without noise $v$ is the noise, in pure noise it is minus the video.

# %% [markdown]
# ### 2. In the mirror
#
# *★☆☆ · about 5 minutes · 2 points*
#
# A mirrored video is a video, so training mirrors half of them, in latents, without rendering anything again. Find
# `changes_sign`: the channels whose sign a left-right mirror changes. (The map itself is mirrored too, of course.)
# *Predict* it from the picture of the patterns; no computing is needed.
#
# <details><summary>Hint 1</summary>
#
# Look at the sixteen patterns: which of them are turned into their own negative by a left-right mirror?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Those that change along $x$ change their sign. There is a slope of brightness, two slopes of colour, and two that
# change along both axes.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "mirror-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
changes_sign = []  # channel numbers
### BEGIN SOLUTION
changes_sign = [3, 5, 7, 10, 13]
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "mirror-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
signs = torch.ones(len(patterns))
signs[list(changes_sign)] = -1
mine = latents.flip(-1) * signs.view(-1, 1, 1)
of_mirrored = encode_patches(film.flip(-1) * 2 - 1)
wrong = [c for c in range(len(patterns)) if not torch.allclose(mine[:, c], of_mirrored[:, c], atol=1e-4)]
assert not wrong, (
    f"channel {wrong[0]} ({meaning[wrong[0]]}) has the wrong sign: which patterns turn into their negative?"
)
print(f"Channels {sorted(changes_sign)} run along x: a mirror turns their slope round.")

# %% [markdown] tags=["discussion"]
# **Discussion.** A mirror turns a slope along $x$ round, so its number changes sign; a slope along $y$ and a plain
# colour stay, and so does a bulge along $x$, which is the same from both sides. The saddle changes along both axes, so a
# mirror of either axis changes its sign, and a mirror of both leaves it; a slope along $x$ that bulges along $y$ is
# still a slope along $x$. The usual mistake is to forget these two. That this works at all is the reason for a linear
# code: SVD's learned latents do not mirror so simply, and there every mirrored video has to be encoded again. Trying
# all 65,536 choices of signs against the encoder would find the answer too, without any thought.

# %% [markdown]
# ### 3. Averaged weights
#
# *★☆☆ · about 10 minutes · 2 points*
#
# Write the exponential moving average of a list of numbers, with decay $d$; it begins at the first number. Then choose
# `decay` so that what was seen 1000 steps ago still counts half as much as the newest: $d^{1000} = \tfrac12$.
#
# <details><summary>Hint 1</summary>
#
# The first average is the first number. Each later one moves from the last average towards the new number by the share
# $1 - d$.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# $d^{1000} = \tfrac12$ gives $d = 0.5^{1/1000}$, in Python `0.5 ** (1 / 1000)`.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "ema-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
decay = None  # a number below 1


def moving_average(numbers, d):
    """The average after each number."""
    ### BEGIN SOLUTION
    averages = [numbers[0]]
    for number in numbers[1:]:
        averages.append(averages[-1] + (1 - d) * (number - averages[-1]))
    return averages
    ### END SOLUTION


### BEGIN SOLUTION
decay = 0.5 ** (1 / 1000)
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "ema-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
assert decay is not None and abs(decay**1000 - 0.5) < 1e-6, "d to the power of 1000 should be one half"
halved = torch.as_tensor(moving_average([1.0, 3.0], 0.5)).tolist()
assert halved == [1.0, 2.0], f"half way from 1 to 3 is 2: expected [1.0, 2.0], not {halved}"
follower, leader = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
walk = [0.0, 1.0, 4.0, 2.0, 8.0]
torch.nn.init.constant_(follower.weight, walk[0])
for number in walk[1:]:
    torch.nn.init.constant_(leader.weight, number)
    training.update_ema(
        follower, leader, step=10**9, decay=0.9
    )  # far from the start, where the decay is still warming up
mine = float(moving_average(walk, 0.9)[-1])
assert abs(mine - follower.weight.item()) < 1e-5, f"the library says {follower.weight.item():.5f}, you say {mine:.5f}"
print(f"A decay of {decay:.6f} halves in 1000 steps. The training takes 0.999: it halves in 693.")

# %% [markdown] tags=["discussion"]
# **Discussion.** Each step moves the average by a small share of the way, so what was seen $k$ steps ago counts $d^k$
# as much as the newest. The usual mistake is to swap $d$ and $1 - d$, which gives an average that jumps to each new
# number and forgets the rest. Beginning at zero in place of the first number pulls early averages towards zero; Adam
# corrects that by a division, and here it is avoided by where we begin. `d * average + (1 - d) * number` is the same
# rule. A decay near 1 needs many steps before it helps at all, as this chapter's short training shows.

# %% [markdown] nbgrader={"grade": false, "grade_id": "open-task", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": true}
# ### 4. Open: a thing that the world does not have
#
# *★★★ · about 45 minutes · 6 points, by the rubric*
#
# Add something to the toy's world, or take something away: a shape, a texture, a kind of motion, a background
# ([scenes.py](../sgi2v_lab/toy/world/scenes.py)). Before you train, say what the network should get wrong at first.
# Train for as long as you can spare, on the changed world and on the old one for equally many steps, and compare both
# on held-out videos of both kinds.
#
# | criterion | 2 points | 1 point |
# |---|---|---|
# | change | small, drawn correctly, with its true boxes right (a test or a picture shows it) | works on most scenes |
# | experiment | equal steps and seeds, held-out videos of both kinds, error by noise level | one kind of video, or one number |
# | conclusion | says what a short training can show and what it cannot | draws conclusions about long training |

# %% [markdown]
# *Your answer begins here. Add as many cells below as you need.*

# %% [markdown]
# ## Further
#
# - [unet_stage.py](../sgi2v_lab/toy/training/unet_stage.py), [latent_code.py](../sgi2v_lab/toy/network/latent_code.py):
#   short enough to read whole; [scenes.py](../sgi2v_lab/toy/world/scenes.py) is the world, to which you may add a
#   shape.
# - Appendix D of the SVD report (arXiv 2311.15127): the same loss, the same schedule, many more videos.
# - [Chapter 11](11_real_svd_on_a_gpu.ipynb): what that buys.
