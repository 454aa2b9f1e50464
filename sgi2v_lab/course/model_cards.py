"""A model's card, shown in a notebook."""

from pathlib import Path

from IPython.display import Markdown

from sgi2v_lab.models.load import MODELS

__all__ = ["model_card"]


def model_card(name: str) -> Markdown:
    """The README of a model's folder, its headings two levels lower so that they fit into a chapter."""
    card = (Path(MODELS[name]) / "README.md").read_text(encoding="utf-8")
    return Markdown("\n".join(f"##{line}" if line.startswith("#") else line for line in card.splitlines()))
