"""Point trackers, and how far they err where the motion is known."""
