"""The benchmark's targets: what control should reach with the toy, and at what cost in quality."""

from dataclasses import dataclass

from sgi2v_lab.evaluation.metrics.intervals import Interval
from sgi2v_lab.evaluation.report.sets import set_figures
from sgi2v_lab.evaluation.report.statistics import mean, ratio_to_plain
from sgi2v_lab.evaluation.report.study import Study
from sgi2v_lab.evaluation.report.wording import between, plain_number
from sgi2v_lab.evaluation.scenes.scenes import SCORED

__all__ = ["CONTROL_TARGETS", "Target", "targets"]

CONTROL_TARGETS = {"single": 0.364, "two": 0.5, "pinned": 0.5, "pan": 0.5, "photo": 0.7}  # 0.364 is the paper's ratio
FRECHET_TARGET, PSNR_TARGET = 1.15, 24.0  # a ratio, dB


@dataclass(frozen=True)
class Target:
    """A figure, and the value that it must not exceed or not fall below."""

    name: str
    target: float
    at_most: bool  # else at least
    found: Interval | None  # None where it was not measured

    @property
    def met(self) -> bool | None:
        """Whether the measured value meets it; None where there is none."""
        if self.found is None:
            return None
        return self.found.value <= self.target if self.at_most else self.found.value >= self.target

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """Name, target, measured value, interval, and whether it is met, as text."""
        limit, digits = f"{'≤' if self.at_most else '≥'} {self.target:g}", 3 if self.at_most else 1
        if self.found is None:
            return self.name, limit, "—", "", "not measured"
        value, met = plain_number(self.found.value, digits), "yes" if self.met else "no"
        return self.name, limit, value, between(self.found, digits), met


def targets(study: Study) -> list[Target]:
    """The targets of SG-I2V on the benchmark; none for other data, or where SG-I2V or no control was not made."""
    ours = study.reference
    arm = study.arms.get(ours)
    asks = any(question.ask for question in study.plan.questions)
    if asks or study.plan.data != "benchmark" or arm is None or arm.method != "sgi2v" or arm.plain not in study.arms:
        return []
    ratios = {name: ratio_to_plain(study, ours, name) for name in CONTROL_TARGETS}
    found = [Target(f"ObjMC ratio: {name}", CONTROL_TARGETS[name], True, ratio) for name, ratio in ratios.items()]
    scored = study.part([ours, arm.plain], SCORED)
    sets = set_figures(scored).get("toy_frechet")
    found.append(Target("Toy Frechet ratio", FRECHET_TARGET, True, sets.ratios.get(ours) if sets else None))
    return [*found, Target("First-frame PSNR, dB", PSNR_TARGET, False, mean(scored, ours, "first_frame_psnr"))]
