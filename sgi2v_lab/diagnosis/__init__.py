"""What went wrong in a run, by what evidence, and what to try.

`diagnose` judges one video with what is known of it; `Run.diagnose` calls it for a run, `diagnose_folder` for what one
has left on disk. Each check is a function of a `Subject` in one of the `checks_` modules, and yields `Finding`s.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "finding": ["Finding"],
        "subject": ["Subject"],
        "diagnose": ["Diagnosis", "diagnose", "diagnose_run"],
        "saved": ["diagnose_folder"],
    },
)
