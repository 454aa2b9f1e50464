"""Other ways to move things without training, to compare with: one method a file.

    for name in METHODS:
        run = generate(model, picture, trajectories, method=name, seed=1)

A method is a function of the task and its own options that returns a `Sampler`; it is given the same picture, boxes,
settings and noise as every other. Each file says which paper it follows, what it takes from it, what it changes for
image-to-video, and what it leaves out. None is the authors' code: figures obtained with these are figures of the
adaptations, on the model at hand.
"""

from sgi2v_lab.baselines.registry import METHODS, Method, method_of

__all__ = ["METHODS", "Method", "method_of"]
