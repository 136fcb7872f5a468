"""Generator of synthetic image folders with drawn shapes, as a stand-in for a user's own images."""

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def _polygon(corners, inner=None):
    """Return the corners of a regular polygon of radius 1, or of a star if an inner radius is given."""
    radii = (1.0,) if inner is None else (1.0, inner)
    angles = np.arange(corners * len(radii)) * 2 * math.pi / (corners * len(radii))
    return [(radii[i % len(radii)] * math.sin(a), radii[i % len(radii)] * math.cos(a)) for i, a in enumerate(angles)]


SHAPES = {
    "circle": _polygon(40),
    "square": [(-0.7, -0.7), (-0.7, 0.7), (0.7, 0.7), (0.7, -0.7)],
    "triangle": _polygon(3),
    "pentagon": _polygon(5),
    "star": _polygon(5, inner=0.4),
    "cross": [
        *((-0.3, 1), (0.3, 1), (0.3, 0.3), (1, 0.3), (1, -0.3), (0.3, -0.3)),
        *((0.3, -1), (-0.3, -1), (-0.3, -0.3), (-1, -0.3), (-1, 0.3), (-0.3, 0.3)),
    ],
    "crescent": [
        *((math.sin(a), math.cos(a)) for a in np.linspace(0, math.pi, 20)),
        *((0.5 * math.sin(a), math.cos(a)) for a in np.linspace(math.pi, 0, 20)),
    ],
    "arrow": [(-1, 0.25), (0.1, 0.25), (0.1, 0.7), (1, 0), (0.1, -0.7), (0.1, -0.25), (-1, -0.25)],
}
_ZOOM = 2  # shapes are drawn so much larger and then shrunk, for smooth edges
_LINES = 4  # across a cluttered image


def write_shapes(folder: Path, names, per_class: int, sides: tuple[int, int], *, clutter: bool, seed: int = 0) -> None:
    """Draw images of shapes, such as circles and stars, into a folder with one subfolder per class.

    Args:
        folder: to create.
        names: of the classes, some of `SHAPES`.
        per_class: images of each class.
        sides: smallest and largest height and width of an image in pixels, drawn independently.
        clutter: if false, dark on light, and tilted by up to 30 degrees. If true, at any angle and in any colour on any
            other, under lines and noise.
        seed: of all random numbers.
    """
    rng = np.random.default_rng(seed)
    for name in names:
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            width, height = (int(side) for side in rng.integers(sides[0], sides[1] + 1, 2))
            _draw(SHAPES[name], width, height, clutter, rng).save(folder / name / f"{i:03}.png")


def _draw(corners, width, height, clutter, rng):
    """Return an image of one shape, such as a star, at a random position, size and angle."""
    background, colour = _any_two_colours(rng) if clutter else (rng.integers(190, 256, 3), rng.integers(0, 150, 3))
    size = np.array((_ZOOM * width, _ZOOM * height))
    image = Image.new("RGB", tuple(map(int, size)), _rgb(background))
    pen = ImageDraw.Draw(image)
    for _ in range(_LINES * clutter):
        pen.line([tuple(end) for end in rng.random((2, 2)) * size], fill=_rgb(rng.integers(0, 256, 3)), width=4)
    radius = min(size) * rng.uniform(0.25, 0.4)
    angle = rng.uniform(-1, 1) * (math.pi if clutter else math.pi / 6)
    turn = np.array(((math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))))
    corners = [tuple(corner) for corner in radius * np.array(corners) @ turn + size * rng.uniform(0.42, 0.58, 2)]
    if rng.random() < 0.5:
        pen.polygon(corners, fill=_rgb(colour))
    else:
        pen.line([*corners, *corners[:2]], fill=_rgb(colour), width=int(0.15 * radius) + 2, joint="curve")
    image = image.resize((width, height), Image.Resampling.BOX)
    if not clutter:
        return image
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), np.float32)
    return Image.fromarray((pixels + rng.normal(0, 12, pixels.shape)).clip(0, 255).astype(np.uint8))


def _any_two_colours(rng):
    """Return two random RGB colours that differ clearly in every channel.

    The difference is at least 80, on a scale from 0 to 255.
    """
    first = rng.integers(0, 256, 3)
    return first, (first + rng.integers(80, 177, 3)) % 256


def _rgb(colour):
    return tuple(int(value) for value in colour)
