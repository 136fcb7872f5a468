"""Loader for smallNORB, stereo pairs of images of toys, with splits that test novel viewpoints.

The splits are those of Hinton et al. 2018, "Matrix capsules with EM routing", section 5: trained on a third of the
azimuths or elevations of the training toys, and tested on all other viewpoints of the test toys.
"""

from dataclasses import dataclass

import numpy as np

from ....config.schema import Config
from ....runs.errors import UserError
from ...pipeline.dataset import SourceDataset
from ...pipeline.split import Split, checked_split
from .loader import prepared_builder
from .split_reader import TfdsSplitReader

IMAGES, LABEL = ("image", "image2"), "label_category"  # of the left and the right camera
_BATCH = 512


@dataclass(frozen=True)
class Viewpoints:
    """Train/test split of smallNORB by camera azimuth or elevation.

    Attributes:
        feature: name of the feature that tells the viewpoint.
        training: its values in training; the test has all others.
        share: their share of all images.
    """

    feature: str
    training: tuple[int, ...]
    share: float


# Data set -> viewpoints; None trains and tests on all.
SPLITS: dict[str, Viewpoints | None] = {
    "smallnorb": None,
    # The value counts steps of 20 degrees: 300, 320, 340, 0, 20 and 40 degrees.
    "smallnorb_azimuth": Viewpoints("label_azimuth", (15, 16, 17, 0, 1, 2), 6 / 18),
    # The value counts steps of 5 degrees from 30: 30, 35 and 40 degrees above the horizon.
    "smallnorb_elevation": Viewpoints("label_elevation", (0, 1, 2), 3 / 9),
}


def load_smallnorb(config: Config, size: tuple[int, int] | None) -> SourceDataset:
    """Load the data set smallNORB, with the two images of each stereo pair as two channels.

    Args:
        config: the run's `Config`, of which dataset and data_dir are used.
        size: not used, since all images have one size.

    Raises:
        UserError: the data set is not prepared or damaged, or has no images of some viewpoints.
    """
    builder = prepared_builder(config)
    viewpoints = SPLITS[config.dataset]
    reader = _StereoReader(builder, viewpoints.feature if viewpoints else None)
    training = test = None
    if viewpoints is not None:
        training = viewpoints.training
        test = tuple(set(range(builder.info.features[viewpoints.feature].num_classes)) - set(training))
    return SourceDataset(
        class_names=tuple(builder.info.features[LABEL].names),
        train=reader.read_viewpoints("train", training),
        test=reader.read_viewpoints("test", test),
        mirrors=False,  # a mirrored pair would need its two images exchanged
        source=f"a copy prepared by TensorFlow Datasets, {builder.data_dir}",
    )


class _StereoReader(TfdsSplitReader):
    """Reader for the stereo pairs and labels of smallNORB.

    Args:
        builder: of the prepared data set.
        feature: name of the feature that tells the viewpoint, or None to read all viewpoints.
    """

    def __init__(self, builder, feature: str | None):
        super().__init__(builder, image_key=IMAGES[0], label_key=LABEL, size=None, cache_gib=np.inf)
        self.feature = feature
        self.keys = (*IMAGES, LABEL, *([feature] if feature else []))

    def read_viewpoints(self, split: str, viewpoints: tuple[int, ...] | None) -> Split:
        """Load into memory the smallNORB stereo image pairs that were taken from the given viewpoints.

        Args:
            split: "train" or "test".
            viewpoints: values of the feature; None for all.

        Raises:
            UserError: its files are damaged, or it has no image of these viewpoints.
        """
        info = self.builder.info.splits[split]
        images = np.empty((info.num_examples, *self.shape[:2], len(IMAGES)), np.uint8)
        labels = np.empty(info.num_examples, np.int64)
        count = read = 0
        with self.damage_as_user_error(split):
            for batch in self.examples(split, None).batch(_BATCH).as_numpy_iterator():
                read += len(batch[LABEL])
                if read > info.num_examples:
                    break
                is_read = np.isin(batch[self.feature], viewpoints) if viewpoints else np.full(len(batch[LABEL]), True)
                end = count + int(is_read.sum())
                images[count:end] = np.concatenate([batch[key] for key in IMAGES], axis=-1)[is_read]
                labels[count:end] = batch[LABEL][is_read]
                count = end
        self.check_count(read, info)
        if not count:
            raise UserError(
                f"--dataset={self.name}: its {split} split has no image whose {self.feature} is one of {viewpoints}. "
                f"Prepare the data set again, or use --dataset={self.name}, which has all viewpoints."
            )
        return checked_split(f"{self.name} ({split})", images[:count].copy(), labels[:count], self.classes)
