"""Internal Keras layers and metrics, the building blocks of the public layers and networks."""
