"""The settings that the chapters run: the paper's recipe, in as few steps as a reader waits for."""

from sgi2v_lab.models.model import Model
from sgi2v_lab.settings import Settings

__all__ = ["in_fewer_steps", "paper_recipe"]


def in_fewer_steps(settings: Settings, count: int | None) -> Settings:
    """Control over the same stretch of the run, in `count` steps; None leaves the settings as they are."""
    if not count:
        return settings
    scaled = [max(1, round(step * count / settings.num_inference_steps)) for step in settings.control_steps]
    return settings.replace(num_inference_steps=count, control_steps=scaled)


def paper_recipe(model: Model, num_inference_steps: int | None = None, learning_rate: float = 0.04) -> Settings:
    """The paper's recipe: AdamW, five iterations at each control step, cut-off 0.5, and no early stop.

    Args:
        model: where its own settings have another optimiser, as the toy's have, it gets AdamW at `learning_rate`.
        num_inference_steps: fewer steps than the recipe's, with control over the same stretch; None takes the recipe's.
        learning_rate: one that suits such a model; models whose settings have AdamW keep their own.
    """
    settings = model.preset("paper").replace(early_stop=None)
    if settings.optimizer != "adamw":
        settings = settings.replace(optimizer="adamw", learning_rate=learning_rate, iterations=5)
    return in_fewer_steps(settings, num_inference_steps)
