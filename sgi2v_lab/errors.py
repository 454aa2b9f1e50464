"""One exception for everything a user can put right."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Bad input. The message is one sentence: the value, what was expected, what to do. The command exits with 2."""
