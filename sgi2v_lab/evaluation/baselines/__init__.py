"""Other ways to move things without training, to compare with: one method a file, all behind one call.

    for name in BASELINES:
        run = generate_with(name, model, picture, trajectories, seed=1)

Every method gets the same picture, boxes, settings and noise, and returns a `Run`. Each file says which paper it
follows, what it takes from it, what it changes for image-to-video, and what it leaves out. None is the authors' code:
figures obtained with these are figures of the adaptations, on the model at hand.
"""

from sgi2v_lab.evaluation.baselines.registry import BASELINES, Baseline, generate_with

__all__ = ["BASELINES", "Baseline", "generate_with"]
