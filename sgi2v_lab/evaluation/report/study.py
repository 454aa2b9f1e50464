"""What a report is about: arms (settings or methods), each with videos, and what was measured of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from sgi2v_lab.evaluation.report.measures import MEASURES, Measure

__all__ = ["Arm", "Row", "Study", "by_scene"]


@dataclass(frozen=True)
class Arm:
    """One setting or method: everything that is compared as one."""

    label: str
    group: str  # the part of a grid that it comes from, or "method"
    changes: Mapping[str, object] = field(default_factory=dict)  # to the model's own settings
    method: str | None = None  # the name in METHODS
    source: str | None = None  # where it was published
    plain: str | None = None  # the label of its videos without control; None where there are none, or it is one


@dataclass(frozen=True)
class Row:
    """One video, or one failure: of an arm, a scene and a seed."""

    setting: str
    category: str
    scene: str
    scene_seed: int
    seed: int
    key: str
    values: Mapping[str, float] = field(default_factory=dict)
    tracker: str | None = None
    resolution: tuple[int, int] | None = None
    frames: int | None = None
    strip: Path | None = None
    error: str | None = None


@dataclass(frozen=True)
class Study:
    """All that a folder holds."""

    kind: str  # "methods", "ablation" or "benchmark"
    title: str
    data: str  # the data set
    model: str
    fingerprint: str
    arms: Mapping[str, Arm]  # by label, in order
    reference: str  # the label that all others are compared with
    rows: Sequence[Row]
    unfinished: Sequence[str]  # names of tasks without a result, and why
    planned: int  # videos in all
    seeds: int
    command: str | None
    machine: Mapping[str, object]  # as `describe_machine`; empty where it was not noted
    made: tuple[float, float] | None  # when the first and the last record were written, in seconds since 1970
    base: Mapping[str, object] = field(default_factory=dict)  # settings of the reference
    floors: Mapping[str, float] = field(default_factory=dict)  # the tracker's own error by scene, on true clips

    @property
    def done(self) -> list[Row]:
        """The rows with results."""
        return [row for row in self.rows if row.error is None]

    @property
    def failed(self) -> list[Row]:
        """The rows that are failures."""
        return [row for row in self.rows if row.error is not None]

    @property
    def measures(self) -> list[Measure]:
        """Those that were taken of any video."""
        return [measure for name, measure in MEASURES.items() if any(name in row.values for row in self.done)]

    @property
    def categories(self) -> list[str]:
        """Of scenes, in order."""
        return list(dict.fromkeys(row.category for row in self.rows))

    @property
    def scenes(self) -> list[str]:
        """Names, in order."""
        return list(dict.fromkeys(row.scene for row in self.rows))

    def of(self, setting: str, category: str | None = None) -> list[Row]:
        """The finished videos of one arm, of one category or all."""
        return [row for row in self.done if row.setting == setting and category in (None, row.category)]


def by_scene(rows: Iterable[Row], measure: str) -> dict[str, float]:
    """A measure of each scene, the mean over its seeds; scenes of which it was not taken are left out."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if measure in row.values:
            found.setdefault(row.scene, []).append(row.values[measure])
    return {scene: fmean(values) for scene, values in found.items()}
