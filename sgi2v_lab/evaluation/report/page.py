"""The report as one HTML page that needs nothing beside it: no network, no script, no other file."""

from functools import cache
from importlib.resources import files

from sgi2v_lab.errors import needs
from sgi2v_lab.evaluation.report import charts, sections, strips
from sgi2v_lab.evaluation.report.sets import SetFigures
from sgi2v_lab.evaluation.report.study import Study
from sgi2v_lab.evaluation.report.verdict import Verdict

with needs("evaluation"):
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

__all__ = ["page", "render"]

SEVERAL = 12  # arms, from which on the strips of each are folded


def page(study: Study, sets: SetFigures, verdict: Verdict) -> str:
    """The page's text.

    Args:
        study: what was measured.
        sets: figures of whole sets.
        verdict: who wins, and why.
    """
    objmc = [measure for measure in study.measures if measure.name == "objmc"]
    others = [measure for measure in study.measures if measure.name != "objmc"]
    row, same = strips.one_scene(study)
    return render(
        "page.html",
        title=study.title,
        study=study,
        facts=sections.facts(study),
        verdict=verdict,
        sets=sets,
        summary=sections.summary_table(study, sets=sets),
        by_category={
            name: (sections.category_title(name), sections.summary_table(study, name)) for name in study.categories
        },
        tests={measure: sections.paired_table(study, measure) for measure in objmc},
        other_tests={measure: sections.paired_table(study, measure) for measure in others},
        intervals=charts.intervals(study),
        curves=charts.curves(study),
        trade_offs=charts.trade_offs(study, sets),
        scene=row,
        same=same,
        strips={label: found for label in study.arms if (found := strips.strips_of(study, label))},
        folded=len(study.arms) >= SEVERAL,
        floors=study.floors,
        published=sections.published_table(study, sets),
        tracking=sections.tracking_table(study),
    )


def render(template: str, **values: object) -> str:
    """The text of a page: a template of this folder, with the style sheet that all pages share."""
    return _environment().get_template(template).render(style=Markup(_read("page.css")), **values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _read(name: str) -> str:
    return (files("sgi2v_lab.evaluation.report") / name).read_text(encoding="utf-8")
