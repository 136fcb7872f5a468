"""Image augmentation functions that take their random numbers as an argument, for exactly resumable training.

All of them are ours. Keras has layers for most, but those draw from a generator with a state, so that an image's
augmentation depends on the calls before it. Ours take the numbers as an argument, which `training_batches` makes from
(seed, epoch, index): a run resumes exactly, in a parallel pipeline too.
"""
