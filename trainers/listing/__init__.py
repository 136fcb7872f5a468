"""Lists of training runs, made without importing Keras, TensorFlow or NumPy.

The lists are read from small files of each run.
"""
