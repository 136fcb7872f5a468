"""The builder of h-ImageNet on an invented ImageNet: crops, counts, and errors that name the file at fault."""

import shutil

import numpy as np
import pytest
from encapnet_tf.trainers import data
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.data.sources.h_imagenet import build_h_imagenet, pad_box
from encapnet_tf.trainers.runs.errors import UserError
from PIL import Image

IDS = ("n00000001", "n00000002")


def _annotation(path, *boxes):
    objects = "".join(
        f"<object><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for a, b, c, d in boxes
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation><size/>{objects}</annotation>")


@pytest.fixture
def imagenet(tmp_path):
    """Grey images of 300x700 with a white box; the first of each class has an annotation."""
    for part in ("train", "val"):
        for wnid in (*IDS, "n00000003"):
            for i in range(4):
                pixels = np.full((300, 700, 3), 90, np.uint8)
                pixels[100:200, 400:600] = 255
                path = tmp_path / "imagenet" / part / wnid / f"{part}_{wnid}_{i}.JPEG"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
            _annotation(tmp_path / "boxes" / wnid / f"{part}_{wnid}_0.xml", (400, 100, 600, 200), (0, 0, 20, 20))
    (tmp_path / "ids.txt").write_text("\n".join(IDS))
    return tmp_path


def _build(root, **options):
    options = {"boxes": root / "boxes", **options}
    return build_h_imagenet(root / "imagenet", root / "ids.txt", root / "out", **options)


def test_crops_by_boxes_and_counts_beside_the_papers(imagenet):
    text = _build(imagenet)
    assert "2 classes (the paper has 200)" in text
    assert "train         8 images (the paper has 255,725), from 2 with boxes and 6 without" in text
    assert "val           8 images (the paper has 17,101)" in text
    assert "left out: 2 smaller than 50 pixels, 0 corrupt" in text
    folder = imagenet / "out" / "train" / IDS[0]
    assert sorted(path.name[-8:] for path in folder.iterdir()) == ["_0_0.jpg", "_1_0.jpg", "_2_0.jpg", "_3_0.jpg"]
    with Image.open(folder / f"train_{IDS[0]}_0_0.jpg") as crop:
        assert crop.size == (240, 120)  # the box of 200x100 and a tenth at each side
        assert np.asarray(crop)[15:-15, 25:-25].min() > 240
    with Image.open(folder / f"train_{IDS[0]}_1_0.jpg") as whole:
        assert whole.size == (500, 214)


def test_the_recipe_loads_the_built_folder(imagenet):
    _build(imagenet)
    config = resolve("h_imagenet", {"data_dir": str(imagenet / "out"), "validation_fraction": 0.25})
    dataset = data.load(config)
    assert dataset.image_shape == (128, 128, 3)
    assert dataset.train.shape == (160, 160, 3)  # enlarged, for the crops of "++"
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (6, 2, 8)


def test_padding_stays_within_the_image():
    assert pad_box((100, 50, 200, 150), 1000, 1000) == (90, 40, 210, 160)
    assert pad_box((0, 0, 100, 100), 105, 104) == (0, 0, 105, 104)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "ids.txt").write_text("n00000001\nn99999999"), r"1 of the 2 ids: n99999999"),
        (lambda root: (root / "ids.txt").write_text("n00000001\ncat"), r"expected WordNet ids .* Found cat"),
        (lambda root: (root / "ids.txt").unlink(), r"ids\.txt cannot be read: No such file"),
        (lambda root: shutil.rmtree(root / "imagenet" / "val"), r"no folder .*val: .*come unsorted"),
        (
            lambda root: [p.unlink() for p in (root / "imagenet" / "val" / IDS[1]).iterdir()],
            r"class folder .*n00000002 has no images",
        ),
        (
            lambda root: (root / "imagenet" / "val" / IDS[1] / f"val_{IDS[1]}_2.JPEG").write_bytes(b"\xff\xd8broken"),
            r"val_n00000002_2\.JPEG cannot be decoded .*--corrupt_images=skip",
        ),
        (
            lambda root: (root / "boxes" / IDS[0] / f"val_{IDS[0]}_0.xml").write_text("<annotation>"),
            r"val_n00000001_0\.xml is no bounding box annotation",
        ),
        (lambda root: shutil.rmtree(root / "boxes"), r"--boxes=.*there is no such folder"),
        (lambda root: (root / "out").mkdir(), r"--out=.* exists already"),
    ],
)
def test_errors_name_the_file_at_fault(imagenet, change, message):
    change(imagenet)
    before = (imagenet / "out").exists()
    with pytest.raises(UserError, match=message):
        _build(imagenet)
    assert (imagenet / "out").exists() == before  # no unfinished folder is left
    assert not list(imagenet.glob("*.unfinished"))


def test_links_are_left_out_and_counted(imagenet):
    folder = imagenet / "imagenet" / "train" / IDS[0]
    (folder / "link.JPEG").symlink_to(folder / f"train_{IDS[0]}_1.JPEG")
    (folder / "notes.txt").write_text("")
    assert "0 corrupt, 1 x symbolic link, 1 x no image by its name\n" in _build(imagenet)


def test_corrupt_images_are_left_out_and_counted_on_request(imagenet):
    (imagenet / "imagenet" / "val" / IDS[1] / f"val_{IDS[1]}_2.JPEG").write_bytes(b"\xff\xd8broken")
    assert "1 corrupt" in _build(imagenet, skip_corrupt=True)
