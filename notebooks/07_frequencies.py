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
# # 7 · Frequencies
#
# *Low frequencies say where things are. High frequencies are mostly noise, and the denoiser needs that noise intact.*
#
# ![The stages of the method; this chapter is about the frequency filter](../docs/pipeline/frequencies.svg)
#
# **You will learn**
#
# - to read a spectrum of latents, and why noise has a flat one and a picture a steep one;
# - the Butterworth low-pass, its cut-off and its order;
# - what SG-I2V keeps of the optimised latents, what it puts back, and what that does to the video;
# - to do it yourself in four lines with PyTorch's FFT.
#
# **Time**: about 35 minutes, and 45 for the exercises; the cells run in about a minute.
#
# **In the paper**: section 3.3 (equation 4 in the later versions on arXiv) and the ablation of the cut-off, which the paper
# calls $\gamma$ and this course $r$. You need [chapter 6](06_latent_optimisation.ipynb), on latent optimisation.

# %% tags=["parameters"]
import os

model_name = os.environ.get("SGI2V_MODEL", "toy")  # "toy", "svd", "svd-xt", or a checkpoint's folder
device = None  # the best there is; or "cpu", "cuda", "mps"
seed = 817
num_inference_steps = 12  # fewer than the recipe's, to save time; None takes those
cutoff = 0.5  # r, the paper's

# %%
import torch
from sgi2v_lab import Trajectories, Trajectory, butterworth_mask, decode_latents, generate, load_model, mix_frequencies
from sgi2v_lab import objmc, predict_clean_latents, prompt_boxes, radial_spectrum, reference_image
from sgi2v_lab.course import FrequencyExplorer, inspect_run, paper_recipe, place_norms, predict
from sgi2v_lab.plots import plot_gallery, plot_magnitudes, plot_mask, plot_series, plot_spectra

model = load_model(model_name, device)
settings = paper_recipe(model, num_inference_steps).replace(cutoff=cutoff)  # the recipe of chapter 6
frames, channels, h, w = model.latent_shape(settings)
bins = min(h, w) // 2
print(f"{model.name}: {frames} frames, each of {channels} channels on a grid of {h} x {w} cells")

# %% tags=["claim"]
from sgi2v_lab.evaluation.course_claims import Claims

claim = Claims(strict=(model_name, seed) == ("toy", 817))  # checked with seeds 817, 1, 2, 3: see claims.md

# %% [markdown]
# ## One controlled run
#
# Recipe, picture, path and seed are those of chapter 6. The trace keeps the latents of every step: as the step found
# them, after the optimiser, and as they were denoised.

# %%
prompt = "a white black striped circle at the left on orange clouds"
side = max(settings.width, settings.height)
picture = reference_image(prompt, size=side)
box = next(iter(prompt_boxes(prompt, side).values())).tolist()
asked = Trajectories(picture.size, (Trajectory.move(box, by=(0.45 * side, 0), name="ball"),))
run = generate(model, picture, asked, settings, seed=seed, trace=["latents", "optimization"], progress=False)

# %% [markdown]
# ## Pictures are steep, noise is flat
#
# The discrete Fourier transform writes a map $z$ as a sum of waves: $\hat z = \mathrm{FFT}(z)$. $|\hat z|^2$ says how
# strong each wave is. `radial_spectrum` averages it over all waves of about the same length: at the left ($d$ near 0)
# waves as long as the picture, at $d = 1$ the shortest that a grid can hold, from one cell to the next.
#
# *Prediction:* which of the two falls off to the right, a picture's latents or noise?

# %% tags=["prediction"]
# your prediction in place of the dots: "latents" or "noise"
prediction = predict("Which falls off to the right, a picture's latents or noise?", ...)

# %%
generator = torch.Generator().manual_seed(seed)
noise = torch.randn(run.latents.shape, generator=generator)
radii, of_video = radial_spectrum(run.latents, bins)
of_noise = radial_spectrum(noise, bins)[1]
plot_spectra(radii, {"the video's clean latents": of_video, "noise of the same shape": of_noise})

# %% tags=["prediction"]
prediction.beside(
    "from left to right the power falls to",
    (of_video[-1] / of_video[0]).item(),
    "in the latents and to",
    (of_noise[-1] / of_noise[0]).item(),
    "in the noise",
)

# %% [markdown]
# *Look at* the two slopes. Noise is equally strong at all frequencies. A picture has most of its power in the long
# waves, for neighbouring places resemble each other. So as noise is added, the short waves drown first; and as it is
# taken away, in denoising, the long waves, the layout, are decided first.

# %% tags=["claim"]
claim(
    "Noise is equally strong at all frequencies.", "largest power / smallest", of_noise.max() / of_noise.min(), "<", 2
)
claim(
    "A picture has most of its power in the long waves",
    "power of the longest waves / the shortest",
    of_video[0] / of_video[-1],
    ">",
    20,
)

# %% [markdown]
# ## The low-pass
#
# SG-I2V separates long from short with a Butterworth filter. On the centred frequency grid,
#
# $$L = \frac{1}{1 + (d^2 / r^2)^{n}}, \qquad
# d^2 = \left(\tfrac{2y}{H} - 1\right)^2 + \left(\tfrac{2x}{W} - 1\right)^2,$$
#
# where $d$ is the distance from frequency zero, $r$ the **cut-off** and $n = 4$ the **order**. At $d = r$ half the wave
# passes. A step instead of this slope would ring: sharp edges in frequency are ripples in the picture.

# %%
mask = butterworth_mask(h, w, cutoff, settings.butterworth_order)
plot_mask(mask, cutoff)

# %% [markdown]
# What is on either side? We take the clean latents of the run apart and decode the last frame of each part.


# %%
def decoded(latents, frame=-1):
    """One frame of latents (frames, channels, h, w) as a picture."""
    return decode_latents(model, latents[frame][None].to(model.device))[0]


nothing = torch.zeros_like(run.latents)
long_waves = mix_frequencies(run.latents, nothing, mask)
parts = {"all": run.latents, "long waves only": long_waves, "short waves only": run.latents - long_waves}
pictures = {name: decoded(latents) for name, latents in parts.items()}
plot_gallery(pictures)

# %% [markdown]
# *Look at* where things are: the middle picture still says it, without edges; the right one has little but edges left,
# on grey. A box moves an *object*, so control needs the long waves.

# %% tags=["claim"]
off_by = {name: (one - pictures["all"]).abs().mean() for name, one in pictures.items()}
claim(
    "the middle picture still says it",
    "mean difference from the whole picture, long waves only / short waves only",
    off_by["long waves only"] / off_by["short waves only"],
    "<",
    0.5,
)

# %% [markdown]
# ## What the optimiser changed
#
# At the first control step, compare the spectrum of the optimiser's change with that of the noisy latents.

# %%
step = run.trace[settings.control_steps[0]]
change = step.optimized - step.before
spectra = {
    name: radial_spectrum(latents, bins)[1]
    for name, latents in (("latents before", step.before), ("the optimiser's change", change))
}
plot_spectra(radii, spectra, cutoff)

# %% [markdown]
# *Look at* both ends of the change. It is strongest in the long waves, which is what we want. But it does not die
# out: to the right its line becomes nearly flat, as that of noise is. Adam evens out the sizes of the steps
# (chapter 6), and steps up and down, side by side, are full of short waves. They say little about where the ball should
# be, but they take the latents away from the noise that the denoiser was trained on.

# %% tags=["claim"]
of_change = spectra["the optimiser's change"]
claim(
    "It is strongest in the long waves",
    "power of the longest waves / the shortest",
    of_change[0] / of_change[-1],
    ">",
    5,
)
claim(
    "to the right its line becomes nearly flat",
    "power at the right end / at the cut-off",
    of_change[-1] / of_change[(radii - cutoff).abs().argmin()],
    ">",
    0.3,
)

# %% [markdown]
# ## Keep the long waves, put back the short ones
#
# Equation 4 mixes the optimised latents $z^*$ with those before, $z$:
#
# $$z' = \mathrm{IFFT}\big(L \cdot \mathrm{FFT}(z^{*}) + (1 - L)\cdot \mathrm{FFT}(z)\big).$$
#
# $r = 0$ gives back $z$: no control. $r = 1$ is nearly $z^*$: all control, and all damage. The transform runs over
# height and width of each channel and frame.

# %%
mixed = mix_frequencies(step.optimized, step.before, mask)
kept = mixed - step.before
plot_magnitudes(run.video, {"change": place_norms(change), "kept of it": place_norms(kept)}, run.boxes)

# %%
both = {"the optimiser's change": change, "what the filter keeps": kept}
plot_spectra(radii, {name: radial_spectrum(latents, bins)[1] for name, latents in both.items()}, cutoff)

# %% [markdown]
# *Look at* the second row of the maps: the same change, blurred. And in the spectrum: the two lines are one below the
# cut-off, and part where the filter closes.

# %% tags=["claim"]
left = radial_spectrum(kept, bins)[1] / of_change
claim("the two lines are one below the", "share kept of the longest waves", left[0], ">", 0.99)
claim("part where the filter closes", "share kept of the shortest waves", left[-1], "<", 0.01)

# %% [markdown]
# ## What the model makes of it
#
# Noisy latents decode to noise. But at every step the model has a guess of the clean latents behind them, and this we
# can decode (`predict_clean_latents`: one forward pass of the UNet). *Predict:* from $r = 0$ to $r = 1$, how much can
# the optimiser change at one step, the last control step?

# %% tags=["prediction"]
# your prediction in place of the dots: a number
prediction = predict("By how many per cent of full brightness does one step change the guess, at r = 1?", ...)

# %%
conditioning = inspect_run(model, run).conditioning  # what the UNet is told of the first frame
late = run.trace[settings.control_steps[1]]
guesses = {}
for r in (0.0, 0.25, 0.5, 1.0):
    at_r = mix_frequencies(late.optimized, late.before, butterworth_mask(h, w, r, settings.butterworth_order))
    guess = predict_clean_latents(model, conditioning, at_r.to(model.device), settings, late.index)
    guesses[f"r = {r:g}"] = decoded(guess.float().cpu())
    moved = (guesses[f"r = {r:g}"] - guesses["r = 0"]).abs().mean().item()
    print(f"r = {r:<5g} the guess differs from that at r = 0 by {100 * moved:.2f} % of full brightness")
guesses["the video, in the end"] = run.video[-1]
plot_gallery(guesses, boxes=run.boxes[:, -1])

# %% tags=["prediction"]
prediction.beside(
    [
        f"{100 * (guesses[name] - guesses['r = 0']).abs().mean().item():.2f} % at {name}"
        for name in ("r = 0.25", "r = 0.5", "r = 1")
    ]
)

# %% [markdown]
# *Look at* the box, where the ball should be in the last frame. One step makes a small difference, to the eye hardly any,
# and it grows with $r$. A run has several control steps, and what each leaves in the short waves adds up.

# %% tags=["claim"]
moves = [(guesses[name] - guesses["r = 0"]).abs().mean() for name in ("r = 0.25", "r = 0.5", "r = 1")]
claim("One step makes a small difference", "mean difference of brightness, r = 1 from r = 0", moves[-1], "<", 0.05)
claim("it grows with $r$", "difference at r = 0.25 / at r = 1", moves[0] / moves[-1], "<", 1)

# %% [markdown]
# ## What the filter is good for
#
# So let all five control steps add up: the same run without the filter ($r = 1$). Nothing asks the background to change.
# *Predict:* which of the two keeps it smooth?

# %% tags=["prediction"]
# your prediction in place of the dots: "with" or "without"
prediction = predict("Which of the two keeps the background smooth, the run with the filter or the one without?", ...)

# %%
unfiltered = generate(model, picture, asked, settings.replace(cutoff=1.0), seed=seed, progress=False)
plot_gallery(
    {
        "the picture": run.image,
        "last frame, without the filter": unfiltered.video[-1],
        f"last frame, r = {cutoff:g}": run.video[-1],
    },
    boxes=run.boxes[:, -1],
)


# %%
def edges_outside(video):
    """How much neighbouring pixels of the last frame differ away from the ball's box, 0..1."""
    across, down = video[-1].diff(dim=-1)[:, 1:], video[-1].diff(dim=-2)[:, :, 1:]
    outside = torch.ones(across.shape[1:], dtype=torch.bool)
    x0, y0, x1, y1 = run.boxes[0, -1].int().tolist()
    outside[max(0, y0 - 8) : y1 + 8, max(0, x0 - 8) : x1 + 8] = False
    return (across.abs() + down.abs()).mean(dim=0)[outside].mean().item()


for name, one in (("without the filter", unfiltered), (f"with it, r = {cutoff:g}", run)):
    print(
        f"{name:20} outside the box neighbours differ by {100 * edges_outside(one.video):.2f} % of full brightness, "
        f"ObjMC {objmc(one.video, one.boxes).value:.1f} px"
    )

# %% tags=["prediction"]
prediction.beside(
    "outside the box neighbours differ by",
    100 * edges_outside(run.video),
    "% with the filter and by",
    100 * edges_outside(unfiltered.video),
    "% without",
)

# %% [markdown]
# *Look at* what is outside the box: without the filter there are more edges, in patches that nobody asked for. With it
# the clouds are smooth, though not of their old colour: long waves pass the filter. The paper calls what it saw on SVD
# *oversmoothing*: latents that are no longer noise of the right kind are denoised into videos without fine texture. Its
# ablation agrees: no filter makes the videos' quality (FID, FVD) worse, and a very small $r$ makes the objects miss their
# paths (ObjMC). So the cut-off is a trade between control and picture, and on the toy, too, the ball is a little closer
# to its path without the filter. [Chapter 9](09_when_it_fails.ipynb) shows rate and cut-off side by side.

# %% tags=["claim"]
claim(
    "without the filter there are more edges",
    "steps between neighbouring pixels outside the box, without the filter / with it",
    edges_outside(unfiltered.video) / edges_outside(run.video),
    ">",
    1.1,
)
claim(
    "the ball is a little closer to its path without the filter",
    "ObjMC without the filter / with it",
    objmc(unfiltered.video, run.boxes).value / objmc(run.video, run.boxes).value,
    "<",
    1,
)

# %% [markdown]
# The explorer has the cut-off on a slider, with mask, spectra, latents and decoded guess.

# %%
FrequencyExplorer(run, model=model, cutoff=cutoff)

# %% [markdown]
# ## How far from noise?
#
# One more number. Before the optimiser, the shortest waves of the latents have the power that noise of this $\sigma$
# has. By how much is it off afterwards, with and without the filter?

# %%
top = radii > 0.75
power = {
    name: radial_spectrum(z, bins)[1]
    for name, z in {"before": step.before, "optimized": step.optimized, "mixed": mixed}.items()
}
off = {name: (one[top] / power["before"][top] - 1).abs().mean().item() for name, one in power.items()}
print({name: f"{100 * value:.2f} %" for name, value in off.items()})

# %% [markdown]
# The optimiser shifts them by a few per cent at one step; the filter undoes that.

# %% tags=["claim"]
claim("The optimiser shifts them", "relative error of the short waves' power", off["optimized"], ">", 0.003)
claim(
    "the filter undoes that", "relative error after the filter / before it", off["mixed"] / off["optimized"], "<", 0.2
)

# %% [markdown]
# ## Quick check
#
# The inverse transform gives back what went in; the mask is ½ at the cut-off; $r = 0$ changes nothing, to the bit; and
# the mixture has the long waves of the optimised latents and the short waves of the original ones.

# %%
there_and_back = torch.fft.ifft2(torch.fft.fft2(run.latents)).real
assert torch.allclose(there_and_back, run.latents, atol=1e-5), "FFT and inverse FFT give back the input"
assert abs(butterworth_mask(64, 64, 0.5)[32, 48].item() - 0.5) < 1e-6, "at d = r half passes"
assert butterworth_mask(h, w, cutoff)[h // 2, w // 2] == 1, "frequency zero passes whole"
untouched = mix_frequencies(step.optimized, step.before, butterworth_mask(h, w, 0.0))
assert torch.equal(untouched, step.before), "a cut-off of 0 keeps the original latents"

power_of = lambda z: radial_spectrum(z, bins)[1]  # noqa: E731
lost, left = power_of(step.optimized - mixed) / power_of(change), power_of(kept) / power_of(change)
assert lost[0] < 1e-4, "the longest waves are the optimised ones"
assert left[-1] < 1e-2, "the shortest waves are the original ones"
print(
    f"Of the change, {100 * (1 - lost[0]):.2f} % of the longest waves stay, and {100 * left[-1]:.2f} % of the shortest."
)

# %% [markdown]
# ## Exercises
#
# ### 1. The radial mask
#
# *★★☆ · about 15 minutes · 2 points*
#
# Write the Butterworth low-pass for even `h` and `w`: rows $y = 0 \dots h-1$, columns $x = 0 \dots w-1$, and $d$ as in
# the equation above, so that frequency zero lies at (`h // 2`, `w // 2`).
#
# <details><summary>Hint 1</summary>
#
# `2 * torch.arange(h) / h - 1` is the place of each row, from −1 up to nearly 1; the same with `w` for columns.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Rows need the shape `(h, 1)`, columns `(1, w)`: the sum of their squares is $d^2$ on the whole grid.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# The formula has $d^2$ and $r^2$, so no root is needed: `1 / (1 + (squared / r**2) ** order)`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "mask-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
def low_pass(h, w, r, order=4):
    """Butterworth low-pass (h, w), values 0..1, on the centred frequency grid."""
    ### BEGIN SOLUTION
    y = 2 * torch.arange(h) / h - 1
    x = 2 * torch.arange(w) / w - 1
    squared = y[:, None] ** 2 + x[None, :] ** 2
    return 1 / (1 + (squared / r**2) ** order)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "mask-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
for shape, r, order in (((h, w), 0.5, 4), ((8, 14), 0.3, 4), ((16, 16), 0.9, 1)):
    mine = torch.as_tensor(low_pass(*shape, r, order)).float()
    assert mine.shape == shape, f"the mask for {shape} has shape {tuple(mine.shape)}"
    assert mine[shape[0] // 2, shape[1] // 2] == 1, "frequency zero should pass whole; is it in the middle?"
    assert torch.allclose(mine, butterworth_mask(*shape, r, order), atol=1e-5), f"differs for r = {r}, order {order}"
print("Your mask is the library's, to 1e-5.")

# %% [markdown] tags=["discussion"]
# **Discussion.** The grid begins at −1 and stops one step short of 1, because a discrete transform of even size has
# one more negative frequency than positive ones; frequency zero then lies at `h // 2`, exactly. The usual mistake is
# `linspace(-1, 1, h)`: it looks more symmetric, but no row is at zero, and the mean brightness no longer passes whole.
# Another one is an exponent `2 * order` on $d^2 / r^2$, which makes the slope twice as steep.
# `torch.fft.fftshift(torch.fft.fftfreq(h)) * 2` gives the same coordinates and is right for odd sizes too.

# %% [markdown]
# ### 2. Mix by hand
#
# *★★☆ · about 15 minutes · 3 points*
#
# Write equation 4 with `torch.fft`. One trap: the mask has frequency zero in its middle, but `fft2` puts it into the
# corner. `torch.fft.fftshift` moves it from the corner to the middle, `ifftshift` back.
#
# <details><summary>Hint 1</summary>
#
# Bring the mask to the transform's order first: `torch.fft.ifftshift(mask)` moves frequency zero into the corner.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Multiply the transform of the optimised latents by the mask and that of the original ones by one minus the mask, and
# add the two.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `torch.fft.ifft2(...)` is complex; `.real` is what you want, because both inputs were real and the mask is symmetric.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "mix-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mix(optimized, original, mask):
    """The long waves of the optimised latents with the short waves of the original ones."""
    ### BEGIN SOLUTION
    low = torch.fft.ifftshift(mask)
    waves = low * torch.fft.fft2(optimized) + (1 - low) * torch.fft.fft2(original)
    return torch.fft.ifft2(waves).real
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "mix-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
mine = mix(step.optimized, step.before, mask)
assert not mine.is_complex(), "take the real part: what is left of the imaginary one is rounding"
error = ((mine - mixed).abs().max() / mixed.abs().max()).item()
assert error < 1e-5, f"differs from mix_frequencies by {error:.2g} of the largest value; is the mask shifted?"
all_pass = mix(step.optimized, step.before, torch.ones(h, w))
error = ((all_pass - step.optimized).abs().max() / step.optimized.abs().max()).item()
assert error < 1e-5, "where everything passes, the optimised latents should come back"
print("Four lines, and they are section 3.3 of the paper.")

# %% [markdown] tags=["discussion"]
# **Discussion.** A filter is a product in frequencies, so mixing two signals takes two products and a sum. The trap is
# the order of frequencies: without the shift the mask passes what it should stop, and the picture of the change turns
# into a fine pattern. On even sizes `fftshift` and `ifftshift` do the same; on odd ones they do not, so it pays to use
# the right one. The library mixes the *difference*, `original + low_pass(optimized - original)`, which is the same
# formula and exact where nothing is to change. Transforming with `fftn` over all axes is a mistake that still runs: it
# mixes frames and channels.

# %% [markdown]
# ### 3. How much of the change survives?
#
# *★★☆ · about 15 minutes · 2 points*
#
# Write `kept_share`: the energy (the sum of squares) of what the filter keeps of a change, as a share of the
# change's. *Predict* its value at $r = 0.5$: the disc of radius ½ covers about a fifth of the frequency square, so of
# white noise a little less than a fifth would survive. Will the optimiser's change keep more or less? Then find
# `enough`, the smallest of `cutoffs` that keeps half or more (or the last one, if none does).
#
# <details><summary>Hint 1</summary>
#
# What the filter keeps of a change is `mix_frequencies(change, torch.zeros_like(change), mask)`: the change's long
# waves, and nothing of the short ones.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Energy is `.square().sum()`. The share is the energy of what is kept, divided by that of the change.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `next(r for r in cutoffs if kept_share(change, r) >= 0.5)` is the first cut-off that keeps half.
#
# </details>

# %% tags=["prediction"]
# your prediction in place of the dots: a number between 0 and 1
prediction = predict("What share of the change's energy does the filter keep at r = 0.5?", ...)

# %% nbgrader={"grade": false, "grade_id": "share-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
cutoffs = [round(0.1 * k, 1) for k in range(1, 11)]
enough = None  # one of the cut-offs


def kept_share(change, r):
    """The share of a change's energy that a low-pass of cut-off r keeps, 0..1."""
    ### BEGIN SOLUTION
    passed = mix_frequencies(change, torch.zeros_like(change), butterworth_mask(*change.shape[-2:], r))
    return (passed.square().sum() / change.square().sum()).item()
    ### END SOLUTION


### BEGIN SOLUTION
enough = next((r for r in cutoffs if kept_share(change, r) >= 0.5), cutoffs[-1])
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "share-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
from itertools import pairwise

flat = torch.ones(1, 1, h, w)
assert abs(float(kept_share(flat, 0.3)) - 1) < 1e-5, (
    "a change that is the same everywhere is frequency zero: all of it stays"
)
assert abs(float(kept_share(change, cutoff)) - (kept.square().sum() / change.square().sum()).item()) < 1e-3, (
    f"the share at r = {cutoff:g} is another one"
)
shares = [float(kept_share(change, r)) for r in cutoffs]
assert all(a <= b + 1e-6 for a, b in pairwise(shares)), "a larger cut-off keeps more, not less"
assert enough == next((r for r, share in zip(cutoffs, shares, strict=True) if share >= 0.5), cutoffs[-1])
print(f"At r = 0.5, {100 * shares[4]:.0f} % of the change's energy stays; half of it needs a cut-off of {enough}.")
plot_series(
    cutoffs,
    {"the optimiser's change": shares, "white noise": [float(kept_share(noise, r)) for r in cutoffs]},
    "cut-off r",
    "share of the energy kept",
)

# %% tags=["prediction"]
prediction.beside(shares[4], "of the change's energy, and", float(kept_share(noise, 0.5)), "of white noise")

# %% [markdown] tags=["discussion"]
# **Discussion.** White noise has the same energy at all frequencies, so it keeps what the disc covers; the optimiser's
# change has more in the long waves and keeps more. The usual mistake is a ratio of means or of standard deviations:
# energies add up over frequencies, and lengths do not. A change that is the same everywhere lies at frequency zero and
# must keep everything, which is a quick test for a misplaced mask. By Parseval's theorem the same share can be
# computed on the transforms alone, without going back: the sum of `mask**2` times the power, divided by the sum of the
# power.

# %% [markdown] nbgrader={"grade": false, "grade_id": "open-task", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": true}
# ### 4. Open: another filter
#
# *★★★ · about 30 minutes · 6 points, by the rubric*
#
# The Butterworth filter is round and the same in every frame and channel. Try another one: an ideal step, a Gaussian,
# a filter over time (`torch.fft.fft` along the frames), or another cut-off for each channel. Make a run with it
# (replace the mixing in exercise 1 of chapter 8, or compare on the latents of this chapter's trace), and say whether
# it keeps the picture better at the same control.
#
# | criterion | 2 points | 1 point |
# |---|---|---|
# | filter | its mask or its spectrum is shown, and its reason is given | code without a picture of what it passes |
# | comparison | control and background, both as numbers, beside the Butterworth filter | one of the two |
# | conclusion | says what was gained, at what price, and for how many pictures this was tried | a preference without a number |

# %% [markdown]
# *Your answer begins here. Add as many cells below as you need.*

# %% [markdown]
# ## Further
#
# - [frequency.py](../sgi2v_lab/frequency.py), 65 lines; the library mixes the *difference*, which is exact where the
#   mask is zero.
# - The paper's ablation over $r$, and why it settles on 0.5.
# - [Chapter 8](08_the_full_method.ipynb) puts all stages together, in the Studio.
