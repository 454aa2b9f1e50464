"""Features on disk, to be computed once and read often.

    store = record(clip.inspect(model), layers, ("query", "key"), to="features", name="cat")
    store.select(kind="query", input="cat")[(2, 1), 3]         # memory-mapped, read when it is used

A folder holds one safetensors file for each input, seed and step, with all layers and kinds; the files' headers say
what they hold. Files are written whole: a kill loses the step in hand, and the next start does the rest.
"""

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sgi2v_lab.analysis.passes import features_at
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.evaluate import fingerprint
from sgi2v_lab.explore import Inspection
from sgi2v_lab.files import as_path, whole_file
from sgi2v_lab.models.model import Layer
from sgi2v_lab.shapes import Features

__all__ = ["FeatureStore", "StoredMap", "layer_name", "layer_of", "record"]

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
    file: str  # in the store's folder; the tensor's name is "KIND LAYER"

    @property
    def tensor(self) -> str:
        """Its name in the file."""
        return _tensor_name(self.kind, self.layer)

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return torch.Size(self.shape).numel() * getattr(torch, self.dtype).itemsize


@dataclass(frozen=True)
class FeatureStore:
    """The features in a folder, or a selection of them. Nothing is read before it is asked for."""

    folder: Path
    maps: tuple[StoredMap, ...]

    @classmethod
    def open(cls, folder: str | Path) -> "FeatureStore":
        """The store in a folder; InputError where there is none, or for a damaged file."""
        folder = as_path(folder, "a folder with features")
        maps = tuple(each for path in sorted(folder.rglob("step-*.safetensors")) for each in _maps_in(folder, path))
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
        return len(steps) * _nbytes(_tensors(inspection, steps[0], layers, kinds).values())

    @property
    def nbytes(self) -> int:
        """The bytes of all features here."""
        return sum(each.nbytes for each in self.maps)

    def select(self, **wanted: object) -> "FeatureStore":
        """Only the features of, say, kind="query" and input="cat"; any field of `StoredMap` will do.

        Raises:
            InputError: no such field, or there are no such features.
        """
        maps = self.maps
        for name, value in wanted.items():
            if name not in (known := [field.name for field in fields(StoredMap)]):
                raise InputError(f"features are not stored by {name!r}: expected one of {', '.join(known)}")
            value = tuple(value) if name in ("layer", "shape") else value
            kept = tuple(each for each in maps if getattr(each, name) == value)
            if not kept:
                there = ", ".join(_values(maps, name))
                raise InputError(f"{self.folder} has no features with {name} {value!r}: expected one of {there}")
            maps = kept
        return FeatureStore(self.folder, maps)

    def __getitem__(self, place: tuple[Layer, int]) -> Features:
        """The features of a (layer, step): (frames, channels, h', w') on the CPU, as they were computed to the bit.

        Raises:
            InputError: they are not here; several are, of which `select` chooses; or their file is gone or damaged.
        """
        layer, step = place
        (found, *others) = self.select(layer=layer, step=step).maps
        if others:
            names = ("model", "weights", "input", "seed", "kind")
            name = next(name for name in names if len(_values((found, *others), name)) > 1)
            raise InputError(
                f"there are {1 + len(others)} features of layer {found.layer} at step {step}, with {name} "
                f"{', '.join(_values((found, *others), name))}; choose with select({name}=...)"
            )
        with _opened(self.folder / found.file) as file:  # maps the file; pages are read when they are used
            return file.get_tensor(found.tensor)


def record(
    inspection: Inspection,
    layers: tuple[Layer, ...],
    kinds: tuple[str, ...] = ("aligned",),
    *,
    to: str | Path,
    name: str,
    steps: Iterable[int] | None = None,
) -> FeatureStore:
    """Compute features and keep them in a folder; what is there already is not computed again.

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
        InputError: an unknown layer, kind or step, a name that is no file name, too little space on the disk, or the
            folder has features of something else under this name.
    """
    steps = _checked_steps(inspection, steps)
    if not re.fullmatch(r"[\w][\w .,=+-]*", name):
        raise InputError(f"the input's name is {name!r}: expected letters, digits, spaces or any of _.,=+-")
    folder = as_path(to, "a folder for features")
    weights = fingerprint(inspection.model)
    asked = []
    for number, step in enumerate(steps):
        path = folder / weights[:8] / name / f"seed-{inspection.seed}" / f"step-{step:03d}.safetensors"
        source = _source(inspection, step, weights)
        tensors = _kept(path, source, name)
        wanted = {_tensor_name(kind, layer) for kind in kinds for layer in layers}
        if missing := [kind for kind in kinds if any(_tensor_name(kind, layer) not in tensors for layer in layers)]:
            new = _tensors(inspection, step, layers, tuple(missing))
            _check_space(folder, _nbytes(new.values()) * (len(steps) - number))
            about = {"model": inspection.model.name, "weights": weights, "input": name, "source": source}
            about |= {"seed": str(inspection.seed), "step": str(step), "sigma": repr(float(inspection.sigmas[step]))}
            with whole_file(path) as temporary:
                save_file({**new, **tensors}, temporary, about)
        asked += [each for each in _maps_in(folder, path) if each.tensor in wanted]
    return FeatureStore(folder, tuple(asked))


def layer_name(layer: Layer) -> str:
    """A layer as it is typed on the command line: "2,1" or "down,1,0"; a transformer's block "3"."""
    return str(layer) if isinstance(layer, int) else ",".join(map(str, layer))


def layer_of(name: str) -> Layer:
    """The layer of such a name."""
    first, *rest = (int(part) if part.isdigit() else part for part in name.split(","))
    return (first, *rest) if rest else first


def _tensor_name(kind: str, layer: Layer) -> str:
    return f"{kind} {layer_name(layer)}"


def _tensors(inspection: Inspection, step: int, layers: tuple[Layer, ...], kinds: tuple[str, ...]) -> dict[str, Tensor]:
    found = features_at(inspection, step, layers, kinds)
    return {_tensor_name(k, layer): x.cpu().contiguous() for k, maps in found.items() for layer, x in maps.items()}


def _nbytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _checked_steps(inspection: Inspection, steps: Iterable[int] | None) -> Sequence[int]:
    have = range(len(inspection.sigmas))
    steps = have if steps is None else [*steps]
    if wrong := [step for step in steps if step not in have]:
        raise InputError(f"there is no step {wrong[0]} to record: expected some of 0..{len(have) - 1}")
    if not steps:
        raise InputError(f"no step is given: expected some of 0..{len(have) - 1}, or None for all")
    return steps


def _source(inspection: Inspection, step: int, weights: str) -> str:
    """A hash of all that the features of a step depend on."""
    digest = hashlib.sha256(f"{weights} {inspection.seed} {inspection.sigmas[step]}".encode())
    digest.update(inspection.settings.model_dump_json().encode())
    for tensor in (inspection.image, inspection.latents[step]):
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:20]


def _kept(path: Path, source: str, name: str) -> dict[str, Tensor]:
    """The tensors that an earlier start left in a file; none where it is missing or damaged."""
    try:
        with _opened(path) as file:
            there = file.metadata()["source"]
            tensors = {each: file.get_tensor(each) for each in file.keys()}  # noqa: SIM118 - it is no dictionary
    except InputError:
        return {}
    if there != source:
        raise InputError(f"{path} holds features of another input named {name!r}; give another name, or another folder")
    return tensors


def _check_space(folder: Path, needed: int) -> None:
    place = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if (free := shutil.disk_usage(place).free) < needed:
        raise InputError(
            f"the features take {needed / 1e9:.3g} GB, but {place} has {free / 1e9:.3g} GB free; give fewer layers, "
            "kinds or steps, or another folder"
        )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} is gone or damaged ({error}); delete it, and record the same again") from None


def _maps_in(folder: Path, path: Path) -> Iterator[StoredMap]:
    with _opened(path) as file:
        about = file.metadata()
        for tensor in file.keys():  # noqa: SIM118 - it is no dictionary
            kind, layer = tensor.split(" ")
            part = file.get_slice(tensor)
            yield StoredMap(
                model=about["model"],
                weights=about["weights"],
                input=about["input"],
                seed=int(about["seed"]),
                step=int(about["step"]),
                sigma=float(about["sigma"]),
                layer=layer_of(layer),
                kind=kind,
                dtype=DTYPES[part.get_dtype()],
                shape=tuple(part.get_shape()),
                file=path.relative_to(folder).as_posix(),
            )


def _values(maps: Iterable[StoredMap], name: str) -> list[str]:
    return sorted({str(getattr(each, name)) for each in maps})
