"""The reader of pickled arrays: it reads arrays of numbers, and runs nothing that a file asks for."""

import pickle

import numpy as np
import pytest
from encapnet_tf.trainers.data.formats.array_pickle import read_array_pickle
from encapnet_tf.trainers.runs.errors import UserError

from tests.trainers.data.original_files import python_2_pickle

ARRAY = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.mark.parametrize("protocol", range(6))
def test_reads_what_python_3_wrote(protocol):
    values = {
        "rows": ARRAY,
        "columns": ARRAY.T,
        "big": ARRAY.astype(">i4"),
        "truth": ARRAY > 3,
        "list": [1, np.int64(2)],
        "text": "x",
    }
    read = read_array_pickle("batch", pickle.dumps(values, protocol))
    for name in ("rows", "columns", "big", "truth"):
        np.testing.assert_array_equal(read[name], values[name])
        assert read[name].dtype == values[name].dtype
    assert (read["list"], read["text"]) == ([1, 2], "x")


@pytest.mark.parametrize("module", [b"numpy.core.", b"numpy._core."])
def test_reads_what_python_2_and_both_numpys_wrote(module):
    written = python_2_pickle("labels", ARRAY, [3, 4, 5]).replace(b"numpy.core.", module)
    read = read_array_pickle("batch", written)
    np.testing.assert_array_equal(read["data"], ARRAY)
    assert read["labels"] == [3, 4, 5]


class Hostile:
    """Object whose unpickling creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "wrap", [lambda x: x, lambda x: [x], lambda x: np.array([x, 1], object)], ids=["plain", "list", "array"]
)
def test_a_file_that_would_run_code_is_refused_unrun(tmp_path, protocol, wrap):
    hostile = pickle.dumps({"data": wrap(Hostile(tmp_path / "ran"))}, protocol)
    with pytest.raises(UserError, match=r"^batch (was refused.*asks for io\.open|.*arrays of type 'O8' are not read)"):
        read_array_pickle("batch", hostile)
    assert not list(tmp_path.iterdir())
    pickle.loads(hostile)["data"]  # the file is hostile indeed
    assert [path.name for path in tmp_path.iterdir()] == ["ran"]


def _global(module, name):
    return f"c{module}\n{name}\n".encode()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("numpy", "load"),
        ("numpy", "fromfile"),
        ("numpy", "ndarray.tofile"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy.testing._private.utils", "runstring"),
        ("builtins", "eval"),
        ("__builtin__", "eval"),
        ("_codecs", "open"),
        ("encapnet_tf.trainers.data.formats.array_pickle", "_CONSTRUCTORS"),
    ],
)
def test_no_module_is_admitted_as_a_whole(module, name):
    with pytest.raises(UserError, match="was refused, and nothing in it was run"):
        read_array_pickle("batch", b"\x80\x02}U\x01a" + _global(module, name) + b"s.")
    by_name = (
        b"\x80\x04}\x8c\x01a\x8c"
        + bytes([len(module)])
        + module.encode()
        + b"\x8c"
        + bytes([len(name)])
        + name.encode()
    )
    with pytest.raises(UserError, match="was refused, and nothing in it was run"):
        read_array_pickle("batch", by_name + b"\x93s.")


_OBJECTS = _global("numpy", "dtype") + b"U\x02O8K\x00K\x01\x87R"
_BYTES = _global("numpy", "dtype") + b"U\x02u1K\x00K\x01\x87R"
_EMPTY = _global("numpy.core.multiarray", "_reconstruct") + _global("numpy", "ndarray") + b"K\x00\x85U\x01b\x87R"


@pytest.mark.parametrize(
    "value",
    [
        _OBJECTS,
        _OBJECTS + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",  # says that it holds no objects
        _BYTES + b"(K\x03U\x01|N(U\x01ae}NJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",  # fields
        _EMPTY + b"(K\x01K\x04\x85" + _BYTES + b"\x89U\x02abtb",  # 4 elements in 2 bytes
        _EMPTY + b"(K\x01J\xff\xff\xff\xff\x85" + _BYTES + b"\x89U\x02abtb",  # a negative size
        _EMPTY + b"(K\x01K\x02\x85" + _BYTES + b"\x89](K\x01K\x02etb",  # a list of objects
        _EMPTY + b"(K\x01K\x02\x85U\x02u1\x89U\x02abtb",  # no type
        _global("numpy", "ndarray") + b"}U\x01aK\x01sb",  # attributes for a function
        _global("_codecs", "encode") + b"X\x01\x00\x00\x00aX\x03\x00\x00\x00rot\x86R",
        _global("_codecs", "encode") + b"N}U\x0c__defaults__)s\x86b",  # changes our function
        b"K\x01sU\x02\xff\xfeK\x01",  # a name that is no text
        b"U\x01x",  # and the dictionary never ends
    ],
)
def test_states_that_no_array_has_are_refused(value):
    end = b"" if value == b"U\x01x" else b"s."
    with pytest.raises(UserError, match="batch is no pickle file of arrays, or is damaged or truncated"):
        read_array_pickle("batch", b"\x80\x02}U\x01a" + value + end)


@pytest.mark.parametrize("length", [0, 1, 2, 40, 100, -1])
def test_truncated(length):
    with pytest.raises(UserError, match="damaged or truncated"):
        read_array_pickle("batch", python_2_pickle("labels", ARRAY, [3, 4, 5])[:length])


def test_no_dictionary():
    with pytest.raises(UserError, match=r"expected a pickled dictionary\. Found list"):
        read_array_pickle("batch", pickle.dumps([1]))
