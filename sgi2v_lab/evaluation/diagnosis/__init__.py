"""What went wrong in a run, with evidence and advice.

`diagnose` takes a run, `diagnose_folder` a saved one, and `judge` any video with what is known of it. Each check is a
function of a `JudgedVideo` in one of the `checks_` modules, and yields `Finding`s.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "finding": ["Finding"],
        "judged": ["JudgedVideo"],
        "checks": ["Diagnosis", "diagnose", "judge"],
        "saved": ["diagnose_folder"],
    },
)
