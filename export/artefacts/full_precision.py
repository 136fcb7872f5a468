"""Functions that convert networks trained in half precision to float32 for export.

TFLite has no arithmetic in float16 or bfloat16, and the weights are float32 anyway under Keras's mixed policies.
"""

import contextlib
import tempfile
from pathlib import Path

import keras

from encapnet_tf.model_copies import clone_uncompiled, parts_by_name

from ...trainers.runs.errors import UserError

_HALF = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")  # dtypes and dtype policies


def half_precision(model) -> str | None:
    """Return the half-precision dtype in which a Keras model computes, or None for a float32 model.

    Args:
        model: a functional or Sequential model.

    Returns:
        "float16", "bfloat16", "float16 and bfloat16", or None. The dtype policies of all layers decide, also of those
        nested in models and in other layers.
    """
    found: set[str] = set()
    for layer in getattr(model, "operations", model.layers):
        if _is_network(layer):
            found.update((half_precision(layer) or "").split(" and "))
        else:
            _in_float32(_configuration(layer), found)
    return " and ".join(sorted(found - {""}, reverse=True)) or None


@contextlib.contextmanager
def float32_by_default():
    """Set Keras's default dtype policy to float32 in a `with` block.

    A layer of the user's own may create parts without naming their dtype.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def float32_inputs(model):
    """Create symbolic inputs for the float32 copy of a half-precision Keras model."""
    inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return keras.tree.map_structure(
        lambda x: keras.Input(batch_shape=x.shape, dtype="float32" if x.dtype in _HALF else x.dtype, name=x.name),
        inputs,
    )


def float32_layer(layer):
    """Create a float32 version of a Keras layer, with the same configuration but new weights.

    Args:
        layer: a Keras layer or operation of a functional model, or a nested functional model.

    Raises:
        UserError: the layer cannot be created from its configuration.
    """
    if _is_network(layer):
        return clone_uncompiled(layer, float32_inputs(layer), clone_function=float32_layer)
    try:
        if isinstance(layer, keras.layers.Lambda):  # its function need not be serialisable
            return keras.layers.Lambda(
                layer.function,
                output_shape=layer.compute_output_shape,
                mask=layer.mask,
                arguments=layer.arguments,
                name=layer.name,
                dtype=_in_float32({"dtype": layer.dtype_policy.name})["dtype"],
            )
        config = _in_float32(layer.get_config())
        with keras.saving.custom_object_scope(parts_by_name(layer)):
            return type(layer).from_config(config)
    except Exception as error:  # whatever the user's own get_config and from_config raise
        raise UserError(
            f"The model computes in half precision, so it is rebuilt in float32 for the export, but its layer "
            f"{layer.name!r} ({type(layer).__name__}) cannot be created from its configuration. Give the class a "
            "get_config that returns all its arguments, and register it and its functions with "
            "@keras.saving.register_keras_serializable(). Or build the model in float32 yourself, set_weights, and "
            f"export that. Keras says: {' '.join(str(error).split())[:400]}"
        ) from None


def copy_weights(model, original):
    """Copy the weights of a Keras model into a rebuilt model of the same structure.

    Other state that layers save with the weights is copied too.

    Raises:
        UserError: the structures differ.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.weights.h5"
        original.save_weights(path)
        try:
            model.load_weights(path)
        except (ValueError, KeyError) as error:
            raise UserError(
                f"The model computes in half precision, so it is rebuilt in float32 for the export, but the rebuilt "
                f"network has other weights than the trained one: {error} Check the get_config of its own layers, or "
                "build the model in float32 yourself, set_weights, and export that."
            ) from None


def _is_network(layer):
    """Return whether a Keras layer is itself a functional or Sequential model."""
    return isinstance(layer, keras.Sequential) or (isinstance(layer, keras.Model) and hasattr(layer, "operations"))


def _configuration(layer):
    """Return a Keras layer's configuration, or only its dtype policy if `get_config` raises an error."""
    try:
        return layer.get_config()
    except Exception:  # NotImplementedError of Keras, or whatever a user's own class raises
        return {"dtype": layer.dtype_policy.name} if hasattr(layer, "dtype_policy") else {}


def _in_float32(config, found=None, is_dtype=False):
    """Copy a Keras layer's configuration with all half-precision dtypes and dtype policies replaced by float32.

    Args:
        config: the configuration, or a part of it.
        found: set to which the names of the replaced half precisions are added.
        is_dtype: whether the part is a dtype or the configuration of a dtype policy.
    """
    if isinstance(config, dict):
        is_dtype = is_dtype or "DTypePolicy" in str(config.get("class_name"))
        return {key: _in_float32(value, found, is_dtype or str(key).endswith("dtype")) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)([_in_float32(value, found, is_dtype) for value in config])
    if is_dtype and isinstance(config, str) and config in _HALF:
        if found is not None:
            found.add(config.removeprefix("mixed_"))
        return "float32"
    return config
