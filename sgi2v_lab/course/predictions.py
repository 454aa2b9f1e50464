"""What a reader expects, written down before a cell runs, and set beside what came out."""

from dataclasses import dataclass
from html import escape
from types import EllipsisType

__all__ = ["Outcome", "Prediction", "predict"]


@dataclass(frozen=True)
class Outcome:
    """What was expected and what came out; a notebook shows it as a small table."""

    question: str
    expected: str
    happened: str

    def __repr__(self) -> str:
        return f"{self.question}\n    you expected:   {self.expected}\n    what came out:  {self.happened}"

    def _repr_html_(self) -> str:
        left = 'style="text-align:left"'
        rows = (("you expected", self.expected), ("what came out", self.happened))
        told = "".join(f"<tr><th {left}>{name}</th><td {left}>{escape(text)}</td></tr>" for name, text in rows)
        return f'<table><tr><td {left} colspan="2"><em>{escape(self.question)}</em></td></tr>{told}</table>'


@dataclass(frozen=True)
class Prediction:
    """An answer to a question about what a cell will show, given before it runs."""

    question: str
    expected: object = ...

    def beside(self, *happened: object) -> Outcome:
        """Set the prediction beside what came out, in words or numbers; numbers are shown with three digits."""
        expected = "(no prediction was typed)" if self.expected is ... else _words(self.expected)
        return Outcome(self.question, expected, " ".join(map(_words, happened)).replace(" ;", ";"))


def predict(question: str, expected: str | float | list | tuple | EllipsisType = ...) -> Prediction:
    """Keep an expected answer, such as 3 to "In which frame?"; three dots in its place are no answer yet."""
    return Prediction(question, expected)


def _words(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
