"""Code that lists training runs without importing Keras, TensorFlow or NumPy.

The lists are read from small files of each run.
"""
