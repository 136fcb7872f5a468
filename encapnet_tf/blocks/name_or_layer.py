"""Functions that check and serialise arguments that can be a string, a Keras layer or None.

They are, for instance, the arguments `generator` and `extractor` of `FeedbackAgreement`.
"""

import keras


def name_or_layer(argument: str, value, names):
    """Check that an argument is one of the allowed strings, a Keras layer or None.

    A serialised layer is deserialised.

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
    """Serialise an argument that can be a string, a Keras layer or None."""
    return keras.saving.serialize_keras_object(value) if isinstance(value, keras.Layer) else value
