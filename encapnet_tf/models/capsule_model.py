"""Keras model class with a switch for synchronised batch normalisation."""

import keras


@keras.saving.register_keras_serializable("encapnet_tf")
class CapsuleModel(keras.Model):
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
