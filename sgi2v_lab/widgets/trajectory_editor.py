"""The trajectory editor: draw boxes and paths on a picture, in the notebook.

    >>> editor = TrajectoryEditor("cat.jpg", model=model)
    >>> editor  # draw
    >>> generate(model, editor.image, editor.trajectories)

The editor holds no method. It shows what `Trajectories` says, gives back what was drawn as the trajectory JSON, and
asks the package for camera moves, remarks and files. All state is in traits, so a reloaded page shows it again.
"""

import json
import os
from dataclasses import asdict, replace
from typing import Any

import PIL.Image
import traitlets

from sgi2v_lab.errors import InputError
from sgi2v_lab.files import as_path
from sgi2v_lab.images.read import Picture, read_image
from sgi2v_lab.images.resize import FITS, Fit
from sgi2v_lab.images.segmentation import object_box
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.trajectories.camera import CAMERA_MOVES, COLOUR, with_camera
from sgi2v_lab.trajectories.files import save_trajectories
from sgi2v_lab.trajectories.geometry import EASINGS
from sgi2v_lab.trajectories.json_format import from_json, to_json
from sgi2v_lab.trajectories.trajectory import Trajectory
from sgi2v_lab.video import PALETTE
from sgi2v_lab.widgets.bundle import script, style
from sgi2v_lab.widgets.exchange import Uploads, from_upload, holds_trajectories, load_onto, to_download
from sgi2v_lab.widgets.pictures import encoded
from sgi2v_lab.widgets.remarks import Remark, remarks_on
from sgi2v_lab.widgets.threads import TURN, OneAtATime

__all__ = ["TrajectoryEditor"]

EMPTY = (1, 1)  # the picture's size while there is none
LONGEST_HISTORY = 200  # steps that can be undone


class TrajectoryEditor(OneAtATime):
    """Draw boxes, paths and key boxes on a picture; `trajectories` is always what is drawn, and can be set.

    Every trait can be observed, as in `editor.observe(f, "trajectories")`.
    """

    _esm = script("trajectory_editor.js")
    _css = style("common.css", "trajectory_editor.css")

    trajectories = traitlets.Instance(Trajectories)  # in pixels of `image`
    remarks = traitlets.List(traitlets.Instance(Remark)).tag(  # on the trajectories, see `widgets.remarks`
        sync=True, to_json=lambda remarks, _: [asdict(remark) for remark in remarks]
    )
    num_frames = traitlets.Int(14, min=2, max=1000).tag(sync=True)  # of the video
    width = traitlets.Int(1024, min=16).tag(sync=True)  # of the video in pixels, as the model makes it
    height = traitlets.Int(576, min=16).tag(sync=True)
    factor = traitlets.Int(8, min=1).tag(sync=True)  # pixels per latent cell
    motion_bucket_id = traitlets.Int(127, min=0, max=255).tag(sync=True)  # amount of motion that the model is asked for
    fps = traitlets.Int(7, min=1, max=240).tag(sync=True)  # at which boxes are played, and that the model is told
    fit = traitlets.Enum(FITS, "stretch").tag(sync=True)  # how `generate` will fit the picture
    selected = traitlets.Int(-1, min=-1).tag(sync=True)  # index of the selected trajectory, or -1
    frame = traitlets.Int(0, min=0).tag(sync=True)  # the one shown

    _picture = traitlets.Bytes(b"").tag(sync=True)  # encoded, as shown
    _size = traitlets.Tuple(default_value=EMPTY).tag(sync=True)  # (width, height) of `image` in pixels
    _document = traitlets.Dict().tag(sync=True)  # what is drawn, as in the trajectory JSON
    _problem = traitlets.Unicode("").tag(sync=True)  # why it could not be read; `trajectories` is then the last good
    _undoable = traitlets.Int(0).tag(sync=True)
    _redoable = traitlets.Int(0).tag(sync=True)
    _choices = traitlets.Dict().tag(sync=True)  # what the menus offer

    def __init__(
        self,
        image: Picture | None = None,
        trajectories: Trajectories | None = None,
        *,
        model: Any = None,
        **traits,
    ) -> None:
        """Open an editor.

        Args:
            image: anything that `read_image` takes; None leaves the picture to be opened in the browser.
            trajectories: to begin with, in pixels of `image`.
            model: from `load_model`, or its name. Number of frames, size, latent factor, motion bucket and fps are the
                model's; without one, SVD's.
            **traits: any attribute by name; it counts before the model's.

        Raises:
            InputError: if the picture cannot be read, the trajectories belong to one of another size, or there is no
                such attribute.
        """
        if unknown := set(traits).difference(self.trait_names()):
            raise InputError(f"{type(self).__name__} has no attribute {min(unknown)!r}: check its spelling")
        traits = (_traits_of(model) if model is not None else {}) | traits
        self._image: PIL.Image.Image | None = None
        self._past: list[Trajectories] = []
        self._future: list[Trajectories] = []
        self._uploads = Uploads()
        self._reading = self._travelling = False  # a change that comes from the browser, or from undo and redo
        choices = {"easings": list(EASINGS), "palette": list(PALETTE), "camera": list(CAMERA_MOVES)}
        choices["camera_colour"] = COLOUR
        selected = traits.pop("selected", -1)
        super().__init__(trajectories=Trajectories(EMPTY), _choices=choices, **traits)
        self.on_msg(self._answer)
        if image is not None:
            self.image = image
        if trajectories is not None:
            self.trajectories = trajectories
        self.selected = selected
        self._forget()

    # --- the picture -------------------------------------------------------------------------------------------------

    @property
    def image(self) -> PIL.Image.Image | None:
        """The picture, 8-bit RGB in its own pixels, or None. A new one takes the trajectories over, stretched."""
        return self._image

    @image.setter
    def image(self, picture: Picture) -> None:
        """Set it from anything that the constructor takes; InputError if it cannot be read."""
        image = read_image(picture)
        with self.hold_sync():
            self._image = image
            self._picture, self._size = encoded(image), image.size
            self.trajectories = self._on_picture(self.trajectories)

    def _on_picture(self, trajectories: Trajectories) -> Trajectories:
        if trajectories.image_size == tuple(self._size):
            return trajectories
        if not len(trajectories):
            return Trajectories(tuple(self._size))
        return trajectories.fitted(Fit.plan(trajectories.image_size, tuple(self._size)))

    # --- trajectories, in and out ------------------------------------------------------------------------------------

    @traitlets.validate("trajectories")
    def _of_this_picture(self, proposal: dict) -> Trajectories:
        given = proposal["value"]
        if given.image_size != tuple(self._size):
            raise InputError(
                f"the trajectories belong to a picture of size {given.image_size} but this one has "
                f"{tuple(self._size)}: expected the same, so carry them over with fitted()"
            )
        return given

    @traitlets.observe("trajectories")
    def _show(self, change: dict) -> None:
        if not self._travelling and isinstance(change["old"], Trajectories):
            self._past = [*self._past, change["old"]][-LONGEST_HISTORY:]
            self._future = []
        with self.hold_sync():
            self._problem = ""
            self._undoable, self._redoable = len(self._past), len(self._future)
            if not self._reading:  # what the browser sent is what it shows
                self._document = json.loads(to_json(self.trajectories))
            self.selected = min(self.selected, len(self.trajectories) - 1)
            self._judge()

    @traitlets.observe("_document")
    def _hear(self, change: dict) -> None:
        if change["new"] == json.loads(to_json(self.trajectories)):
            self._problem = ""
            return
        self._reading = True
        try:
            self.trajectories = from_json(json.dumps(change["new"]))
        except InputError as error:
            self._problem = str(error)
        finally:
            self._reading = False

    @traitlets.observe("num_frames", "width", "height", "factor", "motion_bucket_id", "fps", "fit")
    def _judge(self, change: dict | None = None) -> None:
        self.remarks = self._remarks_on(self.trajectories)
        self.frame = min(self.frame, self.num_frames - 1)

    def _remarks_on(self, trajectories: Trajectories) -> list[Remark]:
        given = {name: getattr(self, name) for name in ("num_frames", "factor", "motion_bucket_id", "fps", "fit")}
        return remarks_on(trajectories, size=(self.width, self.height), **given)

    # --- what the buttons do, for Python too -------------------------------------------------------------------------

    def undo(self) -> None:
        """Take the last change back, whether it was drawn or set from Python."""
        self._travel(self._past, self._future)

    def redo(self) -> None:
        """Make a change again that was taken back."""
        self._travel(self._future, self._past)

    def _travel(self, back: list[Trajectories], forth: list[Trajectories]) -> None:
        with TURN:
            if self._problem or not back:  # what could not be read was never a step: the last good one shows again
                self._document, self._problem = json.loads(to_json(self.trajectories)), ""
                return
            forth.append(self.trajectories)
            self._travelling = True
            try:
                self.trajectories = self._on_picture(back.pop())
            finally:
                self._travelling = False
            self._undoable, self._redoable = len(self._past), len(self._future)

    def _forget(self) -> None:
        self._past, self._future = [], []
        self._undoable = self._redoable = 0

    def add_camera(self, move: str, amount: float | int = 0.2) -> None:
        """Replace the camera's boxes, if any; objects stay. Arguments and errors are those of `with_camera`."""
        self.trajectories = with_camera(self.trajectories, move, amount)

    def key_every_frame(self, index: int) -> None:
        """Turn trajectory `index` into one key box per frame, each of which can be changed by itself."""
        if not 0 <= index < len(self.trajectories):
            raise InputError(f"there is no trajectory {index}: expected 0 to {len(self.trajectories) - 1}")
        old = self.trajectories[index]
        keyed = Trajectory.from_boxes(old.resampled().boxes(self.num_frames), resample=True)
        keyed = replace(keyed, name=old.name, colour=old.colour)
        rest = self.trajectories.trajectories
        self.trajectories = replace(self.trajectories, trajectories=(*rest[:index], keyed, *rest[index + 1 :]))

    def load(self, path: str | os.PathLike) -> None:
        """Read trajectories from a file of any format.

        Those made on a picture of another size are stretched; point tracks get boxes as large as the selected one.

        Raises:
            InputError: if there is no picture yet, or as `load_onto` does.
        """
        if self._image is None:
            raise InputError("there is no picture yet: expected one to load trajectories onto, so set editor.image")
        self.trajectories = load_onto(as_path(path), self.trajectories, self.selected)

    def save(self, path: str | os.PathLike) -> None:
        """Write the trajectories to a .json or .npy file; InputError as `save_trajectories`."""
        save_trajectories(path, self.trajectories, self.num_frames)

    # --- messages from the browser -----------------------------------------------------------------------------------

    def _answer(self, _widget: object, message: dict, buffers: list) -> None:
        """Do what a button asks; what is wrong with it is said in place, not raised."""
        try:
            match message:
                case {"kind": "undo"}:
                    self.undo()
                case {"kind": "redo"}:
                    self.redo()
                case {"kind": "camera", "move": move, "amount": amount}:
                    self.add_camera(move, amount)
                case {"kind": "keys", "index": index}:
                    self.key_every_frame(index)
                case {"kind": "open", "name": name}:
                    content = self._uploads.add(message, bytes(buffers[0]))
                    if content is not None:
                        self._open(name, content)
                        self.send({"kind": "opened"})
                case {"kind": "object", "at": [x, y], "asked": asked}:
                    self.send({"kind": "object", "asked": asked, "box": object_box(self.image, (x, y))})
                case {"kind": "save", "suffix": suffix}:
                    file_name, content = to_download(self.trajectories, suffix, self.num_frames)
                    self.send({"kind": "file", "name": file_name}, [content])
                case {"kind": "check", "document": document}:
                    found = self._remarks_on(from_json(json.dumps(document)))
                    self.send({"kind": "remarks", "remarks": [asdict(remark) for remark in found]})
        except Exception as error:  # whichever: nobody else would hear of it, and the browser waits for an answer
            text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            self.send({"kind": "problem", "to": message.get("kind"), "text": text})

    def _open(self, name: str, content: bytes) -> None:
        if not holds_trajectories(name, content):
            self.image = content
        elif self._image is None:
            raise InputError(f"there is no picture for {name} yet: expected one, so open the picture first")
        else:
            self.trajectories = from_upload(name, content, self.trajectories, self.selected)


def _traits_of(model: Any) -> dict[str, int]:  # a Model: importing it would load all of diffusers to draw a box
    if isinstance(model, str | os.PathLike):
        from sgi2v_lab.models.load import load_model

        model = load_model(os.fspath(model))
    own = model.settings
    return {
        "num_frames": model.num_frames(own),
        "width": own.width,
        "height": own.height,
        "factor": model.vae_factor,
        "motion_bucket_id": own.motion_bucket_id,
        "fps": own.fps,
    }
