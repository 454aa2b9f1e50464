"""What each layer knows at each noise level: a heat map for each kind of features, and curves over the noise level.

700 px wide, for a page. Noise falls from left to right, as in denoising.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.plots.intervals import Point
from sgi2v_lab.plots.style import array, new_figure, styled

__all__ = ["plot_atlas", "plot_levels"]

WIDTH = 7.0  # inches: 700 px at the style's 100 dots per inch
COLUMNS = 4
LINES = ("-", "--", ":", "-.")


def plot_atlas(
    means: Mapping[str, Float[Tensor, "layers sigmas"]],
    layers: Sequence[str],
    sigmas: Sequence[float | int],
    label: str,
    chance: float | None = None,
) -> Figure:
    """A heat map of layers and noise levels for each kind, all on one scale; the best cell is framed.

    Args:
        means: kind -> (layers, sigmas) of a measure of which more is better, as in `Atlas.mean`; NaN is grey.
        layers: names of the rows, from the first that is computed to the last, such as "mid,0,0".
        sigmas: noise levels of the columns.
        label: what is measured, with its unit.
        chance: of a blind guess, marked at the colour bar.

    Raises:
        InputError: no kinds, another shape than layers and noise levels, or no value at all.
    """
    values = {kind: array(each) for kind, each in means.items()}
    for kind, each in values.items():
        if each.shape != (len(layers), len(sigmas)):
            raise InputError(
                f"the means of {kind} have shape {each.shape}, but there are {len(layers)} layers and {len(sigmas)} "
                "noise levels: expected a mean for each"
            )
    known = [each[~np.isnan(each)] for each in values.values()]
    if not sum(len(each) for each in known):
        raise InputError("there are no means to draw: expected at least one kind with a value")
    low, high = min(each.min() for each in known if len(each)), max(each.max() for each in known if len(each))
    scale = Normalize(min(low, high if chance is None else chance), high)
    columns = min(COLUMNS, len(values))
    rows = -(-len(values) // columns)
    with styled():
        figure = new_figure(rows * (0.62 + 0.155 * len(layers)) + 0.62, width=max(3.6, WIDTH * columns / COLUMNS))
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for one in axes.flat[len(values) :]:
            one.set_visible(False)
        for one, (kind, each) in zip(axes.flat, values.items(), strict=False):
            heat = _draw_map(one, each, scale)
            best = f", best {np.nanmax(each):.2f}" if (~np.isnan(each)).any() else ""
            one.set_title(f"{kind}{best}", loc="left", fontsize=8.5 if len(kind) < 15 else 7.5)
            one.set_yticks(range(len(layers)), layers, fontsize=7.5)
            one.set_xticks(range(len(sigmas)), [f"{sigma:.2g}" for sigma in sigmas], fontsize=7.5)
        for column in range(columns):  # under the last map of each column
            axes[(len(values) - 1 - column) // columns, column].tick_params(
                labelbottom=True, labelrotation=90, axis="x"
            )
        figure.supxlabel("noise level σ; denoising goes to the right", fontsize=9)
        figure.supylabel("layer, first on top", fontsize=9)
        bar = figure.colorbar(heat, ax=axes, location="top", label=label, fraction=0.05, aspect=50, pad=0.01)
        bar.outline.set_visible(False)
        if chance is not None:
            bar.ax.axvline(chance, color="#D55E00", linewidth=2)
            bar.ax.text(chance, -0.3, f"chance {chance:.2g}", color="#D55E00", fontsize=7.5, va="top")
            bar.ax.texts[-1].set_transform(bar.ax.get_xaxis_transform())
    return figure


def _draw_map(axes: Axes, values: np.ndarray, scale: Normalize) -> object:
    axes.set_facecolor("#DDDDDD")
    heat = axes.imshow(values, cmap="viridis", norm=scale, aspect="auto")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if (~np.isnan(values)).any():
        row, column = np.unravel_index(np.nanargmax(values), values.shape)
        for color, width in (("white", 3.4), ("#D55E00", 1.8)):
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, ec=color, lw=width, clip_on=False))
    return heat


def plot_levels(
    curves: Mapping[str, Sequence[tuple[float, Point]]],
    label: str,
    references: Mapping[str, float] | None = None,
) -> Figure:
    """A measure over the noise level, a line for each label, with a band for its interval.

    Args:
        curves: label -> (noise level above 0, mean), in any order, such as `Atlas.of(table).curve(kind, layer)`.
        label: what is measured, with its unit.
        references: level lines by name, such as {"chance": 0.02}.

    Raises:
        InputError: no curves, an empty one, or a noise level that is not above 0.
    """
    if not curves or not all(curves.values()):
        raise InputError("there is no curve to draw, or an empty one: expected a mean at one noise level or more")
    if wrong := [sigma for curve in curves.values() for sigma, _ in curve if not sigma > 0]:
        raise InputError(f"a noise level is {wrong[0]}: expected numbers above 0, as the axis is logarithmic")
    colors = colormaps["tab10"].colors
    with styled():
        figure = new_figure(3.4, width=WIDTH)
        axes = figure.subplots()
        for i, ((name, curve), line) in enumerate(zip(curves.items(), cycle(LINES))):
            curve = sorted(curve, key=lambda pair: -pair[0])
            color, sigmas = colors[i % len(colors)], [sigma for sigma, _ in curve]
            axes.plot(sigmas, [p.value for _, p in curve], line, marker="o", label=name, color=color)
            banded = [(sigma, p.low, p.high) for sigma, p in curve if p.low is not None and p.high is not None]
            if banded:
                axes.fill_between(*zip(*banded, strict=True), color=color, alpha=0.3 / len(curves), linewidth=0)
        for name, value in (references or {}).items():
            axes.axhline(value, color="#777777", linewidth=1, linestyle=(0, (4, 3)), zorder=0)
            axes.annotate(
                name,
                (1, value),
                xycoords=("axes fraction", "data"),
                xytext=(-2, 2),
                textcoords="offset points",
                ha="right",
                fontsize=8,
                color="#555555",
            )
        ticks = sorted({sigma for curve in curves.values() for sigma, _ in curve})
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{sigma:.2g}" for sigma in ticks])
        axes.minorticks_off()
        axes.invert_xaxis()
        if min(p.value if p.low is None else p.low for curve in curves.values() for _, p in curve) >= 0:
            axes.set_ylim(0, None)  # a share is judged from zero
        axes.set(xlabel="noise level σ; denoising goes to the right", ylabel=label)
        axes.grid(axis="y")
        figure.legend(loc="outside right upper")
    return figure
