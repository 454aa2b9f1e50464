"""Which layer knows it, and at which noise level? Every layer, level, kind and head held to the truth, in one table.

table = feature_sweep(model, toy_clips(model, 16), layers=((3, 1),), out="sweep")
atlas(table, "accuracy_1").best("query-key")
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.analysis.attention import HeadAttention, attention_flow, entropy, flow_correlation, record_attention
from sgi2v_lab.analysis.clips import Clip
from sgi2v_lab.analysis.matching import matching_accuracy
from sgi2v_lab.analysis.pairs import Pairs
from sgi2v_lab.analysis.passes import features_at
from sgi2v_lab.analysis.segmentation import segment
from sgi2v_lab.analysis.store import layer_name
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.evaluate import ModelSource, fingerprint
from sgi2v_lab.evaluation.metrics.intervals import mean_of
from sgi2v_lab.evaluation.tasks.records import RecordFolder
from sgi2v_lab.evaluation.tasks.run import run_tasks
from sgi2v_lab.features import KINDS
from sgi2v_lab.files import as_path, whole_file
from sgi2v_lab.models.model import DTYPES, Layer, Model
from sgi2v_lab.plots.intervals import Point
from sgi2v_lab.sampling import make_schedule
from sgi2v_lab.shapes import Features

__all__ = ["MEASURES", "SWEPT_KINDS", "TABLE", "Atlas", "SweepTask", "atlas", "feature_sweep"]

TABLE = "features.parquet"
SWEPT_KINDS = (*KINDS, "query-key")  # the last: where attention to frame 0 looks at most, in place of a cosine
WITHIN = (0.5, 1.0, 2.0)  # cells
LEVELS = 6
_SHARES = {"accuracy": "matches", "chance": "blind guesses", "unmoved": "matches of a feature that knows no motion"}
MEASURES = {
    **{
        f"{name}_{x:g}": f"share of {what} within {x:g} cell{'s' * (x > 1)}"
        for name, what in _SHARES.items()
        for x in WITHIN
    },
    "entropy": "entropy of attention, nats",
    "flow_correlation": "correlation of attention's flow with the motion",
    "iou": "IoU of clusters with objects",
    "iou_chance": "IoU of shuffled clusters with objects",
}
_COLUMNS = {
    **dict.fromkeys(("clip", "layer", "kind"), pyarrow.string()),
    "sigma": pyarrow.float64(),
    **dict.fromkeys(("head", "pairs"), pyarrow.int64()),
    **dict.fromkeys(MEASURES, pyarrow.float64()),
}


def feature_sweep(
    model: Model,
    clips: Iterable[Clip],
    *,
    out: str | Path,
    layers: Sequence[Layer] | None = None,
    sigmas: Sequence[float] | None = None,
    kinds: Sequence[str] = SWEPT_KINDS,
    heads: bool = False,
    segmentation: bool = False,
    seed: int = 817,
    workers: int = 1,
    progress: bool = False,
) -> pyarrow.Table:
    """Hold what the network computes on noisy clips to the truth.

    Each clip is a task with a record in `out`/tasks: a killed sweep goes on where it was, and a clip that was measured
    with the same arguments is not measured again.

    Args:
        model: from `load_model`.
        clips: with truth, such as `toy_clips(model, 64)`.
        out: the folder for records and for the table, features.parquet.
        layers: some of `model.all_layers`, by default all.
        sigmas: noise levels, by default six of the model's own steps, from the first to the last.
        kinds: some of `SWEPT_KINDS`.
        heads: measure each attention head of its own, too.
        segmentation: cluster each map of features, too; takes several times as long.
        seed: of the noise.
        workers: processes of this machine. More than 1 load the model by its name.
        progress: show a progress bar.

    Returns:
        One row for each clip, layer, noise level, kind and head (null: all together). Columns are "clip", "layer"
        ("2,1"), "kind", "sigma", "head", "pairs" (how many were looked for) and `MEASURES`; what a kind does not have
        is null. "aligned" has the entropy and the flow of attention to frame 0; "self-attention" and "temporal" have
        the entropy of theirs.

    Raises:
        InputError: no clips, or two of one name; an unknown layer or kind; a noise level that is not above 0;
            segmentation of clips without masks; a clip that cannot be measured, when all others are.
    """
    clips = [*clips]
    layers = model.all_layers if layers is None else tuple(map(tuple, layers))
    model.check_layers(layers, model.all_layers)
    if sigmas is None:
        schedule = make_schedule(model, model.settings).sigmas[: model.settings.num_inference_steps].tolist()
        sigmas = [schedule[i] for i in sorted({round(x) for x in np.linspace(0, len(schedule) - 1, LEVELS).tolist()})]
    _check(clips, sigmas, kinds, segmentation)
    asked = (layers, tuple(map(float, sigmas)), tuple(kinds), heads, segmentation, seed)
    tasks = [SweepTask(clip, *asked) for clip in clips]
    folder, weights = as_path(out, "a folder for results"), fingerprint(model)
    load = lambda: model  # noqa: E731
    if workers > 1:
        dtype = next(name for name, dtype in DTYPES.items() if dtype == model.dtype)
        load = ModelSource(model.name, str(model.device), dtype, weights)
    where = {"workers": workers, "progress": progress, "label": "clips"}
    records = run_tasks(tasks, RecordFolder.at(folder / "tasks"), weights, load, **where)
    if failed := [(clip.name, record.error) for clip, record in zip(clips, records, strict=True) if record.error]:
        raise InputError(
            f"{len(failed)} of {len(clips)} clips could not be measured, first {failed[0][0]} ({failed[0][1]}); what "
            "is finished is kept, so run the same again when that is mended"
        )
    rows = [row for record in records for row in record.result["rows"]]
    table = pyarrow.Table.from_pylist(rows, pyarrow.schema(list(_COLUMNS.items())))
    with whole_file(folder / TABLE) as temporary:
        pyarrow.parquet.write_table(table, temporary)
    return table


def _check(clips: Sequence[Clip], sigmas: Sequence[float], kinds: Sequence[str], segmentation: bool) -> None:
    names = [clip.name for clip in clips]
    if len(set(names)) < max(1, len(names)):
        raise InputError(f"the clips are {', '.join(names) or 'none'}: expected one or more, each with its own name")
    if wrong := [kind for kind in kinds if kind not in SWEPT_KINDS]:
        raise InputError(f"unknown feature kind {wrong[0]!r}: expected some of {', '.join(SWEPT_KINDS)}")
    if not kinds or not len(sigmas) or not all(sigma > 0 for sigma in sigmas):
        raise InputError(f"the kinds are {kinds} and the noise levels {sigmas}: expected some, with levels above 0")
    if segmentation and (blind := [clip.name for clip in clips if clip.world is None]):
        raise InputError(f"clip {blind[0]} has no masks to compare a segmentation with; leave segmentation out")


@dataclass(frozen=True)
class SweepTask:
    """All that is measured of one clip."""

    clip: Clip
    layers: tuple[Layer, ...]
    sigmas: tuple[float, ...]
    kinds: tuple[str, ...]
    heads: bool
    segmentation: bool
    seed: int

    def identity(self) -> dict[str, object]:
        """The clip with its truth, and what is measured of it."""
        content, world = hashlib.sha256(), self.clip.world
        pairs = self.clip.pairs
        for tensor in (self.clip.video, pairs.frame, pairs.here, pairs.origin, *([world.masks] if world else ())):
            content.update(tensor.contiguous().numpy().tobytes())
        return {
            "kind": "features",
            "clip": self.clip.name,
            "content": content.hexdigest()[:20],
            "grid": list(pairs.grid),
            "motion": dict(self.clip.motion),
            "layers": [layer_name(layer) for layer in self.layers],
            "sigmas": list(self.sigmas),
            "kinds": list(self.kinds),
            "heads": self.heads,
            "segmentation": self.segmentation,
            "seed": self.seed,
        }

    def run(self, model: Model) -> tuple[dict[str, object], None]:
        """The rows of the clip, in order of noise level, layer, kind and head; one pass for each level."""
        inspection, rows = self.clip.inspect(model, self.sigmas, self.seed), []
        wanted = [
            kind for kind in KINDS if kind in self.kinds or ("query-key" in self.kinds and kind in ("query", "key"))
        ]
        for step, sigma in enumerate(self.sigmas):
            with (
                torch.no_grad(),
                record_attention(inspection.model, self.layers) as spatial,
                record_attention(inspection.model, self.layers, "temporal") as temporal,
            ):
                maps = features_at(inspection, step, self.layers, tuple(wanted))
            for layer in self.layers:
                place = {"clip": self.clip.name, "layer": layer_name(layer), "sigma": sigma}
                of_layer = {kind: maps[kind][layer] for kind in wanted}
                for kind in self.kinds:
                    attention = temporal[layer] if kind == "temporal" else spatial[layer]
                    for head, values in self._measured(kind, of_layer, attention):
                        known = {name: None if math.isnan(value) else value for name, value in values.items()}
                        rows.append({**place, "kind": kind, "head": head, "pairs": len(self.clip.pairs), **known})
        return {"rows": rows}, None

    def _measured(
        self, kind: str, maps: Mapping[str, Features], attention: HeadAttention
    ) -> Iterator[tuple[int | None, dict[str, float]]]:
        """All heads together (None), and then each."""
        pairs, count = self.clip.pairs, attention.query.shape[1]
        both = [maps["query"], maps["key"]] if kind == "query-key" else [maps[kind]]
        habits = _habits(kind, attention, pairs)
        together = {name: values[0].item() for name, values in habits.items()}
        if self.segmentation and kind != "query-key":
            found = segment(maps[kind], self.clip.world.masks)
            together |= {"iou": found.mean, "iou_chance": found.chance.nanmean().item()}
        yield None, _matching(both, pairs, count) | together
        if not self.heads or kind == "block":  # whose channels are no head's
            return
        for head in range(count):
            own = [each.unflatten(1, (count, -1))[:, head] for each in both]
            yield head, _matching(own, pairs) | {name: values[1 + head].item() for name, values in habits.items()}


def _matching(maps: Sequence[Features], pairs: Pairs, heads: int = 1) -> dict[str, float]:
    """Of features, or of queries and keys."""
    asked = {"keys": maps[1], "heads": heads} if len(maps) > 1 else {}
    found = matching_accuracy(maps[0], pairs, within=WITHIN, **asked)
    named = {"accuracy": found.accuracy, "chance": found.chance, "unmoved": found.unmoved}
    return {f"{name}_{x:g}": value for name, shares in named.items() for x, value in zip(WITHIN, shares, strict=True)}


def _habits(kind: str, attention: HeadAttention, pairs: Pairs) -> dict[str, Float[Tensor, " _one_and_heads"]]:
    """What is known of the attention behind a kind: of all heads together, and then of each."""
    if kind not in ("aligned", "self-attention", "temporal"):
        return {}
    entropies = entropy(attention, to=0 if kind == "aligned" else None)
    habits = {"entropy": torch.cat([entropies.mean(dim=0, keepdim=True), entropies])}
    if kind == "aligned":
        flow = attention_flow(attention)  # of the heads' mean weights it is the mean
        habits["flow_correlation"] = flow_correlation(torch.cat([flow.mean(dim=0, keepdim=True), flow]), pairs)
    return habits


# --- the atlas -------------------------------------------------------------------------------------------------------


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


def atlas(table: pyarrow.Table, measure: str = "accuracy_1", head: int | None = None) -> Atlas:
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
    rows = table.select(["layer", "kind", "sigma", "head", measure]).to_pylist()
    rows = [row for row in rows if row["head"] == head and row[measure] is not None]
    if not rows:
        raise InputError(f"the table has no {measure} of {'all heads' if head is None else f'head {head}'}: sweep it")
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
    return Atlas(measure, layers, sigmas, ends["value"], ends["low"], ends["high"])
