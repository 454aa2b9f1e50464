"""Experiments: tasks, and what is concluded from many of them."""
