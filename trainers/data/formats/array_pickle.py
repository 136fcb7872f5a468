"""Reader for pickled NumPy arrays, such as the batches of CIFAR-10, that never executes code from the pickle.

A pickle names the functions that rebuild its objects. Here, each of a short list of names stands for a function of this
module with checked arguments. Not even NumPy's own constructors receive values from the file, because they accept
states that corrupt memory, such as an array of object pointers with chosen addresses.
"""

import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from ...runs.errors import UserError, reason

_NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


def read_array_pickle(name: str, data: bytes) -> dict[str, Any]:
    """Read a pickled dictionary of NumPy arrays, lists, numbers and strings, without executing code from the pickle.

    Pickles of Python 2 and 3 and of NumPy 1 and 2 are read.

    Args:
        name: of the file, for error messages.
        data: the contents of the file.

    Returns:
        Dictionary from text to a value. Arrays contain numbers or truth values; objects are refused. Texts written by
        Python 2 are `bytes`, except the keys.

    Raises:
        UserError: the pickle names anything else than a constructor of numeric NumPy arrays, is damaged or truncated,
            or holds no dictionary.
    """
    try:
        content = _ArrayUnpickler(name, data).load()
        if not isinstance(content, dict):
            raise UserError(f"{name}: expected a pickled dictionary. Found {type(content).__name__}.")
        return {_text(key): value.array if isinstance(value, _Array) else value for key, value in content.items()}
    except UserError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly any
        raise UserError(f"{name} is no pickle file of arrays, or is damaged or truncated: {reason(error)}.") from None


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler that refuses all classes and functions except those that numeric NumPy arrays need."""

    def __init__(self, file_name: str, data: bytes):
        super().__init__(io.BytesIO(data), encoding="bytes")
        self._file_name = file_name

    def find_class(self, module: str, name: str) -> Any:
        constructor = _CONSTRUCTORS.get((module, name))
        if constructor is None:
            raise UserError(
                f"{self._file_name} was refused, and nothing in it was run: it is a pickle file that asks for "
                f"{module}.{name}, which a file of arrays does not need. Download the file again, from the data set's "
                "own page."
            )
        return constructor


class _Constructor:
    """Wrapper of a function that an untrusted pickle file may call but not change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable):
        self._function = function

    def __call__(self, *arguments):
        return self._function(*arguments)

    def __setstate__(self, state):
        raise pickle.UnpicklingError("a function has no state")


class _DType:
    """Safe replacement for `numpy.dtype` during unpickling, for numeric dtypes only.

    A pickle first gives the name of the type, and then its byte order.
    """

    __slots__ = ("dtype",)

    def __init__(self, name, align=False, copy=False):
        if (name := _text(name)) not in _NUMBERS:
            raise pickle.UnpicklingError(f"arrays of type {name!r} are not read, only arrays of numbers")
        self.dtype = np.dtype(name)

    def __setstate__(self, state):
        _, order, *rest = state
        if (order := _text(order)) not in ("<", ">", "|", "=") or any(value not in (None, -1, 0) for value in rest):
            raise pickle.UnpicklingError("the type of an array has fields or shapes")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Substitute for `numpy.ndarray` with which arrays can be unpickled safely.

    It is empty until the pickle sets shape, dtype and data.
    """

    __slots__ = ("array",)

    def __init__(self, *_):
        self.array = np.zeros(0, np.uint8)

    def __setstate__(self, state):
        _, shape, dtype, column_major, data = state
        self.array = _filled(data, dtype, shape, "F" if column_major else "C")


def _filled(data, dtype: _DType, shape, order) -> np.ndarray:
    """Create a numeric array from bytes, or raise an error if the number of bytes does not fit the shape and dtype."""
    if isinstance(data, str):  # bytes that Python 2 wrote as text
        data = data.encode("latin-1")
    if isinstance(data, list) or type(dtype) is not _DType:
        raise pickle.UnpicklingError("an array of objects is not read, only arrays of numbers")
    if not all(type(size) is int and size >= 0 for size in shape) or order not in ("C", "F"):
        raise pickle.UnpicklingError(f"an array has the shape {shape!r}")
    if math.prod(shape) * dtype.dtype.itemsize != len(data):
        raise pickle.UnpicklingError(f"an array of shape {shape} has {len(data)} bytes")
    return np.frombuffer(data, dtype.dtype).reshape(shape, order=order)


def _buffer(data, dtype, shape, order) -> _Array:
    array = _Array()
    array.array = _filled(data, dtype, shape, order)
    return array


def _scalar(dtype, data):
    return _filled(data, dtype, (), "C")[()]


def _encode(text, encoding) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("a text has an unexpected encoding")
    return text.encode("latin-1")


def _text(value) -> str:
    """Convert a string from a pickle file to `str`, including ASCII byte strings from Python 2."""
    if isinstance(value, bytes):
        value = value.decode("ascii")
    if not isinstance(value, str):
        raise pickle.UnpicklingError(f"expected a text, found {type(value).__name__}")
    return value


_ARRAY, _SCALAR, _BUFFER = _Constructor(_Array), _Constructor(_scalar), _Constructor(_buffer)
# The names in files of arrays: `numpy.core` in those of NumPy 1, `numpy._core` in those of NumPy 2.
_CONSTRUCTORS = {
    ("numpy", "ndarray"): _ARRAY,  # an argument of _reconstruct
    ("numpy", "dtype"): _Constructor(_DType),
    ("numpy.core.multiarray", "_reconstruct"): _ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _ARRAY,
    ("numpy.core.multiarray", "scalar"): _SCALAR,
    ("numpy._core.multiarray", "scalar"): _SCALAR,
    ("numpy.core.numeric", "_frombuffer"): _BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _BUFFER,
    ("_codecs", "encode"): _Constructor(_encode),  # bytes in files that Python 3 wrote for Python 2
}
