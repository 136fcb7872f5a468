"""Data sets, in memory and checked: `load(config)` is the way in."""

from .datasets import DATASETS, load
from .split import Dataset, Split

__all__ = ["DATASETS", "Dataset", "Split", "load"]
