"""Bad settings and bad arrays, one list for every public class and function."""

import inspect

import numpy as np

NAN = float("nan")
BAD_SETTINGS = [
    "x",
    "",
    None,
    True,
    -1,
    0,
    0.5,
    NAN,
    float("inf"),
    10**30,
    [],
    [NAN],
    {},
    (0, -1),
    object(),
    np.ones(2),
]
# Arguments that Keras checks, or that are objects of any kind.
NOT_OURS = {"name", "dtype", "trainable", "kwargs", "options", "args", "reduction", "self"}
CLEAR = (ValueError, TypeError)


def settings_of(function):
    """Return the names of the arguments of a class or function that are settings."""
    return [name for name in inspect.signature(function).parameters if name not in NOT_OURS]


def bad_arrays(good):
    """Return what may be given in place of a good array, by name: wrong types, dtypes, ranks, sizes."""
    good = np.asarray(good)
    return {
        "none": None,
        "text": "text",
        "object": object(),
        "dictionary": {"x": 1},
        "empty_list": [],
        "ragged_list": [[1.0], [1.0, 2.0]],
        "scalar": 3.0,
        "vector": np.ones(3, "float32"),
        "rank_7": np.ones((1,) * 7, "float32"),
        "rank_2": np.ones((2, 3), "float32"),
        "one_axis_more": good[..., None],
        "one_axis_less": good[..., 0],
        "complex": good.astype("complex64"),
        "strings": good.astype(str),
        "objects": good.astype(object),
        "no_batch": good[:0],
        "no_channels": good[..., :0],
        "no_rows": good[:, :0] if good.ndim > 1 else good[:0],
        "a_channel_more": np.concatenate([good, good[..., :1]], axis=-1),
    }
