"""Changes of a widget in turn, whichever thread they come from.

JupyterLab handles the browser's messages in a thread of their own ("subshell"), so they are heard while a cell runs.
The Studio works in a third thread. Traits are not made for that: two changes at the same time would leave a widget
whose halves do not match.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anywidget

__all__ = ["TURN", "OneAtATime"]

TURN = threading.RLock()  # one for all widgets: those that are linked would wait for each other's for ever


class OneAtATime(anywidget.AnyWidget):
    """A widget whose assignments and messages, with all that observes them, wait for those of other threads."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, or a trait with all that follows from it."""
        with TURN:
            super().__setattr__(name, value)

    @contextmanager
    def hold_sync(self) -> Iterator[None]:
        """Send what changes in this block to the browser at once, at its end; other threads' changes wait."""
        with TURN, super().hold_sync():
            yield

    def _handle_msg(self, msg: dict) -> None:
        with TURN:
            super()._handle_msg(msg)
