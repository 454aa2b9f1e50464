"""What control costs: seconds and memory against what was varied, with the straight line through each."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgi2v_lab.plots.style import WIDTH, checked_any, new_figure, styled

__all__ = ["plot_cost"]

QUANTITIES = {"seconds": ("seconds", 1.0, "s", "#0072B2"), "peak_bytes": ("peak memory, MiB", 2**20, "MiB", "#D55E00")}

ONE = {"frames": "frame", "megapixels": "megapixel", "boxes": "box", "iterations": "iteration"}


def plot_cost(
    rows: Sequence[Mapping[str, object]], lines: Mapping[str, Mapping[str, Mapping[str, float]]], title: str
) -> Figure:
    """Time above, memory below, a column for each thing that was varied; runs that failed are crosses on the axis.

    Args:
        rows: with "axis", "x", "unit", "seconds" and "peak_bytes", as `bench.scaling` measures them; with "error" in
            place of the last two where a run failed.
        lines: axis -> quantity -> "at", "slope" and "r2" of the straight line; what is missing is not drawn.
        title: the model and the machine.

    Raises:
        InputError: there is no row.
    """
    checked_any(rows, "measurements", "a row of `bench.scaling`")
    axes_names = list(dict.fromkeys(row["axis"] for row in rows))
    with styled():
        figure = new_figure(4.6, width=max(4.5, WIDTH * len(axes_names) / 4))
        figure.suptitle(title, fontsize=9)
        grid = figure.subplots(2, len(axes_names), squeeze=False, sharex="col", sharey="row")
        for column, name in enumerate(axes_names):
            mine = [row for row in rows if row["axis"] == name]
            for axes, quantity in zip(grid[:, column], QUANTITIES, strict=True):
                _panel(axes, mine, quantity, lines.get(name, {}).get(quantity))
            unit = mine[0]["unit"]
            grid[1, column].set_xlabel(name if name == unit else f"{name}, {unit}")
        for axes, (label, *_) in zip(grid[:, 0], QUANTITIES.values(), strict=True):
            axes.set_ylabel(label)
            low, high = axes.get_ylim()
            axes.set_ylim(0, high + 0.28 * (high - min(0, low)))  # from nothing, with room for the line's words
    return figure


def _panel(axes: Axes, rows: Sequence[Mapping], quantity: str, line: Mapping[str, float] | None) -> None:
    _, scale, unit, color = QUANTITIES[quantity]
    good = [row for row in rows if "error" not in row]
    x = [row["x"] for row in good]
    axes.scatter(x, [row[quantity] / scale for row in good], s=26, color=color, zorder=3)
    failed = [row["x"] for row in rows if "error" in row]
    axes.scatter(failed, [0] * len(failed), marker="x", s=34, color="#444444", clip_on=False, zorder=4)
    axes.set_xlim(left=0)
    if line is None:
        return
    ends = [0.0, max(x)]
    at, slope = line["at"] / scale, line["slope"] / scale
    axes.plot(ends, [at + slope * end for end in ends], color=color, linewidth=1.2, linestyle=(0, (4, 2.5)))
    each = ONE.get(rows[0]["unit"], rows[0]["unit"])
    text = f"{at:.3g} {unit} {'+' if slope >= 0 else '−'} {abs(slope):.3g} {unit} per {each}\nR² = {line['r2']:.3f}"
    axes.annotate(text, (0.03, 0.97), xycoords="axes fraction", va="top", fontsize=7.5)
