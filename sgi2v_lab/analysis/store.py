"""Features on disk, to be computed once and read often.

    store = record(clip.inspect(model), layers, ("query", "key"), to="features", name="cat")
    store.select(kind="query", input="cat")[(2, 1), 3]         # memory-mapped, read when it is used

A folder holds one safetensors file for each input, seed, step, kind and layer, whose header says what it is. Files are
written whole: a kill loses the step in hand, and the next start does the rest.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from sgi2v_lab.analysis.passes import features_at
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.evaluate import fingerprint
from sgi2v_lab.explore import Inspection
from sgi2v_lab.files import as_path, whole_file
from sgi2v_lab.models.model import Layer, layer_name, layer_of
from sgi2v_lab.shapes import Features

__all__ = ["FeatureStore", "StoredMap", "record"]

FILES = "[!.]*.safetensors"  # what a kill left half written begins with a dot
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}  # safetensors' names


@dataclass(frozen=True)
class StoredMap:
    """What identifies the features of one layer at one step, and where they are."""

    model: str
    weights: str  # the model's fingerprint
    input: str
    seed: int
    step: int
    sigma: float
    layer: Layer
    kind: str
    dtype: str  # "float32", "float16" or "bfloat16"
    shape: tuple[int, ...]  # frames, channels, h', w'
    file: str  # in the store's folder


@dataclass(frozen=True)
class FeatureStore:
    """The features in a folder, or a selection of them. Nothing is read before it is asked for."""

    folder: Path
    maps: tuple[StoredMap, ...]

    @classmethod
    def open(cls, folder: str | Path) -> "FeatureStore":
        """The store in a folder; InputError where there is none, or for a damaged file."""
        folder = as_path(folder, "a folder with features")
        maps = tuple(_map_in(folder, path) for path in sorted(folder.glob(f"*/*/*/*/{FILES}")))
        if not maps:
            raise InputError(f"{folder} holds no features: expected a folder that `record` has written to")
        return cls(folder, maps)

    @staticmethod
    def size_of(
        inspection: Inspection,
        layers: tuple[Layer, ...],
        kinds: tuple[str, ...] = ("aligned",),
        steps: Iterable[int] | None = None,
    ) -> int:
        """The bytes of features that `record` would write. It takes one pass, and writes nothing."""
        steps = _checked_steps(inspection, steps)
        found = features_at(inspection, steps[0], layers, kinds)
        return len(steps) * sum(features.nbytes for maps in found.values() for features in maps.values())

    def select(self, **wanted: object) -> "FeatureStore":
        """Only the features of, say, kind="query" and input="cat"; any field of `StoredMap` will do.

        InputError where there are none.
        """
        maps = [each for each in self.maps if all(getattr(each, name, None) == x for name, x in wanted.items())]
        if not maps:
            raise InputError(f"{self.folder} has no features with {wanted}; `maps` of the store lists what it has")
        return FeatureStore(self.folder, tuple(maps))

    def __getitem__(self, place: tuple[Layer, int]) -> Features:
        """The features of a (layer, step): (frames, channels, h', w') on the CPU, as they were computed to the bit.

        InputError: they are not here; several are, of which `select` chooses; or their file is gone or damaged.
        """
        layer, step = place
        found = self.select(layer=layer, step=step).maps
        if len(found) > 1:
            raise InputError(
                f"there are {len(found)} features of layer {layer} at step {step}; choose those of one input, kind, "
                'seed and model, as select(input="cat", kind="query") does'
            )
        with _opened(self.folder / found[0].file) as file:  # maps the file; pages are read when they are used
            return file.get_tensor("features")


def record(
    inspection: Inspection,
    layers: tuple[Layer, ...],
    kinds: tuple[str, ...] = ("aligned",),
    *,
    to: str | Path,
    name: str,
    steps: Iterable[int] | None = None,
) -> FeatureStore:
    """Compute features and keep them in a folder; steps of which all is there already are not computed again.

    Of a run of `generate`, give `inspect_run(model, run)`, with latents if it was generated with `trace=["latents"]`.

    Args:
        inspection: the video that is looked into.
        layers: some of `model.all_layers`.
        kinds: as in `record_features`.
        to: the folder, new or with features of other inputs, layers or kinds.
        name: of the input. Give another to the same video under an intervention.
        steps: some of the inspection's; all by default.

    Returns:
        The store with what was asked for; the rest of the folder is left out.

    Raises:
        InputError: an unknown layer, kind or step, a name that is no file name, a folder that cannot be written, or one
            that has a damaged file, or features of something else under this name.
    """
    steps = _checked_steps(inspection, steps)
    if not re.fullmatch(r"[\w][\w .,=+-]*", name):
        raise InputError(f"the input's name is {name!r}: expected letters, digits, spaces or any of _.,=+-")
    folder = as_path(to, "a folder for features")
    weights = fingerprint(inspection.model)
    asked = []
    for step in steps:
        place = folder / weights[:8] / name / f"seed-{inspection.seed}" / f"step-{step:03d}"
        source = _source(inspection, step, weights)
        for path in place.glob(FILES):
            _map_in(folder, path, source)
        paths = {(kind, layer): place / f"{kind} {layer_name(layer)}.safetensors" for kind in kinds for layer in layers}
        if missing := {key: path for key, path in paths.items() if not path.exists()}:
            about = {"model": inspection.model.name, "weights": weights, "input": name, "source": source}
            about |= {"seed": str(inspection.seed), "step": str(step), "sigma": repr(float(inspection.sigmas[step]))}
            found = features_at(inspection, step, layers, kinds)
            for (kind, layer), path in missing.items():
                content = save(
                    {"features": found[kind][layer].cpu().contiguous()},
                    about | {"kind": kind, "layer": layer_name(layer)},
                )
                with whole_file(path) as temporary:
                    temporary.write_bytes(content)
        asked += [_map_in(folder, path) for path in paths.values()]
    return FeatureStore(folder, tuple(asked))


def _checked_steps(inspection: Inspection, steps: Iterable[int] | None) -> Sequence[int]:
    have = range(len(inspection.sigmas))
    steps = have if steps is None else [*steps]
    if not steps or not {*steps} <= {*have}:
        raise InputError(f"the steps to record are {steps}: expected some of 0..{len(have) - 1}, or None for all")
    return steps


def _source(inspection: Inspection, step: int, weights: str) -> str:
    """A hash of all that the features of a step depend on."""
    digest = hashlib.sha256(f"{weights} {inspection.seed} {inspection.sigmas[step]}".encode())
    digest.update(inspection.settings.model_dump_json().encode())
    for tensor in (inspection.image, inspection.latents[step]):
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:20]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} is gone or damaged ({error}); delete it, and record the same again") from None


def _map_in(folder: Path, path: Path, source: str | None = None) -> StoredMap:
    """What a file holds. InputError where it is damaged, or of another source than the given one."""
    with _opened(path) as file:
        about, part = file.metadata(), file.get_slice("features")
        if source not in (None, about["source"]):
            raise InputError(
                f"{path} holds features of another input named {about['input']!r}; give another name, or another folder"
            )
        return StoredMap(
            model=about["model"],
            weights=about["weights"],
            input=about["input"],
            seed=int(about["seed"]),
            step=int(about["step"]),
            sigma=float(about["sigma"]),
            layer=layer_of(about["layer"]),
            kind=about["kind"],
            dtype=DTYPES[part.get_dtype()],
            shape=tuple(part.get_shape()),
            file=path.relative_to(folder).as_posix(),
        )
