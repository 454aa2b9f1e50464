"""FeatureExplorer: features by layer, step and kind as colours, and what they find similar to a point."""

from typing import Any

import traitlets

from sgi2v_lab.errors import InputError
from sgi2v_lab.explore import feature_maps, inspect_latents, inspect_run, pca_colours
from sgi2v_lab.models.model import Layer, Model
from sgi2v_lab.pipeline import Run
from sgi2v_lab.settings import FEATURE_KINDS, Settings
from sgi2v_lab.shapes import Features, Image, Latents
from sgi2v_lab.widgets.bundle import script, style
from sgi2v_lab.widgets.explorer import PointExplorer, checked_choice, colour_stops, strip

__all__ = ["FeatureExplorer"]


class FeatureExplorer(PointExplorer):
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

    layers = traitlets.List(help="layers of the model, as [up block, transformer] or [block]").tag(sync=True)
    kinds = traitlets.List(list(FEATURE_KINDS), help="kinds of features; see `record_features`").tag(sync=True)
    sigmas = traitlets.List(help="noise level of every step").tag(sync=True)
    bar = traitlets.List(colour_stops("RdBu_r"), help="colours of similarities from -1 to 1").tag(sync=True)

    layer = traitlets.List(traitlets.Int(), help="layer shown, as [up block, transformer] or [block]").tag(sync=True)
    step = traitlets.Int(help="denoising step shown").tag(sync=True)
    left = traitlets.Unicode("self-attention", help="kind of features on the left").tag(sync=True)
    right = traitlets.Unicode("aligned", help="kind of features on the right").tag(sync=True)

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
            inspection = inspect_run(model, run)
        else:
            inspection = inspect_latents(model, image, latents, settings, seed=seed)
        super().__init__(
            inspection,
            inspection.boxes,
            start=None if inspection.boxes is None else inspection.boxes[0, 0],
            about={"made_noisy": inspection.made_noisy},
            layers=[_listed(layer) for layer in model.layers],
            kinds=list(model.feature_kinds),
            sigmas=list(inspection.sigmas),
            layer=_listed(inspection.settings.layers[-1]),
            step=min(sum(inspection.settings.control_steps) // 2, len(inspection.sigmas) - 1),
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
        found = {}
        self.left_similar_png, found["left"] = self._compared(maps[self.left])
        self.right_similar_png, found["right"] = self._compared(maps[self.right])
        self.matches = found


def _listed(layer: Layer) -> list[int]:
    return [layer] if isinstance(layer, int) else list(layer)
