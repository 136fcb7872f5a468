"""Containers for image data sets, and `tf.data` pipelines that produce batches of images."""
