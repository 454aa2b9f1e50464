"""A model's card, shown in a notebook."""

import re
from pathlib import Path

from IPython.display import Markdown

from sgi2v_lab.models.load import MODELS

__all__ = ["model_card"]


def model_card(name: str) -> Markdown:
    """The README of a model's folder without links to files, its headings two levels lower, to fit into a chapter."""
    card = (Path(MODELS[name]) / "README.md").read_text(encoding="utf-8")
    card = re.sub(r"\[([^]]*)\]\((?!https)[^)]*\)", r"\1", card)
    return Markdown("\n".join(f"##{line}" if line.startswith("#") else line for line in card.splitlines()))
