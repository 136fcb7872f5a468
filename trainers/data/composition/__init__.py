"""Functions that make images such as those of MultiMNIST and affNIST from images of single objects.

All random numbers are arguments, as in the augmentations, so that examples can be keyed by (seed, epoch, index).
"""
