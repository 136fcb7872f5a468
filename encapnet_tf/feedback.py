"""Addition and removal of Sinkhorn-divergence regularisers in functional Keras models.

They are `FeedbackAgreement` layers.
"""

import keras

from encapnet_tf.blocks.training_mean import TrainingMean
from encapnet_tf.layers import FeedbackAgreement
from encapnet_tf.layers.feedback_agreement import units_of


class FeedbackPlacement:
    """Helper that inserts Sinkhorn-divergence regularisers during the construction of a functional Keras model.

    The layers are `FeedbackAgreement` units. The model builders (argument `feedback`) and `attach_feedback` place their
    units with it: they pass the output of each layer through `after_layer`.

    Args:
        units: list of (unit's name, higher layer's name, lower layer's name).
        **options: arguments of `layers.FeedbackAgreement`.
    """

    def __init__(self, units, **options):
        self.units, self.options = list(units), options
        self._placed_names: list[str] = []
        self._outputs: dict = {}  # layer's name -> the tensor that the next layers read

    def after_layer(self, name, output):
        """Insert Sinkhorn-divergence regularisers after a newly called layer of a functional model.

        The regularisers are those of `units` with this higher layer. The layer's output is recorded for later units.

        Args:
            name: the layer's name.
            output: its symbolic output.

        Returns:
            The tensor for the next layers to read, equal to `output` in value.

        Raises:
            ValueError: the layer was called before, has several outputs, or a unit's lower layer was not called yet.
        """
        for unit, higher, lower in self.units:
            if higher == name:
                self._check(unit, higher, lower, output)
                self._placed_names.append(unit)
                output = FeedbackAgreement(name=unit, **self.options)([output, self._outputs[lower]])
        self._outputs[name] = output
        return output

    def _check(self, unit, higher, lower, output):
        if lower not in self._outputs or lower == higher:
            raise _wrong_order(higher, lower)
        if unit in self._placed_names:
            raise ValueError(
                f"The layer {higher!r} is called more than once, but a unit can follow one call only. "
                "Choose a higher layer that is called once."
            )
        for name, tensor in ((higher, output), (lower, self._outputs[lower])):
            if not isinstance(tensor, keras.KerasTensor):
                raise ValueError(f"The layer {name!r} has several outputs, but a unit compares single tensors.")


def attach_feedback(model, pairs, generator="conv", **options):
    """Add Sinkhorn-divergence regularisers to a functional Keras model.

    One `FeedbackAgreement` layer is added for each pair of layers.

    Args:
        model: a functional Keras model (any of `keras.applications`, a built Sequential, your own).
        pairs: [(higher layer's name, lower layer's name), ...]. The lower layer must be computed before the higher one,
            and the generator must be able to connect their shapes.
        generator: argument of `layers.FeedbackAgreement`; "conv" fits any channel counts.
        **options: further arguments of `layers.FeedbackAgreement`.

    Returns:
        A new model that shares layers and weights with `model`, compiled as `model` is. Its units, and their
        divergences in the training logs, are named `feedback_<higher>_<lower>`.

    Raises:
        ValueError: the model is not functional, a layer does not exist or has several outputs, a pair's order is wrong,
            or the generator cannot connect the shapes.

    Example:

    >>> import keras
    >>> model = keras.applications.MobileNetV3Small(input_shape=(64, 64, 3), weights=None, classes=5)
    >>> regularised_model = attach_feedback(model, [("expanded_conv_2_add", "expanded_conv_1_project_bn")], weight=1.0)
    >>> [layer.name for layer in regularised_model.layers if isinstance(layer, FeedbackAgreement)]
    ['feedback_expanded_conv_2_add_expanded_conv_1_project_bn']
    """
    model = _functional(model)
    _check_pairs(model, pairs)
    units = [(f"feedback_{higher}_{lower}", higher, lower) for higher, lower in pairs]
    placement = FeedbackPlacement(units, generator=generator, **options)
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            placement.after_layer(layer.name, layer.output)

    def call(layer, *args, **kwargs):
        return placement.after_layer(layer.name, layer(*args, **kwargs))

    return keras.models.clone_model(model, model.input, clone_function=lambda layer: layer, call_function=call)


def strip_feedback(model):
    """Remove all Sinkhorn-divergence regularisers from a functional Keras model.

    They are the `FeedbackAgreement` layers.

    Args:
        model: a functional Keras model.

    Returns:
        A new model without the units (also of nested models) and their variables, compiled as `model` is. It shares
        all other layers and weights with `model`, and its outputs are equal to the last bit.

    Raises:
        ValueError: the model is not functional, or one of its layers contains a unit in its own code.

    Example:

    >>> import keras
    >>> inputs = keras.Input((8,), name="in")
    >>> x = keras.layers.Dense(4, name="hidden")(inputs)
    >>> model = keras.Model(inputs, keras.layers.Dense(2)(x))
    >>> regularised_model = attach_feedback(model, [("hidden", "in")])
    >>> strip_feedback(regularised_model).count_params() == model.count_params()
    True
    """
    model = _functional(model)

    def without_units(layer):
        nested = isinstance(layer, keras.Model) and layer is not model
        return strip_feedback(layer) if nested and units_of(layer) else layer

    def call(layer, *args, **kwargs):
        return args[0][0] if isinstance(layer, FeedbackAgreement) else layer(*args, **kwargs)

    bare = keras.models.clone_model(model, model.input, clone_function=without_units, call_function=call)
    # A unit inside a layer of another class is no node of the graph, but the model still has its metric.
    if hidden := [metric.name for metric in bare.metrics if isinstance(metric, TrainingMean)]:
        raise ValueError(
            f"The feedback units {', '.join(hidden)} cannot be removed: they are called inside a layer that is not a "
            "functional model. Build that layer without them."
        )
    return bare


def _functional(model):
    """Convert a built Sequential model to a functional model, or return a functional model unchanged.

    Raise ValueError for anything else.
    """
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
            "Feedback units are attached to and removed from functional models: keras.Model(inputs, outputs), or a "
            f"built Sequential. Received: {getattr(model, 'name', model)!r} ({type(model).__name__}). "
            "In a model of your own class, call layers.FeedbackAgreement yourself."
        )
    return model


def _check_pairs(model, pairs):
    """Raise ValueError if layer pairs are malformed, repeated or contain unknown layer names."""
    if not isinstance(pairs, (list, tuple)) or not all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(name, str) for name in pair)
        for pair in pairs
    ):
        raise ValueError(
            f"pairs must be a list of pairs of names, (higher layer, lower layer). Received: pairs={pairs!r}."
        )
    pairs = [tuple(pair) for pair in pairs]
    if repeated := [pair for i, pair in enumerate(pairs) if pair in pairs[:i]]:
        raise ValueError(f"Each pair gets one unit. Received twice: {', '.join(map(repr, repeated))}.")
    names = [layer.name for layer in model.layers]
    for name in (name for pair in pairs for name in pair):
        if name not in names:
            raise ValueError(
                f"{model.name} has no layer {name!r}. Its layers: {', '.join(names[:8])}"
                f"{', ...' if len(names) > 8 else ''} ({len(names)} in all; see model.summary())."
            )
    for higher, lower in pairs:
        if isinstance(model.get_layer(higher), keras.layers.InputLayer):
            raise _wrong_order(higher, lower)


def _wrong_order(higher, lower):
    """Return a ValueError which says that the lower layer of a pair is not computed before the higher layer.

    The lower layer of a pair (higher, lower) must be computed before the higher layer.
    """
    return ValueError(
        f"The lower layer {lower!r} is not computed before the higher layer {higher!r}: a pair is (higher, lower). "
        "Swap the two names, or choose a lower layer nearer to the input."
    )
