"""Folders in the format of SG-I2V's released code: a picture, and where its boxes go."""

from pathlib import Path
from typing import ClassVar

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets.clips import by_number
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample
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
        folder: of the examples.
        size: (width, height) of the samples; the reference implementation takes 1024 x 576.
        num_frames: of each; the files are for 14.
        how: "stretch" (as the reference implementation does), "crop" or "pad".
        resample: allow another number of frames than a file was made for.
    """

    kind: ClassVar[str] = "examples"

    def __init__(
        self,
        folder: str | Path,
        *,
        size: tuple[int, int],
        num_frames: int,
        how: str = "stretch",
        resample: bool = False,
    ) -> None:
        super().__init__(folder, size, num_frames)
        self.how, self.resample = how, resample
        if _is_example(self.folder):
            self.examples = {self.folder.resolve().name: self.folder}
        else:
            inner = sorted((path for path in self.folder.iterdir() if path.is_dir()), key=lambda p: by_number(p.name))
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
        meta = {
            "dataset": self.kind,
            "source": str(folder),
            "source_size": list(fit.source),
            "frames": [0],
            "dropped": {},
        }
        return Sample(name, to_tensor(fitted), trajectories, None, None, meta)


def _is_example(folder: Path) -> bool:
    return (folder / "img.png").exists() or (folder / "traj.npy").exists()
