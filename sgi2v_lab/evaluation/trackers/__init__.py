"""Point trackers, and their errors where the motion is known."""
