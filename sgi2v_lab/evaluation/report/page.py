"""The report as one HTML page that needs nothing beside it: no network, no script, no other file."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from sgi2v_lab.errors import needs
from sgi2v_lab.evaluation.experiments.plan import PlannedQuestion
from sgi2v_lab.evaluation.metrics.published import PUBLISHED, TRACKING, ratio
from sgi2v_lab.evaluation.metrics.registry import SET_METRICS
from sgi2v_lab.evaluation.report import charts, sections, strips, wording
from sgi2v_lab.evaluation.report.claims import Claim, judge
from sgi2v_lab.evaluation.report.sets import SetFigures, set_figures
from sgi2v_lab.evaluation.report.statistics import compare_all
from sgi2v_lab.evaluation.report.study import MEASURES, Study
from sgi2v_lab.evaluation.report.tables import Summary
from sgi2v_lab.evaluation.report.verdict import who_is_better
from sgi2v_lab.evaluation.scenes.scenes import CATEGORIES
from sgi2v_lab.evaluation.scenes.variations import VARIATIONS
from sgi2v_lab.video import PALETTE

with needs("evaluation"):
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

__all__ = ["page"]

DRAWN = ("objmc", "first_frame_psnr", "box_iou")  # of these the means are drawn
ALONG = ("objmc", "first_frame_psnr")  # these are drawn along a setting
SEVERAL = 12  # arms, from which on tables of categories are folded


@dataclass(frozen=True)
class Answer:
    """A question of the plan with what was found."""

    question: PlannedQuestion
    claims: list[Claim]
    table: sections.Table | None
    missing: list[str]  # measures that were asked for and not taken
    charts: list[charts.Chart]


def page(study: Study, sets: Mapping[str, SetFigures], summary: Summary) -> str:
    """The page's text."""
    others = [name for name in MEASURES if name not in sections.SUMMARY]
    sample, same = strips.one_sample(study)
    return (
        _environment()
        .get_template("page.html")
        .render(
            style=Markup(_read("page.css")),
            study=study,
            summary=summary,
            sets=sets,
            answers=[_answer(study, question) for question in study.plan.questions if question.ask],
            facts=sections.facts(study),
            means=sections.summary_table(study, sections.SUMMARY, sets),
            other_means=sections.summary_table(study, others, sets),
            by_category={
                name: sections.summary_table(study, sections.SUMMARY, {}, [name]) for name in study.categories
            },
            tests={measure: list(compare_all(study, measure.name).values()) for measure in study.measures},
            intervals=charts.intervals(study, DRAWN),
            curves=charts.curves(study, ALONG),
            sample=sample,
            same=same,
            best_to_worst=strips.best_to_worst(study),
            ours=[label for label, arm in study.arms.items() if arm.group == "method" or label == study.reference],
            definitions=sections.definitions(study, sets),
        )
    )


def _answer(study: Study, question: PlannedQuestion) -> Answer:
    part = study.part(question.arms, question.categories)
    names = question.measures or list(sections.SUMMARY)
    sets = set_figures(part) if {*names} & {*SET_METRICS} else {}
    found = {name: sections.figures_of(part, name, None, sets) for name in names if name in MEASURES}
    taken = [name for name, figures in found.items() if figures]
    categories = part.categories if len(part.categories) > 1 else [None]
    return Answer(
        question,
        [judge(part, claim) for claim in question.claims],
        sections.summary_table(part, taken, sets, categories),
        [name for name in question.measures if name not in taken],
        [*charts.intervals(part, taken), *charts.curves(part, taken)],
    )


def _environment() -> Environment:
    kind = Environment(loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined)
    kind.trim_blocks = kind.lstrip_blocks = True
    kind.filters |= {name: getattr(wording, name) for name in ("between", "count", "p_value", "plain_number")}
    kind.globals |= {"published": PUBLISHED, "tracking": TRACKING, "published_ratio": ratio, "measures": MEASURES}
    kind.globals |= {"who_is_better": who_is_better, "palette": PALETTE, "about": CATEGORIES | VARIATIONS}
    return kind


def _read(name: str) -> str:
    return (files("sgi2v_lab.evaluation.report") / name).read_text(encoding="utf-8")
