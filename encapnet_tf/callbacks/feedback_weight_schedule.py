"""Keras callback that schedules the loss weight of Sinkhorn-divergence regularisers."""

import keras

from encapnet_tf.layers.feedback_agreement import units_of


class FeedbackWeightSchedule(keras.callbacks.Callback):
    """Callback that sets the loss weight of Sinkhorn-divergence regularisers at the start of each epoch.

    They are the `layers.FeedbackAgreement` units.

    Args:
        schedule: function of the epoch (from 0) that returns the weight.
        layers: names of the units; None is all units, those in nested models included.

    Raises:
        ValueError: (when training begins) the model has no unit, or none of one of the names.

    Example:

    >>> import encapnet_tf as en, keras
    >>> inputs = keras.Input((8,))
    >>> x = keras.layers.Dense(4)(inputs)
    >>> x = en.layers.FeedbackAgreement(generator="conv", name="agreement")([x, inputs])
    >>> model = keras.Model(inputs, x)
    >>> model.compile("sgd", "mse")
    >>> warm_up = FeedbackWeightSchedule(lambda epoch: min(10.0, 2.0 * epoch))
    >>> _ = model.fit(keras.ops.ones((8, 8)), keras.ops.ones((8, 4)), epochs=3, verbose=0, callbacks=[warm_up])
    >>> model.get_layer("agreement").weight
    4.0
    """

    def __init__(self, schedule, layers=None):
        super().__init__()
        self.schedule, self.layers = schedule, layers

    def on_train_begin(self, logs=None):
        units = units_of(self.model)
        names = {unit.name for unit in units}
        if not units or not names.issuperset(self.layers or ()):
            raise ValueError(
                "FeedbackWeightSchedule found no feedback agreement unit of these names in the model. "
                f"Expected: {self.layers or 'any'}. Found: {sorted(names) or 'none'}."
            )
        self._units = [unit for unit in units if self.layers is None or unit.name in self.layers]

    def on_epoch_begin(self, epoch, logs=None):
        for unit in self._units:
            unit.weight = self.schedule(epoch)
