"""The toy's benchmark as a data set: drawn scenes whose motion is known exactly, and photographs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.toy.world.scenes import true_boxes

__all__ = ["Benchmark"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Benchmark(Dataset):
    """The toy's benchmark: scenes that no training has seen, drawn by `sgi2v_lab.toy`, and photographs; no folder.

    Drawn scenes have their true video as clip. Terms of the photographs, which ship with libraries that this package
    depends on: `sgi2v_lab.evaluation.scenes.photographs`.

    Options:
        categories: some of `sgi2v_lab.evaluation.scenes.scenes.CATEGORIES`; None for all.
        scenes: at most this many of each category; None for all.
    """

    kind: ClassVar[str] = "benchmark"
    holds: ClassVar[str] = "at least one category"
    unused: ClassVar[tuple[str, ...]] = ("folder", "how", "stride", "tracker")

    categories: Sequence[str] | None = None
    scenes: int | None = None

    def _list(self) -> dict[str, Any]:
        # imported here because it brings diffusers along, which takes seconds
        from sgi2v_lab.evaluation.scenes.scenes import benchmark_scenes

        return {scene.name: scene for scene in benchmark_scenes(self.categories, self.scenes)}

    def _read(self, name: str) -> Sample:
        scene, objects = self.sources[name], None
        clip = scene.clip(self.size, self.num_frames)
        first = scene.first_frame(self.size, self.num_frames) if clip is None else clip[0]
        if scene.category == "pan":
            objects = true_boxes(scene.scene(self.num_frames), 1) * torch.tensor(self.size * 2)
        asked = scene.asked(self.size, self.num_frames)
        return Sample(name, first, asked, clip, scene.category, scene.motion(self.num_frames), objects)

    def _content(self, name: str) -> dict[str, object]:
        scene = self.sources[name]
        return {"category": scene.category, "scene_seed": scene.seed}  # they fix the scene
