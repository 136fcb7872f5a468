"""Bad settings and bad inputs of every public class and function: a ValueError or TypeError, or it works.

Each error of the kind that TensorFlow or Python raises somewhere below would be none that a user understands.
"""

import inspect

import numpy as np
import pytest

import encapnet_tf as en
from tests.core.conformance.bad_inputs import BAD_SETTINGS, CLEAR, bad_arrays, settings_of
from tests.core.conformance.rows import LAYERS, LOSSES, METRICS, UNITS, named
from tests.core.conformance.test_precision import first_of_each_class

LAYER_ROWS = first_of_each_class(LAYERS + UNITS)
LOSS_ROWS = first_of_each_class(LOSSES + METRICS)
# Their rows compute with the input before the layer sees it, which refuses some arrays in a way of its own.
OF_KERAS = ("strings", "no_channels", "no_rows")
COMPUTED_BEFORE = ("layers.EMRouting", "layers.SelfRouting2D", "layers.FeedbackAgreement")
RNG = np.random.default_rng(0)
X, MAP, KERNEL = (RNG.normal(size=shape).astype("float32") for shape in ((4, 6), (1, 4, 3, 2), (3, 3, 1, 4)))
CAPSULES, MATRICES, BIASES = (
    RNG.normal(size=shape).astype("float32") for shape in ((4, 3, 1, 2), (3, 2, 5, 4), (3, 5, 4))
)
BETAS = np.zeros(5, "float32")
OPS = {
    "capsule_length": (X,),
    "dynamic_routing": (CAPSULES, MATRICES, BIASES),
    "em_routing": (CAPSULES, np.abs(CAPSULES[..., 0]), MATRICES, BIASES, BETAS, BETAS),
    "grouped_conv2d": (MAP, KERNEL, 2),
    "grouped_conv2d_transpose": (MAP, KERNEL, 2, (8, 6)),
    "mapped_capsules": (CAPSULES, MATRICES, BIASES),
    "merge_capsules": (MAP,),
    "pairwise_cost": (X, X),
    "relu_squash": (X, 2),
    "sinkhorn": (X[:, :4], 0.5),
    "sinkhorn_divergence": (X, X),
    "sinkhorn_plan": (X[:, :4], 0.5),
    "split_capsules": (MAP, 2),
    "squash": (X,),
}


def problem(function) -> str | None:
    """Call a function, and return the name of an exception that is not clear."""
    try:
        function()
    except CLEAR as error:
        return None if str(error).strip() else f"{type(error).__name__} without a message"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return None


def arguments_of(row) -> dict:
    names = list(inspect.signature(row.factory.func).parameters)
    return {**dict(zip(names, row.factory.args, strict=False)), **row.factory.keywords}


def test_every_function_has_a_row():
    assert set(OPS) == {name for name in en.ops.__all__ if inspect.isfunction(getattr(en.ops, name))}


@pytest.mark.parametrize("row", LAYER_ROWS, ids=named)
def test_inputs_of_layers(row):
    problems = {}
    for name, array in bad_arrays(row.input(2)).items():
        if not (name in OF_KERAS and row.public in COMPUTED_BEFORE):
            problems[name] = problem(lambda array=array: row.call(row.factory(), array))
    assert not {name: text for name, text in problems.items() if text}


@pytest.mark.ci
@pytest.mark.parametrize("row", LAYER_ROWS, ids=named)
def test_settings_of_layers(row):
    """A setting that is taken makes a layer that works on the row's input, or says why not."""
    good, problems = row.input(2), {}
    for name in settings_of(row.factory.func):
        for value in BAD_SETTINGS:
            settings = {**arguments_of(row), name: value}
            problems[name, repr(value)[:30]] = problem(
                lambda settings=settings: row.call(row.factory.func(**settings), good)
            )
    assert not {name: text for name, text in problems.items() if text}


@pytest.mark.parametrize("row", LAYER_ROWS[:4], ids=named)
def test_inputs_after_a_good_one(row):
    """A layer that was built refuses other shapes, too."""
    layer, good = row.factory(), row.input(2)
    row.call(layer, good)
    problems = {}
    for name, array in bad_arrays(good).items():
        if not (name in OF_KERAS and row.public in COMPUTED_BEFORE):
            problems[name] = problem(lambda array=array: row.call(layer, array))
    assert not {name: text for name, text in problems.items() if text}


@pytest.mark.ci
@pytest.mark.parametrize("row", LOSS_ROWS, ids=named)
def test_losses_and_metrics(row):
    labels, lengths = np.eye(4, dtype="float32")[:3], np.full((3, 4), 0.4, "float32")
    problems = {}
    for name in settings_of(row.factory.func):
        for value in BAD_SETTINGS:
            settings = {**arguments_of(row), name: value}
            problems[name, repr(value)[:30]] = problem(
                lambda settings=settings: row.factory.func(**settings)(labels, lengths)
            )
    for name, array in bad_arrays(labels).items():
        problems["y_true", name] = problem(lambda array=array: row.factory()(array, lengths))
        problems["y_pred", name] = problem(lambda array=array: row.factory()(labels, array))
    assert not {name: text for name, text in problems.items() if text}


@pytest.mark.parametrize("name", OPS)
def test_arrays_of_functions(name):
    function, arguments, problems = getattr(en.ops, name), OPS[name], {}
    for i, argument in enumerate(arguments):
        if isinstance(argument, np.ndarray):
            for kind, array in bad_arrays(argument).items():
                replaced = (*arguments[:i], array, *arguments[i + 1 :])
                problems[i, kind] = problem(lambda replaced=replaced: function(*replaced))
    assert not {key: text for key, text in problems.items() if text}


@pytest.mark.ci
@pytest.mark.parametrize("name", OPS)
def test_settings_of_functions(name):
    function, arguments, problems = getattr(en.ops, name), OPS[name], {}
    for i, parameter in enumerate(settings_of(function)):
        if i < len(arguments) and isinstance(arguments[i], np.ndarray):
            continue
        for value in BAD_SETTINGS:
            positional = (*arguments[:i], value, *arguments[i + 1 :]) if i < len(arguments) else arguments
            keywords = {} if i < len(arguments) else {parameter: value}
            problems[parameter, repr(value)[:30]] = problem(
                lambda positional=positional, keywords=keywords: function(*positional, **keywords)
            )
    assert not {key: text for key, text in problems.items() if text}
