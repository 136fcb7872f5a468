"""Search for the layers that compute the class scores of a functional Keras model."""

import keras

from encapnet_tf.keras_private import layer_call


def scores_before_softmax(model):
    """Return a model that outputs the inputs of the final `Softmax` layer, or the model itself if it has no such layer.

    Where a softmax is close to 1, its gradient is close to 0 and depends on the scores of all classes.
    """
    outputs = list(getattr(model, "outputs", None) or [])
    if len(outputs) == 1:
        layer, arguments, _ = layer_call(outputs[0])
        is_activation = isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.softmax
        if isinstance(layer, keras.layers.Softmax) or is_activation:
            return keras.Model(model.inputs[0], arguments[0])
    return model


def last_call(model, layer_classes):
    """Search a functional Keras model, from the output backwards, for a layer of one of the given classes.

    If the model calls the layer several times, the call nearest to the output counts. Return None if there is none.

    Args:
        model: a functional Keras model with one output.
        layer_classes: tuple of classes.

    Returns:
        (layer, arguments, keyword arguments, output), as of `layer_call`; the output is the layer's symbolic output.
    """
    tensors, seen = [model.outputs[0]], set()
    while tensors:  # breadth first, from the output
        tensor = tensors.pop(0)
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        layer, arguments, options = layer_call(tensor)
        if isinstance(layer, layer_classes):
            return layer, arguments, options, tensor
        tensors += [x for x in keras.tree.flatten([arguments, options]) if keras.utils.is_keras_tensor(x)]
    return None
