"""Building blocks that the public layers are made of."""
