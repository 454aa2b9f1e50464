"""The atlas: what the network knows by layer and noise level, averaged over the clips of a sweep.

table = pyarrow.parquet.read_table("out/features/features.parquet")
layer, sigma, accuracy = Atlas.of(table, "accuracy_1").best("query-key")
"""

import math
from dataclasses import dataclass

import pyarrow.compute
import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.analysis.sweep import MEASURES
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.intervals import Interval, difference_of_means, mean_of
from sgi2v_lab.models.model import Layer, layer_name
from sgi2v_lab.plots.intervals import Point

__all__ = ["Atlas", "difference"]


@dataclass(frozen=True)
class Atlas:
    """A measure by layer and noise level: for each kind its mean over clips, and the ends of the 95% interval.

    NaN where nothing was measured, and for the ends where only one clip was.
    """

    measure: str
    layers: tuple[str, ...]  # as in the table
    sigmas: tuple[float, ...]  # falling, as in denoising
    mean: dict[str, Float[Tensor, "layers sigmas"]]
    low: dict[str, Float[Tensor, "layers sigmas"]]
    high: dict[str, Float[Tensor, "layers sigmas"]]

    @classmethod
    def of(cls, table: pyarrow.Table, measure: str = "accuracy_1", head: int | None = None) -> "Atlas":
        """Average a measure over clips. Every clip counts alike, whatever the number of its pairs.

        Args:
            table: from `feature_sweep`.
            measure: one of `MEASURES`. Kinds that do not have it are left out.
            head: of each layer; None for all heads together.

        Raises:
            InputError: an unknown measure, or the table has no value of it.
        """
        if measure not in MEASURES:
            raise InputError(f"unknown measure {measure!r}: expected one of {', '.join(MEASURES)}")
        asked = pyarrow.compute.field("head").is_null() if head is None else pyarrow.compute.field("head") == head
        found = table.filter(asked & pyarrow.compute.field(measure).is_valid())
        rows = found.select(["layer", "kind", "sigma", measure]).to_pylist()
        if not rows:
            raise InputError(
                f"the table has no {measure} of {'all heads' if head is None else f'head {head}'}: sweep it"
            )
        layers = tuple(dict.fromkeys(row["layer"] for row in rows))
        sigmas = tuple(sorted({row["sigma"] for row in rows}, reverse=True))
        values: dict[tuple[str, int, int], list[float]] = {}
        for row in rows:
            place = row["kind"], layers.index(row["layer"]), sigmas.index(row["sigma"])
            values.setdefault(place, []).append(row[measure])
        ends: dict[str, dict[str, Tensor]] = {"value": {}, "low": {}, "high": {}}
        for (kind, i, j), some in values.items():
            found = mean_of(some)
            for name, maps in ends.items():
                cells = maps.setdefault(kind, torch.full((len(layers), len(sigmas)), torch.nan))
                end = getattr(found, name)
                cells[i, j] = math.nan if end is None else end
        return cls(measure, layers, sigmas, ends["value"], ends["low"], ends["high"])

    def best(self, kind: str) -> tuple[str, float, Point]:
        """The layer and the noise level of a kind's largest mean, and that mean with its interval.

        The best of many cells is a little flattered: measure it again on other clips. InputError for a kind that is not
        here.
        """
        self._check(kind)
        place = int(self.mean[kind].nan_to_num(-math.inf).argmax())
        row, column = divmod(place, len(self.sigmas))
        return self.layers[row], self.sigmas[column], self._point(kind, row, column)

    def curve(self, kind: str, layer: Layer | str | None = None) -> list[tuple[float, Point]]:
        """(noise level, mean) of a kind in one layer, by default in its best. InputError for one that is not here."""
        self._check(kind)
        name = self.best(kind)[0] if layer is None else layer if isinstance(layer, str) else layer_name(layer)
        if name not in self.layers:
            raise InputError(f"layer {name} is not in the atlas: expected one of {'; '.join(self.layers)}")
        row = self.layers.index(name)
        return [(sigma, self._point(kind, row, column)) for column, sigma in enumerate(self.sigmas)]

    def _check(self, kind: str) -> None:
        if kind not in self.mean:
            raise InputError(f"kind {kind!r} is not in the atlas: expected one of {', '.join(self.mean)}")

    def _point(self, kind: str, row: int, column: int) -> Point:
        value, low, high = (ends[kind][row, column].item() for ends in (self.mean, self.low, self.high))
        return Point(value, None if math.isnan(low) else low, None if math.isnan(high) else high)


def difference(
    table: pyarrow.Table, kinds: tuple[str, str], layer: Layer, sigma: float, measure: str = "accuracy_1"
) -> Interval:
    """How much more of a measure the first kind has than the second, in one layer at one noise level, clip by clip.

    InputError where the table has no such values.
    """
    found: tuple[dict[str, float], ...] = ({}, {})
    for row in table.select(["clip", "layer", "kind", "sigma", "head", measure]).to_pylist():
        if (row["layer"], row["sigma"], row["head"]) == (layer_name(layer), sigma, None) and row["kind"] in kinds:
            found[kinds.index(row["kind"])][row["clip"]] = row[measure]
    return difference_of_means([*found[0].values()], [found[1][clip] for clip in found[0]])
