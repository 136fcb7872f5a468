"""Running-mean metric that Keras logs during training but not during evaluation."""

import keras


class TrainingMean(keras.metrics.Mean):
    """Running-mean metric that Keras logs during training but not during evaluation.

    In evaluation the metric is absent from the logs, not 0.

    Attributes:
        training: whether the last call of the model was one in training.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.training = False

    def result(self):
        return {self.name: super().result()} if self.training else {}
