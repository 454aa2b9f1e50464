"""How a report writes numbers: with sensible digits, units and intervals."""

import re
from collections.abc import Sequence

from sgi2v_lab.evaluation.metrics.intervals import Interval
from sgi2v_lab.evaluation.report.study import MEASURES

__all__ = ["between", "count", "listed", "number", "p_value", "plain_number", "within"]


def plain_number(value: float, digits: int, signed: bool = False) -> str:
    """A number with a true minus sign; one that rounds to zero has none."""
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def number(value: float, measure: str) -> str:
    """A value of a measure with its unit."""
    known = MEASURES[measure]
    return f"{plain_number(value, known.digits)} {known.unit}".strip()


def between(interval: Interval, digits: int, signed: bool = False) -> str:
    """The ends of an interval; empty where there is none, as for one sample."""
    if interval.low is None or interval.high is None:
        return ""
    return f"{plain_number(interval.low, digits, signed)} to {plain_number(interval.high, digits, signed)}"


def p_value(p: float) -> str:
    """A p value with two digits; below 0.0001, only that it is."""
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def count(number: int, noun: str) -> str:
    """1 sample, 2 samples."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def within(measure: str) -> str:
    """A measure's title within a sentence: abbreviations keep their capitals."""
    title = MEASURES[measure].title
    return title[0].lower() + title[1:] if re.split("[ -]", title)[0][1:].islower() else title
