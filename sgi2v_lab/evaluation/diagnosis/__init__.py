"""What went wrong in a run, with evidence and advice.

`diagnose` takes a run, `diagnose_folder` a saved one, and `judge` any video with what is known of it. A check takes a
`JudgedVideo` and yields `Finding`s: `objects` checks each object, `picture` the rest of the video, `recipe` how it was
made.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "checks": ["Diagnosis", "diagnose", "judge"],
        "judged": ["JudgedVideo"],
        "saved": ["diagnose_folder"],
    },
)
