"""Composition of training and test examples from single images: overlapping pairs, and affine test images.

All random numbers are arguments, as in the augmentations, so that examples can be keyed by (seed, epoch, index).
"""
