"""FeatureExplorer: features by layer, step and kind as colours, and what they find similar to a point."""

from pathlib import Path
from typing import Any

import torch
import traitlets

from sgi2v_lab.errors import InputError
from sgi2v_lab.explore import (
    best_matches,
    feature_maps,
    inspect_latents,
    inspect_run,
    latent_stride,
    pca_colours,
)
from sgi2v_lab.models.model import Layer, Model
from sgi2v_lab.pca import similarity_maps
from sgi2v_lab.pipeline import Run
from sgi2v_lab.settings import FEATURE_KINDS, Settings
from sgi2v_lab.shapes import Features, Image, Latents
from sgi2v_lab.widgets.bundle import script, style
from sgi2v_lab.widgets.explorer import LARGEST, Explorer, checked_choice, colour_stops, coloured, drawn_boxes, strip

__all__ = ["FeatureExplorer"]


class FeatureExplorer(Explorer):
    """Two kinds of features side by side, as colours and as similarity to a point of the first frame.

    Every trait below can be set from Python, too, and shows what the browser shows.

    Args:
        model: from `load_model`.
        run: from `generate`, with `trace=["latents"]` to look at the run's own noisy latents; otherwise its clean
            latents are brought to each step's noise level.
        image: instead of a run: the first frame (3, height, width), 0..1 ...
        latents: ... and a video's clean latents (frames, channels, h, w).
        settings: of image and latents; by default the model's own.
        seed: of the noise added to them.

    Raises:
        InputError: neither a run nor image and latents; sizes that do not fit the model; a trait's value that is none
            of the choices.
    """

    _esm = script("feature_explorer.js")
    _css = style("common.css", "explorer.css", "feature_explorer.css")
    _remembered = 6  # the features of a layer are 165 MB in SVD's last block

    layers = traitlets.List(help="layers of the model, as [up block, transformer] or [block]").tag(sync=True)
    kinds = traitlets.List(list(FEATURE_KINDS), help="kinds of features; see `record_features`").tag(sync=True)
    sigmas = traitlets.List(help="noise level of every step").tag(sync=True)
    bar = traitlets.List(colour_stops("RdBu_r"), help="colours of similarities from -1 to 1").tag(sync=True)
    boxes = traitlets.List(help="boxes that were asked for, in pixels").tag(sync=True)
    first_png = traitlets.Bytes(help="first frame, as the model was given it").tag(sync=True)
    frames_png = traitlets.Bytes(help="frames of the video, side by side").tag(sync=True)

    layer = traitlets.List(traitlets.Int(), help="layer shown, as [up block, transformer] or [block]").tag(sync=True)
    step = traitlets.Int(help="denoising step shown").tag(sync=True)
    frame = traitlets.Int(0, help="frame shown large").tag(sync=True)
    left = traitlets.Unicode("self-attention", help="kind of features on the left").tag(sync=True)
    right = traitlets.Unicode("aligned", help="kind of features on the right").tag(sync=True)
    point = traitlets.List(traitlets.Float(), help="point (x, y) of the first frame, in pixels").tag(sync=True)
    strength = traitlets.Float(0.7, min=0, max=1, help="opacity of the similarity over the frames").tag(sync=True)

    left_png = traitlets.Bytes(help="features as colours, all frames side by side").tag(sync=True)
    right_png = traitlets.Bytes().tag(sync=True)
    left_similar_png = traitlets.Bytes(help="similarity to the point, as colours").tag(sync=True)
    right_similar_png = traitlets.Bytes().tag(sync=True)
    matches = traitlets.Dict(help="most similar place (x, y, similarity) by side and frame").tag(sync=True)

    def __init__(
        self,
        model: Model,
        run: Run | None = None,
        *,
        image: Image | None = None,
        latents: Latents | None = None,
        settings: Settings | None = None,
        seed: int = 817,
    ) -> None:
        if run is None and (image is None or latents is None):
            raise InputError("there is nothing to explore; give a run, or an image and its video's clean latents")
        if run is not None:
            self.inspection = inspect_run(model, run)
        else:
            self.inspection = inspect_latents(model, image, latents, settings, seed=seed)
        inspection, (width, height) = self.inspection, self.inspection.picture
        stride, boxes = latent_stride(inspection.video, inspection.latents[0]), inspection.boxes
        middle = (width / 2, height / 2)
        if inspection.boxes is not None and len(inspection.boxes):
            x0, y0, x1, y1 = inspection.boxes[0, 0].tolist()
            middle = (min(max((x0 + x1) / 2, 0), width - 1), min(max((y0 + y1) / 2, 0), height - 1))
        super().__init__(
            about={
                "model": Path(model.name).name,
                "width": width,
                "height": height,
                "frames": len(inspection.latents[0]),
                "stride": stride,
                "made_noisy": inspection.made_noisy,
            },
            layers=[_listed(layer) for layer in model.layers],
            kinds=list(model.feature_kinds),
            sigmas=list(inspection.sigmas),
            boxes=drawn_boxes(None if boxes is None else boxes[:, ::stride]),
            first_png=strip(inspection.image[None], 2 * LARGEST),
            frames_png=strip(inspection.video[::stride], LARGEST),
            layer=_listed(inspection.settings.layers[-1]),
            step=min(sum(inspection.settings.control_steps) // 2, len(inspection.sigmas) - 1),
            point=list(middle),
        )
        self._show_features()

    @traitlets.validate("layer", "left", "right", "step", "frame")
    def _choice(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        choices = {
            "layer": self.layers,
            "left": self.kinds,
            "right": self.kinds,
            "step": list(range(len(self.sigmas))),
            "frame": list(range(self.about.get("frames", 0))),
        }[name]
        return checked_choice(value, name, choices) if choices else value  # empty while the widget is being made

    @traitlets.validate("point")
    def _inside(self, proposal: Any) -> list[float]:
        if len(proposal["value"]) != 2:
            raise InputError(f"point is {proposal['value']}, but must be two numbers, x and y")
        # the far edge belongs to no cell
        limits = zip(proposal["value"], self.inspection.picture, strict=True)
        return [min(max(value, 0.0), size - 1e-3) for value, size in limits]

    @property
    def features(self) -> dict[str, Features]:
        """The features shown, by kind: (frames, channels, h', w')."""
        return {kind: self._maps(kind) for kind in (self.left, self.right)}

    def _maps(self, kind: str) -> Features:
        layer = tuple(self.layer) if len(self.layer) > 1 else self.layer[0]
        return self._once((layer, self.step, kind), lambda: feature_maps(self.inspection, self.step, layer, kind))

    @traitlets.observe("layer", "step", "left", "right")
    def _show_features(self, _change: Any = None) -> None:
        if not self._ready:
            return
        with self._working("running the denoiser"):
            maps = self.features
            colours = pca_colours(maps)
            h, w = maps[self.left].shape[-2:]
            with self.hold_sync():
                self.left_png, self.right_png = strip(colours[self.left]), strip(colours[self.right])
                channels = [maps[kind].shape[1] for kind in (self.left, self.right)]
                self.shown = {"step": self.step, "layer": self.layer, "grid": [w, h], "channels": channels}
                self._compare(maps)

    @traitlets.observe("point")
    def _show_similarity(self, _change: Any = None) -> None:
        if self._ready:
            with self._working("comparing with the point"), self.hold_sync():
                self._compare(self.features)

    def _compare(self, maps: dict[str, Features]) -> None:
        found, picture = {}, self.inspection.picture
        for side, kind in (("left", self.left), ("right", self.right)):
            similar = similarity_maps(maps[kind], point=tuple(self.point), picture_size=picture)
            setattr(self, f"{side}_similar_png", strip(coloured(similar, -1, 1, "RdBu_r")))
            best = similar.flatten(1).max(dim=1).values
            found[side] = torch.cat([best_matches(similar, picture), best[:, None]], dim=1).tolist()
        self.matches = found


def _listed(layer: Layer) -> list[int]:
    return [layer] if isinstance(layer, int) else list(layer)
