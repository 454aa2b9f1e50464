"""A model's own default settings, searched on training scenes.

Run it with `python -m sgi2v_lab.evaluation.experiments.search --out FOLDER`.

Settings are drawn at random from a grid. All are tried on a few scenes, the better half on twice as many, and so on
(successive halving: Jamieson & Talwalkar 2016, arXiv 1502.07943). The benchmark's scenes are not used. Every video is a
task, so a search that was killed resumes.
"""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Annotated

import typer

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.video_task import video_tasks
from sgi2v_lab.evaluation.scenes.scenes import BenchmarkScene, find_seeds
from sgi2v_lab.evaluation.tasks.run import run_tasks
from sgi2v_lab.files import write_text
from sgi2v_lab.models.load import load_model
from sgi2v_lab.quiet import quiet_libraries
from sgi2v_lab.toy.training.data import HELD_OUT

__all__ = ["GRID", "Trial", "draw_settings", "score", "search"]

FIRST_SCENE = HELD_OUT - 1_000_000  # for training; the benchmark never uses these
LEAST_PSNR = 24.0  # dB to the first frame, as in the benchmark
CATEGORIES = ("single", "pan")  # one object, and the camera, which ask for different settings
GRID: dict[str, tuple] = {
    "num_inference_steps": (6, 8),
    "control_steps": ((1, 3),),
    "layers": (((2, 1), (2, 2), (3, 0)), ((2, 1), (3, 0)), ((3, 0),)),
    "iterations": (6, 10),
    "early_stop": (0.3,),
    "optimizer": ("normalized",),  # Adam's steps, the same everywhere, stir up the whole of a small model's picture
    "learning_rate": (0.3,),  # in units of sigma
    "cutoff": (0.5, 1.0),
    "max_guidance_scale": (1.0, 1.5, 3.0),
}


@dataclass(frozen=True)
class Trial:
    """What one choice of settings gave, over so many scenes of each category."""

    settings: dict[str, object]
    scenes: int
    ratios: dict[str, float]  # category -> mean ObjMC with control / without, on the same scenes
    psnr: float  # of the first frame, dB
    seconds: float  # of a controlled video, median
    score: float


def score(ratios: Mapping[str, float], psnr: float) -> float:
    """What the search makes small: the ObjMC ratios' mean, and 0.05 for every dB that the first frame lacks of 24."""
    return fmean(ratios.values()) + 0.05 * max(0.0, LEAST_PSNR - psnr)


def draw_settings(count: int, seed: int = 0, grid: dict[str, tuple] | None = None) -> list[dict[str, object]]:
    """`count` different choices from a grid {setting: values}; all of them, in random order, if it has no more."""
    grid = GRID if grid is None else grid
    rng = random.Random(seed)
    size = 1
    for values in grid.values():
        size *= len(values)
    chosen = []
    for number in rng.sample(range(size), min(count, size)):
        choice = {}
        for name, values in grid.items():
            number, k = divmod(number, len(values))
            choice[name] = values[k]
        chosen.append(choice)
    return chosen


def search(
    folder: Path,
    model_name: str = "toy",
    *,
    trials: int = 24,
    scenes: int = 3,
    rounds: int = 3,
    seed: int = 0,
    workers: int = 1,
    grid: dict[str, tuple] | None = None,
    changes: dict[str, object] | None = None,
    progress: bool = False,
) -> Iterator[list[Trial]]:
    """Yield every round's trials, best first; `folder/search.json` holds all rounds so far.

    Args:
        folder: for the tasks and the record.
        model_name: as in `load_model`.
        trials: choices of settings in the first round.
        scenes: of each of `CATEGORIES` in the first round; each further round has twice as many, and half the trials.
        rounds: at least 1.
        seed: of the choices.
        workers: processes.
        grid: {setting: values}; None for `GRID`.
        changes: settings that all trials share, such as a number of steps.
        progress: show progress bars.

    Raises:
        InputError: fewer than one trial, scene or round, or a task that failed.
    """
    for name, value in (("trials", trials), ("scenes", scenes), ("rounds", rounds)):
        if value < 1:
            raise InputError(f"{name} is {value}, but must be at least 1")
    model = load_model(model_name)
    changes = {"scale_lr_by_sigma": True, "weight_decay": 0.0, **(changes or {})}
    choices = draw_settings(trials, seed, grid)
    record = []
    for number in range(rounds):
        count = scenes * 2**number
        where = [BenchmarkScene(name, k) for name in CATEGORIES for k in find_seeds(name, count, FIRST_SCENE)]
        tasks = video_tasks(model, where, changes=changes, variants=(False,))
        for choice in choices:
            tasks += video_tasks(model, where, changes=changes | choice, variants=(True,))
        records = run_tasks(
            tasks, folder / "tasks", model, workers=workers, progress=progress, label=f"round {number + 1}"
        )
        if failed := [r for r in records if "error" in r]:
            raise InputError(f"{len(failed)} videos of the search failed, the first with {failed[0]['error']}")
        results = [r["result"] for r in records]
        each = [results[k : k + len(where)] for k in range(0, len(results), len(where))]
        uncontrolled = {name: fmean(r["objmc"] for r in part) for name, part in _by_category(each[0], count)}
        ranked = []
        for choice, found in zip(choices, each[1:], strict=True):
            ratios = {
                name: fmean(r["objmc"] for r in part) / uncontrolled[name] for name, part in _by_category(found, count)
            }
            psnr, seconds = fmean(r["psnr"] for r in found), median(r["seconds"] for r in found)
            ranked.append(Trial(choice, count, ratios, psnr, seconds, score(ratios, psnr)))
        ranked.sort(key=lambda trial: trial.score)
        record.append(
            {
                "scenes": {name: [s.seed for s in part] for name, part in _by_category(where, count)},
                "uncontrolled": uncontrolled,
                "trials": [vars(trial) for trial in ranked],
            }
        )
        write_text(folder / "search.json", json.dumps({"model": model_name, "rounds": record}, indent=1))
        yield ranked
        choices = [trial.settings for trial in ranked[: max(1, len(ranked) // 2)]]


def _by_category(values: list, count: int) -> list[tuple[str, list]]:
    return [(name, values[k * count : (k + 1) * count]) for k, name in enumerate(CATEGORIES)]


def _main(
    out: Annotated[Path, typer.Option(help="Folder for the videos and search.json.")] = Path("runs/search"),
    model: Annotated[
        str, typer.Option(help="The model to search settings for: toy, or a checkpoint's folder.")
    ] = "toy",
    trials: int = 24,
    scenes: int = 3,
    rounds: int = 3,
    seed: int = 0,
    workers: int = 2,
) -> None:
    """Search a model's default settings on training scenes."""
    quiet_libraries()
    out.mkdir(parents=True, exist_ok=True)
    for ranked in search(
        out, model, trials=trials, scenes=scenes, rounds=rounds, seed=seed, workers=workers, progress=True
    ):
        for trial in ranked[:8]:
            ratios = "  ".join(f"{name} {ratio:.3f}" for name, ratio in trial.ratios.items())
            figures = f"{ratios}  first frame {trial.psnr:.1f} dB  {trial.seconds:.1f} s  score {trial.score:.3f}"
            typer.echo(f"{figures}  {trial.settings}")


if __name__ == "__main__":
    typer.run(_main)
