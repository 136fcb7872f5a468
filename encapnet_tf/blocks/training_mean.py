"""A mean that exists in training only."""

import keras


class TrainingMean(keras.metrics.Mean):
    """Running mean that exists in training only: in a model's evaluation it is absent, not 0."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.training = False

    def result(self):
        return {self.name: super().result()} if self.training else {}
