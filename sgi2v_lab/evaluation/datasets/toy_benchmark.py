"""The toy's benchmark as a data set: drawn scenes whose motion is known exactly, and photographs."""

from collections.abc import Sequence
from typing import ClassVar

import torch

from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.evaluation.scenes.scenes import benchmark_scenes
from sgi2v_lab.toy.world.scenes import true_boxes

__all__ = ["ToyBenchmark"]


class ToyBenchmark(Dataset):
    """The scenes of `sgi2v benchmark`; nothing to download.

    Source: drawn by `sgi2v_lab.toy`; the photographs ship with libraries that are dependencies, and their licences are
    in `sgi2v_lab.evaluation.scenes.photographs`. Drawn scenes have their true video as clip; photographs have none.

    Args:
        size: (width, height) of the samples.
        num_frames: of each.
        categories: some of `sgi2v_lab.evaluation.scenes.scenes.CATEGORIES`; None for all.
        scenes: at most so many of each category; None for all.
    """

    kind: ClassVar[str] = "benchmark"

    def __init__(
        self,
        *,
        size: tuple[int, int],
        num_frames: int,
        categories: Sequence[str] | None = None,
        scenes: int | None = None,
    ) -> None:
        super().__init__(None, size, num_frames)
        self.scenes = {scene.name: scene for scene in benchmark_scenes(categories, scenes)}
        self.names = tuple(self.scenes)

    def load(self, name: str) -> Sample:
        """Draw one scene."""
        scene = self.scenes[name]
        clip = scene.clip(self.size, self.num_frames)
        first = scene.first_frame(self.size, self.num_frames) if clip is None else clip[0]
        meta = {
            "dataset": self.kind,
            "source": scene.title,
            "source_size": list(self.size),
            "frames": list(range(self.num_frames)) if clip is not None else [0],
            "dropped": {},
        }
        asked = scene.asked(self.size, self.num_frames)
        more = {"category": scene.category, "motion": scene.motion(self.num_frames)}
        if scene.category == "pan":
            width, height = self.size
            sprites = true_boxes(scene.scene(self.num_frames), 1)
            more["objects"] = sprites * torch.tensor([width, height, width, height])
        return Sample(name, first, asked, clip, None, meta, **more)

    def identity(self, name: str) -> dict[str, object]:
        """The scene's name says all: scenes never change."""
        return self._place(name)
