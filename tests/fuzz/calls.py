"""Random calls of the public classes and functions, with bad settings and bad arrays, from a seed."""

import random
from collections.abc import Callable, Iterator

import numpy as np

import encapnet_tf as en
from tests.core.conformance.bad_inputs import BAD_SETTINGS, bad_arrays, settings_of
from tests.core.conformance.rows import CALLBACKS, LAYERS, LOSSES, METRICS, MODELS
from tests.core.conformance.test_bad_inputs import COMPUTED_BEFORE, OPS, arguments_of

Call = tuple[str, Callable[[], object]]
_LAYERS = [row for row in LAYERS if row.public not in COMPUTED_BEFORE]
_LABELS, _LENGTHS = np.eye(4, dtype="float32")[:3], np.full((3, 4), 0.4, "float32")


def wrong_calls(seed: int, count: int) -> Iterator[Call]:
    """Yield a name and a function without arguments for each call; most calls have something that is wrong."""
    rng = random.Random(seed)
    kinds, weights = [_of_a_layer, _of_a_function, _of_a_loss, _of_a_model], [4, 3, 2, 1]
    for _ in range(count):
        (kind,) = rng.choices(kinds, weights)
        yield kind(rng)


def _settings(rng, function, share: float = 0.15) -> dict:
    """Choose bad values for some of the settings of a class or function."""
    return {name: rng.choice(BAD_SETTINGS) for name in settings_of(function) if rng.random() < share}


def _array(rng, good) -> tuple[str, object]:
    """Choose a bad array in place of a good one, or, in three of ten cases, the good one; return its name, too."""
    return rng.choice(list(bad_arrays(good).items())) if rng.random() < 0.7 else ("good", good)


def _of_a_layer(rng) -> Call:
    row = rng.choice(_LAYERS)
    settings, (kind, array) = _settings(rng, row.factory.func), _array(rng, row.input(1))
    arguments = {**arguments_of(row), **settings}
    return f"{row.name} {settings} {kind}", lambda: row.call(row.factory.func(**arguments), array)


def _of_a_function(rng) -> Call:
    name = rng.choice(list(OPS))
    function, arguments, kinds = getattr(en.ops, name), list(OPS[name]), []
    names = settings_of(function)
    for i, argument in enumerate(arguments):
        if isinstance(argument, np.ndarray):
            kind, arguments[i] = _array(rng, argument) if rng.random() < 0.5 else ("good", argument)
            kinds.append(kind)
        elif rng.random() < 0.15:
            arguments[i] = rng.choice(BAD_SETTINGS)
    keywords = {name: value for name, value in _settings(rng, function).items() if name in names[len(arguments) :]}
    return f"{name} {kinds} {keywords}", lambda: function(*arguments, **keywords)


def _of_a_loss(rng) -> Call:
    row = rng.choice(LOSSES + METRICS)
    arguments = {**arguments_of(row), **_settings(rng, row.factory.func)}
    (one, labels), (other, lengths) = _array(rng, _LABELS), _array(rng, _LENGTHS)
    return f"{row.name} {arguments} {one} {other}", lambda: row.factory.func(**arguments)(labels, lengths)


def _of_a_model(rng) -> Call:
    """Return a call that builds a network or a callback."""
    row = rng.choice(MODELS + CALLBACKS)
    arguments = {**arguments_of(row), **_settings(rng, row.factory.func, share=0.1)}
    return f"{row.name} {arguments}", lambda: row.factory.func(**arguments)
