"""The benchmark's targets: what control should reach with the toy, and at what cost in quality."""

from dataclasses import dataclass

from sgi2v_lab.evaluation.metrics.intervals import Interval
from sgi2v_lab.evaluation.report.sets import set_figures
from sgi2v_lab.evaluation.report.statistics import mean, ratio_to_plain
from sgi2v_lab.evaluation.report.study import Study
from sgi2v_lab.evaluation.report.wording import between, plain_number

__all__ = ["CATEGORY_LABELS", "CONTROL_TARGETS", "Target", "incomplete", "scored", "targets"]

SCORED = ("single", "two", "pinned", "pan")  # hard scenes and photographs are reported apart
CONTROL_TARGETS = {"single": 0.364, "two": 0.5, "pinned": 0.5, "pan": 0.5, "photo": 0.7}  # 0.364 is the paper's ratio
FRECHET_TARGET, PSNR_TARGET = 1.15, 24.0  # a ratio, dB
LEAST_SCENES, LEAST_PHOTOGRAPHS = 64, 10
CATEGORY_LABELS = {
    "single": "one object",
    "two": "two objects",
    "pinned": "one moves, one is pinned",
    "pan": "camera pan",
    "hard": "hard scenes (no target)",
    "photo": "photographs",
}


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
        limit = f"{'≤' if self.at_most else '≥'} {self.target:g}"
        if self.found is None:
            return self.name, limit, "—", "", "not measured"
        digits = 3 if self.at_most else 1
        value = plain_number(self.found.value, digits)
        return self.name, limit, value, between(self.found, digits), "yes" if self.met else "no"


def targets(study: Study) -> list[Target]:
    """The targets of SG-I2V on the benchmark; none for other data, or where SG-I2V or no control was not made."""
    ours = study.plan.reference
    arm = study.arms.get(ours)
    if study.plan.data != "benchmark" or arm is None or arm.method != "sgi2v" or arm.plain not in study.arms:
        return []
    part = scored(study, ours)
    sets = set_figures(part).get("toy_frechet")
    return [
        *(
            Target(
                f"ObjMC with control / without: {CATEGORY_LABELS[name]}", limit, True, ratio_to_plain(study, ours, name)
            )
            for name, limit in CONTROL_TARGETS.items()
        ),
        Target("Toy Fréchet with control / without", FRECHET_TARGET, True, sets.ratios.get(ours) if sets else None),
        Target("First-frame PSNR with control, dB", PSNR_TARGET, False, mean(part, ours, "first_frame_psnr")),
    ]


def scored(study: Study, arm: str) -> Study:
    """The part of the benchmark whose quality is scored: an arm and its no control on the drawn scenes."""
    return study.part([arm, study.arms[arm].plain or arm], SCORED)


def incomplete(study: Study) -> str | None:
    """Why the targets do not count yet; None where they do."""
    rows = study.of(study.plan.reference)
    scenes = len({row.task.sample for row in rows if row.task.category in SCORED})
    photographs = len({row.task.sample for row in rows if row.task.category == "photo"})
    if scenes < LEAST_SCENES or photographs < LEAST_PHOTOGRAPHS:
        return (
            f"There are {scenes} scenes and {photographs} photographs, and the targets ask for at least {LEAST_SCENES} "
            f"and {LEAST_PHOTOGRAPHS}"
        )
    return "Some videos failed or are missing" if study.unfinished or study.failed else None
