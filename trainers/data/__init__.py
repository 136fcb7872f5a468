"""Data sets, checked: `load(config)` is the way in."""

from .datasets import DATASETS, describe_skipped, load
from .pipeline.encoded import naming_corrupt
from .pipeline.split import Dataset, Split

__all__ = ["DATASETS", "Dataset", "Split", "describe_skipped", "load", "naming_corrupt"]
