"""Context manager under which models are exported without operations that need this machine's hardware."""

import contextlib
import contextvars

_RUNTIME: contextvars.ContextVar[str | None] = contextvars.ContextVar("runtime", default=None)


@contextlib.contextmanager
def portable(runtime: str = "tensorflow"):
    """Trace TensorFlow graphs in a `with` block with portable operations, which run with and without a GPU.

    Outside of the block, operations suit the machine at hand: where TensorFlow sees a GPU, for instance, Keras's
    grouped convolution is the fastest, but XLA has to compile it.

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
