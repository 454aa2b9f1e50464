"""Run the benchmark: benchmark.json with the scores, and index.html with figures and sample grids."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from sgi2v_lab.efficiency.machine import describe_machine
from sgi2v_lab.evaluation.experiments.benchmark_scores import CONTROL_TARGETS, SCORED, Pair, pairs_of, score_records
from sgi2v_lab.evaluation.experiments.video_task import truth_tasks, video_tasks
from sgi2v_lab.evaluation.report.page import render
from sgi2v_lab.evaluation.report.sections import Cell, Table
from sgi2v_lab.evaluation.scenes.scenes import CATEGORIES, BenchmarkScene, benchmark_scenes
from sgi2v_lab.evaluation.tasks.command_line import command_line
from sgi2v_lab.evaluation.tasks.run import fingerprint, run_tasks
from sgi2v_lab.evaluation.tasks.strips import read_strip
from sgi2v_lab.files import write_text
from sgi2v_lab.models.load import load_model
from sgi2v_lab.plots.intervals import Bar, plot_bars
from sgi2v_lab.plots.sample_grid import Strips, plot_sample_grid
from sgi2v_lab.plots.style import save_figure

__all__ = ["plot_scores", "run_benchmark", "write_page"]

RANKS = ("best", "median", "worst")
LABELS = {
    "single": "one object",
    "two": "two objects",
    "pinned": "one moves, one is pinned",
    "pan": "camera pan",
    "hard": "hard scenes (no target)",
    "photo": "photographs",
}


def run_benchmark(
    out: Path,
    model: str = "toy",
    *,
    categories: Iterable[str] | None = None,
    scenes: int | None = None,
    seeds: int = 1,
    preset: str = "own",
    changes: dict[str, object] | None = None,
    workers: int = 1,
    device: str | None = None,
    dtype: str | None = None,
    progress: bool = False,
) -> dict[str, object]:
    """Make the videos that are missing, score all, and write the result to a folder.

    Args:
        out: the folder; benchmark.json, index.html and the PNGs in it are replaced, tasks/ is added to.
        model: as in `load_model`.
        categories: some of `CATEGORIES`; None for all.
        scenes: at most this many of each category, for a short benchmark; None for all.
        seeds: videos of each scene.
        preset: of the model: "own", "fast", "paper" or "best".
        changes: to the preset's settings.
        workers: processes of one thread each.
        device: as in `load_model`.
        dtype: as in `load_model`.
        progress: show a progress bar.

    Returns:
        What benchmark.json holds: see `score_records`, with the model, its settings and the machine.

    Raises:
        InputError: settings or a number that cannot be used, or nothing to score because every video failed.
    """
    categories = None if categories is None else list(categories)
    chosen = benchmark_scenes(categories, scenes)
    asked = {"model": model, "category": categories, "scenes": scenes, "seeds": seeds, "preset": preset}
    loaded = load_model(model, device, dtype)
    loaded.settings = loaded.preset(preset)
    tasks = [*truth_tasks(loaded, chosen, changes), *video_tasks(loaded, chosen, seeds, changes)]
    options = {"workers": workers, "device": device, "dtype": dtype, "progress": progress, "label": "benchmark"}
    records = run_tasks(tasks, out / "tasks", loaded, **options)
    report = {
        "benchmark": "sgi2v_lab",
        "model": model,
        "fingerprint": fingerprint(loaded),
        "command": command_line("benchmark", asked | {"device": device, "dtype": dtype, "out": out}, changes),
        **score_records(records, out / "tasks"),
        "settings": loaded.settings.replace(**changes or {}).as_dict(),
        "threads_per_video": describe_machine(device)["threads"] if workers == 1 else 1,
        "workers": workers,
        **describe_machine(device),
    }
    write_text(out / "benchmark.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    write_page(out, report, records)
    return report


# --- pictures --------------------------------------------------------------------------------------------------------


def plot_scores(report: dict) -> Figure:
    """Every ratio of ObjMC with control to ObjMC without, with its interval and target."""
    categories = report["categories"]
    control = [
        Bar(LABELS[name], **_ends(categories[name]["ratio"]), target=CONTROL_TARGETS.get(name))
        for name in CATEGORIES
        if name in categories
    ]
    quality = []
    if "value" in report["frechet"]:
        target = next(c["at_most"] for c in report["criteria"] if "Frechet" in c["name"])
        quality = [Bar("all scored scenes", **_ends(report["frechet"]), target=target)]
    panels = {"Distance from the path asked for (ObjMC)": control, "Toy Frechet distance to the true clips": quality}
    return plot_bars(panels, "with control / without", "lower is better")


def _ends(figure: dict) -> dict[str, float | None]:
    return {key: figure[key] for key in ("value", "low", "high")}


def _ranked(pairs: Sequence[Pair]) -> dict[str, Pair]:
    """The best, the median and the worst pair by ObjMC with control, of different scenes as far as there are."""
    first = {pair.scene: pair for pair in reversed(pairs)}  # one seed of each
    ordered = sorted(first.values(), key=lambda pair: pair.controlled["result"]["objmc"])
    places = {"best": 0, "median": len(ordered) // 2, "worst": len(ordered) - 1}
    return {
        rank: ordered[place] for rank, place in places.items() if rank == "best" or len(ordered) > RANKS.index(rank)
    }


def _strips(pair: Pair, true_strips: dict[BenchmarkScene, str], folder: Path, rank: str = "") -> Strips:
    result = pair.controlled["result"]
    size, frames = tuple(result["resolution"]), result["frames"]
    before, after = (one["result"]["objmc"] for one in (pair.uncontrolled, pair.controlled))
    title = f"{pair.scene.title}: {before:.1f} → {after:.1f} px"
    names = {
        "true": true_strips.get(pair.scene),
        "uncontrolled": pair.uncontrolled["strip"],
        "controlled": pair.controlled["strip"],
    }
    return Strips(
        title=f"{rank}, {title}" if rank else title,
        picture=pair.scene.first_frame(size, frames),
        boxes=pair.scene.asked(size, frames).boxes(frames),
        videos={label: read_strip(folder / name, frames) for label, name in names.items() if name},
    )


def write_page(out: Path, report: dict, records: Sequence[dict]) -> None:
    """Write index.html, benchmark.png, photos.png, scores.png and a sample grid for each category.

    Args:
        out: the benchmark's folder, with the film strips in tasks/.
        report: from `score_records`, with "model", "command" and "fingerprint".
        records: from `run_tasks`.
    """
    pairs = pairs_of(records)
    true_strips = {
        BenchmarkScene(r["task"]["category"], r["task"]["scene_seed"]): r["strip"]
        for r in records
        if r["task"]["kind"] == "truth" and "result" in r
    }
    save_figure(plot_scores(report), out / "scores.png")
    rows, titles = [], []
    for name in (*SCORED, "hard"):
        group = [pair for pair in pairs if pair.scene.category == name and pair.scene in true_strips]
        if group:
            rows.append([_strips(pair, true_strips, out / "tasks", rank) for rank, pair in _ranked(group).items()])
            titles.append(CATEGORIES[name][0].upper() + CATEGORIES[name][1:])
            save_figure(plot_sample_grid([[each] for each in rows[-1]]), out / f"samples-{name}.png")
    if rows:
        save_figure(plot_sample_grid(rows, titles, most=4, width=_wide(rows, 4.7)), out / "benchmark.png")
    photographs = {pair.scene: pair for pair in reversed(pairs) if pair.scene.category == "photo"}
    if photographs:
        shown = [_strips(photographs[scene], true_strips, out / "tasks") for scene in reversed(photographs)]
        grid = [shown[k : k + 2] for k in range(0, len(shown), 2)]
        save_figure(plot_sample_grid(grid, most=6, width=_wide(grid, 6.5)), out / "photos.png")
    shown = {pair.scene.category for pair in pairs if pair.scene in true_strips}
    grids = [name for name in (*SCORED, "hard") if name in shown]
    write_text(out / "index.html", _page(report, grids, bool(photographs)))


def _wide(rows: Sequence[Sequence[Strips]], each: float) -> float:
    """The width of a grid in inches, so that a scene is as large in short rows as in long ones."""
    return each * max(map(len, rows))


# --- the page --------------------------------------------------------------------------------------------------------


def _page(report: dict, grids: Sequence[str], photographs: bool) -> str:
    width, height = report["resolution"]
    verdict = "All targets are met." if report["passed"] else "Not all targets are met."
    if not report["complete"]:
        verdict += " The benchmark was short or incomplete, so the verdict does not count."
    return render(
        "benchmark.html",
        title=f"Benchmark of {Path(report['model']).name}",
        report=report,
        verdict=verdict,
        facts={
            "Scenes": "held out; one video without control and one with it for each seed",
            "Resolution": f"{width} × {height} px, {report['frames']} frames",
            "Tracker": report["tracker"],
            "Seeds per scene": str(len(report["seeds"])),
            "Weights": report["fingerprint"],
        },
        targets=_targets(report["criteria"]),
        categories=_categories(report["categories"]),
        grids=[(name, LABELS[name].capitalize(), CATEGORIES[name]) for name in grids],
        photographs=photographs,
    )


def _targets(criteria: Sequence[dict]) -> Table:
    words = {None: "not measured", True: "yes", False: "no"}
    rows = []
    for one in criteria:
        target = f"≤ {one['at_most']:g}" if "at_most" in one else f"≥ {one['at_least']:g}"
        value = "—" if one["value"] is None else f"{one['value']:.3g}"
        met = Cell(words[one["passed"]], best=one["passed"] is True)
        rows.append([Cell(one["name"]), Cell(target), Cell(value), Cell(_between(one)), met])
    head = [Cell(word) for word in ("", "Target", "Measured", "95% interval", "Met")]
    return Table(head, rows, [one["passed"] is False for one in criteria])


def _categories(categories: dict[str, dict]) -> Table:
    rows = []
    for name, found in categories.items():
        objmc = [f"{found[f'objmc_{variant}']['value']:.1f}" for variant in ("uncontrolled", "controlled")]
        floor = "—" if found["floor"] is None else f"{found['floor']:.1f}"
        ratio = Cell(f"{found['ratio']['value']:.2f}", _between(found["ratio"]))
        psnr = f"{found['psnr_controlled']['value']:.1f}"
        texts = [LABELS[name], str(found["scenes"]), *objmc, floor]
        rows.append([*map(Cell, texts), ratio, Cell(psnr)])
    head = [
        *map(Cell, ("", "Scenes")),
        *(Cell(word, "px") for word in ("Without control", "With control", "Tracker error")),
        Cell("Ratio"),
        Cell("PSNR", "dB"),
    ]
    return Table(head, rows, [False] * len(rows))


def _between(figure: dict) -> str:
    return "—" if figure["low"] is None else f"{figure['low']:.2f} to {figure['high']:.2f}"
