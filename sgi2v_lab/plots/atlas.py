"""What each layer knows at each noise level, as a heat map for each kind of features.

700 px wide, for a page. Noise falls from left to right, as in denoising.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from sgi2v_lab.errors import InputError
from sgi2v_lab.plots.style import array, checked, new_figure, styled

__all__ = ["plot_atlas"]

WIDTH = 7.0  # inches: 700 px at the style's 100 dots per inch
COLUMNS = 4


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
    shape = f"{len(layers)} {len(sigmas)}"
    values = {kind: array(checked(each, f"the means of {kind}", shape)) for kind, each in means.items()}
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
