"""Augmentation of training images by functions of a batch and of random numbers, which a resumed run repeats.

All of them are ours. Keras has layers for most, but those draw from a generator with a state, so that an image's
augmentation depends on the calls before it. Ours take the numbers as an argument, which `training_batches` makes from
(seed, epoch, index): a run resumes exactly, in a parallel pipeline too.
"""
