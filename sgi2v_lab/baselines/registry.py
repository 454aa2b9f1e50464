"""All methods by name, SG-I2V itself included."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real

from sgi2v_lab.baselines.copy_features import copy_features
from sgi2v_lab.baselines.copy_paste import copy_paste
from sgi2v_lab.baselines.drag import drag
from sgi2v_lab.baselines.freetraj import freetraj
from sgi2v_lab.baselines.time_to_move import time_to_move
from sgi2v_lab.errors import InputError
from sgi2v_lab.sampling import Sampler, Task, denoise

__all__ = ["METHODS", "Method", "method_of"]


@dataclass(frozen=True)
class Method:
    """A way to make things follow their boxes."""

    name: str
    title: str  # for figures and tables
    source: str  # whose method it is, and where it was published
    make: Callable[..., Sampler]  # of the task and the method's own options
    needs_boxes: bool = True

    @property
    def options(self) -> dict[str, object]:
        """The method's own hyperparameters and their defaults."""
        parameters = inspect.signature(self.make).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _sgi2v(task: Task) -> Sampler:
    return lambda model, given, noise, last: denoise(model, given, noise, task.settings, task.cells, resume_from=last)


def _uncontrolled(task: Task) -> Sampler:
    """The model alone: the lower bound that every figure is read against."""
    return lambda model, given, noise, last: denoise(model, given, noise, task.settings, resume_from=last)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "none", "No control", "the model alone; SVD: Blattmann et al. 2023, arXiv 2311.15127", _uncontrolled, False
        ),
        Method("copy_paste", "Copy and paste", "no model but its VAE; holes: Telea 2004, in OpenCV", copy_paste),
        Method(
            "copy_features", "Copied features", "Tumanyan et al., CVPR 2023, arXiv 2211.12572; adapted", copy_features
        ),
        Method("time_to_move", "Time-to-Move", "Singer et al., ICLR 2026, arXiv 2511.08633; adapted", time_to_move),
        Method("freetraj", "FreeTraj (noise)", "Qiu et al. 2024, arXiv 2406.16863; adapted", freetraj),
        Method("drag", "DragDiffusion per frame", "Shi et al., CVPR 2024, arXiv 2306.14435; adapted", drag),
        Method("sgi2v", "SG-I2V", "Namekata et al., ICLR 2025, arXiv 2411.04989", _sgi2v, False),
    )
}


def method_of(name: str, task: Task, options: dict[str, object]) -> Sampler:
    """The sampler of a method for a task; "sgi2v" without boxes is "none".

    Raises:
        InputError: an unknown method or option, an option out of range, or no boxes for a method that needs them.
    """
    if name not in METHODS:
        raise InputError(f"unknown method {name!r}: expected one of {', '.join(METHODS)}")
    method = METHODS[name]
    if unknown := sorted(set(options) - set(method.options)):
        raise InputError(f"{name} has no option {unknown[0]!r}; it has {', '.join(method.options) or 'none'}")
    for option, value in options.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, Real)):
            raise InputError(f"{option} is {value!r:.80}: expected a number")
    if method.needs_boxes and task.cells is None:
        raise InputError(f"there are no trajectories, and {name} needs at least one box to move; draw or load one")
    return method.make(task, **options)
