"""Context manager that keeps device-specific operations out of exported models."""

import contextlib
import contextvars

_RUNTIME: contextvars.ContextVar[str | None] = contextvars.ContextVar("runtime", default=None)


@contextlib.contextmanager
def portable(runtime: str = "tensorflow"):
    """Keep device-specific operations out of all TensorFlow graphs that are traced in a `with` block.

    Outside of the block, operations suit the machine at hand: where TensorFlow sees a GPU, for instance, convolutions
    of large groups are Keras's own, which XLA has to compile on a CPU.

    Args:
        runtime: the runtime of the exported graph: "tensorflow", or "litert", which has a fast grouped convolution of
            its own.
    """
    token = _RUNTIME.set(runtime)
    try:
        yield
    finally:
        _RUNTIME.reset(token)


def portable_runtime() -> str | None:
    """Return the runtime for which a model is being exported ("tensorflow" or "litert"), or None outside an export."""
    return _RUNTIME.get()
