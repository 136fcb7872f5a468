"""Functions that choose training settings from the number and sizes of the images in a data set.

They serve the recipe `images`.

`summary` describes the images without decoding them, `choice` is a pure function from a description to settings, and
`fit_to_data` applies it to a configuration.
"""

from .fit import fit_to_data

__all__ = ["fit_to_data"]
