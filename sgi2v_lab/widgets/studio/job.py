"""Work in the background: generating with progress per call of the denoiser, stopped within one iteration.

`Job` is one press of the Studio's button, and knows nothing of widgets; `Background` runs work in a thread and says how
it goes in traits.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import PIL.Image
import torch
import traitlets

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.diagnosis import Diagnosis, diagnose
from sgi2v_lab.evaluation.diagnosis.finding import Unjudged
from sgi2v_lab.models.model import Model
from sgi2v_lab.pipeline import Run, generate_steps
from sgi2v_lab.settings import Settings
from sgi2v_lab.trajectories.boxes import Trajectories
from sgi2v_lab.widgets.threads import TURN

__all__ = ["IDLE", "Background", "Job", "Progress", "Stopped", "diagnosed", "plain_sentence"]

FORWARD, BACKWARD = 1.0, 2.0  # a backward pass costs about two forward ones
IDLE = {"state": "idle", "stage": "", "step": 0, "steps": 0, "fraction": 0.0, "seconds_left": None}


class Stopped(Exception):
    """Somebody asked the job to stop."""


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    stage: str  # "controlled" or "uncontrolled"
    step: int  # denoising steps done of this stage
    steps: int
    fraction: float  # of the whole job's work, 0..1
    seconds_left: float | None  # None until there is something to judge by
    losses: dict[int, list[float]] = field(default_factory=dict)  # control step -> loss before each iteration


@dataclass
class Job:
    """One press of the button: a video with control, if there are trajectories, and one without, if asked for."""

    model: Model
    image: PIL.Image.Image
    trajectories: Trajectories  # in pixels of the image; none: only without control
    settings: Settings
    seed: int = 817  # of both videos
    fit: str = "stretch"  # as in `generate`
    uncontrolled: bool | Run = True  # whether to make the video without control too; or a `Run` that is still good
    tell: Callable[[Progress], object] = lambda _: None  # is called from the thread that runs the job
    _stop: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Let `run` raise `Stopped` before the denoiser is called again. From any thread."""
        self._stop.set()

    def run(self) -> tuple[Run | None, Run | None]:
        """Do it: the run with control and the one without, None for what was not asked for.

        Raises:
            InputError: as `generate`.
            Stopped: after `stop`.
        """
        controlled = bool(len(self.trajectories))
        given = self.uncontrolled if isinstance(self.uncontrolled, Run) else None
        plain = given is None and (self.uncontrolled is True or not controlled)
        self._total = controlled * self._work(True) + plain * self._work(False)
        self._done, self._start = 0.0, time.perf_counter()
        with_control = self._generate("controlled", self.trajectories) if controlled else None
        return with_control, self._generate("uncontrolled", None) if plain else given

    def _work(self, controlled: bool) -> float:
        """What a video costs, in forward passes of one branch."""
        steps = range(self.settings.num_inference_steps)
        branches = sum(1 + self.settings.has_guidance(step) for step in steps)
        iterations = controlled * self.settings.iterations * sum(map(self.settings.is_control_step, steps))
        return branches * FORWARD + iterations * (FORWARD + BACKWARD)

    def _generate(self, stage: str, trajectories: Trajectories | None) -> Run:
        losses: dict[int, list[float]] = {}
        done = 0

        def report() -> None:
            gone = time.perf_counter() - self._start
            fraction = min(1.0, self._done / self._total)
            left = gone * (1 - fraction) / fraction if fraction > 0.02 else None
            self.tell(Progress(stage, done, self.settings.num_inference_steps, fraction, left, dict(losses)))

        def count(cost: float) -> None:
            report()
            self._done += cost

        report()
        steps = generate_steps(self.model, self.image, trajectories, self.settings, seed=self.seed, fit=self.fit)
        with self._watched(count):
            while True:
                try:
                    step = next(steps)
                except StopIteration as end:
                    return end.value
                done = step.index + 1
                if step.losses:
                    losses[step.index] = step.losses
                report()

    @contextmanager
    def _watched(self, count: Callable[[float], None]) -> Iterator[None]:
        """Count this thread's calls of the denoiser, each of which is a chance to stop: one iteration makes one."""
        mine = threading.get_ident()

        def look(_: Any, given: tuple) -> None:
            if threading.get_ident() != mine:  # somebody else uses the model at the same time
                return
            if self._stop.is_set():
                raise Stopped
            count(FORWARD + BACKWARD if torch.is_grad_enabled() else FORWARD * len(given[0]))

        hook = self.model.denoiser.register_forward_pre_hook(look)
        try:
            yield
        finally:
            hook.remove()


def diagnosed(job: Job, controlled: Run | None, uncontrolled: Run | None) -> Diagnosis:
    """Judge what a job made: the video with control beside the one without; or that one, if it is alone."""
    try:
        if controlled is None:
            return diagnose(uncontrolled, model=job.model)
        return diagnose(controlled, uncontrolled, trajectories=job.trajectories, model=job.model)
    except InputError as error:  # a video is worth keeping even where it cannot be judged
        return Diagnosis((), (Unjudged("all", str(error)),))


class Background(traitlets.HasTraits):
    """Something that does one thing at a time, in a thread of its own, and says in traits how it goes."""

    error = traitlets.Unicode("").tag(sync=True)  # what went wrong, in a sentence; empty if nothing
    _job = traitlets.Dict(IDLE).tag(sync=True)  # "state" and the fields of `Progress`

    failure: Exception | None = None  # behind the error
    _thread: threading.Thread | None = None
    _current: Job | None = None

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self._job["state"] in ("loading", "generating", "cancelling", "saving")

    def cancel(self) -> None:
        """Stop the run under way before its next iteration; nothing of it is kept."""
        with TURN:  # so that a run which ends just now is not said to be stopping for ever
            if self._current is not None:
                self._job = {**self._job, "state": "cancelling"}
                self._current.stop()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until nothing is under way, or for so many seconds."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _check_idle(self) -> None:
        if self.busy:
            raise InputError("something is under way already; wait for it, or cancel it")

    def _begin(self, state: str, work: Callable[[], object], job: Job | None = None) -> None:
        self._check_idle()
        self.error, self.failure, self._current = "", None, job
        self._job = {**IDLE, "state": state}
        self._thread = threading.Thread(target=self._guarded, args=(work,), daemon=True, name="sgi2v-studio")
        self._thread.start()

    def _guarded(self, work: Callable[[], object]) -> None:
        """In the thread, which has nobody else to tell what goes wrong."""
        state = "failed"
        try:
            work()
            state = "done"
        except Stopped:
            state = "cancelled"
        except Exception as error:
            self.error, self.failure = plain_sentence(error), error
        finally:
            with TURN:
                self._current = None
                self._job = {**self._job, "state": state, "seconds_left": None}


def plain_sentence(error: BaseException) -> str:
    """What went wrong, for somebody who will not read a traceback."""
    if isinstance(error, InputError):
        text = str(error)
    elif isinstance(error, torch.OutOfMemoryError | MemoryError):
        text = "there is not enough memory for this: decode fewer frames at a time, or make a smaller or shorter video"
    else:
        first = (str(error).splitlines() or [""])[0]
        text = f"something went wrong that should not have ({type(error).__name__}{': ' if first else ''}{first})"
    return text[:1].upper() + text[1:].rstrip(".") + "."
