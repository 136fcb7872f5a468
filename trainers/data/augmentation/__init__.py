"""Image augmentation functions that receive all random numbers as arguments, so that results are reproducible.

All of them are ours. Keras has layers for most, but those draw from a generator with a state, so that an image's
augmentation depends on the calls before it. Ours take the numbers as an argument, which `training_batches` makes from
(seed, epoch, index): a run resumes exactly, in a parallel pipeline too.
"""
