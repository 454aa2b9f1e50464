"""Data sets for evaluation, all read in the same way: pictures, boxes to follow, and the true video where there is one.

`open_dataset` opens a data set by name, and `dataset_card` says where to get it and how its folder should look. Nothing
is ever downloaded.
"""

from sgi2v_lab.evaluation.datasets.registry import DATASETS, dataset_card, open_dataset
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample

__all__ = ["DATASETS", "Dataset", "Sample", "dataset_card", "open_dataset"]
