"""AtlasExplorer: what each layer knows at each noise level, and what it computes there on a clip."""

from typing import Any

import pyarrow.compute
import torch
import traitlets
from matplotlib import colormaps
from matplotlib.colors import to_hex

from sgi2v_lab.analysis.atlas import Atlas
from sgi2v_lab.analysis.attention import HeadAttention, attention_to, record_attention
from sgi2v_lab.analysis.clips import Clip
from sgi2v_lab.analysis.passes import features_at
from sgi2v_lab.analysis.sweep import MEASURES, SWEPT_KINDS
from sgi2v_lab.errors import InputError
from sgi2v_lab.explore import pca_colours
from sgi2v_lab.models.model import Layer, Model, layer_of
from sgi2v_lab.shapes import Features
from sgi2v_lab.widgets.bundle import script, style
from sgi2v_lab.widgets.explorer import PointExplorer, checked_choice, colour_stops, coloured, strip

__all__ = ["AtlasExplorer"]


class AtlasExplorer(PointExplorer):
    """A heat map of layers and noise levels; a cell shows its features and attention, head by head, on a clip.

    Every trait below can be set from Python, too, and shows what the browser shows.

    Args:
        model: from `load_model`.
        clip: to look at, such as one of `toy_clips(model)`.
        table: from `feature_sweep`; `pyarrow.parquet.read_table` reads its file, features.parquet.

    Raises:
        InputError: a table without values, or of another model's layers; a trait's value that is none of the choices.
    """

    _esm = script("atlas_explorer.js")
    _css = style("common.css", "explorer.css", "feature_explorer.css", "atlas_explorer.css")

    measures = traitlets.Dict(help="what the table has values of, in words").tag(sync=True)
    kinds = traitlets.List(help="kinds of features in the table").tag(sync=True)
    layers = traitlets.List(help="rows: layers, as in the table").tag(sync=True)
    sigmas = traitlets.List(help="columns: noise levels, falling").tag(sync=True)
    bar = traitlets.List(colour_stops("viridis"), help="colours of the heat map, from low to high").tag(sync=True)
    similar_bar = traitlets.List(colour_stops("RdBu_r"), help="colours of similarities from -1 to 1").tag(sync=True)
    head_bar = traitlets.List(colour_stops("magma"), help="colours of attention from 0 up").tag(sync=True)

    measure = traitlets.Unicode(help="measure in the heat map").tag(sync=True)
    kind = traitlets.Unicode(help="kind of features, in the heat map and of the clip").tag(sync=True)
    cell = traitlets.List(traitlets.Int(), help="cell shown: row and column").tag(sync=True)

    cells = traitlets.List(help="[row][column]: value, low, high, colour; None if not measured").tag(sync=True)
    scale = traitlets.Dict(help="ends of the heat map's colours, chance if known, best cell").tag(sync=True)
    pca_png = traitlets.Bytes(help="features as colours, all frames side by side").tag(sync=True)
    similar_png = traitlets.Bytes(help="similarity to the point, as colours").tag(sync=True)
    heads_png = traitlets.Bytes(help="attention to the point: all frames of head 0, then of the next").tag(sync=True)
    heads_top = traitlets.Float(0.0, help="attention at the end of the colour bar").tag(sync=True)
    matches = traitlets.List(help="most similar place (x, y, similarity) by frame").tag(sync=True)

    def __init__(self, model: Model, clip: Clip, table: pyarrow.Table) -> None:
        self.table = table.filter(pyarrow.compute.field("head").is_null())  # all heads together
        measures = {each: text for each, text in MEASURES.items() if self.table[each].null_count < len(self.table)}
        if not measures:
            raise InputError("the table has no values: expected that of a sweep of one clip or more")
        measure = "accuracy_1" if "accuracy_1" in measures else next(iter(measures))
        self._atlases = {measure: Atlas.of(self.table, measure)}
        found = self._atlases[measure]
        self._layers: list[Layer] = [layer_of(name) for name in found.layers]
        model.check_layers(tuple(self._layers), model.all_layers)
        boxes = None if clip.world is None else clip.world.boxes
        kind = next(iter(found.mean))
        layer, sigma, _ = found.best(kind)
        super().__init__(
            clip.inspect(model, found.sigmas),
            boxes,
            start=None if boxes is None else boxes[-1, 0],
            about={"clip": clip.name, "clips": len(self.table["clip"].unique())},
            measures=measures,
            kinds=[each for each in SWEPT_KINDS if each in self.table["kind"].to_pylist()],
            layers=list(found.layers),
            sigmas=list(found.sigmas),
            measure=measure,
            kind=kind,
            cell=[found.layers.index(layer), found.sigmas.index(sigma)],
        )
        self._draw_map()
        self._show_cell()

    @traitlets.validate("measure", "kind", "frame", "cell")
    def _choice(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        if not self._ready:
            return value
        choices = {
            "measure": [*self.measures],
            "kind": self.kinds,
            "frame": [*range(self.about["frames"])],
            "cell": [[i, j] for i in range(len(self.layers)) for j in range(len(self.sigmas))],
        }
        return checked_choice(value, name, choices[name])

    # --- the heat map ---

    @traitlets.observe("measure", "kind")
    def _draw_map(self, _change: Any = None) -> None:
        if not self._ready:
            return
        if self.measure not in self._atlases:
            self._atlases[self.measure] = Atlas.of(self.table, self.measure)
        found = self._atlases[self.measure]
        means = torch.cat([each.flatten() for each in found.mean.values()])  # one scale for all kinds
        low, high = means[~means.isnan()].min().item(), means.nan_to_num(-torch.inf).max().item()
        here = found.mean.get(self.kind)
        chance = self.measure.replace("accuracy", "chance")
        known = chance != self.measure and chance in self.measures
        with self.hold_sync():
            self.scale = {
                "low": low,
                "high": high,
                "best": None,
                "chance": pyarrow.compute.mean(self.table[chance]).as_py() if known else None,
            }
            if here is None:
                self.cells = [[None for _ in self.sigmas] for _ in self.layers]
                return
            layer, sigma, _ = found.best(self.kind)
            self.scale = {**self.scale, "best": [self.layers.index(layer), self.sigmas.index(sigma)]}
            self.cells = [
                [_cell(point, low, high) for _, point in found.curve(self.kind, layer)] for layer in self.layers
            ]

    # --- the cell ---

    def _pass(self) -> tuple[Features, HeadAttention]:
        """The features of the cell, and the attention behind them, from one pass."""
        layer, step = self._layers[self.cell[0]], self.cell[1]
        kind = "query" if self.kind == "query-key" else self.kind
        where = "temporal" if kind == "temporal" else "spatial"

        def compute() -> tuple[Features, HeadAttention]:
            with torch.no_grad(), record_attention(self.inspection.model, (layer,), where) as attention:
                maps = features_at(self.inspection, step, (layer,), (kind,))[kind][layer]
            return maps.float().cpu(), attention[layer]

        return self._once((layer, step, kind), compute)

    @traitlets.observe("cell", "kind")
    def _show_cell(self, _change: Any = None) -> None:
        if not self._ready:
            return
        with self._working("running the denoiser"):
            maps, attention = self._pass()
            with self.hold_sync():
                self.pca_png = strip(pca_colours({self.kind: maps})[self.kind])
                h, w = attention.size
                self.shown = {"cell": self.cell, "kind": self.kind, "grid": [w, h], "heads": attention.query.shape[1]}
                self._show_point_of(maps, attention)

    @traitlets.observe("point")
    def _show_point(self, _change: Any = None) -> None:
        if self._ready:
            with self._working("comparing with the point"), self.hold_sync():
                self._show_point_of(*self._pass())

    def _show_point_of(self, maps: Features, attention: HeadAttention) -> None:
        self.similar_png, self.matches = self._compared(maps)
        sides = zip(self.point, self.inspection.picture, strict=True)
        weights = attention_to(attention, tuple(at / side for at, side in sides))
        self.heads_top = weights.max().item()
        self.heads_png = strip(coloured(weights.flatten(0, 1), 0, self.heads_top, "magma"))


def _cell(point: Any, low: float, high: float) -> dict | None:
    """A cell for the browser, whose JSON has no NaN."""
    if point.value != point.value:
        return None
    at = (point.value - low) / max(high - low, 1e-12)
    colour = to_hex(colormaps["viridis"](at))
    return {"value": point.value, "low": point.low, "high": point.high, "colour": colour, "bright": at > 0.6}
