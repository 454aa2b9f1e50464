"""One exception for everything a user can put right."""

import operator
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["InputError", "needs", "whole_number"]


class InputError(ValueError):
    """Bad input. The message is one sentence: the value, what was expected, what to do. The command exits with 2."""


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """For an import of what only an extra of the package brings.

        with needs("evaluation"):
            import cv2

    Raises:
        InputError: it is not installed; the sentence names the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is not installed, which this needs; install it by: pip install 'sgi2v_lab[{extra}]'"
        ) from error


def whole_number(value: object, what: str, low: int, high: int | None = None) -> int:
    """A whole number of any library as Python's; InputError, naming `what`, for anything else or out of range."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < low or (high is not None and number > high):
        limits = f"at least {low}" if high is None else f"from {low} to {high}"
        raise InputError(f"{what} is {value!r:.80}: expected a whole number, {limits}") from None
    return number
