"""Keras callback that detects the collapse of a feature extractor to a constant output.

The extractor is that of a `FeedbackAgreement` layer.
"""

import warnings

import keras

from encapnet_tf.arguments import finite_number
from encapnet_tf.layers import FeedbackAgreement

COLLAPSE_RATIO = 0.01


class CollapseWatch(keras.callbacks.Callback):
    """Callback that warns if the feature extractor of a Sinkhorn-divergence regulariser collapses to a constant output.

    It measures each unit after every epoch. An extractor that is trained to minimise the divergence can make it vanish
    by mapping all samples to one point. The divergence then no longer measures the agreement of the two layers. An
    extractor counts as collapsed when the divergence of its features is below `ratio` times the divergence of the
    features before the extractor.

    For each unit the epoch's logs get `<name>_divergence`, `<name>_raw_divergence`, `<name>_spread`,
    `<name>_raw_spread` and `<name>_paired_mass`, the share of the transport plan's mass between features of the same
    image; near 1 / (number of images) the divergence says nothing of single images (see
    `layers.FeedbackAgreement.diagnose`). Put this callback before those that read them.

    Args:
        images: model inputs of 64 to 256 samples, preferably not from the training set.
        ratio: share of the raw divergence below which an extractor counts as collapsed.

    Attributes:
        collapsed: unit's name -> first epoch, from 1, after which its extractor was collapsed.

    Raises:
        ValueError: `ratio` is negative or not finite, or (when training begins) the model's graph has no
            feedback agreement unit.

    Example:

    >>> import encapnet_tf as en, keras
    >>> inputs = keras.Input((8,))
    >>> x = keras.layers.Dense(8)(inputs)
    >>> x = en.layers.FeedbackAgreement(generator="conv", name="agreement")([x, inputs])
    >>> model = keras.Model(inputs, x)
    >>> model.compile("sgd", "mse")
    >>> images = keras.random.normal((16, 8), seed=0)
    >>> logs = model.fit(images, images, verbose=0, callbacks=[CollapseWatch(images)]).history
    >>> [name for name in logs if name.endswith("spread")]
    ['agreement_spread', 'agreement_raw_spread']
    """

    def __init__(self, images, ratio=COLLAPSE_RATIO):
        super().__init__()
        self.images, self.ratio, self.collapsed = images, finite_number("ratio", ratio, least=0), {}

    def on_train_begin(self, logs=None):
        self._units = [layer for layer in self.model.layers if isinstance(layer, FeedbackAgreement)]
        if not self._units:
            raise ValueError(
                "CollapseWatch found no feedback agreement unit among the model's layers (those of nested models are "
                "not watched). Build the model with feedback=..., or add units with attach_feedback."
            )
        self._probe = keras.Model(self.model.input, [tensor for unit in self._units for tensor in unit.input])

    def on_epoch_end(self, epoch, logs=None):
        outputs = self._probe(self.images, training=False)
        for unit, higher, lower in zip(self._units, outputs[::2], outputs[1::2], strict=True):
            masks = [getattr(tensor, "_keras_mask", None) for tensor in (higher, lower)]
            values = unit.diagnose(higher, lower, mask=masks)
            if logs is not None:
                logs.update({f"{unit.name}_{key}": value for key, value in values.items()})
            if self._has_collapsed(unit, values) and unit.name not in self.collapsed:
                self.collapsed[unit.name] = epoch + 1
                warnings.warn(
                    f"The extractor of {unit.name} has collapsed: the divergence of its features is "
                    f"{values['divergence']:.2g}, that of the features before the extractor "
                    f"{values['raw_divergence']:.2g}. The unit regularises little from now on. "
                    'extractor_objective="adversarial" trains the extractor against a collapse.',
                    stacklevel=2,
                )

    def _has_collapsed(self, unit, values):
        return unit.extractor is not None and values["divergence"] < self.ratio * values["raw_divergence"]
