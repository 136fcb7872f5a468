"""Cache of compiled models for search trials that differ only in numeric settings such as learning rate.

Compiling a training step takes longer than a short trial. A step reads the numbers below from variables, so a trial
that differs in these alone takes over the compiled model of an earlier trial, with the state of a model of its own.
"""

import contextlib
import random
from collections import OrderedDict
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from tensorflow.python.eager import context

from encapnet_tf.keras_private import learning_rate_or_schedule
from encapnet_tf.layers import FeedbackAgreement

from ..config.schema import Config

_KEPT_MODELS = 3
_RATES = ("warmup_target", "initial_learning_rate")  # attributes of Keras's learning rate schedules
_NUMBERS = ("feedback_weight", "epsilon", "learning_rate", "l2", "weight_decay")


class CompiledModels:
    """Cache of compiled models, so that later hyper-parameter search trials can reuse the models."""

    def __init__(self):
        self._models: OrderedDict[Config, _CompiledModel] = OrderedDict()
        self.compilations = 0

    def set_random_seed(self, seed: int):
        """Set the random seeds for a search trial without discarding TensorFlow's compiled functions.

        TensorFlow discards all compiled functions when its own seed is set, and needs seconds to make them again. So it
        is set once only. The networks do not use it: their initial values and dropout masks depend on Python's seed.
        """
        if self._models:
            random.seed(seed)
            np.random.seed(seed)
        else:
            keras.utils.set_random_seed(seed)

    def take_over(self, config: Config, model: keras.Model) -> keras.Model:
        """Return a compiled model for a hyper-parameter search trial, reused from an earlier trial if possible.

        Args:
            config: the trial's configuration.
            model: the network, built and compiled for this trial and not trained. Its optimizer cannot be saved
                afterwards.

        Returns:
            The model of an earlier trial that differs only in numbers, with the weights, random seeds, optimizer state
            and numbers of `model`; or `model` itself, which is kept for later trials.
        """
        new = _CompiledModel(model)
        structure = structure_of(config)
        kept = self._models.setdefault(structure, new)
        self._models.move_to_end(structure)
        if kept is new:
            self.compilations += 1
            if len(self._models) > _KEPT_MODELS:
                self._models.popitem(last=False)
        else:
            kept.copy_state(new)
        return kept.model


def structure_of(config: Config) -> Config:
    """Return a cache key that is the same for all training configurations that can share one compiled model.

    The key is the configuration with 1 for numbers that can change without recompiling the model. A number that is zero
    or None stays, because a step may leave out what it would do with another number.
    """
    numbers: dict[str, Any] = {name: 1.0 for name in _NUMBERS if getattr(config, name)}
    return replace(config, **numbers)


@contextlib.contextmanager
def keep_compiled_functions():
    """Keep TensorFlow's compiled functions when `keras.backend.clear_session` is called inside the `with` block.

    `clear_session` discards them, and TensorFlow takes seconds to make those of a training step again.
    """
    eager_context = context.context()
    eager_context.clear_kernel_cache = lambda: None  # hides the method of this name
    try:
        yield
    finally:
        del eager_context.clear_kernel_cache


class _CompiledModel:
    """Compiled model whose optimizer settings are stored in variables and can change without recompilation."""

    def __init__(self, model: keras.Model):
        self.model = model
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)
            self._numbers = _numbers_as_variables(model.optimizer)

    def copy_state(self, other: "_CompiledModel"):
        """Copy weights, optimizer state and hyper-parameters from another model with the same layers."""
        for variable, value in zip(self._variables(), other._variables(), strict=True):
            variable.assign(value)
        for unit, other_unit in zip(_units(self.model), _units(other.model), strict=True):
            unit.epsilon = other_unit.epsilon  # also the Python number, which `get_config` saves

    def _variables(self) -> list[keras.Variable]:
        return [*self.model.variables, *self.model.optimizer.variables, *self._numbers]


def _units(model) -> list[FeedbackAgreement]:
    return [layer for layer in model.layers if isinstance(layer, FeedbackAgreement)]


def _numbers_as_variables(optimizer) -> list[keras.Variable]:
    """Replace numeric settings of a Keras optimizer, such as weight decay, by variables, and return the variables.

    Keras's optimizers and schedules compute with variables as with numbers, but cannot save them. The learning rate
    itself, where it is constant, is one of the optimizer's variables already.
    """
    variables = []

    def as_variable(number):
        if not number:
            return number
        variables.append(keras.Variable(number, trainable=False, dtype="float32", name="number"))
        return variables[-1]

    schedule = learning_rate_or_schedule(optimizer)
    for owner, name in ((optimizer, "l2"), (optimizer, "weight_decay"), *((schedule, n) for n in _RATES)):
        if hasattr(owner, name):
            setattr(owner, name, as_variable(getattr(owner, name)))
    if isinstance(schedule, keras.optimizers.schedules.PiecewiseConstantDecay):
        schedule.values = [as_variable(value) for value in schedule.values]
    return variables
