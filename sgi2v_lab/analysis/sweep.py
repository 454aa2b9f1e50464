"""Which layer knows it, and at which noise level? Every layer, level, kind and head held to the truth, in one table."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sgi2v_lab.analysis.attention import HeadAttention, attention_flow, entropy, flow_correlation, record_attention
from sgi2v_lab.analysis.clips import Clip
from sgi2v_lab.analysis.massive import massive_channels
from sgi2v_lab.analysis.matching import attention_strength, find_matches, shares_within
from sgi2v_lab.analysis.pairs import Pairs
from sgi2v_lab.analysis.passes import features_at
from sgi2v_lab.analysis.segmentation import segment
from sgi2v_lab.errors import InputError, needs
from sgi2v_lab.evaluation.experiments.evaluate import ModelSource, fingerprint
from sgi2v_lab.evaluation.tasks.records import RecordFolder
from sgi2v_lab.evaluation.tasks.run import run_tasks
from sgi2v_lab.features import KINDS
from sgi2v_lab.files import as_path, whole_file
from sgi2v_lab.models.model import DTYPES, Layer, Model, as_layer, layer_name
from sgi2v_lab.sampling import make_schedule
from sgi2v_lab.shapes import Features

with needs("evaluation"):
    import pyarrow
    import pyarrow.parquet

__all__ = ["MEASURES", "SCHEMA", "SWEPT_KINDS", "TABLE", "SweepTask", "feature_sweep"]

TABLE = "features.parquet"
SWEPT_KINDS = (*KINDS, "query-key")  # the last: where attention to frame 0 looks at most, in place of a cosine
WITHIN = (0.5, 1.0, 2.0)  # cells
LEVELS = 6
SHARES = {"accuracy": "matches", "chance": "blind guesses", "unmoved": "matches of a feature that knows no motion"}
CELLS = {"0.5": "half a cell", "1": "1 cell", "2": "2 cells"}
MEASURES = {f"{name}_{x}": f"share of {what} within {far}" for name, what in SHARES.items() for x, far in CELLS.items()}
MEASURES |= {
    "confidence": "largest attention to a place of frame 0",
    "attention_score": "sum of attention to frame 0",
    "entropy": "entropy of attention, nats",
    "flow_correlation": "correlation of attention's flow with the motion",
    "massive": "channels above 5 times the median magnitude",
    "iou": "IoU of clusters with objects",
    "iou_chance": "IoU of shuffled clusters with objects",
}
SCHEMA = pyarrow.schema(
    [
        *((name, pyarrow.string()) for name in ("clip", "layer", "kind")),
        ("sigma", pyarrow.float64()),
        *((name, pyarrow.int64()) for name in ("head", "pairs")),
        *((name, pyarrow.float64()) for name in MEASURES),
    ]
)


def feature_sweep(
    model: Model,
    clips: Iterable[Clip],
    *,
    out: str | Path,
    layers: Sequence[Layer] | None = None,
    sigmas: Sequence[float] | None = None,
    kinds: Sequence[str] | None = None,
    heads: bool = False,
    segmentation: bool = False,
    seed: int = 817,
    workers: int = 1,
    progress: bool = False,
) -> pyarrow.Table:
    """Hold what the network computes on noisy clips to the truth.

    Each clip is a task with a record in `out`/tasks: a killed sweep goes on where it was, and a clip that was measured
    with the same arguments is not measured again. Under an intervention, use one worker and another folder: records do
    not know of it.

    Args:
        model: from `load_model`.
        clips: with truth, such as `toy_clips(model, 64)`, or with a tracker's: `tracked_clip(model, run, "a run")`.
        out: the folder for records and for the table, features.parquet.
        layers: some of `model.all_layers`, by default all.
        sigmas: noise levels, by default six of the model's own steps, from the first to the last.
        kinds: some of `SWEPT_KINDS`, by default all that the model has.
        heads: measure each attention head of its own, too.
        segmentation: cluster each map of features, too; takes several times as long.
        seed: of the noise.
        workers: processes of this machine. More than 1 load the model by its name.
        progress: show a progress bar.

    Returns:
        One row for each clip, layer, noise level, kind and head (null: all together). Columns are "clip", "layer"
        ("2,1"), "kind", "sigma", "head", "pairs" (how many were looked for) and `MEASURES`; what a kind does not have
        is null. "aligned" has the entropy and the flow of attention to frame 0; "self-attention" and "temporal" have
        the entropy of theirs; "query-key" has DiffTrack's confidence and attention score; features have their number of
        massive channels.

    Raises:
        InputError: no clips, or two of one name; an unknown layer or kind; a noise level that is not above 0;
            segmentation of clips without masks; a clip that cannot be measured, when all others are.
    """
    clips = [*clips]
    layers = model.all_layers if layers is None else tuple(map(as_layer, layers))
    model.check_layers(layers, model.all_layers)
    kinds = (*model.feature_kinds, "query-key") if kinds is None else kinds
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
    table = pyarrow.Table.from_pylist(rows, SCHEMA)
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
        tensors = [self.clip.video, pairs.frame, pairs.here, pairs.origin, *([world.masks] if world else ())]
        if self.clip.run is not None:
            tensors += [step.before for step in self.clip.run.trace if step.before is not None]
        for tensor in tensors:
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
        inspection, pairs, rows = self.clip.inspect(model, self.sigmas, self.seed), self.clip.pairs, []
        shares = {"chance": map(pairs.chance, WITHIN), "unmoved": shares_within(pairs.distance(pairs.here), WITHIN)}
        same = {"clip": self.clip.name, "pairs": len(pairs), **_by_distance(shares)}
        wanted = {*self.kinds, *(("query", "key") if "query-key" in self.kinds else ())} - {"query-key"}
        for step, sigma in enumerate(self.sigmas):
            with torch.no_grad(), ExitStack() as recording:
                spatial, temporal = (
                    recording.enter_context(record_attention(inspection.model, self.layers, where)) if asked else {}
                    for where, asked in (("spatial", True), ("temporal", "temporal" in self.kinds))
                )
                maps = features_at(inspection, step, self.layers, tuple(sorted(wanted)))
            for layer, kind in product(self.layers, self.kinds):
                of_layer = [maps[each][layer] for each in (("query", "key") if kind == "query-key" else (kind,))]
                attention = temporal[layer] if kind == "temporal" else spatial[layer]
                for head, values in self._measured(kind, of_layer, attention):
                    known = {name: None if math.isnan(value) else value for name, value in values.items()}
                    place = {"layer": layer_name(layer), "sigma": sigma, "kind": kind, "head": head}
                    rows.append(same | place | known)
        return {"rows": rows}, None

    def _measured(
        self, kind: str, maps: Sequence[Features], attention: HeadAttention
    ) -> Iterator[tuple[int | None, dict[str, float]]]:
        """All heads together (None), and then each. The maps are one kind of features, or queries and keys."""
        pairs, count = self.clip.pairs, attention.query.shape[1]
        habits = _habits(kind, attention, pairs)
        together = {name: values[0].item() for name, values in habits.items()}
        if kind != "query-key":
            together["massive"] = massive_channels(maps[0]).sum().item()
        if self.segmentation and kind != "query-key":
            found = segment(maps[0], self.clip.world.masks)
            together |= {"iou": found.mean, "iou_chance": found.chance.nanmean().item()}
        yield None, _matching(maps, pairs, count) | together
        if not self.heads or kind == "block":  # whose channels are no head's
            return
        for head in range(count):
            own = [each.unflatten(1, (count, -1))[:, head] for each in maps]
            yield head, _matching(own, pairs) | {name: values[1 + head].item() for name, values in habits.items()}


def _by_distance(shares: Mapping[str, Iterable[float]]) -> dict[str, float]:
    return {f"{name}_{x:g}": value for name, some in shares.items() for x, value in zip(WITHIN, some, strict=True)}


def _matching(maps: Sequence[Features], pairs: Pairs, heads: int = 1) -> dict[str, float]:
    if len(maps) == 1:
        return _by_distance({"accuracy": shares_within(pairs.distance(find_matches(maps[0], pairs)), WITHIN)})
    query, key = maps
    error = pairs.distance(find_matches(query, pairs, keys=key, heads=heads))
    strength = attention_strength(query, key, pairs, heads=heads)
    measured = {"confidence": strength.confidence, "attention_score": strength.score}
    return _by_distance({"accuracy": shares_within(error, WITHIN)}) | measured


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
