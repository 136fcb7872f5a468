"""Keras callback that changes the margin of the spread loss over the epochs."""

import keras

from encapnet_tf.arguments import whole_number
from encapnet_tf.losses import SpreadLoss
from encapnet_tf.losses.spread_loss import checked_margin


class SpreadMarginSchedule(keras.callbacks.Callback):
    """Callback that changes the margin of the spread loss linearly over the epochs.

    Args:
        start: margin of the first epoch.
        end: margin of the last epoch.
        epochs: number of epochs from `start` to `end`, after which the margin stays. Default: all epochs of `fit`.

    Raises:
        ValueError: a margin is out of (0, 1], `epochs` is not positive, or (when training begins) the model's loss
            is not a `SpreadLoss`.

    Example:

    >>> import encapnet_tf as en, keras, numpy as np
    >>> model = keras.Sequential([keras.layers.Input((2, 4)), en.layers.CapFC(3, 4), en.layers.CapsuleLength()])
    >>> model.compile("adam", en.losses.SpreadLoss(0.2))
    >>> x, y = np.ones((8, 2, 4), "float32"), np.zeros(8, int)
    >>> _ = model.fit(x, y, epochs=3, verbose=0, callbacks=[SpreadMarginSchedule()])
    >>> round(model.loss.margin, 3)
    0.9
    """

    def __init__(self, start=0.2, end=0.9, epochs=None):
        super().__init__()
        self.start, self.end = checked_margin("start", start), checked_margin("end", end)
        self.epochs = None if epochs is None else whole_number("epochs", epochs)

    def on_train_begin(self, logs=None):
        self._losses = [loss for loss in keras.tree.flatten(self.model.loss) if isinstance(loss, SpreadLoss)]
        if not self._losses:
            raise ValueError(
                "SpreadMarginSchedule needs a model compiled with a SpreadLoss. "
                f"Received: a model compiled with loss={self.model.loss!r}."
            )

    def on_epoch_begin(self, epoch, logs=None):
        epochs = self.epochs or self.params["epochs"]
        progress = min(1.0, epoch / max(1, epochs - 1))
        for loss in self._losses:
            loss.margin = self.start + (self.end - self.start) * progress
        if keras.backend.backend() == "jax":
            # JAX traces a loss's variables as constants, so a new margin needs a new training function.
            self.model.make_train_function(force=True)
