"""Data sets for evaluation: pictures, what is asked of them, and what truly happened, all read in one way.

`open_dataset` opens one by name, `describe` counts what it holds, `dataset_card` says where to get it. Nothing is ever
downloaded. How a data set's own things become a sample is said in its module:

* `toy_benchmark`, `examples`, `vipseg`, `davis`, `kinetics`, `ava`, `videos`: one data set each;
* `sample`: what they have in common; `clips`, `masks`: reading; `following`: boxes from a point tracker;
* `screening`: which objects are left out, and why.
"""

from sgi2v_lab.evaluation.datasets.registry import DATASETS, dataset_card, describe, open_dataset
from sgi2v_lab.evaluation.datasets.sample import Dataset, Sample, usable

__all__ = ["DATASETS", "Dataset", "Sample", "dataset_card", "describe", "open_dataset", "usable"]
