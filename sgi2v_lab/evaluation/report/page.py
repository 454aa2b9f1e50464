"""The report of a folder: one HTML page that needs no network, no script and no other file, and tables beside it."""

from pathlib import Path

from sgi2v_lab.errors import needs
from sgi2v_lab.evaluation.experiments.plan import PlannedQuestion
from sgi2v_lab.evaluation.metrics.published import PUBLISHED
from sgi2v_lab.evaluation.metrics.registry import SET_METRICS
from sgi2v_lab.evaluation.report import charts, strips, wording
from sgi2v_lab.evaluation.report.claims import judge
from sgi2v_lab.evaluation.report.sections import SUMMARY, definitions, figures_of, summary_table
from sgi2v_lab.evaluation.report.sets import Sets, set_figures
from sgi2v_lab.evaluation.report.statistics import compare_all
from sgi2v_lab.evaluation.report.study import MEASURES, Study, read_study
from sgi2v_lab.evaluation.report.tables import Summary, summarize, write_table
from sgi2v_lab.evaluation.scenes.scenes import CATEGORIES
from sgi2v_lab.evaluation.scenes.variations import VARIATIONS
from sgi2v_lab.files import as_path, write_text
from sgi2v_lab.video import PALETTE

with needs("evaluation"):
    from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["write_report"]

DRAWN = ("objmc", "first_frame_psnr", "box_iou")  # of these the means are drawn, and the curves


def write_report(folder: str | Path, out: str | Path | None = None) -> tuple[Path, Summary]:
    """Write report.html, results.csv and summary.json to `out`, by default the folder itself.

    Returns the page's path and what summary.json says. InputError as `read_study`, or if `out` cannot be written.
    """
    study = read_study(folder)
    out = as_path(folder if out is None else out, "a folder")
    sets = set_figures(study)
    summary = summarize(study, sets)
    write_table(study, out / "results.csv")
    write_text(out / "summary.json", summary.model_dump_json(indent=1) + "\n")
    return write_text(out / "report.html", _page(study, sets, summary)), summary


def _page(study: Study, sets: Sets, summary: Summary) -> str:
    loader = PackageLoader("sgi2v_lab.evaluation", "report")
    kind = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    kind.filters |= {name: getattr(wording, name) for name in ("between", "count", "p_value", "plain_number")}
    kind.globals |= {"measures": MEASURES, "palette": PALETTE}
    best_to_worst, same = strips.chosen_strips(study)
    return kind.get_template("page.html").render(
        study=study,
        summary=summary,
        sets=sets,
        answers=[_answer(study, question) for question in study.plan.questions if question.ask],
        means=summary_table(study, SUMMARY, sets),
        other_means=summary_table(study, [name for name in MEASURES if name not in SUMMARY], sets),
        by_category={name: summary_table(study, SUMMARY, {}, [name]) for name in study.categories},
        about=CATEGORIES | VARIATIONS if study.plan.data == "benchmark" else {},
        tests={measure: list(compare_all(study, measure.name).values()) for measure in study.measures},
        charts=[*charts.intervals(study, DRAWN), *charts.curves(study, DRAWN)],
        same=same,
        best_to_worst=best_to_worst,
        published=PUBLISHED,
        definitions=definitions(study, sets),
    )


def _answer(study: Study, question: PlannedQuestion) -> dict[str, object]:
    """A question of the plan with what was found."""
    part, names = study.part(question.arms, question.categories), question.measures or SUMMARY
    sets = set_figures(part) if {*names} & {*SET_METRICS} else {}
    taken = [name for name in names if name in MEASURES and figures_of(part, name, sets=sets)]
    return {
        "question": question,
        "claims": [judge(part, claim) for claim in question.claims],
        "table": summary_table(part, taken, sets, part.categories if len(part.categories) > 1 else [None]),
        "missing": [name for name in question.measures if name not in taken],
        "charts": [*charts.intervals(part, taken), *charts.curves(part, taken)],
    }
