"""Widgets for notebooks: draw trajectories, look inside the method, run it. They call the stages and own no method.

Each is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "trajectory_editor": ["TrajectoryEditor"],
        "feature_explorer": ["FeatureExplorer"],
        "loss_explorer": ["LossExplorer"],
        "frequency_explorer": ["FrequencyExplorer"],
        "atlas_explorer": ["AtlasExplorer"],
        "studio": ["Studio"],
    },
)
