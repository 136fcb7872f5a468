"""Functional Keras models with output names that differ from the names of the output layers.

Keras names an output after the layer that computes it. Where a `FeedbackAgreement` layer is placed at an output, the
output must still have the name of the layer before it, so that `compile(loss={"head": ...})` fits.
"""

import keras


@keras.saving.register_keras_serializable("encapnet_tf")
class NamedOutputs(keras.Model):
    """Functional Keras model with freely chosen output names, which are saved with the model.

    The attribute `output_names` is a list of names in the order of `outputs`.

    Example:

    >>> inputs = keras.Input((8,))
    >>> model = NamedOutputs(inputs, keras.layers.Dense(2)(inputs))
    >>> model.output_names = ["head"]
    >>> NamedOutputs.from_config(model.get_config()).output_names
    ['head']
    """

    def get_config(self):
        return {**super().get_config(), "output_names": list(self.output_names)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        output_names = config.pop("output_names")
        model = super().from_config(config, custom_objects=custom_objects)
        model.output_names = output_names
        return model


def keep_output_names(model, original):
    """Give the outputs of a functional Keras model the same names as the outputs of another model.

    A saved file keeps the names, unless the model is of a class of the user's own.

    Args:
        model: a functional model, not compiled.
        original: a functional model with the same outputs.

    Returns:
        `model`, or a new model of the same layers if Keras would name its outputs otherwise.
    """
    names = list(original.output_names)
    if model.output_names == names:
        return model
    if type(model) is type(keras.Model(model.input, model.output)):
        named = NamedOutputs(model.input, model.output, name=model.name)
        named.dtype_policy = model.dtype_policy
        model = named
    model.output_names = names
    return model
