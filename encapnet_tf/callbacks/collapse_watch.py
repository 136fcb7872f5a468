"""Watches the extractors of feedback agreement units for collapse."""

import warnings

import keras

from encapnet_tf.layers import FeedbackAgreement

COLLAPSE_RATIO = 0.01


class CollapseWatch(keras.callbacks.Callback):
    """Measures each feedback agreement unit on a few fixed images after every epoch, and warns of a collapse.

    An extractor that is trained to minimise the divergence can make it vanish by itself, by mapping everything to one
    point: the number then says nothing of the layers. It has collapsed when the divergence of the extracted features is
    below `ratio` of the divergence of the features as they are.

    Adds to the epoch's logs, per unit: `<name>_divergence`, `<name>_raw_divergence`, `<name>_spread` and
    `<name>_raw_spread` (see `layers.FeedbackAgreement.diagnose`). Put it before callbacks that read them.

    Args:
        images: the model's input for some 64 to 256 samples, better not from the training set.
        ratio: share of the raw divergence below which the extractor counts as collapsed.

    Attributes:
        collapsed: unit's name -> the epoch, from 1, at which it was first seen collapsed.

    Raises:
        ValueError: when training begins: the model has no feedback agreement unit in its own graph.

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
        self.images, self.ratio, self.collapsed = images, ratio, {}

    def on_train_begin(self, logs=None):
        self._units = [layer for layer in self.model.layers if isinstance(layer, FeedbackAgreement)]
        if not self._units:
            raise ValueError("CollapseWatch found no feedback agreement unit among the model's layers.")
        self._probe = keras.Model(self.model.input, [tensor for unit in self._units for tensor in unit.input])

    def on_epoch_end(self, epoch, logs=None):
        outputs = self._probe(self.images, training=False)
        for unit, higher, lower in zip(self._units, outputs[::2], outputs[1::2], strict=True):
            values = unit.diagnose(higher, lower)
            if logs is not None:
                logs.update({f"{unit.name}_{key}": value for key, value in values.items()})
            if self._has_collapsed(unit, values) and unit.name not in self.collapsed:
                self.collapsed[unit.name] = epoch + 1
                warnings.warn(
                    f"The extractor of {unit.name} has collapsed: it sees a divergence of {values['divergence']:.2g} "
                    f"where the features themselves differ by {values['raw_divergence']:.2g}. The unit regularises "
                    'little from here on. With extractor_objective="adversarial" the extractor works against that.',
                    stacklevel=2,
                )

    def _has_collapsed(self, unit, values):
        return unit.extractor is not None and values["divergence"] < self.ratio * values["raw_divergence"]
