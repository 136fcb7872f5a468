"""Classes of functional Keras models: with synchronised batch normalisation, a decoder, or names for outputs."""
