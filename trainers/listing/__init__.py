"""Lists of training runs, read from small files of each run without Keras, TensorFlow or NumPy."""
