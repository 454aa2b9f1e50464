"""What an evaluation compares: from a grid and the names of methods to arms."""

from collections.abc import Iterable, Mapping
from typing import Any

from sgi2v_lab.baselines import METHODS
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.grid import Claim, Grid
from sgi2v_lab.evaluation.experiments.plan import TRUTH, Arm, PlannedClaim, PlannedQuestion
from sgi2v_lab.models.model import Model
from sgi2v_lab.settings import CONTROL_FIELDS, Settings

__all__ = ["plan_arms", "reference_of"]

TRUE_VIDEO = Arm(label="True video", group="method", method=TRUTH)
NO_CONTROL = METHODS["none"].title


def plan_arms(
    grid: Grid, model: Model, own: Settings, methods: Iterable[str] | None
) -> tuple[list[Arm], list[PlannedQuestion]]:
    """The arms of all questions of a grid, equal ones once, and which question asks for which.

    A grid without a name stands for the methods alone: those named, or all. `own` are the model's settings in the
    grid's preset. InputError: an unknown method, settings that the model cannot use, or a claim about a setting that is
    not tried.
    """
    alone = not grid.name
    if methods is None and alone:
        methods = METHODS
    wanted = list(dict.fromkeys(methods or ()))
    if unknown := [name for name in wanted if name not in METHODS]:
        raise InputError(f"unknown method {unknown[0]!r}; choose some of {', '.join(METHODS)}")
    arms: dict[str, Arm] = {TRUE_VIDEO.label: TRUE_VIDEO}
    questions = []
    for question in grid.questions:
        names = list(dict.fromkeys([*wanted, *question.methods]))
        base, *others = grid.arms(question, own)
        rows = [_method(name, base) for name in names]
        if not alone:
            rows = [*(row for row in rows if row.method != "sgi2v"), base, *others]
        found = [arm for row in rows for arm in _with_plain(row, base, "none" in names)]
        for arm in found:
            try:
                model.check_layers(own.replace(**arm.changes).layers)
            except InputError as error:
                raise InputError(f"setting {arm.label!r} does not suit the model: {error}") from error
            arms.setdefault(arm.label, arm)
        by_settings = {(own.replace(**arm.changes), arm.method, arm.dtype): arm.label for arm in reversed(found)}
        labels = dict.fromkeys([TRUE_VIDEO.label, *(arm.label for arm in found)])
        claims = [_claim(claim, grid, own, by_settings) for claim in question.claim]
        about = question.model_dump(include={"ask", "note", "categories", "measures"})
        questions.append(PlannedQuestion(**about, arms=list(labels), claims=claims))
    return list(arms.values()), questions


def reference_of(arms: Iterable[Arm]) -> str:
    """The label that all others are compared with: the first of SG-I2V, or else of any method that controls."""
    methods = {arm.method: arm.label for arm in reversed(list(arms))}
    others = [label for method, label in methods.items() if method not in (TRUTH, "none")]
    return methods.get("sgi2v") or (others[-1] if others else methods["none"])


def _method(name: str, base: Arm) -> Arm:
    method = METHODS[name]
    return Arm(label=method.title, group="method", method=name, changes=base.changes, source=method.source)


def _with_plain(arm: Arm, base: Arm, wanted: bool) -> list[Arm]:
    """An arm that names its arm without control; before it, where its settings ask for one of its own, that one."""
    if not wanted or arm.method == "none":
        return [arm]
    shared = {name: value for name, value in arm.changes.items() if name not in CONTROL_FIELDS}
    if arm.dtype or any(base.changes.get(name, arm) != value for name, value in shared.items()):
        label = f"{NO_CONTROL}, {arm.label}"
        plain = [Arm(label=label, group="method", method="none", changes=shared, dtype=arm.dtype)]
        return [*plain, arm.model_copy(update={"plain": label})]
    return [arm.model_copy(update={"plain": NO_CONTROL})]


def _claim(claim: Claim, grid: Grid, own: Settings, labels: Mapping[tuple, str]) -> PlannedClaim:
    def side(given: dict[str, Any] | list[dict[str, Any]]) -> list[str]:
        found = []
        for row in given if isinstance(given, list) else [given]:
            settings = own.replace(**grid.changes(claim.text, row, own))
            label = labels.get((settings, row.get("method", "sgi2v"), row.get("dtype")))
            if label is None:
                raise InputError(f"{grid.name}, claim {claim.text!r}: no setting {row!r} is tried; add it to the grid")
            found.append(label)
        return found

    return PlannedClaim(text=claim.text, measure=claim.measure, better=side(claim.better), worse=side(claim.worse))
