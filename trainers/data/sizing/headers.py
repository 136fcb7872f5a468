"""Reader for the width, height and colour type of image files, from the first bytes of each file."""

import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from PIL import Image
from PIL.ExifTags import Base

from ..sources.prepared.record_files import RecordFiles

_TURNED = (5, 6, 7, 8)  # values of EXIF's orientation that exchange height and width
_GREY_MODES = ("1", "L", "LA", "I", "F")  # Pillow's names


@dataclass(frozen=True)
class ImageHeader:
    """Size and pixel format of an image, read from the header of its file.

    Height and width are those of the upright image, as its EXIF orientation says.
    """

    height: int
    width: int
    is_grey: bool
    is_16_bit: bool = False


def headers_of_files(files: Iterable[str | io.BytesIO]) -> tuple[ImageHeader, ...]:
    """Read the headers of image files, and skip the files that cannot be read."""
    headers = (_read_header(file) for file in files)
    return tuple(header for header in headers if header is not None)


def headers_of_records(name: str, paths, image_key: str, count: int) -> tuple[ImageHeader, ...]:
    """Read the headers of the first images in the TFRecord files of a TensorFlow Datasets data set.

    Args:
        name: of the data set, for error messages.
        paths: the files, of which the first is read.
        image_key: name of the feature that holds the encoded image.
        count: largest number of images.

    Returns:
        The headers; none if the files have another format.

    Raises:
        UserError: the first file is truncated.
    """
    from tensorflow.train import Example

    if ".tfrecord" not in str(paths[0]):
        return ()
    records = RecordFiles.index_files(name, paths[:1])
    examples = (Example.FromString(records.read_bytes(i)) for i in range(min(count, len(records))))
    return headers_of_files(io.BytesIO(example.features.feature[image_key].bytes_list.value[0]) for example in examples)


def _read_header(file) -> ImageHeader | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large images, which are not decoded here
            with Image.open(file) as image:
                height, width = image.height, image.width
                # Not in PNG files, of which Pillow would decode the pixels first.
                if image.format in ("JPEG", "WEBP") and image.getexif().get(Base.Orientation, 1) in _TURNED:
                    height, width = width, height
                # Pillow's name of the pixels in a PNG file, such as "I;16B" or "RGB;16B".
                is_16_bit = image.format == "PNG" and ";16" in str(image.tile)
                return ImageHeader(height, width, image.mode.partition(";")[0] in _GREY_MODES, is_16_bit)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what Pillow raises for damaged files
        return None
