"""Measuring what a video does: trackers, metrics, and the trackers' own accuracy on known motion."""
