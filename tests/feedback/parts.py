"""Generators and extractors of one's own, as a user of the library would write them."""

import keras


@keras.saving.register_keras_serializable("tests_feedback")
class Upscale(keras.layers.Layer):
    """A generator with weights: doubles a map and mixes its channels."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.mix = keras.layers.Conv2D(filters, 1)

    def build(self, input_shape):
        self.mix.build(input_shape)

    def call(self, x):
        return keras.ops.repeat(keras.ops.repeat(self.mix(x), 2, axis=1), 2, axis=2)

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, 2 * height, 2 * width, self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable("tests_feedback")
class Counting(keras.layers.Layer):
    """An extractor that counts its calls in training; without weights of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = 0

    def call(self, x, training=None):
        self.calls += bool(training)
        return x

    def compute_output_shape(self, input_shape):
        return input_shape


def pooled_dense(units=6):
    """An extractor from Keras's own layers: global pooling, then a dense layer with dropout."""
    return keras.Sequential(
        [keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.2), keras.layers.Dense(units, "tanh")]
    )
