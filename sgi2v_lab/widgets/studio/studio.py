"""The Studio: picture, boxes, settings, model, a button, the video, and a gallery of earlier runs.

    >>> studio = Studio("toy")
    >>> studio  # draw, press Generate
    >>> studio.run.video, studio.settings, studio.trajectories

It is a `TrajectoryEditor` with more around it and owns no method: generating is `pipeline.generate_steps`, in a thread
of its own, so that the kernel stays free. All state is in traits, so a reloaded page shows it again, a run under way
included.
"""

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import traitlets

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.diagnosis import Diagnosis
from sgi2v_lab.images.read import Picture
from sgi2v_lab.images.resize import FITS
from sgi2v_lab.models.load import MODELS, devices, load_model
from sgi2v_lab.models.model import Model
from sgi2v_lab.pipeline import Run
from sgi2v_lab.settings import CONTROL_FIELDS, Settings
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.widgets.bundle import script, style
from sgi2v_lab.widgets.studio.fields import groups, usable_presets
from sgi2v_lab.widgets.studio.job import Background, Job, Progress, diagnosed, plain_sentence
from sgi2v_lab.widgets.studio.pictures import SAMPLES, drawn_scene, sample_picture
from sgi2v_lab.widgets.studio.runs import Gallery, finite
from sgi2v_lab.widgets.threads import TURN
from sgi2v_lab.widgets.trajectory_editor import TrajectoryEditor

__all__ = ["Studio"]


class Studio(Background, TrajectoryEditor):
    """Draw, set, generate, look, compare; everything that `TrajectoryEditor` has, and more.

    Attributes:
        model: the loaded `Model`.
        diagnosis: what went wrong in the last run, or None.
        gallery: the `Gallery` of all runs kept.
    """

    _esm = script("studio.js")
    _css = style("common.css", "trajectory_editor.css", "studio.css", "diagnosis.css")

    settings = traitlets.Instance(Settings)  # of the next run
    run = traitlets.Instance(Run, allow_none=True)  # the last one with control
    uncontrolled = traitlets.Instance(Run, allow_none=True)  # the last one without control
    seed = traitlets.Int(817, min=0, max=2**53 - 1).tag(sync=True)  # of the next run
    compare = traitlets.Bool(True).tag(sync=True)  # whether the next run also makes the video without control

    _values = traitlets.Dict().tag(sync=True)  # the settings, as JSON has them
    _defaults = traitlets.Dict().tag(sync=True)  # the model's
    _refused = traitlets.Dict().tag(sync=True)  # setting -> why its last value was not taken
    _groups = traitlets.List().tag(sync=True)  # of controls
    _presets = traitlets.List().tag(sync=True)  # names of those that the model can use
    _preset = traitlets.Unicode("").tag(sync=True)  # the one that the settings are; empty: none of them
    _loaded = traitlets.Dict().tag(sync=True)  # name, device and device's name of the model in use
    _offered = traitlets.Dict().tag(sync=True)  # models, devices, fits, sample pictures
    _losses = traitlets.List().tag(sync=True)  # [step, [loss, ...]] of the run under way, or of the last one
    _runs = traitlets.List().tag(sync=True)  # the gallery, newest first
    _shown = traitlets.Unicode("").tag(sync=True)  # id of the run that is looked at; at first the one just made
    _beside = traitlets.Unicode("").tag(sync=True)  # id of the one that it is compared with

    def __init__(
        self,
        model: Model | str = "toy",
        image: Picture | None = None,
        trajectories: Trajectories | None = None,
        *,
        device: str | None = None,
        folder: str | os.PathLike = "studio-runs",
        **traits: Any,
    ) -> None:
        """Open a Studio.

        Args:
            model: from `load_model`, or what it takes: "toy", "svd", "svd-xt", a folder, a hub id.
            image: to begin with, as in `TrajectoryEditor`; None draws a scene of the toy's world.
            trajectories: to begin with, in pixels of `image`.
            device: as in `load_model`, where the model is given by its name.
            folder: where runs are kept; made when the first one is.
            **traits: attributes of this class or of `TrajectoryEditor`, by name.

        Raises:
            InputError: the model cannot be loaded, or the picture or the trajectories cannot be used.
        """
        self.diagnosis: Diagnosis | None = None
        self._plain: tuple[tuple, Run] | None = None  # what an uncontrolled run depends on, and that run
        self.gallery = Gallery(folder)
        loaded = load_model(model, device) if isinstance(model, str) else model
        own = traits.pop("settings", loaded.settings)
        offered = {"models": list(MODELS), "devices": devices(), "fits": list(FITS), "samples": list(SAMPLES)}
        super().__init__(None, None, model=loaded, settings=loaded.settings, _offered=offered, **traits)
        self._adopt(loaded, model if isinstance(model, str) else loaded.name)
        self.settings = own
        self.image = drawn_scene(None, loaded.settings) if image is None else image
        if trajectories is not None:
            self.trajectories = trajectories
        self._forget()
        self._list()

    # --- model and settings ------------------------------------------------------------------------------------------

    def _adopt(self, model: Model, name: str) -> None:
        self.model, self._chosen = model, name
        with self.hold_sync():
            self._loaded = {"name": name, "device": model.device.type}
            self._defaults = model.settings.model_dump(mode="json")
            self._groups = groups(model.layers)
            self._ready = usable_presets(model)
            self._presets = list(self._ready)
            self.factor = model.vae_factor
            self.settings = model.settings
            self._follow()

    @traitlets.observe("settings")
    def _follow(self, _change: Any = None) -> None:
        if not hasattr(self, "_ready"):  # while the widget is being made
            return
        own = self.settings
        with self.hold_sync():
            self._values, self._refused = own.model_dump(mode="json"), {}
            self.num_frames, self.width, self.height = self.model.num_frames(own), own.width, own.height
            self.motion_bucket_id, self.fps = own.motion_bucket_id, own.fps
            self._preset = next((name for name, preset in self._ready.items() if preset == own), "")

    def change(self, **values: Any) -> None:
        """Change settings by name; InputError, and nothing changed, for a value that cannot be."""
        new = self.settings.replace(**values)
        self.model.latent_shape(new)
        self.model.check_layers(new.layers)
        self.settings = new

    def use_preset(self, name: str) -> None:
        """Take the settings of a preset: "own", "fast", "paper" or "best"; InputError for one that cannot be had."""
        if name not in self._ready:
            raise InputError(f"{self.model.name} has no preset {name!r}; choose one of {', '.join(self._ready)}")
        self.settings = self._ready[name]

    def choose_model(self, name: str, device: str | None = None) -> None:
        """Load another model, in the background; its settings replace those chosen. What fails is shown in place."""
        if not name:
            raise InputError("no folder is named; give a checkpoint's folder or a hub id such as owner/name")
        self._begin("loading", lambda: self._adopt(load_model(name, device), name))

    # --- generating --------------------------------------------------------------------------------------------------

    def generate(self) -> None:
        """Begin a run in the background, with what is drawn and set. `wait()` waits for it, `cancel()` stops it.

        Raises:
            InputError: there is no picture, a box cannot be used, or something is under way already.
        """
        self._check_idle()
        if self.image is None:
            raise InputError("there is no picture: expected one, so open one, or draw a scene")
        if len(self.trajectories):
            self.trajectories.validate(self.num_frames)
        key = self._uncontrolled_key()
        known = self._plain[1] if self._plain and self._plain[0] == key else True
        job = Job(
            self.model,
            self.image,
            self.trajectories,
            self.settings,
            self.seed,
            self.fit,
            uncontrolled=known if self.compare or not len(self.trajectories) else False,
            tell=self._tell,
        )
        chosen = self._chosen
        self._losses = []
        self._begin("generating", lambda: self._finish(job, key, chosen), job)

    def _finish(self, job: Job, key: tuple, chosen: str) -> None:
        controlled, uncontrolled = job.run()
        if uncontrolled is not None:
            self._plain = key, uncontrolled
        self.run, self.uncontrolled = controlled, uncontrolled  # before it is written, which may fail
        self._job = {**self._job, "state": "saving", "fraction": 1.0, "seconds_left": None}
        self.diagnosis = diagnosed(job, controlled, uncontrolled)
        how = {"model": chosen, "fit": job.fit, "diagnosis": self.diagnosis}
        record = self.gallery.add(controlled, uncontrolled, job.image, job.trajectories, **how)
        with self.hold_sync():
            self._list()
            self._beside, self._shown = "", record.id

    def _tell(self, progress: Progress) -> None:
        with TURN:  # it may be cancelled just now
            if self._job["state"] == "generating":
                self._job = {"state": "generating", **asdict(replace(progress, losses={}))}
        if progress.losses and len(progress.losses) != len(self._losses):
            self._losses = [[step, finite(losses)] for step, losses in sorted(progress.losses.items())]

    def _uncontrolled_key(self) -> tuple:
        """What the video without control depends on."""
        values = {k: v for k, v in self.settings.as_dict().items() if k not in CONTROL_FIELDS}
        return id(self.model), self.image.tobytes(), self.image.size, self.fit, self.seed, tuple(values.items())

    # --- the gallery -------------------------------------------------------------------------------------------------

    def _list(self) -> None:
        self._runs = self.gallery.cards()

    def reopen(self, run_id: str) -> None:
        """Bring back the picture, boxes, settings and seed of a run; the model must be the one in use, or like it.

        Raises:
            InputError: there is no such run, or this model cannot have its settings.
        """
        picture, trajectories, settings, record = self.gallery.reopen(run_id)
        try:
            self.model.latent_shape(settings)
            self.model.check_layers(settings.layers)
        except InputError as error:
            raise InputError(f"{error}; the run was made with {record.model!r}, so choose that model first") from error
        with self.hold_sync():
            self.trajectories = Trajectories(tuple(self._size))
            self.image = picture
            self.trajectories, self.settings = trajectories, settings
            self.seed, self.fit = record.seed, record.fit
            self._losses = [[int(step), losses] for step, losses in record.losses.items()]

    def delete(self, run_id: str) -> None:
        """Remove a run from the gallery and from disk; InputError if there is none of that name."""
        self.gallery.delete(run_id)
        with self.hold_sync():
            self._shown = "" if self._shown == run_id else self._shown
            self._beside = "" if self._beside == run_id else self._beside
            self._list()

    # --- messages from the browser -----------------------------------------------------------------------------------

    def _answer(self, widget: object, message: dict, buffers: list) -> None:
        try:
            match message:
                case {"kind": "setting", "name": name, "value": value}:
                    try:
                        self.change(**{name: value})
                    except InputError as error:
                        self._refused = {**self._refused, name: plain_sentence(error)}
                case {"kind": "preset", "name": name}:
                    self.use_preset(name)
                case {"kind": "generate"}:
                    self.generate()
                case {"kind": "cancel"}:
                    self.cancel()
                case {"kind": "model", "name": name, "device": device}:
                    self.choose_model(name, device)
                case {"kind": "sample", "name": name}:
                    self._new_picture(sample_picture(name, self.settings))
                case {"kind": "scene", "prompt": prompt}:
                    self._new_picture(drawn_scene(prompt, self.settings))
                case {"kind": "fetch", "id": run_id}:
                    self._send_run(run_id)
                case {"kind": "reopen", "id": run_id}:
                    self.reopen(run_id)
                case {"kind": "delete", "id": run_id}:
                    self.delete(run_id)
                case _:
                    super()._answer(widget, message, buffers)
                    return
            if message["kind"] in ("sample", "scene", "reopen", "delete", "preset"):
                self.error = ""
        except InputError as error:
            self.error = plain_sentence(error)

    def _new_picture(self, picture: Picture) -> None:
        """Another picture, on which nothing is drawn: its things are elsewhere. One undo brings the boxes back."""
        past = [*self._past, *([self.trajectories] if len(self.trajectories) else [])]
        with self.hold_sync():
            self.trajectories = Trajectories(tuple(self._size))
            self.image = picture
            self._past, self._undoable = past, len(past)

    def _send_run(self, run_id: str) -> None:
        record, videos = self.gallery.record(run_id), self.gallery.videos(run_id)
        more = {"last_loss": record.last_loss, "diagnosis": self.gallery.diagnosis(run_id)}
        about = {**record.model_dump(), **more, "model": Path(record.model).name}
        self.send({"kind": "run", "id": run_id, "record": about, "videos": list(videos)}, list(videos.values()))
