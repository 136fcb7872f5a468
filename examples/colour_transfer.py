"""Example that gives one picture the colours of another by optimal transport.

    python examples/colour_transfer.py [SOURCE TARGET]

Each picture becomes a palette: its colours in bins, weighted by how many pixels have them. The transport plan between
the two palettes says which colours of the target a colour of the source becomes, and their mean is its new colour. The
pictures are scikit-learn's two photographs unless files are given. The result is colour_transfer.png.
"""

import argparse

import matplotlib
import numpy as np
from keras import ops as K
from sklearn.datasets import load_sample_image

import encapnet_tf as en

matplotlib.use("Agg")
from matplotlib import pyplot as plt

EPSILON = 0.02  # a share of the mean cost between the palettes: smaller gives stronger, less smooth colours


def palette(image, levels):
    """Group the pixels of an image by similar colour, and return the mean colour and share of each group.

    Args:
        image: (height, width, 3), 0 to 1.
        levels: number of levels of each channel.

    Returns:
        Mean colours (n, 3) of the pixels in each bin, shares of the pixels (n,), and the bin of each pixel.
    """
    pixels = image.reshape(-1, 3)
    bins = np.minimum((pixels * levels).astype(int), levels - 1) @ [levels * levels, levels, 1]
    _, index, counts = np.unique(bins, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(index, channel) for channel in pixels.T], axis=1)
    return np.float32(sums / counts[:, None]), np.float32(counts / counts.sum()), index


def transfer(source, target, levels=12):
    """Transfer the colours of a target picture to a source picture by optimal transport.

    Args:
        source, target: (height, width, 3), 0 to 1; sizes may differ.
        levels: number of levels of each channel in the palettes.
    """
    colours, weights, index = palette(source, levels)
    new_colours, new_weights, _ = palette(target, levels)
    cost = en.ops.pairwise_cost(colours, new_colours, "sqeuclidean")
    plan = en.ops.sinkhorn_plan(
        cost, EPSILON, iterations=100, relative_epsilon=True, x_weights=weights, y_weights=new_weights
    )
    means = K.convert_to_numpy(plan) @ new_colours / weights[:, None]
    moved = source.reshape(-1, 3) + (means - colours)[index]  # a pixel keeps its place within its bin
    return np.clip(moved, 0, 1).reshape(source.shape)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*", help="two image files: the picture, and the one that gives its colours")
    parser.add_argument("--quick", action="store_true", help="small pictures")
    flags = parser.parse_args()
    if len(flags.images) not in (0, 2):
        parser.error("give two image files, or none")

    if flags.images:
        source, target = (plt.imread(path)[..., :3] for path in flags.images)
    else:
        source, target = load_sample_image("china.jpg"), load_sample_image("flower.jpg")
    images = [image / 255 if image.dtype == np.uint8 else image for image in (source, target)]
    step = 8 if flags.quick else 1
    source, target = (np.float32(image[::step, ::step]) for image in images)
    result = transfer(source, target, levels=6 if flags.quick else 12)
    for name, image in (("source", source), ("target", target), ("result", result)):
        print(f"mean colour of the {name}:", np.round(np.float64(image.mean(axis=(0, 1))), 2).tolist())

    figure, axes = plt.subplots(1, 3, figsize=(9.6, 2.4), layout="constrained")
    for axis, image, title in zip(axes, (source, target, result), ("source", "target", "result"), strict=True):
        axis.imshow(image)
        axis.set_title(title)
        axis.set_axis_off()
    figure.savefig("colour_transfer.png", dpi=100)
    plt.close(figure)
    print("colour_transfer.png")


if __name__ == "__main__":
    main()
