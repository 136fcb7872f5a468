"""The verbs `encapnet export` and `encapnet predict`."""
