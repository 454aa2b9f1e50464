"""One exception for everything a user can put right."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["InputError", "needs"]


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
