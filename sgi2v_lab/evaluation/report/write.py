"""The report of a folder: read it, compare, draw, write."""

from pathlib import Path

from sgi2v_lab.evaluation.report.page import page
from sgi2v_lab.evaluation.report.sets import set_figures
from sgi2v_lab.evaluation.report.study import read_study
from sgi2v_lab.evaluation.report.tables import Summary, summarize, write_tables
from sgi2v_lab.files import write_text

__all__ = ["write_report"]


def write_report(
    folder: str | Path, out: str | Path | None = None, reference: str | None = None
) -> tuple[Path, Summary]:
    """Write report.html, results.csv, results.parquet and summary.json to `out`, by default the folder itself.

    Returns the page's path and what summary.json says. InputError as `read_study`, or if `out` cannot be written.
    """
    study = read_study(folder, reference)
    out = Path(folder if out is None else out)
    sets = set_figures(study)
    summary = summarize(study, sets)
    write_tables(study, out)
    write_text(out / "summary.json", summary.model_dump_json(indent=1) + "\n")
    return write_text(out / "report.html", page(study, sets, summary)), summary
