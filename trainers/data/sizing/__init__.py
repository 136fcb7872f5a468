"""Choice of training settings for images of unknown kind, from their number and sizes: the recipe `images`.

`summary` describes the images without decoding them, `choice` is a pure function from a description to settings, and
`fit_to_data` applies it to a configuration.
"""

from .fit import fit_to_data

__all__ = ["fit_to_data"]
