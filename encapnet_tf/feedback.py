"""The feedback agreement regulariser on any functional Keras model: put on, taken off."""

import keras

from encapnet_tf.blocks.training_mean import TrainingMean
from encapnet_tf.layers import FeedbackAgreement
from encapnet_tf.layers.feedback_agreement import units_of


def attach_feedback(model, pairs, generator="conv", **options):
    """Puts a feedback agreement unit on each of some pairs of layers of a functional model.

    Args:
        model: a functional Keras model (any of `keras.applications`, a Sequential that is built, your own).
        pairs: [(higher layer's name, lower layer's name), ...]; the lower layer must be computed first, and the
            generator must be able to connect their shapes.
        generator: as in `layers.FeedbackAgreement`; "conv" fits any channel counts.
        **options: of `layers.FeedbackAgreement`.

    Returns:
        A new model that shares layers and weights with `model`, compiled alike if that is compiled. Its units are named
        `feedback_<higher>_<lower>`; so are their divergences in the training logs.

    Raises:
        ValueError: the model is not functional, a layer does not exist or has several outputs, a pair's order is wrong,
            or the generator cannot connect the shapes.

    Example:

    >>> import keras
    >>> model = keras.applications.MobileNetV3Small(input_shape=(64, 64, 3), weights=None, classes=5)
    >>> regularised = attach_feedback(model, [("expanded_conv_2_add", "expanded_conv_1_project_bn")], weight=1.0)
    >>> [layer.name for layer in regularised.layers if isinstance(layer, FeedbackAgreement)]
    ['feedback_expanded_conv_2_add_expanded_conv_1_project_bn']
    """
    model = _functional(model)
    _check_form(pairs)
    names = [layer.name for layer in model.layers]
    for name in (name for pair in pairs for name in pair):
        if name not in names:
            raise ValueError(
                f"{model.name} has no layer {name!r}. Its layers: {', '.join(names[:8])}"
                f"{', ...' if len(names) > 8 else ''} ({len(names)} in all; see model.summary())."
            )
    outputs = {layer.name: layer.output for layer in model.layers if isinstance(layer, keras.layers.InputLayer)}
    attached: list[tuple[str, str]] = []

    def call(layer, *args, **kwargs):
        x = outputs[layer.name] = layer(*args, **kwargs)
        for higher, lower in pairs:
            if higher == layer.name:
                _check_pair(model, higher, lower, outputs, attached)
                attached.append((higher, lower))
                name = f"feedback_{higher}_{lower}"
                x = FeedbackAgreement(generator=generator, name=name, **options)([x, outputs[lower]])
        return x

    attached_model = keras.models.clone_model(
        model, model.input, clone_function=lambda layer: layer, call_function=call
    )
    for higher, lower in pairs:
        if (higher, lower) not in attached:  # the higher layer is an input
            raise _wrong_order(higher, lower)
    return attached_model


def strip_feedback(model):
    """Takes every feedback agreement unit off a functional model, in nested models too.

    Args:
        model: a functional Keras model.

    Returns:
        A new model without the units and their variables, compiled alike if `model` is. It shares all other layers and
        weights with `model`, and its outputs are the same to the last bit.

    Raises:
        ValueError: the model is not functional, so its units cannot be told from its code.

    Example:

    >>> import keras
    >>> inputs = keras.Input((8,), name="in")
    >>> x = keras.layers.Dense(4, name="hidden")(inputs)
    >>> model = keras.Model(inputs, keras.layers.Dense(2)(x))
    >>> regularised = attach_feedback(model, [("hidden", "in")])
    >>> strip_feedback(regularised).count_params() == model.count_params()
    True
    """
    model = _functional(model)

    def without_units(layer):
        nested = isinstance(layer, keras.Model) and layer is not model
        return strip_feedback(layer) if nested and units_of(layer) else layer

    def call(layer, *args, **kwargs):
        return args[0][0] if isinstance(layer, FeedbackAgreement) else layer(*args, **kwargs)

    stripped = keras.models.clone_model(model, model.input, clone_function=without_units, call_function=call)
    # A unit inside a layer is no node of the graph, but its metric is still the model's.
    if left := [metric.name for metric in stripped.metrics if isinstance(metric, TrainingMean)]:
        raise ValueError(f"{', '.join(left)} cannot be taken off: it is inside a layer that is not a functional model.")
    return stripped


def _functional(model):
    """The model as a functional one, or a ValueError."""
    if isinstance(model, keras.Sequential) and model.built:
        functional = keras.Model(model.inputs, model.outputs, name=model.name)
        if model.compiled:
            functional.compile_from_config(model.get_compile_config())
        return functional
    try:
        graph = model.operations
    except AttributeError:
        graph = None
    if not isinstance(model, keras.Model) or not graph:
        raise ValueError(
            "Feedback is attached to and stripped from functional models: keras.Model(inputs, outputs), or a "
            f"Sequential that is built. Received: {getattr(model, 'name', model)!r} ({type(model).__name__}). "
            "In a model of your own class, call layers.FeedbackAgreement yourself."
        )
    return model


def _check_form(pairs):
    if not isinstance(pairs, (list, tuple)) or not all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(name, str) for name in pair)
        for pair in pairs
    ):
        raise ValueError(
            f"pairs must be a list of pairs of names, (higher layer, lower layer). Received: pairs={pairs!r}."
        )
    if twice := [tuple(pair) for i, pair in enumerate(pairs) if tuple(pair) in map(tuple, pairs[:i])]:
        raise ValueError(f"A pair gets one unit. Received twice: {', '.join(map(repr, twice))}.")


def _wrong_order(higher, lower):
    return ValueError(
        f"The lower layer {lower!r} is not computed before the higher layer {higher!r}: a pair is (higher, lower)."
    )


def _check_pair(model, higher, lower, outputs, attached):
    if lower not in outputs or lower == higher:
        raise _wrong_order(higher, lower)
    if (higher, lower) in attached:
        raise ValueError(
            f"The layer {higher!r} of {model.name} is called more than once; a unit can follow one call only."
        )
    for name in (higher, lower):
        if not isinstance(outputs[name], keras.KerasTensor):
            raise ValueError(f"The layer {name!r} of {model.name} has several outputs; a unit compares single tensors.")
