"""LossExplorer: how the trajectory loss falls, what it is made of, and where its gradient pulls."""

import math
from pathlib import Path
from typing import Any

import traitlets

from sgi2v_lab.explore import iterations_of, latent_stride, loss_shares, loss_weights, optimized_steps, place_norms
from sgi2v_lab.optimize import OptimizeStep
from sgi2v_lab.pipeline import Run
from sgi2v_lab.widgets.bundle import script, style
from sgi2v_lab.widgets.explorer import LARGEST, Explorer, checked_choice, colour_stops, coloured, drawn_boxes, strip

__all__ = ["LossExplorer"]


class LossExplorer(Explorer):
    """The loss over steps and iterations; for one of them, its terms by box and frame, and its gradient.

    Args:
        run: from `generate`, with trajectories, and with `trace=["optimization"]`.
        names: of the boxes; by default they are numbered.

    Raises:
        InputError: the run has no losses, or its trace says no more of them; a trait's value that is none of the
            choices.
    """

    _esm = script("loss_explorer.js")
    _css = style("common.css", "explorer.css", "loss_explorer.css")

    steps = traitlets.List(help="control steps: index, sigma, and the loss before each iteration").tag(sync=True)
    bar = traitlets.List(colour_stops("magma"), help="colours of the gradient's length").tag(sync=True)
    boxes = traitlets.List(help="boxes that were asked for, in pixels").tag(sync=True)
    names = traitlets.List(traitlets.Unicode(), help="names of the boxes").tag(sync=True)
    frames_png = traitlets.Bytes(help="frames of the video, side by side").tag(sync=True)

    step = traitlets.Int(help="control step shown").tag(sync=True)
    iteration = traitlets.Int(0, help="iteration of the optimiser at that step").tag(sync=True)
    measure = traitlets.Enum(["share", "mean"], "share", help="shares of the loss, or mean errors").tag(sync=True)
    strength = traitlets.Float(0.75, min=0, max=1, help="opacity of the gradient over the frames").tag(sync=True)

    shares = traitlets.List(help="[box][frame]: part of the loss; None where it does not count").tag(sync=True)
    means = traitlets.List(help="[box][frame]: mean squared error; None where it does not count").tag(sync=True)
    gradient_png = traitlets.Bytes(help="length of the gradient, all frames side by side").tag(sync=True)
    gradient_top = traitlets.Float(0.0, help="length at the end of the colour bar").tag(sync=True)
    gradient_parts = traitlets.List(help="each frame's share of the squared gradient").tag(sync=True)

    def __init__(self, run: Run, names: list[str] | None = None) -> None:
        steps, stride = optimized_steps(run), latent_stride(run.video, run.latents)
        iterations_of(run, steps[0])  # refuses a run that cannot be looked into
        self.run = run
        self._weights = loss_weights(run)
        super().__init__(
            about={
                "model": Path(run.model).name,
                "width": run.settings.width,
                "height": run.settings.height,
                "frames": len(run.latents),
                "stride": stride,
            },
            steps=[{"index": k, "sigma": run.sigmas[k], "losses": run.losses[k]} for k in steps],
            boxes=drawn_boxes(run.boxes[:, ::stride]),
            names=names or [f"box {i}" for i in range(len(run.boxes))],
            frames_png=strip(run.video[::stride], LARGEST),
            step=steps[0],
        )
        self._show()

    @traitlets.validate("step", "iteration")
    def _choice(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        if not self.steps:  # while the widget is being made
            return value
        losses = {each["index"]: each["losses"] for each in self.steps}
        choices = list(losses) if name == "step" else list(range(max(map(len, losses.values()))))
        return checked_choice(value, name, choices)

    @property
    def current(self) -> OptimizeStep:
        """The iteration looked at, with its gradient and latents."""
        return iterations_of(self.run, self.step)[self.iteration]

    @traitlets.observe("step", "iteration")
    def _show(self, _change: Any = None) -> None:
        if not self._ready:
            return
        with self._working("drawing"), self.hold_sync():
            current = self.current
            self.shares = _rows(loss_shares(current.mean_errors, self._weights))
            self.means = _rows(current.mean_errors)
            norms = place_norms(current.gradient)
            self.gradient_top = norms.max().item()
            self.gradient_png = strip(coloured(norms, 0, self.gradient_top, "magma"))
            total = norms.square().sum().clamp_min(1e-30)
            self.gradient_parts = (norms.square().sum(dim=(1, 2)) / total).tolist()
            self.shown = {"step": self.step, "iteration": self.iteration, "loss": current.loss}


def _rows(values: Any) -> list[list[float | None]]:
    """Nested lists for the browser, whose JSON has no NaN."""
    return [[None if math.isnan(value) else value for value in row] for row in values.tolist()]
