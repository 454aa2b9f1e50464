"""What a chapter of the course says of its own pictures and numbers, as claims that its run can refute."""

import json
import operator
import os
import warnings
from pathlib import Path

from torch import Tensor

from sgi2v_lab.errors import InputError

__all__ = ["RELATIONS", "Claims"]

RELATIONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}


class Claims:
    """Call it with a sentence and the number that proves it: claim("The loss falls.", "last / first", 0.4, "<", 1).

    Args:
        strict: a claim that does not hold raises an AssertionError; otherwise it warns, since the sentences are about
            one model and were checked with a few seeds.

    Where SGI2V_CLAIMS names a file, every claim is appended to it as a line of JSON, and none raises.
    """

    def __init__(self, strict: bool = True):
        self.strict = strict

    def __call__(
        self, sentence: str, quantity: str, value: float | Tensor, relation: str, bound: float | Tensor
    ) -> None:
        """Claim that `value relation bound`; relations are those of `RELATIONS`. InputError for another one."""
        if relation not in RELATIONS:
            raise InputError(f"unknown relation {relation!r}: expected one of {', '.join(RELATIONS)}")
        value, bound = float(value), float(bound)
        holds = bool(RELATIONS[relation](value, bound))
        if path := os.environ.get("SGI2V_CLAIMS"):
            line = {"sentence": sentence, "quantity": quantity, "value": value, "relation": relation, "bound": bound}
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line | {"holds": holds}) + "\n")
        elif not holds:
            told = f"{sentence!r} does not hold: {quantity} is {value:.4g}, expected {relation} {bound:.4g}"
            if self.strict:
                raise AssertionError(told)
            warnings.warn(f"with this model and seed, {told}", stacklevel=2)
