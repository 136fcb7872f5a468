"""Code that adds Sinkhorn-divergence regularisers to functional Keras models, and removes them again.

They are `FeedbackAgreement` layers.
"""

import keras

from encapnet_tf.blocks.training_mean import TrainingMean
from encapnet_tf.functional_models import find_layer_path, functional_model
from encapnet_tf.layers import FeedbackAgreement
from encapnet_tf.layers.feedback_agreement import units_of
from encapnet_tf.model_classes.named_outputs import NamedOutputs, keep_output_names
from encapnet_tf.model_copies import clone_uncompiled, compile_like


class FeedbackPlacement:
    """Helper that inserts Sinkhorn-divergence regularisers while a functional Keras model is built.

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
        """Apply the Sinkhorn-divergence regularisers of a layer to the layer's output.

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
            and the generator must be able to connect their shapes. Both layers may lie in the same nested model; if
            several nested models have layers of these names, write ("encoder/higher", "encoder/lower").
        generator: argument of `layers.FeedbackAgreement`; "conv" fits any channel counts.
        **options: further arguments of `layers.FeedbackAgreement`.

    Returns:
        A new model that shares layers and weights with `model`. It has the outputs' names of `model` and is compiled as
        `model` is: with a new optimizer of the same settings, and uncompiled, with a warning, if that optimizer cannot
        be copied. Its units, and their divergences in the training logs, are named `feedback_<higher>_<lower>`.

    Raises:
        ValueError: the model is not functional, a layer does not exist or has several outputs, a pair's order is wrong,
            its layers lie in two different models, or the generator cannot connect the shapes.

    Example:

    >>> import keras
    >>> model = keras.applications.MobileNetV3Small(input_shape=(64, 64, 3), weights=None, classes=5)
    >>> regularised_model = attach_feedback(model, [("expanded_conv_2_add", "expanded_conv_1_project_bn")], weight=1.0)
    >>> [layer.name for layer in regularised_model.layers if isinstance(layer, FeedbackAgreement)]
    ['feedback_expanded_conv_2_add_expanded_conv_1_project_bn']
    """
    model = _functional(model)
    units = [
        (f"feedback_{higher}_{lower}".replace("/", "_"), *_find_layer_paths(model, higher, lower))
        for higher, lower in _check_pairs(pairs)
    ]
    if repeated := [unit for i, unit in enumerate(units) if unit[1:] in [other[1:] for other in units[:i]]]:
        names = ", ".join(repr((higher[-1], lower[-1])) for _, higher, lower in repeated)
        raise ValueError(f"Each pair gets one unit. Received twice: {names}.")
    return _attach(model, units, {"generator": generator, **options})


def _attach(model, units, options):
    """Insert Sinkhorn-divergence regularisers into a functional Keras model and into any nested models.

    Args:
        model: a functional model.
        units: list of (unit's name, higher layer's path, lower layer's path), see `_find_layer_paths`.
        options: arguments of `FeedbackAgreement`.

    Returns:
        A new model.
    """
    own = [(unit, *higher, *lower) for unit, higher, lower in units if len(higher) == 1]
    if taken := {unit for unit, *_ in own} & {layer.name for layer in model.layers}:
        raise ValueError(f"{model.name} already has the feedback units {', '.join(sorted(taken))}.")
    nested: dict = {}  # nested model's name -> its units
    for unit, higher, lower in units:
        if len(higher) > 1:
            nested.setdefault(higher[0], []).append((unit, higher[1:], lower[1:]))
    placement = FeedbackPlacement(own, **options)
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            placement.after_layer(layer.name, layer.output)

    def with_units(layer):
        return _attach(_functional(layer), nested[layer.name], options) if layer.name in nested else layer

    def call(layer, *args, **kwargs):
        return placement.after_layer(layer.name, layer(*args, **kwargs))

    regularised = clone_uncompiled(model, model.input, clone_function=with_units, call_function=call)
    regularised = keep_output_names(regularised, model)
    compile_like(regularised, model)
    return regularised


def strip_feedback(model):
    """Remove all Sinkhorn-divergence regularisers from a functional Keras model.

    They are the `FeedbackAgreement` layers.

    Args:
        model: a functional Keras model.

    Returns:
        A new model without the units (also of nested models) and their variables, compiled as `model` is (see
        `attach_feedback`). It shares all other layers and weights with `model`, and its outputs are equal to the last
        bit.

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

    bare = clone_uncompiled(model, model.input, clone_function=without_units, call_function=call)
    if isinstance(bare, NamedOutputs):  # the outputs' layers have these names again
        bare = keras.Model(bare.input, bare.output, name=bare.name)
    # A unit inside a layer of another class is no node of the graph, but the model still has its metric.
    if hidden := [metric.name for metric in bare.metrics if isinstance(metric, TrainingMean)]:
        raise ValueError(
            f"The feedback units {', '.join(hidden)} cannot be removed: they are called inside a layer that is not a "
            "functional model. Build that layer without them."
        )
    compile_like(bare, model)
    return bare


def _functional(model):
    """Convert a built Sequential model to a functional model, or return a functional model unchanged.

    Raise ValueError for anything else.
    """
    advice = "In a model of your own class, call layers.FeedbackAgreement yourself."
    return functional_model(model, "Feedback units are attached to and removed from", advice)


def _check_pairs(pairs):
    """Check that an argument is a list of pairs of layer names.

    Return the argument, or raise ValueError if it is something else.
    """
    if not isinstance(pairs, (list, tuple)) or not all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(name, str) for name in pair)
        for pair in pairs
    ):
        raise ValueError(
            f"pairs must be a list of pairs of names, (higher layer, lower layer). Received: pairs={pairs!r}."
        )
    return pairs


def _find_layer_paths(model, higher, lower):
    """Find two layers by their names in a Keras model or in one of the models nested in it.

    The path of a layer is a list: the names of the nested models that it lies in, from the outermost, and its own name.

    Args:
        model: a functional model.
        higher, lower: the layers' names, or their paths joined by "/".

    Returns:
        The two paths.

    Raises:
        ValueError: a layer does not exist, its name is ambiguous, the layers lie in two different models, or the higher
            layer is an input.
    """
    higher_path, lower_path = find_layer_path(model, higher), find_layer_path(model, lower)
    if higher_path[:-1] != lower_path[:-1]:
        places = [f"{path[-1]!r} lies in {path[-2] if path[1:] else model.name}" for path in (higher_path, lower_path)]
        raise ValueError(
            f"A unit compares two layers of one model, but {' and '.join(places)}. Choose both layers in one of the "
            "models; the output of a nested model goes by the nested model's name."
        )
    layer = model
    for name in higher_path:
        layer = layer.get_layer(name)
    if isinstance(layer, keras.layers.InputLayer):
        raise _wrong_order(higher, lower)
    return higher_path, lower_path


def _wrong_order(higher, lower):
    """Build the ValueError for a pair of layers of which the first, the higher one, is not computed after the second.

    The lower layer must be computed before the higher layer.
    """
    return ValueError(
        f"The lower layer {lower!r} is not computed before the higher layer {higher!r}: a pair is (higher, lower). "
        "Swap the two names, or choose a lower layer nearer to the input."
    )
