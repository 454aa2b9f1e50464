"""The Studio: a small application in a notebook, from a picture to a measured video."""

from sgi2v_lab.widgets.studio.studio import Studio

__all__ = ["Studio"]
