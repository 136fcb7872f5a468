"""Folders of drawn shapes and of Fashion-MNIST's images, as a user's own images would lie on a disk."""

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def _polygon(corners, inner=None):
    """Return the corners of a regular polygon of radius 1, or of a star if an inner radius is given."""
    radii = (1.0,) if inner is None else (1.0, inner)
    count = corners * len(radii)
    return [
        (
            radii[i % len(radii)] * math.sin(2 * math.pi * i / count),
            radii[i % len(radii)] * math.cos(2 * math.pi * i / count),
        )
        for i in range(count)
    ]


_BAR = 0.3  # half the width of a bar of the cross
_CROSS = [
    *((-_BAR, 1), (_BAR, 1), (_BAR, _BAR), (1, _BAR), (1, -_BAR), (_BAR, -_BAR)),
    *((_BAR, -1), (-_BAR, -1), (-_BAR, -_BAR), (-1, -_BAR), (-1, _BAR), (-_BAR, _BAR)),
]
SHAPES = {
    "circle": _polygon(40),
    "square": _polygon(4),
    "triangle": _polygon(3),
    "pentagon": _polygon(5),
    "star": _polygon(5, inner=0.4),
    "cross": _CROSS,
    "crescent": [
        *((math.sin(a), math.cos(a)) for a in np.linspace(0, math.pi, 20)),
        *((0.5 * math.sin(a), math.cos(a)) for a in np.linspace(math.pi, 0, 20)),
    ],
    "arrow": [(-1, 0.25), (0.1, 0.25), (0.1, 0.7), (1, 0), (0.1, -0.7), (0.1, -0.25), (-1, -0.25)],
}
_CLUTTER = 4  # lines across a cluttered image


def write_shapes(folder: Path, names, per_class: int, sides: tuple[int, int], *, clutter: bool, seed: int = 0) -> None:
    """Write a folder of drawn shapes, one subfolder a class, of any position, angle, scale and two colours.

    Args:
        folder: to create.
        names: of the classes, some of `SHAPES`.
        per_class: images of each class.
        sides: smallest and largest height and width of an image in pixels, drawn separately.
        clutter: whether lines cross the image and noise covers it.
        seed: of all random numbers.
    """
    rng = np.random.default_rng(seed)
    for name in names:
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            width, height = (int(side) for side in rng.integers(sides[0], sides[1] + 1, 2))
            _draw(SHAPES[name], width, height, clutter, rng).save(folder / name / f"{i:03}.png")


def _draw(points, width, height, clutter, rng):
    """Draw one filled or outlined shape, its colour well apart from that of the background."""
    background = rng.integers(0, 256, 3)
    colour = (background + rng.choice((-1, 1), 3) * rng.integers(80, 176, 3)) % 256
    zoom = 2  # drawn twice as large and shrunk, for smooth edges
    image = Image.new("RGB", (zoom * width, zoom * height), tuple(map(int, background)))
    pen = ImageDraw.Draw(image)
    if clutter:
        for _ in range(_CLUTTER):
            ends = rng.random((2, 2)) * (zoom * width, zoom * height)
            pen.line([tuple(end) for end in ends], fill=tuple(map(int, rng.integers(0, 256, 3))), width=2 * zoom)
    radius = zoom * min(width, height) * rng.uniform(0.25, 0.4)
    centre = (zoom * width * rng.uniform(0.42, 0.58), zoom * height * rng.uniform(0.42, 0.58))
    angle = rng.uniform(0, 2 * math.pi)
    turned = [
        (
            centre[0] + radius * (x * math.cos(angle) - y * math.sin(angle)),
            centre[1] + radius * (x * math.sin(angle) + y * math.cos(angle)),
        )
        for x, y in points
    ]
    if rng.random() < 0.5:
        pen.polygon(turned, fill=tuple(map(int, colour)))
    else:
        pen.line(
            [*turned, turned[0], turned[1]],
            fill=tuple(map(int, colour)),
            width=int(0.15 * radius) + zoom,
            joint="curve",
        )
    image = image.resize((width, height), Image.Resampling.BOX)
    if clutter:
        pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), np.float32)
        image = Image.fromarray((pixels + rng.normal(0, 12, pixels.shape)).clip(0, 255).astype(np.uint8))
    return image
