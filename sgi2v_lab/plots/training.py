"""Figures of a training run: what a network can do, against the clips that it has seen.

    python -m sgi2v_lab.plots.training runs/toy

draws them from the run's `log.jsonl` and the `compass.jsonl` that `sgi2v_lab.toy.training.compass` wrote.
"""

import json
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Annotated, Any

import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgi2v_lab.errors import InputError
from sgi2v_lab.plots.style import new_figure, save_figure, styled

__all__ = ["plot_training"]

SIGMA = 2.8  # noise level of the matching that is shown
FIDELITY = {name: rf"one step from $\sigma$ = {name.split()[1]}" for name in ("sigma 1.1", "sigma 2.8", "sigma 9.0")}
FIDELITY["several steps"] = r"five steps from $\sigma$ = 9"
LAYERS = {"up 2 1": 1, "up 2 2": 1, "up 3 0": 0, "up 3 1": 0}  # taught layers -> 0: own attention, 1: aligned


def plot_training(log: Sequence[Mapping[str, Any]], compass: Sequence[Mapping[str, Any]]) -> Figure:
    """Error of v, fidelity of moving objects, and matching by layer, against clips.

    Args:
        log: the lines of a run's `log.jsonl` of the UNet: `clips`, `size` in pixels, `validation`.
        compass: the lines of its `compass.jsonl`: `clips`, and `sigma 1.1` and so on in dB; `several steps` and
            `matching at 2.8` in some.

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
        for name, label in FIDELITY.items():
            lines = [line for line in compass if name in line]
            _line(fidelity, lines, [line[name] for line in lines], label)
        low, high = fidelity.get_ylim()
        fidelity.set(ylabel="PSNR of moving objects (dB)", ylim=(low, high + (high - low) / 3))  # room for the legend
        known = [line for line in compass if f"matching at {SIGMA}" in line]
        for layer, aligned in LAYERS.items():
            values = [line[f"matching at {SIGMA}"].get(layer, (nan, nan))[aligned] for line in known]  # if it has it
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


def _main(run: Annotated[Path, typer.Argument(help="A run's folder; training.png is written there.")]) -> None:
    """Draw a run's curves."""
    log, compass = (
        [json.loads(line) for line in (run / name).read_text().splitlines()] for name in ("log.jsonl", "compass.jsonl")
    )
    log = [line for line in log if line["stage"] == "unet"]
    save_figure(plot_training(log, [line for line in compass if "clips" in line]), run / "training.png")


if __name__ == "__main__":
    typer.run(_main)
