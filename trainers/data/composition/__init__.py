"""Functions that make training and test images from images of single objects, such as overlapping pairs.

All random numbers are arguments, as in the augmentations, so that examples can be keyed by (seed, epoch, index).
"""
