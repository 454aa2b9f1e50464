"""Folders in the format of SG-I2V's released code: a picture, and where its boxes go."""

from pathlib import Path
from typing import Any, ClassVar

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.files import in_order
from sgi2v_lab.images.read import fit_image, to_tensor
from sgi2v_lab.trajectories.files import read_example

__all__ = ["Examples"]


class Examples(Dataset):
    """Examples of the reference implementation, or in its format; there is no true video to compare with.

    Source: https://github.com/Kmcode1/SG-I2V, its folder examples/.
    Terms: the code is under the MIT licence; where the pictures come from, it does not say.

    Layout, described in `sgi2v_lab.trajectories.files`; `folder` may also be a single example:

        examples/1/img.png
        examples/1/traj.npy

    Args:
        resample: allow another number of frames than a file was made for, which is 14.
    """

    kind: ClassVar[str] = "examples"

    def __init__(self, folder: str | Path, *, resample: bool = True, **shared: Any) -> None:
        super().__init__(folder, **shared)
        self.resample = resample
        if _is_example(self.folder):
            self.examples = {self.folder.resolve().name: self.folder}
        else:
            inner = in_order(self.folder.iterdir())
            self.examples = {path.name: path for path in inner if _is_example(path)}
        self.names = tuple(self.examples)
        if not self.names:
            raise InputError(f"{self.folder} holds no examples: expected folders with img.png and traj.npy")

    def load(self, name: str) -> Sample:
        """Read one example."""
        folder = self.examples[name]
        picture, trajectories = read_example(folder, resample=self.resample)
        fitted, fit = fit_image(picture, self.size, self.how)
        trajectories = trajectories.fitted(fit)
        try:
            trajectories.validate(self.num_frames)
        except InputError as error:
            raise InputError(f"{folder}: {error}") from None
        meta = {"source": str(folder), "source_size": list(fit.source), "dropped": {}}
        return Sample(name, to_tensor(fitted), trajectories, meta=meta)


def _is_example(folder: Path) -> bool:
    return (folder / "img.png").exists() or (folder / "traj.npy").exists()
