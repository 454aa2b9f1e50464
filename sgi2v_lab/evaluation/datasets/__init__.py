"""Data sets for evaluation: pictures, what is asked of them, and what truly happened, all read in one way.

`open_dataset` opens one by name, `dataset_card` says where to get it. Nothing is ever downloaded.

* `benchmark`, `examples`, `vipseg`, `davis`, `kinetics`, `ava`, `videos`: one data set each;
* `sample`: what they have in common; `clips`: reading videos; `objects`: boxes from masks; `moving`: from a tracker;
* `layout`: folders and lists.
"""

from sgi2v_lab.evaluation.datasets.registry import DATASETS, dataset_card, open_dataset
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample

__all__ = ["DATASETS", "Dataset", "Sample", "dataset_card", "open_dataset"]
