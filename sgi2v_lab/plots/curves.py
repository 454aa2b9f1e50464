"""Figures of numbers: losses, their terms, spectra, and the two weights (Butterworth and Gaussian)."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.plots.style import array, checked, checked_any, checked_names, mark_place, new_figure, styled
from sgi2v_lab.shapes import Mask

__all__ = ["plot_gaussian", "plot_loss_terms", "plot_losses", "plot_mask", "plot_spectra"]


def plot_losses(losses: Sequence[Sequence[float | int]], sigmas: Sequence[float | int] | None = None) -> Figure:
    """The loss over the iterations of each control step: early steps dark, late steps light.

    Args:
        losses: per control step, the loss at each of its iterations.
        sigmas: the noise level of each control step, written at the colour bar; None numbers the steps from 1.

    Raises:
        InputError: no losses, a step without any, or not one sigma for each step.
    """
    if not losses or not all(len(step) for step in losses):
        raise InputError("there are no losses to plot for some control step; give one or more for each step")
    if sigmas is not None and len(sigmas) != len(losses):
        raise InputError(f"there are {len(sigmas)} sigmas for {len(losses)} control steps; give one for each")
    count = len(losses)
    # viridis without its pale end, which is lost on white
    colors = colormaps["viridis"](np.linspace(0, 0.88, count))
    with styled():
        figure = new_figure(3.2, width=6.0)
        axes = figure.subplots()
        for color, step in zip(colors, losses, strict=True):
            axes.plot(range(1, len(step) + 1), step, color=color, marker="o", markersize=3.2, linewidth=1.3)
        axes.set(xlabel="iteration", ylabel="trajectory loss")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        bounds = np.arange(count + 1) + 0.5
        mappable = ScalarMappable(BoundaryNorm(bounds, count), ListedColormap(colors))
        ticks = sorted({round(i) for i in np.linspace(1, count, min(count, 8)).tolist()})
        bar = figure.colorbar(mappable, ax=axes, ticks=ticks, label="control step", aspect=25)
        if sigmas is not None:
            bar.set_ticks(ticks, labels=[f"{float(sigmas[i - 1]):.3g}" for i in ticks])
            bar.set_label(r"noise level $\sigma$ of the control step")
        bar.ax.invert_yaxis()
        bar.minorticks_off()
        bar.ax.tick_params(length=0)
        bar.outline.set_visible(False)
    return figure


def plot_loss_terms(terms: Float[Tensor, "boxes frames"], names: Sequence[str] | None = None) -> Figure:
    """The loss of every box in every frame as a table of colours; what was skipped (NaN) is left grey.

    Args:
        terms: (boxes, frames); NaN where a box was outside the picture.
        names: one for each box; None numbers them from 0.

    Raises:
        InputError: wrong shape, no boxes, or not one name for each box.
    """
    count, frames = checked(terms, "the terms", "rows frames").shape
    labels = checked_names(names, [f"box {i}" for i in range(count)])
    values = array(terms)
    top = np.nanmax(values, initial=0.0) or 1.0
    with styled():
        figure = new_figure(0.95 + 0.42 * count, width=min(9.0, 2.2 + 0.62 * frames))
        axes = figure.subplots()
        axes.set_facecolor("#DDDDDD")
        heat = axes.imshow(values, cmap="Blues", vmin=0, vmax=top, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            text = "-" if np.isnan(value) else f"{value:.2g}"
            color = "white" if value > 0.6 * top else "#222222"
            axes.text(column, row, text, ha="center", va="center", fontsize=8 if frames <= 14 else 6, color=color)
        axes.set(xlabel="frame", xticks=range(frames), yticks=range(count), yticklabels=labels)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        # white rules between the cells
        axes.set_xticks(np.arange(frames - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(count - 1) + 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="minor", length=0)
        bar = figure.colorbar(heat, ax=axes, label="loss", fraction=0.03, pad=0.015)
        bar.outline.set_visible(False)
        bar.locator = MaxNLocator(3)
    return figure


def plot_spectra(
    radii: Float[Tensor, " k"], spectra: Mapping[str, Float[Tensor, " k"]], cutoff: float | int | None = None
) -> Figure:
    """Radial power spectra on a logarithmic axis, with the low-pass filter's cut-off.

    Args:
        radii: (k,) distances d from the spectrum's centre; 1 is the highest frequency along an axis.
        spectra: per label ("before", "after"), the mean power at each radius, (k,).
        cutoff: the Butterworth filter's r; None draws no line.

    Raises:
        InputError: no spectra, or wrong shapes.
    """
    checked(radii, "radii", "k")
    checked_any(spectra, "spectra", "{'before': power}")
    with styled():
        figure = new_figure(3.2, width=6.0)
        axes = figure.subplots()
        for i, (label, power) in enumerate(spectra.items()):
            checked(power, f"the spectrum {label!r}", f"{len(radii)}")
            axes.plot(array(radii), array(power), label=label, linestyle=("-", (0, (5, 1.5)), (0, (1, 1.2)))[i % 3])
        if cutoff is not None:
            mark_place(axes, cutoff, f"cut-off r = {cutoff:g}")
        axes.set(yscale="log", ylabel="mean power", xlim=(0, None))
        axes.set_xlabel("radial frequency d  (1 = highest along an axis)")
        axes.grid(axis="y")
        axes.legend()
    return figure


def plot_mask(mask: Mask, cutoff: float | int) -> Figure:
    """A low-pass mask on the centred frequency grid, and its value over the distance from the centre.

    Args:
        mask: (h, w), the weight of the optimised latents at each frequency; the zero frequency is at (h // 2, w // 2).
        cutoff: the filter's r, drawn as a circle and a line.

    Raises:
        InputError: wrong shape.
    """
    height, width = checked(mask, "the mask", "h w").shape
    x, y = 2 * np.arange(width) / width - 1, 2 * np.arange(height) / height - 1
    distance = np.hypot(x[None], y[:, None]).ravel()
    order = distance.argsort()
    with styled():
        figure, left, right = _map_and_profile()
        half_x, half_y = 1 / width, 1 / height  # a cell's value belongs to its middle
        extent = (-1 - half_x, 1 - half_x, 1 - half_y, -1 - half_y)
        image = left.imshow(array(mask), extent=extent, vmin=0, vmax=1, cmap="gray", aspect="equal")
        left.add_patch(Circle((0, 0), cutoff, fill=False, edgecolor="#E69F00", linewidth=1.4))
        left.set(xlabel="horizontal frequency", ylabel="vertical frequency", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
        left.spines[:].set_visible(False)
        _bar_beside(figure, left, image)
        line = ".-" if mask.numel() <= 1024 else "-"  # dots only while they can be told apart
        right.plot(distance[order], array(mask).ravel()[order], line, markersize=3, linewidth=1.3, color="#0072B2")
        mark_place(right, cutoff, f"cut-off r = {cutoff:g}")
        right.set(xlabel="distance d from the centre", ylabel="weight L", ylim=(-0.03, 1.05), xlim=(0, None))
        right.set_yticks((0, 0.5, 1))
        right.grid(axis="y")
    return figure


def plot_gaussian(weight: Float[Tensor, "h w"]) -> Figure:
    """The loss's weight over a box, and its profiles through the middle.

    Args:
        weight: (h, w), 0..1, in cells of the latent grid.

    Raises:
        InputError: wrong shape.
    """
    height, width = checked(weight, "the weight", "h w").shape
    values = array(weight)
    with styled():
        figure, left, right = _map_and_profile()
        image = left.imshow(values, vmin=0, vmax=1, extent=(0, width, height, 0))
        left.set(xlabel="x in latent cells", ylabel="y in latent cells")
        left.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        left.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        left.spines[:].set_visible(False)
        _bar_beside(figure, left, image)
        profiles = {"horizontal": values[(height - 1) // 2], "vertical": values[:, (width - 1) // 2]}
        for (label, profile), style in zip(profiles.items(), ("-", (0, (4, 2))), strict=True):
            place = (np.arange(len(profile)) + 0.5) / len(profile) * 2 - 1
            right.plot(place, profile, marker="o", markersize=3, label=label, linestyle=style)
        right.set(xlabel="place in the box  (0 = middle, ±1 = edges)", ylabel="weight", xlim=(-1, 1), ylim=(0, 1.05))
        right.set_xticks((-1, -0.5, 0, 0.5, 1))
        right.grid(axis="y")
        right.legend(loc="upper right", title="through the middle")
    return figure


def _map_and_profile() -> tuple[Figure, Axes, Axes]:
    figure = new_figure(2.9, width=7.6)
    figure.get_layout_engine().set(wspace=0.06)
    return figure, *figure.subplots(1, 2, width_ratios=(1, 1.5))


def _bar_beside(figure: Figure, axes: Axes, image: AxesImage) -> None:
    """A colour bar for weights in 0..1, as tall as the picture whatever its shape."""
    bar = figure.colorbar(image, cax=axes.inset_axes((1.04, 0, 0.05, 1)), ticks=(0, 0.5, 1))
    bar.outline.set_visible(False)
