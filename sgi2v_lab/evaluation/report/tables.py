"""The results as tables for other programs: one row for each video, in CSV and in Parquet."""

import csv
import io
from pathlib import Path

from sgi2v_lab.errors import needs
from sgi2v_lab.evaluation.report.measures import MEASURES
from sgi2v_lab.evaluation.report.study import Row, Study
from sgi2v_lab.files import whole_file, write_text

with needs("evaluation"):
    import pyarrow
    import pyarrow.parquet

__all__ = ["results_table", "write_tables"]


def results_table(study: Study) -> pyarrow.Table:
    """One row for each video or failure, one column for each fact; what was not measured is null.

    Besides the scene, the seed and the setting there is a column for each measure (units are in the schema's field
    metadata), `objmc_uncontrolled` of the same scene and seed, and what the figures depend on.
    """
    plain = {(row.setting, row.scene, row.seed): row.values.get("objmc") for row in study.done}
    columns: dict[str, tuple[pyarrow.DataType, list]] = {
        "setting": (pyarrow.string(), [row.setting for row in study.rows]),
        "group": (pyarrow.string(), [study.arms[row.setting].group for row in study.rows]),
        "method": (pyarrow.string(), [study.arms[row.setting].method for row in study.rows]),
        "category": (pyarrow.string(), [row.category for row in study.rows]),
        "scene": (pyarrow.string(), [row.scene for row in study.rows]),
        "scene_seed": (pyarrow.int64(), [row.scene_seed for row in study.rows]),
        "seed": (pyarrow.int64(), [row.seed for row in study.rows]),
    }
    for measure in study.measures:
        columns[measure.name] = (pyarrow.float64(), [row.values.get(measure.name) for row in study.rows])
    columns |= {
        "objmc_uncontrolled": (
            pyarrow.float64(),
            [plain.get((study.arms[row.setting].plain, row.scene, row.seed)) for row in study.rows],
        ),
        "tracker": (pyarrow.string(), [row.tracker for row in study.rows]),
        "width": (pyarrow.int64(), [_side(row, 0) for row in study.rows]),
        "height": (pyarrow.int64(), [_side(row, 1) for row in study.rows]),
        "frames": (pyarrow.int64(), [row.frames for row in study.rows]),
        "model": (pyarrow.string(), [study.model] * len(study.rows)),
        "fingerprint": (pyarrow.string(), [study.fingerprint] * len(study.rows)),
        "error": (pyarrow.string(), [row.error for row in study.rows]),
        "key": (pyarrow.string(), [row.key for row in study.rows]),
    }
    fields = [
        pyarrow.field(name, kind, metadata={"unit": MEASURES[name].unit} if name in MEASURES else None)
        for name, (kind, _) in columns.items()
    ]
    return pyarrow.table([values for _, values in columns.values()], schema=pyarrow.schema(fields))


def write_tables(study: Study, folder: Path) -> list[Path]:
    """Write results.csv and results.parquet, and return their paths. InputError where they cannot be written."""
    table = results_table(study)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, table.column_names, lineterminator="\n")  # a null is an empty cell
    writer.writeheader()
    writer.writerows(table.to_pylist())
    written = [write_text(folder / "results.csv", text.getvalue()), folder / "results.parquet"]
    with whole_file(written[1]) as temporary:
        pyarrow.parquet.write_table(table, temporary)
    return written


def _side(row: Row, axis: int) -> int | None:
    return None if row.resolution is None else row.resolution[axis]
