"""Experiments: from a grid of settings and a data set to tasks and their results."""
