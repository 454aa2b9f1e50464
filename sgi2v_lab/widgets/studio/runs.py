"""The Studio's gallery: runs kept in a folder, with all that is needed to compare them and to open them again.

Each run has a folder of its own, which is complete or not there at all:

    run.json            settings, seed, model, losses, ObjMC, seconds, boxes; see `RunRecord`
    picture.png         as the user gave it
    trajectories.json   in the picture's pixels; missing without control
    controlled.mp4      with control; missing without
    uncontrolled.mp4    without control; missing if it was not asked for
    thumbnail.jpg       the last frame
    finding-0.png       the evidence for the first thing that went wrong, and so on
"""

import base64
import math
import secrets
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import PIL.Image
import PIL.ImageOps
from pydantic import BaseModel, ConfigDict, ValidationError

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.diagnosis import Diagnosis
from sgi2v_lab.evaluation.metrics import objmc
from sgi2v_lab.files import as_path, result_folder, write_record
from sgi2v_lab.images.read import read_image, to_pil
from sgi2v_lab.pipeline import Run
from sgi2v_lab.plots.style import save_figure
from sgi2v_lab.settings import Settings, renamed_settings
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.files import load_trajectories, save_trajectories
from sgi2v_lab.video import write_video

__all__ = ["Gallery", "RunRecord", "finite"]

COMFORTABLE = 512  # pixels; smaller videos are enlarged by a whole factor that stays within it
THUMBNAIL = 192  # pixels, its longer side


class RunRecord(BaseModel):
    """What run.json says; plain values."""

    model_config = ConfigDict(frozen=True)

    id: str  # the folder's name
    created: str  # ISO 8601, UTC
    model: str  # as it was chosen
    settings: dict
    seed: int
    fit: str
    picture: tuple[int, int]  # (width, height) in pixels
    boxes: list  # [box][frame] x0, y0, x1, y1 in pixels of the video; empty without control
    colours: list  # of the boxes, None for the palette's
    losses: dict = {}  # control step -> loss before each iteration
    objmc: dict = {}  # "controlled" and "uncontrolled", in pixels of the video
    tracker: str = ""  # that ObjMC was measured with
    diagnosis: dict = {}  # as `Diagnosis.to_dict`; empty for runs that were never judged
    seconds: float = 0.0  # denoising and the rest, of the video with control if there is one
    kind: Literal["studio run"]

    @property
    def last_loss(self) -> float | None:
        """Before the last iteration of the last control step; None without control."""
        return self.losses[max(self.losses, key=int)][-1] if self.losses else None


class Gallery:
    """Runs in a folder, newest first. Nothing is made on disk before the first one is kept."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = as_path(folder, "a folder of runs")

    def __len__(self) -> int:
        return len(self.records())

    def records(self) -> list[RunRecord]:
        """All runs that can be read, newest first; a folder that holds something else is passed over."""
        found = []
        for path in self.folder.glob("*/run.json"):
            try:
                found.append(self.record(path.parent.name))
            except InputError:
                continue
        return sorted(found, key=lambda record: record.id, reverse=True)

    def record(self, run_id: str) -> RunRecord:
        """One run; InputError if there is none of that name, or its run.json is none of this gallery's."""
        try:
            record = RunRecord.model_validate_json((self._path(run_id) / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise InputError(
                f"there is no run {run_id!r} in {self.folder}, or its run.json is damaged; choose another"
            ) from error
        with suppress(InputError):  # a run with a setting that is gone can be watched, but not opened again
            return record.model_copy(update={"settings": renamed_settings(record.settings)})
        return record

    def add(
        self,
        controlled: Run | None,
        uncontrolled: Run | None,
        picture: PIL.Image.Image,
        trajectories: Trajectories,
        *,
        model: str,
        fit: str = "stretch",
        diagnosis: Diagnosis | None = None,
    ) -> RunRecord:
        """Write a run's folder and return its record.

        Args:
            controlled: the run with control, or None.
            uncontrolled: the same without, or None; at least one of the two is needed.
            picture: as the user gave it.
            trajectories: in its pixels.
            model: as `load_model` takes it.
            fit: as `generate` took it.
            diagnosis: what went wrong in it.

        Raises:
            InputError: there is neither run, or the folder cannot be written.
        """
        run = controlled or uncontrolled
        if run is None:
            raise InputError("there is no run to keep; give one with control, one without, or both")
        now = datetime.now(UTC)
        both = {"controlled": controlled, "uncontrolled": uncontrolled}
        made = {name: one for name, one in both.items() if one is not None}
        measured = {name: objmc(one.video, controlled.boxes) for name, one in made.items()} if controlled else {}
        record = RunRecord(
            id=f"{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}-{secrets.token_hex(2)}",
            created=now.isoformat(timespec="seconds"),
            model=model,
            settings=run.settings.as_dict(),
            seed=run.seed,
            fit=fit,
            picture=picture.size,
            boxes=[] if controlled is None else controlled.boxes.tolist(),
            colours=[one.colour for one in trajectories] if controlled is not None else [],
            losses={str(step): finite(losses) for step, losses in run.losses.items()},
            objmc={name: finite([one.value])[0] for name, one in measured.items()},
            tracker=next((one.tracker for one in measured.values()), ""),
            diagnosis={} if diagnosis is None else diagnosis.to_dict(),
            seconds=round(sum(run.seconds.values()), 2),
            kind="studio run",
        )
        with result_folder(self.folder / record.id) as part:
            picture.save(part / "picture.png")
            if controlled is not None:
                save_trajectories(part / "trajectories.json", trajectories)
            for name, one in made.items():
                scale = max(1, COMFORTABLE // one.video.shape[-1])
                write_video(part / f"{name}.mp4", one.video, one.settings.fps, scale=scale, smooth=True)
            last = to_pil(run.video[-1].clamp(0, 1))
            small = PIL.ImageOps.contain(last, (THUMBNAIL, THUMBNAIL), PIL.Image.Resampling.LANCZOS)
            small.save(part / "thumbnail.jpg", quality=88)
            for index, finding in enumerate(diagnosis or ()):
                if finding.drawing is not None:
                    save_figure(finding.plot(), part / f"finding-{index}.png", dpi=110)
            write_record(part, record.model_dump())
        return self.record(record.id)

    def videos(self, run_id: str) -> dict[str, bytes]:
        """The mp4 files of a run, by name: "controlled", "uncontrolled", those that there are."""
        folder = self._path(run_id)
        files = {name: folder / f"{name}.mp4" for name in ("controlled", "uncontrolled")}
        return {name: path.read_bytes() for name, path in files.items() if path.is_file()}

    def cards(self) -> list[dict[str, object]]:
        """All runs, newest first, as a page lists them: what tells one from the other, and a thumbnail's address."""
        return [
            {
                "id": record.id,
                "created": record.created,
                "model": Path(record.model).name,
                "seed": record.seed,
                "objects": len(record.boxes),
                "objmc": record.objmc.get("controlled"),
                "thumbnail": _address(self._path(record.id) / "thumbnail.jpg", "jpeg"),
            }
            for record in self.records()
        ]

    def diagnosis(self, run_id: str) -> dict:
        """What went wrong in a run, as `Diagnosis.to_dict`, each finding with its picture's address as "picture".

        The address is empty where there is no picture. Empty for a run that was never judged.
        """
        kept, folder = self.record(run_id).diagnosis, self._path(run_id)
        found = [
            {**finding, "picture": _address(folder / f"finding-{index}.png", "png")}
            for index, finding in enumerate(kept.get("findings", ()))
        ]
        return {**kept, "findings": found} if kept else {}

    def reopen(self, run_id: str) -> tuple[PIL.Image.Image, Trajectories, Settings, RunRecord]:
        """The picture, the trajectories on it, and the settings; InputError where something is damaged or gone."""
        record, folder = self.record(run_id), self._path(run_id)
        picture = read_image(folder / "picture.png")
        file = folder / "trajectories.json"
        trajectories = load_trajectories(file, picture.size) if file.is_file() else Trajectories(picture.size)
        return picture, trajectories, Settings(**renamed_settings(record.settings)), record

    def delete(self, run_id: str) -> None:
        """Remove a run's folder; InputError if it is none of this gallery's."""
        self.record(run_id)
        shutil.rmtree(self._path(run_id), ignore_errors=True)

    def _path(self, run_id: str) -> Path:
        if not run_id or Path(run_id).name != run_id or run_id in (".", ".."):
            raise InputError(f"{run_id!r} is no run's name: expected one such as '20250131-120000-000-ab12'")
        return self.folder / run_id


def finite(values: list[float]) -> list[float | None]:
    """The numbers, None for what JSON cannot say: a loss that has left all bounds."""
    return [value if math.isfinite(value) else None for value in values]


def _address(picture: Path, kind: str) -> str:
    """A picture's file as an address that a page can show; empty if there is none."""
    if not picture.is_file():
        return ""
    return f"data:image/{kind};base64," + base64.b64encode(picture.read_bytes()).decode("ascii")
