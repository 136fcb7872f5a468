"""A Sinkhorn contestant with the fewest iterations that reach a given accuracy."""

import importlib


def as_accurate(factory, target, steps, **arguments):
    """The contestant with the first number of iterations whose gradient error is at most `target`.

    Args:
        factory: "package.module:function", of a contestant that takes `iterations`.
        target: largest relative error of its gradient.
        steps: numbers of iterations to try, rising; where none reaches the target the last is used.
        **arguments: the factory's others.

    Returns:
        Its `Prepared`; among its facts "iterations", and whether the target was "reached".
    """
    module, function = factory.split(":")
    make = getattr(importlib.import_module(module), function)
    for iterations in steps:
        made = make(iterations=iterations, **arguments)
        error = made.facts["gradient error"]
        reached = error is not None and error <= target
        if reached:
            break
    return made._replace(facts={**made.facts, "iterations": iterations, "reached": reached})
