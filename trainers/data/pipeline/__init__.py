"""Checked splits of images and the tf.data batches made from them."""
