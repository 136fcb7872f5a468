"""Training, validation and test splits of image data sets, and the `tf.data` batches made from them."""
