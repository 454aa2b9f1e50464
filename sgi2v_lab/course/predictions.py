"""What a reader expects, written down before a cell runs, and set beside what came out."""

from dataclasses import dataclass
from html import escape
from types import EllipsisType

from IPython.display import HTML

__all__ = ["Prediction", "predict"]


@dataclass(frozen=True)
class Prediction:
    """An answer to a question about what a cell will show, given before it runs."""

    question: str
    expected: str | float | list | tuple | EllipsisType = ...

    def beside(self, *happened: object) -> HTML:
        """The prediction beside what came out, in words or numbers, as a small table; numbers have three digits."""
        expected = "(no prediction was typed)" if self.expected is ... else _words(self.expected)
        rows = {"you expected": expected, "what came out": " ".join(map(_words, happened)).replace(" ;", ";")}
        left = 'style="text-align:left"'
        told = "".join(f"<tr><th {left}>{name}</th><td {left}>{escape(text)}</td></tr>" for name, text in rows.items())
        return HTML(f'<table><tr><td {left} colspan="2"><em>{escape(self.question)}</em></td></tr>{told}</table>')


def predict(question: str, expected: str | float | list | tuple | EllipsisType = ...) -> Prediction:
    """Keep an expected answer, such as 3 to "In which frame?"; three dots in its place are no answer yet."""
    return Prediction(question, expected)


def _words(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
