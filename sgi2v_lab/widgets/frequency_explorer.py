"""FrequencyExplorer: which frequencies of the optimised latents are kept, and what becomes of the picture."""

from pathlib import Path
from typing import Any

import traitlets

from sgi2v_lab.errors import InputError
from sgi2v_lab.explore import (
    Filtered,
    decode_frame,
    filter_latents,
    inspect_run,
    latent_stride,
    place_norms,
    steps_with_latents,
)
from sgi2v_lab.frequency import butterworth_mask
from sgi2v_lab.models.model import Model
from sgi2v_lab.pca import fit_pca
from sgi2v_lab.pipeline import Run
from sgi2v_lab.sampling import predict_clean_latents
from sgi2v_lab.shapes import Latents
from sgi2v_lab.widgets.bundle import script, style
from sgi2v_lab.widgets.explorer import Explorer, checked_choice, colour_stops, coloured, png, strip

__all__ = ["FrequencyExplorer"]

STAGES = ("before", "optimized", "mixed")


class FrequencyExplorer(Explorer):
    """The low-pass with a cut-off to move: its mask, the latents' spectra, the latents, and a decoded frame.

    Noisy latents decode to noise. The model's guess of the clean latents is decoded instead: one pass of the denoiser,
    with the run's own guidance.

    Args:
        run: from `generate`, with trajectories and `trace=["latents"]`.
        model: the one that made the run.
        cutoff: to begin with, 0..1; by default the run's.
        order: of the Butterworth filter; by default the run's.

    Raises:
        InputError: a run without its latents, or of another model; a trait's value that is out of range.
    """

    _esm = script("frequency_explorer.js")
    _css = style("common.css", "explorer.css", "frequency_explorer.css")

    steps = traitlets.List(help="control steps: index and sigma").tag(sync=True)
    bar = traitlets.List(colour_stops("magma"), help="colours of the change").tag(sync=True)

    step = traitlets.Int(0, help="control step shown").tag(sync=True)
    frame = traitlets.Int(0, help="frame shown").tag(sync=True)
    cutoff = traitlets.Float(0.5, help="cut-off r of the low-pass, 0..1").tag(sync=True)
    order = traitlets.Int(4, help="order of the Butterworth filter, 1..16").tag(sync=True)

    mask_png = traitlets.Bytes(help="low-pass on the centred frequency grid").tag(sync=True)
    grid = traitlets.List(help="width and height of the latents").tag(sync=True)
    radii = traitlets.List(help="radii of the spectra's rings; 1 is the Nyquist frequency").tag(sync=True)
    spectra = traitlets.Dict(help="mean power by ring of before, optimized, mixed, change and kept").tag(sync=True)
    response = traitlets.List(help="weight L of the low-pass at `response_radii`").tag(sync=True)
    response_radii = traitlets.List().tag(sync=True)
    kept = traitlets.Float(0.0, help="share of the change's energy that the filter keeps").tag(sync=True)
    before_png = traitlets.Bytes(help="latents as colours, all frames side by side").tag(sync=True)
    optimized_png = traitlets.Bytes().tag(sync=True)
    mixed_png = traitlets.Bytes().tag(sync=True)
    change_png = traitlets.Bytes(help="length of the optimiser's change, all frames side by side").tag(sync=True)
    kept_png = traitlets.Bytes(help="length of the part of the change that the filter keeps").tag(sync=True)
    change_top = traitlets.Float(0.0, help="length at the end of the colour bar").tag(sync=True)
    decoded_before_png = traitlets.Bytes(help="the frame, decoded").tag(sync=True)
    decoded_optimized_png = traitlets.Bytes().tag(sync=True)
    decoded_mixed_png = traitlets.Bytes().tag(sync=True)

    def __init__(self, run: Run, model: Model, *, cutoff: float | int | None = None, order: int | None = None) -> None:
        self._stages = {k: (each.before, each.optimized) for k, each in steps_with_latents(run).items()}
        self._inspection = inspect_run(model, run)
        telling = [k for k in self._stages if k in run.working_steps]
        frames, _, h, w = run.latents.shape
        super().__init__(
            about={
                "model": Path(model.name).name,
                "frames": frames,
                "stride": latent_stride(run.video, run.latents),
                "width": w * model.vae_factor,
                "height": h * model.vae_factor,
            },
            steps=[{"index": k, "sigma": run.sigmas[k]} for k in self._stages],
            grid=[w, h],
            step=telling[len(telling) // 2],
            frame=frames // 2,
            cutoff=run.settings.cutoff if cutoff is None else float(cutoff),
            order=run.settings.butterworth_order if order is None else order,
        )
        self._show()

    @traitlets.validate("step", "frame", "cutoff", "order")
    def _choice(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        if name == "cutoff":
            if not 0 <= value <= 1:
                raise InputError(f"cutoff is {value}, but must lie between 0 and 1")
            return value
        frames = self.about.get("frames", 0)
        choices = {"step": list(self._stages), "frame": list(range(frames)), "order": list(range(1, 17))}[name]
        return checked_choice(value, name, choices) if choices else value

    @property
    def filtered(self) -> Filtered:
        """Mask, latents and spectra at the step, cut-off and order shown."""
        return filter_latents(*self._stages[self.step], self.cutoff, self.order)

    @traitlets.observe("step", "cutoff", "order")
    def _show(self, _change: Any = None) -> None:
        if not self._ready:
            return
        with self._working("filtering"), self.hold_sync():
            found = self.filtered
            latents = found.latents
            self.mask_png = png(found.mask.expand(3, -1, -1))
            self.radii = found.radii.tolist()
            self.spectra = {name: power.tolist() for name, power in found.spectra.items()}
            # the mask's middle row on a grid fine enough for a smooth curve
            response = butterworth_mask(1, 256, self.cutoff, self.order)[0, 128:]
            self.response, self.response_radii = response.tolist(), [i / 128 for i in range(128)]
            basis = self._once(("basis", self.step), lambda: fit_pca(latents["before"], latents["optimized"]))
            for name in STAGES:
                setattr(self, f"{name}_png", strip(basis.rgb(latents[name])))
            changes = {name: place_norms(latents[name] - latents["before"]) for name in ("optimized", "mixed")}
            self.change_top = changes["optimized"].max().item()
            self.change_png = strip(coloured(changes["optimized"], 0, self.change_top, "magma"))
            self.kept_png = strip(coloured(changes["mixed"], 0, self.change_top, "magma"))
            moved, left = (changes[name].square().sum().item() for name in ("optimized", "mixed"))
            self.kept = left / moved if moved else 0.0
            self.shown = {"step": self.step, "cutoff": self.cutoff, "order": self.order}
        if not self.error:
            self._decode()

    @traitlets.observe("frame")
    def _decode(self, _change: Any = None) -> None:
        if not self._ready:
            return
        with self._working("guessing the clean latents and decoding a frame"):
            latents = self.filtered.latents
            for name in STAGES:
                setattr(self, f"decoded_{name}_png", self._decoded(name, latents[name]))

    def _decoded(self, name: str, latents: Latents) -> bytes:
        state = (self.step, name, *((self.cutoff, self.order) if name == "mixed" else ()))

        def clean() -> Latents:
            seen = self._inspection
            noisy = latents.to(seen.model.device)
            return predict_clean_latents(seen.model, seen.conditioning, noisy, seen.settings, self.step)

        def picture() -> bytes:
            # a frame alone, where that can be: quick, and the same for all three
            return png(decode_frame(self._inspection.model, self._once(("clean", *state), clean), self.frame))

        return self._once(("decoded", *state, self.frame), picture)
