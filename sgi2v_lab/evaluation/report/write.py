"""The report of a folder: read it, compare, draw, write."""

from dataclasses import dataclass
from pathlib import Path

from sgi2v_lab.evaluation.report.folder import read_study
from sgi2v_lab.evaluation.report.page import page
from sgi2v_lab.evaluation.report.sets import set_figures
from sgi2v_lab.evaluation.report.tables import write_tables
from sgi2v_lab.evaluation.report.verdict import Verdict, verdict
from sgi2v_lab.files import write_text

__all__ = ["Report", "write_report"]


@dataclass(frozen=True)
class Report:
    """What was written, and what it says first."""

    html: Path
    csv: Path
    parquet: Path
    verdict: Verdict
    videos: int
    failed: int
    unfinished: int


def write_report(folder: str | Path, out: str | Path | None = None, reference: str | None = None) -> Report:
    """Write report.html, results.csv and results.parquet.

    Args:
        folder: that of `ablate`, `evaluate` or `run_benchmark`, finished or not.
        out: where to; None for the folder itself.
        reference: the setting or method that all others are compared with; None for SG-I2V, a grid's base, or the
            benchmark's videos with control.

    Raises:
        InputError: nothing to report (see `read_study`), or a place that cannot be written.
    """
    study = read_study(folder, reference)
    out = Path(folder if out is None else out)
    sets = set_figures(study)
    said = verdict(study, sets)
    csv, parquet = write_tables(study, out)
    html = write_text(out / "report.html", page(study, sets, said))
    return Report(html, csv, parquet, said, len(study.done), len(study.failed), len(study.unfinished))
