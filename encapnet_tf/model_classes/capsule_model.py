"""Keras model class with a switch for synchronised batch normalisation."""

import keras

from encapnet_tf.keras_private import BuildBeforeTracing
from encapnet_tf.optimizers.fused_updates import fused_updates


@keras.saving.register_keras_serializable("encapnet_tf")
class CapsuleModel(BuildBeforeTracing, keras.Model):
    """Functional Keras model that can synchronise all batch normalisation layers across replicas.

    Attributes:
        synchronized: whether the batch statistics of all layers are taken over all replicas (TensorFlow only). Set it
            before the first training step.
    """

    @property
    def synchronized(self):
        return any(getattr(layer, "synchronized", False) for layer in self.layers)

    @synchronized.setter
    def synchronized(self, value):
        for layer in self.layers:
            if hasattr(layer, "synchronized"):
                layer.synchronized = bool(value)

    def train_step(self, *args, **kwargs):
        with fused_updates(self.optimizer):
            return super().train_step(*args, **kwargs)
