"""Validation and serialisation of the arguments `generator` and `extractor` of `FeedbackAgreement`.

Each is a name, None or a Keras layer.
"""

import keras


def name_or_layer(argument: str, value, names):
    """Validate the argument `generator` or `extractor` of `FeedbackAgreement`, and deserialise a serialised layer.

    Args:
        argument: name of the argument, for the error.
        value: one of `names`, None, a Keras layer or a serialised Keras layer.
        names: names that the argument may have.

    Returns:
        A name, None or a Keras layer.

    Raises:
        ValueError: the value is nothing of these.
    """
    if isinstance(value, dict):
        value = keras.saving.deserialize_keras_object(value)
    if value is None or isinstance(value, keras.Layer) or value in names:
        return value
    raise ValueError(
        f"{argument} must be one of {', '.join(map(repr, names))}, None or a Keras layer. "
        f"Received: {argument}={value!r}."
    )


def serialize_name_or_layer(value):
    """Serialise the argument `generator` or `extractor` of the layer `FeedbackAgreement` for `get_config`."""
    return keras.saving.serialize_keras_object(value) if isinstance(value, keras.Layer) else value
