"""Functions that convert Sequential models to functional models, and find layers in nested Keras models."""

import keras

from encapnet_tf.model_copies import compile_like


def functional_model(model, purpose: str, advice: str) -> keras.Model:
    """Convert a built Sequential model to a functional model, or return a functional model unchanged.

    Raise ValueError for anything else.

    Args:
        model: the model.
        purpose: what is done with functional models, for the error: "Units are attached to".
        advice: sentence that ends the error about a model of a user's own class.
    """
    if isinstance(model, keras.Sequential) and model.built:
        functional = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
        functional.dtype_policy = model.dtype_policy
        compile_like(functional, model)
        return functional
    try:
        graph = model.operations
    except AttributeError:
        graph = None
    if not isinstance(model, keras.Model) or not graph:
        if isinstance(model, keras.Sequential):
            advice = "Give this Sequential a keras.Input as its first layer, or call it on a batch."
        raise ValueError(
            f"{purpose} functional models: keras.Model(inputs, outputs), or a built Sequential. "
            f"Received: {getattr(model, 'name', model)!r} ({type(model).__name__}). {advice}"
        )
    return model


def find_layer_path(model: keras.Model, name: str) -> list[str]:
    """Find a layer by its name in a Keras model or in one of the models nested in it.

    The path of a layer is a list: the names of the nested models that it lies in, from the outermost, and its own name.

    Args:
        model: a functional model.
        name: the layer's name, or its path joined by "/".

    Raises:
        ValueError: there is no such layer, or there are several.
    """
    paths = list(layer_paths(model))
    found = [path for path in paths if path == name.split("/")] or [path for path in paths if path[-1] == name]
    if len(found) == 1:
        return found[0]
    if found:
        choices = " or ".join(repr("/".join(path)) for path in found)
        raise ValueError(f"Several nested models have a layer {name!r}. Say which: {choices}.")
    names = [path[0] for path in paths if len(path) == 1]
    nested = [path[0] for path in paths if len(path) == 2]
    raise ValueError(
        f"{model.name} has no layer {name!r}. Its layers: {', '.join(names[:8])}"
        f"{', ...' if len(names) > 8 else ''} ({len(names)} in all; see model.summary("
        f"{'expand_nested=True' if nested else ''}))."
    )


def layer_paths(model):
    """Yield the path to each layer of a nested Keras model as a list of names, such as ["backbone", "conv1"]."""
    for layer in model.layers:
        yield [layer.name]
        if isinstance(layer, keras.Model):
            yield from ([layer.name, *path] for path in layer_paths(layer))


def layers_of_class(model: keras.Model, layer_class: type) -> list:
    """Return all layers of a class in a Keras model, including those in nested models.

    Args:
        model: a Keras model.
        layer_class: the class.
    """
    layers: list = []
    for layer in model.layers:
        if isinstance(layer, layer_class):
            layers.append(layer)
        elif isinstance(layer, keras.Model):
            layers += layers_of_class(layer, layer_class)
    return layers
