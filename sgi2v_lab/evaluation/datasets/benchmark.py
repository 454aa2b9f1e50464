"""The toy's benchmark as a data set: drawn scenes whose motion is known exactly, and photographs."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.evaluation.scenes.scenes import benchmark_scenes
from sgi2v_lab.toy.world.scenes import true_boxes

__all__ = ["Benchmark"]


class Benchmark(Dataset):
    """The scenes of `sgi2v benchmark`; nothing to download.

    Source: drawn by `sgi2v_lab.toy`; the photographs ship with libraries that are dependencies, and their licences are
    in `sgi2v_lab.evaluation.scenes.photographs`. Drawn scenes have their true video as clip; photographs have none.

    Args:
        categories: some of `CATEGORIES` and `VARIATIONS` in `sgi2v_lab.evaluation.scenes`; None for all `CATEGORIES`.
        scenes: at most so many of each category; None for all.
    """

    kind: ClassVar[str] = "benchmark"

    def __init__(self, *, categories: Sequence[str] | None = None, scenes: int | None = None, **shared: Any) -> None:
        super().__init__(None, **shared)
        self.scenes = {scene.name: scene for scene in benchmark_scenes(categories, scenes)}
        self.names = tuple(self.scenes)

    def load(self, name: str) -> Sample:
        """Draw one scene."""
        scene, frames, (width, height) = self.scenes[name], self.num_frames, self.size
        clip = scene.clip(self.size, frames)
        first = scene.first_frame(self.size, frames) if clip is None else clip[0]
        objects = None
        if scene.category == "pan":
            objects = true_boxes(scene.scene(frames), 1) * torch.tensor([width, height, width, height])
        return Sample(
            name,
            first,
            scene.asked(self.size, frames),
            clip,
            meta={"source": scene.title, "source_size": list(self.size), "dropped": {}},
            category=scene.category,
            motion=scene.motion(frames),
            objects=objects,
        )

    def identity(self, name: str) -> dict[str, object]:
        """The name says all: scenes never change."""
        return self._place(name)
