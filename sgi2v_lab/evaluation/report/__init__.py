"""Reports: what a sweep, a comparison of methods or a benchmark has found, as one page and as tables.

    write_report("out/evaluation")      # report.html, results.csv, results.parquet

`folder` reads what is there into a `Study`; `statistics`, `sets` and `verdict` say what it shows; `strips` and `charts`
draw it; `tables` and `page` write it down.
"""

from sgi2v_lab.evaluation.report.write import write_report

__all__ = ["write_report"]
