"""Writers of small image files whose class shows in their colour."""

import numpy as np
from PIL import Image


def write_image(path, colour, size=(12, 10)):
    """Writes a file of one colour with a little noise, in the format of its name's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(str(path))).integers(0, 20, (*size, 3))
    Image.fromarray((noise + np.asarray(colour)).clip(0, 255).astype(np.uint8)).save(path)


COLOURS = {"blue": (0, 0, 220), "green": (0, 220, 0), "red": (220, 0, 0)}


def write_folder(root, per_class=10, size=(12, 10), suffixes=(".png",)):
    """Writes root/CLASS/00.png and so on for three classes, with one suffix after the other."""
    for name, colour in COLOURS.items():
        for i in range(per_class):
            write_image(root / name / f"{i:02}{suffixes[i % len(suffixes)]}", colour, size)
