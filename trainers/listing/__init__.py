"""Lists of training runs with settings and results, made without importing Keras, TensorFlow or NumPy.

The lists are read from small files of each run.
"""
