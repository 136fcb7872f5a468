"""Functions that add a decoder to a Keras capsule network, reconstruct images with it, and remove it."""

import keras
import numpy as np

from encapnet_tf.arguments import whole_number
from encapnet_tf.functional_models import functional_model
from encapnet_tf.layers import Reconstruction
from encapnet_tf.model_classes.capsule_model import CapsuleModel
from encapnet_tf.model_classes.named_outputs import NamedOutputs, keep_output_names
from encapnet_tf.model_classes.reconstruction_model import ReconstructionModel
from encapnet_tf.model_copies import clone_uncompiled, compile_like

_LAYER = "reconstruction"  # name of the added layer, and of the logged mean squared error
_OWN_STEPS = ("train_step", "test_step", "compute_loss")
_BATCH = 128
_MOVES = tuple(i / 20 for i in range(-5, 6))  # Fig. 4 of Sabour et al. (2017): -0.25 to 0.25 in steps of 0.05


def attach_reconstruction(model, capsules="class_capsules", weight=None, decoder="dense", max_pixel=None):
    """Attach a reconstruction decoder to a capsule network, and add the reconstruction error to its loss.

    The decoder reconstructs each image from the capsule of its label, which regularises the network ("Dynamic Routing
    Between Capsules", 2017, section 4.1). `fit(images, labels)` trains the returned model as before, with
    `weight * mean((image - reconstruction)^2)` added to the loss. The mean squared error is logged as
    "reconstruction". No gradient reaches the images.

    Args:
        model: a functional Keras model with one input, images (batch, height, width, channels), and one output.
        capsules: name of the layer whose output is the class capsules (batch, classes, capsule_dim), in the order of
            the labels.
        weight: factor of the mean squared error; None is 0.0005 * height * width * channels, the paper's.
        decoder: "dense" (the paper's: two hidden layers of 512 and 1024 units), "conv" (Efficient-CapsNet's), or a
            Keras layer that maps (batch, classes * capsule_dim) to images, or to flat images, from 0 to 1.
        max_pixel: pixel value of white in the images that the model receives. None is 255 if the model rescales its
            input or receives integers, else 1.

    Returns:
        A new model that shares layers and weights with `model` and is compiled as `model` is (see `attach_feedback`).
        Its layer "reconstruction" holds the decoder. Labels are integers (batch,) or rows (batch, classes).

    Raises:
        ValueError: the model has another form, steps of its own or a decoder already, there is no such layer, its
            output is not class capsules, or the decoder does not make images of the input's size.

    Example:

    >>> import encapnet_tf as en
    >>> model = en.models.EncapNet((8, 8, 1), classes=2, depths=(1,), capsule_dims=(2,), strides=(2,), num_capsules=4)
    >>> with_decoder = attach_reconstruction(model)
    >>> with_decoder.reconstruction.decode(with_decoder.get_layer("class_capsules").output).shape
    (None, 8, 8, 1)
    """
    model = _functional(model)
    image_shape = _image_shape(model)
    if (owner := _class_with_own_steps(type(model))) is not None:
        raise ValueError(
            f"{model.name} is of a class with training steps of its own, {owner.__name__}, to which "
            "attach_reconstruction cannot add a loss. Place layers.Reconstruction in the model and add its "
            "squared_error in your compute_loss."
        )
    names = [layer.name for layer in model.layers]
    if _LAYER in names:
        raise ValueError(f"{model.name} has a layer {_LAYER!r} already. Call strip_reconstruction first.")
    if capsules not in names:
        raise ValueError(
            f"{model.name} has no layer {capsules!r}. Pass capsules=NAME, the layer whose output is the class capsules "
            f"(batch, classes, capsule_dim). Its layers: {', '.join(names[-8:])} (the last of {len(names)})."
        )
    if max_pixel is None:
        max_pixel = 255.0 if _reads_bytes(model) else 1.0
    dtype = model.get_layer(capsules).dtype_policy  # the outputs stay as they are
    layer = Reconstruction(image_shape, decoder, weight, max_pixel, name=_LAYER, dtype=dtype)

    def call(this, *args, **kwargs):
        output = this(*args, **kwargs)
        return layer(output) if this.name == capsules else output

    clone = clone_uncompiled(model, model.input, clone_function=lambda this: this, call_function=call)
    return _finish(ReconstructionModel, clone, model)


def strip_reconstruction(model):
    """Remove the decoder that `attach_reconstruction` added to a Keras model.

    Args:
        model: a functional Keras model.

    Returns:
        A new model without the decoder and its variables, compiled as `model` is. It shares all other layers and
        weights with `model`, and its outputs are equal to the last bit.

    Raises:
        ValueError: the model is not functional.

    Example:

    >>> import encapnet_tf as en
    >>> model = en.models.EncapNet((8, 8, 1), classes=2, depths=(1,), capsule_dims=(2,), strides=(2,), num_capsules=4)
    >>> strip_reconstruction(attach_reconstruction(model)).count_params() == model.count_params()
    True
    """
    model = _functional(model)

    def call(layer, *args, **kwargs):
        return args[0] if isinstance(layer, Reconstruction) else layer(*args, **kwargs)

    clone = clone_uncompiled(model, model.input, clone_function=lambda layer: layer, call_function=call)
    return _finish(CapsuleModel if isinstance(model, ReconstructionModel) else type(clone), clone, model)


def reconstruct(model, images, component=None, values=None, labels=None):
    """Reconstruct images from class capsules, optionally after changing one component of the capsule vectors.

    Args:
        model: a model with a decoder, see `attach_reconstruction`.
        images: (batch, height, width, channels), with pixels as the model receives them.
        component: index of the component of the class capsules to move, from 0 to capsule_dim - 1; None moves none.
        values: numbers that are added to the component, one reconstruction for each; None is -0.25, -0.2, ..., 0.25
            (Fig. 4 of "Dynamic Routing Between Capsules", 2017).
        labels: classes (batch,) from whose capsules the images are reconstructed; None is each image's longest capsule.

    Returns:
        NumPy array (batch, height, width, channels), or with `component` (batch, values, height, width, channels), from
        0 to 1.

    Raises:
        ValueError: the model has no decoder, there is no such component, `values` is given without a component, or the
            images have another shape.

    Example:

    >>> import encapnet_tf as en, numpy as np
    >>> model = en.models.EncapNet((8, 8, 1), classes=2, depths=(1,), capsule_dims=(2,), strides=(2,), num_capsules=4)
    >>> images = np.zeros((3, 8, 8, 1), "float32")
    >>> reconstruct(attach_reconstruction(model), images, component=0, values=(-0.1, 0.0, 0.1)).shape
    (3, 3, 8, 8, 1)
    """
    layer = reconstruction_layer(model)
    images = np.asarray(images)
    if images.shape[1:] != layer.image_shape:
        sizes = ", ".join(map(str, layer.image_shape))
        raise ValueError(f"images must be of shape (batch, {sizes}). Received: images of shape {images.shape}.")
    if component is None:
        if values is not None:
            raise ValueError(f"values={values!r} move a component: pass component=INDEX, too.")
        return _in_batches(model, layer, images, labels, lambda capsules, longest: layer.decode(capsules, longest))
    capsule_dim = layer.output.shape[-1]
    if whole_number("component", component, least=0) >= capsule_dim:
        raise ValueError(
            f"component must be from 0 to {capsule_dim - 1}, the class capsules' dimension less 1. "
            f"Received: component={component!r}."
        )
    moves = np.asarray(_MOVES if values is None else values, "float32")
    if moves.ndim != 1 or not moves.size or not np.isfinite(moves).all():
        raise ValueError(f"values must be a list of finite numbers. Received: values={values!r}.")

    def decode(capsules, classes):
        moved = [layer.decode(_with_component_moved(capsules, component, move), classes) for move in moves]
        return keras.ops.stack(moved, axis=1)

    return _in_batches(model, layer, images, labels, decode)


def reconstruction_layer(model) -> Reconstruction:
    """Return the decoder layer of a Keras model, or raise ValueError if there is none."""
    for layer in getattr(model, "layers", ()):
        if isinstance(layer, Reconstruction):
            return layer
    raise ValueError(
        f"{getattr(model, 'name', model)!r} has no decoder. Add one with attach_reconstruction and train the model."
    )


def _in_batches(model, layer, images, labels, decode):
    """Reconstruct images batch by batch with a function that decodes class capsules.

    Args:
        model: the model.
        layer: its decoder layer.
        images: (n, height, width, channels).
        labels: classes (n,) or None for each image's longest capsule.
        decode: (capsules, classes) -> reconstructions; called once a batch.
    """
    network = keras.Model(model.inputs[0], layer.output)
    results = []
    for start in range(0, len(images), _BATCH):
        capsules = network(images[start : start + _BATCH], training=False)
        if labels is None:  # the unmoved capsules decide
            classes = keras.ops.argmax(keras.ops.sum(keras.ops.square(capsules), axis=-1), axis=-1)
        else:
            classes = np.asarray(labels)[start : start + _BATCH]
        results.append(keras.ops.convert_to_numpy(decode(capsules, classes)).astype("float32"))
    return np.concatenate(results)


def _with_component_moved(capsules, component, move):
    """Add a number to one component of each capsule vector.

    `capsules` has the shape (batch, capsules, capsule_dim).
    """
    one_hot = keras.ops.one_hot(component, capsules.shape[-1], dtype=capsules.dtype)
    return capsules + keras.ops.cast(move, capsules.dtype) * one_hot


def _functional(model):
    """Convert a built Sequential model to a functional model, or return a functional model unchanged.

    Raise ValueError for anything else.
    """
    advice = "In a model of your own class, place layers.Reconstruction yourself."
    return functional_model(model, "Decoders are attached to and removed from", advice)


def _image_shape(model):
    """Check that a decoder can be attached to a Keras model, and return the shape of the model's input images.

    The model must have one input, images (height, width, channels) of known size, and one output. Otherwise raise
    ValueError.
    """
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or None in shapes[0][1:] or len(model.outputs) != 1:
        outputs = [tuple(tensor.shape) for tensor in model.outputs]
        raise ValueError(
            "attach_reconstruction expects a model with one input, images (batch, height, width, channels) of known "
            f"size, and one output. {model.name} has inputs {shapes} and outputs {outputs}."
        )
    return shapes[0][1:]


def _class_with_own_steps(model_class):
    """Find the user-defined base class that overrides a training or test method of a Keras model class.

    Return None if no method of `_OWN_STEPS` is overridden.
    """
    ours = (CapsuleModel, NamedOutputs, ReconstructionModel)
    for step in _OWN_STEPS:
        for owner in model_class.__mro__:
            if step in vars(owner):
                if owner not in ours and not owner.__module__.startswith("keras."):
                    return owner
                break
    return None


def _reads_bytes(model):
    """Return whether a Keras model expects pixel values from 0 to 255.

    It does if its inputs are integers, or if a `Rescaling` layer scales them by less than 0.1.
    """
    if "int" in keras.backend.standardize_dtype(model.inputs[0].dtype):
        return True
    rescaling = [layer for layer in model.layers if isinstance(layer, keras.layers.Rescaling)]
    return any(np.max(np.asarray(layer.scale)) < 0.1 for layer in rescaling)


def _finish(model_class, clone, original):
    """Build a model from a cloned graph, and compile it like the original model.

    It also has the original's output names and dtype policy.
    """
    model = model_class(clone.input, clone.output, name=original.name)
    model.dtype_policy = original.dtype_policy
    model = keep_output_names(model, original)
    compile_like(model, original)
    return model
