"""Functions that copy Keras models, and compile the copies with the loss, metrics and settings of the originals.

Keras's own `clone_model` compiles a copy from a serialised configuration, which fails for a loss, metric or optimizer
of the user's own that is not registered. Here the objects themselves are taken.
"""

import warnings

import keras

from encapnet_tf.keras_private import compile_arguments


def clone_uncompiled(model, inputs=None, *, clone_function, call_function=None):
    """Clone a functional or Sequential Keras model without compiling the clone.

    Args:
        model: the model.
        inputs: symbolic inputs of the clone; None creates new ones.
        clone_function: layer -> the layer to use in the clone.
        call_function: (layer, *args, **kwargs) -> the layer's outputs; functional models only.

    Returns:
        The clone, with the dtype policy of the model.
    """
    compiled, model.compiled = model.compiled, False
    try:
        clone = keras.models.clone_model(model, inputs, clone_function=clone_function, call_function=call_function)
    finally:
        model.compiled = compiled
    clone.dtype_policy = model.dtype_policy  # `compile` decides by it whether the loss is scaled
    return clone


def compile_like(model, compiled_model):
    """Compile a Keras model with copies of the arguments that another model was compiled with.

    The optimizer and the metrics are new objects of the same settings. A loss or metric that cannot be copied, because
    its class has no `get_config`, is shared. If the optimizer cannot be copied, the model stays uncompiled and a
    warning says so. Nothing needs to be registered with Keras.

    Args:
        model: the model to compile.
        compiled_model: the model whose compilation is taken; if it is not compiled, nothing is done.
    """
    if not compiled_model.compiled:
        return
    try:
        if type(compiled_model).compile is not keras.Model.compile:  # the user's own, with arguments of its own
            model.compile_from_config(compiled_model.get_compile_config())
            return
        arguments = compile_arguments(compiled_model)
        arguments["optimizer"] = _copy(arguments["optimizer"])
    except Exception as error:  # whatever the user's own get_config and from_config raise
        warnings.warn(
            f"{model.name} is returned uncompiled, because its optimizer or its own compile() cannot be repeated: "
            f"{error} Compile it before training it, or give the optimizer's class a get_config that returns all its "
            "arguments.",
            stacklevel=4,
        )
        return
    for name in ("loss", "metrics", "weighted_metrics"):
        arguments[name] = keras.tree.map_structure(_copy_or_share, arguments[name])
    model.compile(**arguments)
    if model.optimizer is not None:
        model.optimizer.build(model.trainable_variables)


def _copy_or_share(value):
    """Copy a loss or a metric, or return the original object if copying fails."""
    if not hasattr(value, "get_config"):  # a name, a function or None
        return value
    try:
        return _copy(value)
    except Exception:  # whatever the user's own get_config and from_config raise
        return value


def _copy(value):
    """Copy a Keras optimizer, loss or metric through `get_config`, even if the class is not registered with Keras."""
    if value is None:
        return None
    with keras.saving.custom_object_scope(parts_by_name(value)):
        return type(value).from_config(value.get_config())


def parts_by_name(value, seen=()):
    """Return a `custom_objects` dictionary for re-creating a Keras object from its configuration.

    In their `keras.saving.custom_object_scope` a copy can be created from the configuration, although nothing is
    registered. For instance they are the classes of an optimizer, its inner optimizer and its learning rate schedule,
    or the function of an activation.

    Args:
        value: an optimizer, a loss, a metric or a layer.
        seen: objects that are not searched again.
    """
    found: dict = {type(value).__name__: type(value)}
    for part in vars(value).values():
        if hasattr(part, "get_config"):
            if not any(part is other for other in seen):
                found |= parts_by_name(part, (*seen, value))
        elif callable(part) and hasattr(part, "__name__"):
            found[part.__name__] = part
    return found
