"""Functions that load capsule network weights from other implementations into Keras layers and models."""

from encapnet_tf.interop.reference_weights import load_reference_weights
from encapnet_tf.interop.state_dict import load_official_state_dict

__all__ = ["load_official_state_dict", "load_reference_weights"]


def __dir__() -> list[str]:
    """Return the public names of this module for `dir()` and tab completion."""
    return list(__all__)
