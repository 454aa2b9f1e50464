"""Reports: what an evaluation has found, as one page and as tables.

    write_report("out/evaluation")      # report.html, results.csv, summary.json

`study` reads a folder; `statistics`, `sets`, `claims`, `targets` and `verdict` say what it shows; `sections`, `charts`,
`strips` and `page` make the page; `tables` writes the numbers.
"""

from sgi2v_lab.evaluation.report.page import write_report

__all__ = ["write_report"]
