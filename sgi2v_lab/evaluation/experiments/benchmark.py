"""Take the exam and show it: exam.json, a page (index.html), and contact sheets that can be shown to a class."""

import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from sgi2v_lab.efficiency.machine import describe_machine
from sgi2v_lab.evaluation.experiments.benchmark_scores import CONTROL_TARGETS, MARKED, Pair, mark, pairs_of
from sgi2v_lab.evaluation.experiments.video_task import truth_tasks, video_tasks
from sgi2v_lab.evaluation.scenes.scenes import CATEGORIES, ExamScene, exam_scenes
from sgi2v_lab.evaluation.tasks.command_line import command_line
from sgi2v_lab.evaluation.tasks.film_strips import read_film
from sgi2v_lab.evaluation.tasks.run import fingerprint, run_tasks
from sgi2v_lab.files import write_text
from sgi2v_lab.models.load import load_model
from sgi2v_lab.plots.exam import Bar, Strips, plot_bars, plot_contact_sheet
from sgi2v_lab.plots.style import save_figure

__all__ = ["plot_marks", "take_exam", "write_page"]

RANKS = ("best", "median", "worst")
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.7rem } h2 { margin-top: 2.5rem; font-size: 1.25rem } p, li { max-width: 46rem }
img { max-width: 100%; height: auto } .note { color: #555; font-size: .9rem }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0 }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #ddd; text-align: right }
th { border-bottom: 2px solid #888 } th:first-child, td:first-child { text-align: left }
.yes { color: #00724f } .no { color: #b34700 } .yes, .no { font-weight: 600 }
"""


def take_exam(
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
    """Take the exam, or go on with it, and write it to a folder.

    Args:
        out: the folder; exam.json, index.html and the PNGs in it are replaced, tasks/ is added to.
        model: as in `load_model`.
        categories: some of `CATEGORIES`; None for all.
        scenes: at most so many of each category, for a short exam; None for all.
        seeds: videos of each scene.
        preset: of the model: "own", "fast", "paper" or "best".
        changes: to the preset's settings.
        workers: processes of one thread each.
        device: as in `load_model`.
        dtype: as in `load_model`.
        progress: show a progress bar.

    Returns:
        What exam.json holds: see `mark`, with the model, its settings, the machine.

    Raises:
        InputError: settings or a number that cannot be used, or nothing to mark because every video failed.
    """
    categories = None if categories is None else list(categories)
    chosen = exam_scenes(categories, scenes)
    asked = {"model": model, "category": categories, "scenes": scenes, "seeds": seeds, "preset": preset}
    loaded = load_model(model, device, dtype)
    loaded.settings = loaded.preset(preset)
    tasks = [*truth_tasks(loaded, chosen, changes), *video_tasks(loaded, chosen, seeds, changes)]
    options = {"workers": workers, "device": device, "dtype": dtype, "progress": progress, "label": "exam"}
    records = run_tasks(tasks, out / "tasks", loaded, **options)
    report = {
        "exam": "sgi2v_lab",
        "model": model,
        "fingerprint": fingerprint(loaded),
        "command": command_line("exam", asked | {"device": device, "dtype": dtype, "out": out}, changes),
        **mark(records, out / "tasks"),
        "settings": loaded.settings.replace(**changes or {}).as_dict(),
        "threads_per_video": describe_machine(device)["threads"] if workers == 1 else 1,
        "workers": workers,
        **describe_machine(device),
    }
    write_text(out / "exam.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    write_page(out, report, records)
    return report


# --- pictures --------------------------------------------------------------------------------------------------------


def plot_marks(report: dict) -> Figure:
    """Every ratio of an exam, controlled to uncontrolled, with its interval and its target."""
    categories = report["categories"]
    control = [
        Bar(_label(name), **_ends(categories[name]["ratio"]), target=CONTROL_TARGETS.get(name))
        for name in CATEGORIES
        if name in categories
    ]
    quality = []
    if "value" in report["frechet"]:
        target = next(c["at_most"] for c in report["criteria"] if "Frechet" in c["name"])
        quality = [Bar("all marked scenes", **_ends(report["frechet"]), target=target)]
    panels = {"Distance from the path asked for (ObjMC)": control, "Toy Frechet distance to the true clips": quality}
    return plot_bars(panels, "with control / without", "lower is better")


def _ends(figure: dict) -> dict[str, float | None]:
    return {key: figure[key] for key in ("value", "low", "high")}


def _label(name: str) -> str:
    names = {"single": "one object", "two": "two objects", "pinned": "one moves, one is pinned", "pan": "camera pan"}
    return (names | {"hard": "hard scenes (no target)", "photo": "photographs"})[name]


def _ranked(pairs: Sequence[Pair]) -> dict[str, Pair]:
    """The best, the median and the worst pair by ObjMC with control, of different scenes as far as there are."""
    first = {pair.scene: pair for pair in reversed(pairs)}  # one seed of each
    ordered = sorted(first.values(), key=lambda pair: pair.controlled["result"]["objmc"])
    places = {"best": 0, "median": len(ordered) // 2, "worst": len(ordered) - 1}
    return {
        rank: ordered[place] for rank, place in places.items() if rank == "best" or len(ordered) > RANKS.index(rank)
    }


def _strips(pair: Pair, films: dict[ExamScene, str], folder: Path, rank: str = "") -> Strips:
    result = pair.controlled["result"]
    size, frames = tuple(result["resolution"]), result["frames"]
    before, after = (one["result"]["objmc"] for one in (pair.uncontrolled, pair.controlled))
    title = f"{pair.scene.title}: {before:.1f} → {after:.1f} px"
    names = {
        "true": films.get(pair.scene),
        "uncontrolled": pair.uncontrolled["film"],
        "controlled": pair.controlled["film"],
    }
    return Strips(
        title=f"{rank}, {title}" if rank else title,
        picture=pair.scene.first_frame(size, frames),
        boxes=pair.scene.asked(size, frames).boxes(frames),
        videos={label: read_film(folder / name, frames) for label, name in names.items() if name},
    )


def write_page(out: Path, report: dict, records: Sequence[dict]) -> None:
    """Write index.html, exam.png, photos.png, marks.png and a sheet for each category.

    Args:
        out: the exam's folder, with the film strips in tasks/.
        report: from `mark`, with "model" and "fingerprint".
        records: from `run_tasks`.
    """
    pairs = pairs_of(records)
    films = {
        ExamScene(r["task"]["category"], r["task"]["scene_seed"]): r["film"]
        for r in records
        if r["task"]["kind"] == "truth" and "result" in r
    }
    save_figure(plot_marks(report), out / "marks.png")
    rows, titles = [], []
    for name in (*MARKED, "hard"):
        group = [pair for pair in pairs if pair.scene.category == name and pair.scene in films]
        if group:
            rows.append([_strips(pair, films, out / "tasks", rank) for rank, pair in _ranked(group).items()])
            titles.append(CATEGORIES[name][0].upper() + CATEGORIES[name][1:])
            save_figure(plot_contact_sheet([[each] for each in rows[-1]]), out / f"sheet-{name}.png")
    if rows:
        save_figure(plot_contact_sheet(rows, titles, most=4, width=_wide(rows, 4.7)), out / "exam.png")
    photographs = {pair.scene: pair for pair in reversed(pairs) if pair.scene.category == "photo"}
    if photographs:
        shown = [_strips(photographs[scene], films, out / "tasks") for scene in reversed(photographs)]
        grid = [shown[k : k + 2] for k in range(0, len(shown), 2)]
        save_figure(plot_contact_sheet(grid, most=6, width=_wide(grid, 6.5)), out / "photos.png")
    sheets = [
        name for name in (*MARKED, "hard") if name in {pair.scene.category for pair in pairs if pair.scene in films}
    ]
    write_text(out / "index.html", _html(report, sheets, bool(photographs)))


def _wide(rows: Sequence[Sequence[Strips]], each: float) -> float:
    """The width of a sheet in inches, so that a scene is as large in short rows as in long ones."""
    return each * max(map(len, rows))


# --- the page --------------------------------------------------------------------------------------------------------


def _html(report: dict, sheets: Sequence[str], photographs: bool) -> str:
    width, height = report["resolution"]
    verdict = "All targets are met." if report["passed"] else "Not all targets are met."
    if not report["complete"]:
        verdict += " This was a short or incomplete exam: its verdict does not count."
    parts = [
        f"<h1>Exam of {html.escape(Path(report['model']).name)}</h1>",
        f"<p><strong>{verdict}</strong></p>",
        f"<p>Held-out scenes, each made into a video without and with control. {width} × {height} pixels, "
        f"{report['frames']} frames, {html.escape(report['tracker'])} tracker, "
        f"{len(report['seeds'])} seed(s) per scene, weights {html.escape(report['fingerprint'])}.</p>",
        "<h2>Targets</h2>",
        _table(("", "target", "measured", "95% interval", "met"), [_criterion_row(c) for c in report["criteria"]]),
        '<div><img src="marks.png" alt="Ratios with their intervals and targets"></div>',
        "<h2>Figures</h2>",
        _table(
            ("", "scenes", "without, px", "with, px", "tracker’s own, px", "ratio", "PSNR, dB"),
            [_category_row(name, figures) for name, figures in report["categories"].items()],
        ),
        "<p class=note>Distances are ObjMC. "
        + " ".join(
            f"<br><b>{html.escape(name)}</b>: {html.escape(text)}." for name, text in report["definitions"].items()
        )
        + "</p>",
        "<h2>Film strips</h2>",
        '<p>All on one sheet: <a href="exam.png">exam.png</a>.</p>' if sheets else "",
        "<p>The picture with the boxes asked for, first frame solid and last frame dashed; the true clip, the video "
        "without control and the one with it. Of each kind the best, the median and the worst scene, by the distance "
        "from the path with control.</p>",
    ]
    parts += [
        f'<h3>{_label(name).capitalize()}</h3><div><img src="sheet-{name}.png" alt="{CATEGORIES[name]}"></div>'
        for name in sheets
    ]
    if photographs:
        parts.append(
            '<h2>Photographs</h2><div><img src="photos.png" alt="Photographs, without control and with it"></div>'
        )
    if report["failures"]:
        rows = "".join(
            f"<li>{html.escape(str(f['task'].get('scene')))}: {html.escape(f['error'])}</li>"
            for f in report["failures"]
        )
        parts.append(f"<h2>Failures</h2><ul>{rows}</ul>")
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    return f"{head}<title>Exam</title><style>{STYLE}</style>\n" + "\n".join(parts) + "\n</html>\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = lambda tag, row: "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in row) + "</tr>"  # noqa: E731
    return f'<div class="wide"><table>{cells("th", head)}{"".join(cells("td", row) for row in rows)}</table></div>'


def _criterion_row(criterion: dict) -> list[str]:
    target = f"≤ {criterion['at_most']:g}" if "at_most" in criterion else f"≥ {criterion['at_least']:g}"
    met = {None: "not measured", True: '<span class="yes">yes</span>', False: '<span class="no">no</span>'}
    value = "—" if criterion["value"] is None else f"{criterion['value']:.3g}"
    return [html.escape(criterion["name"]), target, value, _between(criterion), met[criterion["passed"]]]


def _category_row(name: str, figures: dict) -> list[str]:
    floor = "—" if figures["floor"] is None else f"{figures['floor']:.1f}"
    objmc = [f"{figures[f'objmc_{variant}']['value']:.1f}" for variant in ("uncontrolled", "controlled")]
    ratio = f"{figures['ratio']['value']:.2f} ({_between(figures['ratio'])})"
    return [_label(name), str(figures["scenes"]), *objmc, floor, ratio, f"{figures['psnr_controlled']['value']:.1f}"]


def _between(figure: dict) -> str:
    return "—" if figure["low"] is None else f"{figure['low']:.2f} to {figure['high']:.2f}"
