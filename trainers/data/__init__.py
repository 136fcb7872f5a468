"""Loading, batching and augmentation of image data sets.

`load(config)` loads the data set that a configuration names. `sources` reads files, `pipeline` makes batches,
`augmentation` changes the images of a training batch, and `composition` makes examples of several images.
"""

from .loading import describe_skipped, load
from .pipeline.dataset import AnySplit, Dataset
from .pipeline.encoded import corrupt_image_as_user_error
from .pipeline.split import Split

__all__ = ["AnySplit", "Dataset", "Split", "corrupt_image_as_user_error", "describe_skipped", "load"]
