"""Data sets for evaluation, all read in the same way: pictures, boxes to follow, and the true video where there is one.

`registry.open_dataset` opens one by its name. Nothing is ever downloaded.
"""
