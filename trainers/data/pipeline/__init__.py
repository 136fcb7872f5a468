"""Splits of images with labels, in memory or decoded on demand, and the tf.data batches made from them."""
