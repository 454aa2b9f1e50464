"""Figures of a training run: what a network can do, against the clips that it has seen."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgi2v_lab.errors import InputError
from sgi2v_lab.plots.style import new_figure, styled

__all__ = ["plot_training"]

SIGMA = 2.8  # noise level of the matching that is shown
LAYERS = {"up 2 1": 1, "up 2 2": 1, "up 3 0": 0, "up 3 1": 0}  # taught layers -> 0: own attention, 1: aligned


def plot_training(log: Sequence[Mapping[str, Any]], compass: Sequence[Mapping[str, Any]]) -> Figure:
    """Error of v, fidelity of moving objects, and matching by layer, against clips.

    Args:
        log: the lines of a run's `log.jsonl` of the UNet: `clips`, `size` in pixels, `validation`.
        compass: the lines of its `compass.jsonl`: `clips`, and `sigma 1.1` and so on in dB; `matching at 2.8` in some.

    Raises:
        InputError: no lines.
    """
    if not log or not compass:
        raise InputError("a training's figure needs lines of its log and of its compass: one of them has none")
    with styled():
        figure = new_figure(2.9, width=9.6)
        error, fidelity, matching = figure.subplots(1, 3)
        for size in sorted({line["size"] for line in log}):
            lines = [line for line in log if line["size"] == size]
            _line(error, lines, [line["validation"] for line in lines], f"pictures of {size} px")
        error.set(yscale="log", ylabel="squared error of v, held-out clips")
        for name in (name for name in compass[-1] if name.startswith("sigma")):
            lines = [line for line in compass if name in line]
            _line(fidelity, lines, [line[name] for line in lines], name.replace("sigma ", r"from $\sigma$ = "))
        fidelity.set(ylabel="PSNR of moving objects, one step (dB)")
        known = [line for line in compass if f"matching at {SIGMA}" in line]
        for layer, aligned in LAYERS.items():
            values = [line[f"matching at {SIGMA}"][layer][aligned] for line in known]
            block, number = layer.split()[1:]
            _line(matching, known, values, f"({block}, {number}) {'aligned' if aligned else 'own'}")
        matching.set(ylabel=rf"origins found within a cell, $\sigma$ = {SIGMA}", ylim=(0, 1))
        for axes in (error, fidelity, matching):
            axes.set_xlabel("thousand clips")
            axes.grid(axis="y")
            axes.legend(fontsize=7)
    return figure


def _line(axes: Axes, lines: Sequence[Mapping[str, Any]], values: Sequence[float], label: str) -> None:
    axes.plot([line["clips"] / 1000 for line in lines], values, marker="o", markersize=3, label=label)
