"""Do the paper's claims hold for a model: which features, layers, steps, cut-off and weights give the best control?

Each comparison is a table of settings that differ in one thing, measured on the benchmark's scenes with one object. A
claim of the paper (arXiv 2411.04989, section 4.3 and appendix) is a difference between two rows. It holds if the 95%
interval of the difference lies above 0, fails if it lies below 0, and is undecided if it contains 0.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from statistics import fmean

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.benchmark_scores import Pair, by_scene, pairs_of, summarize
from sgi2v_lab.evaluation.experiments.video_task import VideoTask, video_tasks
from sgi2v_lab.evaluation.metrics.intervals import difference_of_means, mean_of
from sgi2v_lab.evaluation.metrics.matching import MatchingTask
from sgi2v_lab.evaluation.scenes.scenes import benchmark_scenes
from sgi2v_lab.evaluation.tasks.run import fingerprint, run_tasks
from sgi2v_lab.files import write_text
from sgi2v_lab.models.load import load_model
from sgi2v_lab.models.model import Model
from sgi2v_lab.plots.intervals import Bar, plot_bars, plot_matching
from sgi2v_lab.plots.style import save_figure
from sgi2v_lab.settings import Settings

__all__ = ["check_claims", "variants", "write_claims"]

TITLES = {
    "features": "Which features the loss compares",
    "layers": "Which layers they come from",
    "steps": "Which steps are control steps",
    "cutoff": "How much of the optimised latents is kept (cut-off)",
    "gaussian": "How the cells of a box are weighted",
}
MATCHED = ("aligned", "self-attention", "temporal", "block")  # the kinds that the paper compares


def variants(model: Model, base: Settings) -> dict[str, dict[str, dict[str, object]]]:
    """For each comparison, the changes to the settings by label; one of them is the base itself."""
    first, last = base.control_steps
    length, room = last - first + 1, base.num_inference_steps - (last - first + 1)
    starts = sorted({first, 0, room // 3, 2 * room // 3, room})
    weights = {"Gaussian": {"gaussian_sigma": base.gaussian_sigma or 0.4}, "none": {"gaussian_sigma": None}}
    return {
        "features": {kind: {"features": kind} for kind in MATCHED},
        "layers": {
            _layers(base.layers): {},
            **{_layers((layer,)): {"layers": (layer,)} for layer in model.layers},
        },
        "steps": {f"{s} to {s + length - 1}": {"control_steps": (s, s + length - 1)} for s in starts},
        "cutoff": {f"{value:g}": {"cutoff": value} for value in sorted({0.0, 0.5, 1.0, base.cutoff})},
        "gaussian": weights,
    }


def _layers(layers: Sequence[tuple[int, int]]) -> str:
    return " + ".join(f"({block}, {transformer})" for block, transformer in layers)


def check_claims(
    out: Path,
    model: str = "toy",
    *,
    scenes: int = 8,
    seeds: int = 1,
    preset: str = "paper",
    changes: dict[str, object] | None = None,
    workers: int = 1,
    device: str | None = None,
    dtype: str | None = None,
    progress: bool = False,
) -> dict[str, object]:
    """Measure what is missing, and write claims.json, claims.md, claims.png and matching.png.

    Arguments as in `run_benchmark`; in the same folder, the two share videos. `scenes` is the number of scenes with one
    object. The base is the paper's recipe, unless another preset is given.

    Raises:
        InputError: unusable settings or numbers, or a row of which every video failed.
    """
    loaded = load_model(model, device, dtype)
    loaded.settings = loaded.preset(preset)
    base = loaded.settings.replace(**changes or {})
    chosen = benchmark_scenes(["single"], scenes)
    tables = variants(loaded, base)
    tasks: list[VideoTask] = video_tasks(loaded, chosen, seeds, changes, variants=(False,))
    plain = len(tasks)
    slots: dict[tuple[str, str], slice] = {}
    for comparison, rows in tables.items():
        for label, change in rows.items():
            more = video_tasks(loaded, chosen, seeds, (changes or {}) | change, variants=(True,))
            slots[comparison, label] = slice(len(tasks), len(tasks) + len(more))
            tasks += more
    first, last = base.control_steps
    steps = sorted({0, first, (first + last) // 2, last, (last + base.num_inference_steps) // 2})
    matching = [
        MatchingTask(task.scene, step, kind, task.settings, task.num_frames)
        for kind in MATCHED
        for step in steps
        for task in tasks[:plain:seeds]
    ]
    options = {"workers": workers, "device": device, "dtype": dtype, "progress": progress, "label": "claims"}
    records = run_tasks([*matching, *tasks], out / "tasks", loaded, **options)
    matched, made = records[: len(matching)], records[len(matching) :]
    pairs = {slot: pairs_of([*made[:plain], *made[place]]) for slot, place in slots.items()}
    if empty := [slot for slot, found in pairs.items() if not found]:
        why = next((r["error"] for r in made if "error" in r), "no error was recorded")
        raise InputError(f"every video of {' '.join(empty[0])} failed, so it cannot be compared; the first: {why}")
    report = {
        "paper_claims": "sgi2v_lab",
        "model": model,
        "fingerprint": fingerprint(loaded),
        "scenes": len(chosen),
        "seeds": seeds,
        "preset": preset,
        **{name: made[0]["result"][name] for name in ("tracker", "resolution", "frames") if "result" in made[0]},
        "settings": base.as_dict(),
        "claims": _claims(pairs, matched, list(tables["steps"]), f"{first} to {last}"),
        "tables": {
            comparison: [
                {"label": label, "changes": change, **summarize(pairs[comparison, label], {})}
                for label, change in rows.items()
            ]
            for comparison, rows in tables.items()
        },
        "matching": _matching(matched),
        "failures": [{"task": r["task"], "error": r["error"]} for r in records if "error" in r],
    }
    write_claims(out, report)
    return report


def _matching(records: Sequence[dict]) -> list[dict[str, object]]:
    """For each kind and step: noise level, accuracy with its interval over scenes, and that of chance."""
    rows: dict[tuple[str, int], list[dict]] = {}
    for record in records:
        if "result" in record:
            rows.setdefault((record["task"]["features"], record["task"]["step"]), []).append(record["result"])
    return [
        {
            "features": kind,
            "step": step,
            "sigma": found[0]["sigma"],
            "chance": fmean(one["chance"] for one in found),
            "accuracy": mean_of([one["accuracy"] for one in found]).as_dict(),
        }
        for (kind, step), found in rows.items()
    ]


# --- claims ----------------------------------------------------------------------------------------------------------

Slot = tuple[str, str]  # comparison, label


def _claims(
    pairs: Mapping[Slot, Sequence[Pair]], matched: Sequence[dict], windows: Sequence[str], default: str
) -> list[dict[str, object]]:
    """The paper's claims as differences that should be above 0, over the scenes that both sides have."""

    def figure(name: str, comparison: str, label: str) -> dict[str, float]:
        found = by_scene(pairs.get((comparison, label), ()), "controlled", name)
        return {scene.name: value for scene, value in found.items()}

    def block(number: int) -> dict[str, float]:
        """The mean over the layers of an up block, each by itself."""
        labels = [label for comparison, label in pairs if comparison == "layers" and "+" not in label]
        rows = [figure("objmc", "layers", label) for label in labels if label.startswith(f"({number},")]
        return {scene: fmean(row[scene] for row in rows if scene in row) for scene in dict.fromkeys(chain(*rows))}

    sides = [
        (
            *("Aligned features match a box across frames better than self-attention features.", "of the cells"),
            *(_accuracy(matched, "aligned"), _accuracy(matched, "self-attention")),
        )
    ]
    for text, name, comparison, more, less in (
        (
            "Aligned features give better control than self-attention features.",
            "objmc",
            "features",
            "self-attention",
            "aligned",
        ),
        ("Control in the last steps is worse than in the model's own steps.", "objmc", "steps", windows[-1], default),
        ("At cut-off 0 control is worse than at 1.", "objmc", "cutoff", "0", "1"),
        ("At cut-off 1 the first frame is preserved less well than at 0.", "psnr", "cutoff", "0", "1"),
        ("Gaussian weights give better control than equal weights.", "objmc", "gaussian", "none", "Gaussian"),
    ):
        unit = "px" if name == "objmc" else "dB"
        sides.append((text, unit, figure(name, comparison, more), figure(name, comparison, less)))
    sides.append(
        ("Layers of up block 2 give better control than those of up block 3, the finest.", "px", block(3), block(2))
    )
    return [_claim(*side) for side in sides]


def _accuracy(matched: Sequence[dict], kind: str) -> dict[str, float]:
    """Matching accuracy of one kind of features by scene, the mean over steps."""
    found: dict[str, list[float]] = {}
    for record in matched:
        if record["task"]["features"] == kind and "result" in record:
            found.setdefault(record["task"]["scene"], []).append(record["result"]["accuracy"])
    return {scene: fmean(values) for scene, values in found.items()}


def _claim(text: str, unit: str, more: Mapping[str, float], less: Mapping[str, float]) -> dict[str, object]:
    common = [scene for scene in more if scene in less]
    if not common:
        return {"claim": text, "unit": unit, "holds": "not measured"}
    found = difference_of_means([more[scene] for scene in common], [less[scene] for scene in common])
    holds = "undecided"
    if found.low is not None and not found.low <= 0 <= found.high:
        holds = "yes" if found.value > 0 else "no"
    return {"claim": text, "unit": unit, "holds": holds, "difference": found.as_dict()}


# --- writing ---------------------------------------------------------------------------------------------------------


def write_claims(out: Path, report: dict) -> None:
    """Write claims.json, claims.md, claims.png and, where there is anything in it, matching.png."""
    write_text(out / "claims.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    write_text(out / "claims.md", _markdown(report))
    panels = {TITLES[name]: [_bar(row, report["settings"]) for row in rows] for name, rows in report["tables"].items()}
    figure = plot_bars(panels, "ObjMC with control / without", "lower is better")
    save_figure(figure, out / "claims.png")
    if report["matching"]:
        curves: dict[str, list[tuple[float, ...]]] = {}
        for row in report["matching"]:
            accuracy = row["accuracy"]
            ends = [accuracy["value"] if accuracy[key] is None else accuracy[key] for key in ("low", "high")]
            curves.setdefault(row["features"], []).append((row["sigma"], accuracy["value"], *ends))
        save_figure(plot_matching(curves, report["matching"][0]["chance"]), out / "matching.png")


def _bar(row: Mapping, base: Mapping) -> Bar:
    own = all(base[name] == value for name, value in row["changes"].items())
    return Bar(row["label"], **{key: row["ratio"][key] for key in ("value", "low", "high")}, marked=own)


def _markdown(report: dict) -> str:
    size = " × ".join(map(str, report.get("resolution", ())))
    lines = [
        "# The paper's claims",
        "",
        f"{report['scenes']} scenes with one object, {report['seeds']} seed(s), {size} pixels, "
        f"{report.get('frames', '—')} frames, {report.get('tracker', '—')} tracker, weights {report['fingerprint']}. "
        "Intervals are 95%, by bootstrap over scenes.",
        "",
        "| claim | difference | interval | holds |",
        "|---|---|---|---|",
    ]
    for claim in report["claims"]:
        found = claim.get("difference")
        value = f"{found['value']:.2f} {claim['unit']}" if found else "—"
        lines.append(f"| {claim['claim']} | {value} | {_between(found)} | {claim['holds']} |")
    for name, rows in report["tables"].items():
        lines += [
            "",
            f"## {TITLES[name]}",
            "",
            "| | ObjMC, px | ratio | interval | PSNR, dB |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {row['label']} | {row['objmc_controlled']['value']:.2f} | {row['ratio']['value']:.2f} | "
            f"{_between(row['ratio'])} | {row['psnr_controlled']['value']:.1f} |"
            for row in rows
        ]
    lines += [
        "",
        "## Matching accuracy",
        "",
        "| features | sigma | accuracy | interval | chance |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['features']} | {row['sigma']:.2f} | {row['accuracy']['value']:.2f} | {_between(row['accuracy'])} | "
        f"{row['chance']:.2f} |"
        for row in report["matching"]
    ]
    return "\n".join(lines) + "\n"


def _between(found: Mapping | None) -> str:
    return "—" if not found or found["low"] is None else f"{found['low']:.2f} to {found['high']:.2f}"
