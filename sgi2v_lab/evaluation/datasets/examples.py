"""Folders in the format of SG-I2V's released code: a picture, and where its boxes go."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sgi2v_lab.evaluation.datasets.files import entries
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
from sgi2v_lab.images.read import fit_image, to_tensor
from sgi2v_lab.trajectories.files import read_example

__all__ = ["Examples"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples(Dataset):
    """Examples of SG-I2V's reference implementation, or in its format (`sgi2v_lab.trajectories.files`); no true video.

    Source: https://github.com/Kmcode1/SG-I2V, its folder examples/.
    Terms: the code is under the MIT licence, which does not say where the pictures come from.

    Layout: examples/1/img.png and examples/1/traj.npy; the folder may also be a single example. The files are for 14
    frames; with another number of frames the boxes go the same way over the whole video.
    """

    kind: ClassVar[str] = "examples"
    holds: ClassVar[str] = "folders with img.png and traj.npy"
    unused: ClassVar[tuple[str, ...]] = ("stride", "tracker")

    def _list(self) -> dict[str, Path]:
        if _is_example(self.folder):
            return {self.folder.resolve().name: self.folder}
        return {path.name: path for path in entries(self.folder) if path.is_dir() and _is_example(path)}

    def _read(self, name: str) -> Sample:
        picture, trajectories = read_example(self.sources[name], resample=True)
        fitted, fit = fit_image(picture, self.size, self.how)
        trajectories = trajectories.fitted(fit)
        trajectories.validate(self.num_frames)
        return Sample(name, to_tensor(fitted), trajectories, category=self.kind)


def _is_example(folder: Path) -> bool:
    return (folder / "img.png").exists() or (folder / "traj.npy").exists()
