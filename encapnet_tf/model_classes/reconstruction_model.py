"""Keras model class whose loss includes the error of images reconstructed from class capsules."""

import threading
import weakref

import keras

from encapnet_tf.keras_private import replica_share
from encapnet_tf.layers import Reconstruction
from encapnet_tf.model_classes.capsule_model import CapsuleModel
from encapnet_tf.model_classes.named_outputs import NamedOutputs

_THREAD = threading.local()  # its attribute `calls` maps a model to the (outputs, capsules) of its last call


@keras.saving.register_keras_serializable("encapnet_tf")
class ReconstructionModel(NamedOutputs, CapsuleModel):
    """Functional Keras model whose loss includes the error of images reconstructed from class capsules.

    One of its layers is a `layers.Reconstruction`. The model calls the layer's decoder in `compute_loss`, where the
    labels are known, and reuses the capsules of the forward pass. See `attach_reconstruction`.
    """

    @property
    def reconstruction(self) -> Reconstruction:
        """Layer that reconstructs images from class capsules."""
        return next(layer for layer in self.layers if isinstance(layer, Reconstruction))

    def call(self, inputs, training=None, mask=None, **kwargs):
        outputs = super().call(inputs, training=training, mask=mask, **kwargs)
        if not hasattr(_THREAD, "calls"):
            _THREAD.calls = weakref.WeakKeyDictionary()
        _THREAD.calls[self] = (outputs, self.reconstruction.take_capsules())
        return outputs

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Compute the compiled loss plus the weighted squared error of the images' reconstructions.

        The reconstructions are made from the capsules masked by the labels, in evaluation too.

        Args:
            x: images (batch, height, width, channels).
            y: labels, integers (batch,) or rows (batch, classes).
            y_pred: the model's outputs for `x`. For other values than those of the last call the model is called
                again, to get the capsules.
            sample_weight: weights (batch,) of the images, for both terms, or None.
            training: whether the step is one in training.

        Returns:
            A scalar.

        Raises:
            ValueError: there are no labels, or the model was compiled without a loss.
        """
        if y is None:
            raise ValueError(
                f"{self.name} reconstructs each image from the capsule of its label, but received no labels: y=None. "
                "Pass labels to fit and evaluate, or call strip_reconstruction first."
            )
        loss = super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        capsules = self._capsules(x, y_pred, training)
        if capsules is None:  # Keras asks for shapes only
            return loss
        layer = self.reconstruction
        images, labels, weights = (_only_tensor(value) for value in (x, y, sample_weight))
        errors = layer.squared_error(images, capsules, labels, training=training)
        layer.log_error(errors, weights)
        if weights is not None:
            errors = errors * keras.ops.cast(keras.ops.reshape(weights, (-1,)), errors.dtype)
        return loss + keras.ops.cast(replica_share(self, layer.weight * keras.ops.mean(errors)), loss.dtype)

    def _capsules(self, x, y_pred, training):
        """Return the class capsules from which the model computed its predictions.

        None if the model was called only to compute shapes.
        """
        calls = getattr(_THREAD, "calls", {})
        outputs, capsules = calls.pop(self, (None, None))
        if outputs is not y_pred:
            self(x, training=training)
            _, capsules = calls.pop(self)
        return capsules


def _only_tensor(value):
    """Return the only tensor in a nested structure, or None if the structure has no tensor."""
    tensors = [tensor for tensor in keras.tree.flatten(value) if tensor is not None]
    return tensors[0] if tensors else None
