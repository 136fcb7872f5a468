"""EXIF orientation: the eight values in every format, byte order and place, damaged EXIF, training beside an export."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.trainers import data
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.data.pipeline.decoding import decode_image
from encapnet_tf.trainers.data.pipeline.image_formats import READS_WEBP
from encapnet_tf.trainers.data.pipeline.orientation import jpeg_orientation
from encapnet_tf.trainers.data.sizing.headers import headers_of_files
from PIL import Image, ImageOps

from tests.trainers.data.image_bytes import encoded
from tests.trainers.data.image_files import write_folder

coarse = np.random.default_rng(0).integers(0, 256, (3, 4, 3)).astype(np.uint8)
picture = np.asarray(Image.fromarray(coarse).resize((40, 24), Image.Resampling.BICUBIC))


def decoder(min_size):
    return tf.function(
        lambda file: decode_image(file, 3, min_size), input_signature=[tf.TensorSpec((), tf.string)], autograph=False
    )


decode_whole, decode_reduced = decoder(None), decoder((6, 6))


def exif(orientation, order="<", kind=3, count=1, tag=0x0112, offset=8):
    """EXIF data: a table with an entry before the orientation and one after it."""
    value = struct.pack(order + ("H2x" if kind == 3 else "I"), orientation)
    entries = [(0x0100, 4, 1, struct.pack(order + "I", 40)), (tag, kind, count, value), (0x0128, 3, 1, b"\0\2\0\0")]
    table = struct.pack(order + "H", len(entries)) + b"".join(
        struct.pack(order + "HHI", *entry[:3]) + entry[3] for entry in entries
    )
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", offset)
    return head + b"\0" * (offset - 8) + table + b"\0" * 4


def segment(marker, content):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg_with(*segments, after_jfif=True):
    plain = encoded(picture, "JPEG", quality=95, subsampling=0)
    position = 20 if after_jfif else 2
    return plain[:position] + b"".join(segments) + plain[20:]


def as_pillow(file):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file))).convert("RGB"))


def test_the_graph_needs_no_python():
    """Exported models hold it, and are served without Python."""
    graph = decode_reduced.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    operations = {node.op for node in nodes}
    assert "DecodePng" in operations or "DecodeImage" in operations
    assert not [name for name in operations if "PyFunc" in name]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_every_orientation_as_pillow_does(orientation, order):
    content = exif(orientation, order)
    files = [jpeg_with(segment(0xE1, b"Exif\0\0" + content)), encoded(picture, "PNG", exif=content)]
    if READS_WEBP:
        files.append(encoded(picture, "WEBP", lossless=True, exif=content))
        files.append(encoded(picture, "WEBP", lossless=True, exif=b"Exif\0\0" + content))
    for file in files:
        upright = decode_whole(file).numpy()
        assert upright.shape == as_pillow(file).shape
        # TensorFlow decodes JPEG with a faster, less exact transform than Pillow.
        np.testing.assert_allclose(upright.astype(int), as_pillow(file), atol=12 if file is files[0] else 0)
    reduced = decode_reduced(files[0]).numpy()  # a JPEG file decoded at a quarter of its size
    assert reduced.shape == ((10, 6, 3) if orientation >= 5 else (6, 10, 3))
    expected = Image.fromarray(as_pillow(files[0])).resize(reduced.shape[1::-1], Image.Resampling.BOX)
    assert np.abs(reduced.astype(int) - np.asarray(expected)).mean() < 4


IPTC, PROFILE = segment(0xED, b"Photoshop 3.0\0" * 9), segment(0xE2, b"ICC_PROFILE\0" + b"\x12" * 60_000)
APP1 = segment(0xE1, b"Exif\0\0" + exif(6))


@pytest.mark.parametrize(
    "file",
    [
        jpeg_with(APP1, after_jfif=False),
        jpeg_with(PROFILE, PROFILE, IPTC, APP1),
        jpeg_with(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<xmp>Exif\0\0</xmp>"), segment(0xFE, b"words"), APP1),
        jpeg_with(b"\xff\xff\xff", APP1),
        jpeg_with(segment(0xE1, b"Exif\0\0" + exif(6, ">", kind=4))),
        jpeg_with(segment(0xE1, b"Exif\0\0" + exif(6, offset=1000))),
    ],
    ids=["first", "after other metadata", "after XMP", "after padding", "a long integer", "a table at a distance"],
)
def test_exif_wherever_it_is(file):
    assert jpeg_orientation(file).numpy() == 6


WHOLE = jpeg_with(APP1)
AT = WHOLE.index(b"Exif")


@pytest.mark.parametrize(
    "file",
    [
        jpeg_with(),
        jpeg_with(segment(0xE1, b"Exif\0\0")),
        jpeg_with(segment(0xE1, b"Exif\0\0II*\0" + b"\xff" * 4)),
        jpeg_with(segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + b"\xff" * 60)),
        jpeg_with(segment(0xE1, b"Exif\0\0XX*\0" + exif(6)[4:])),
        jpeg_with(*[segment(0xE1, b"Exif\0\0" + exif(value)) for value in (0,)]),
        jpeg_with(segment(0xE1, b"Exif\0\0" + exif(9))),
        jpeg_with(segment(0xE1, b"Exif\0\0" + exif(6, count=2))),
        jpeg_with(segment(0xE1, b"Exif\0\0" + exif(6, tag=0x0113))),
        jpeg_with(segment(0xE2, b"Exif\0\0" + exif(6))),
        WHOLE[: AT - 2] + b"\0\0" + WHOLE[AT:],
    ],
)
def test_no_exif_and_damaged_exif_mean_upright(file):
    assert jpeg_orientation(file).numpy() == 1


def test_exif_cut_off_or_changed_anywhere():
    """No damage makes the reading of EXIF fail or go on for ever."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(WHOLE[: AT + 60])
        for position in rng.integers(2, len(damaged), 3):
            damaged[position] = rng.integers(256)
        assert 1 <= jpeg_orientation(bytes(damaged)).numpy() <= 8
        assert 1 <= jpeg_orientation(WHOLE[: rng.integers(3, AT + 60)]).numpy() <= 8


@pytest.mark.ci
def test_the_pipeline_turns_images_before_it_resizes_them(tmp_path):
    """A class has the same picture, stored in eight ways; the network sees the same pixels of it."""
    write_folder(tmp_path, per_class=10, size=(24, 40))
    upright = Image.fromarray(picture)
    stored = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    for i, (orientation, inverse) in enumerate(stored.items()):
        file = tmp_path / "red" / f"0{i}.png"
        upright.transpose(inverse).save(file, exif=exif(orientation))
        assert file.read_bytes() != encoded(picture)
    (tmp_path / "red" / "03.png").write_bytes(encoded(picture))
    dataset = data.load(resolve("digits", {"dataset": "folder", "data_dir": str(tmp_path)}))
    assert dataset.image_shape == (24, 40, 3)  # no --image_size: all have one size when they stand upright
    same = sum(
        np.array_equal(image, picture)
        for split in (dataset.train, dataset.validation, dataset.test)
        for image in split.images
    )
    assert same == 4


def test_headers_of_turned_files_have_the_size_of_the_upright_image():
    (header,) = headers_of_files([io.BytesIO(WHOLE)])
    assert (header.height, header.width) == (40, 24)
