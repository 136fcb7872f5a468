"""From a configuration to a compiled model."""

import inspect

import keras

from encapnet_tf import callbacks, losses, models

from .config import NETWORK_SETTINGS
from .errors import UserError

_BUILDERS = {
    "encapnet": models.EncapNet,
    "encapnet6": models.EncapNet6,
    "encapnet18": models.EncapNet18,
    "encapnet101": models.EncapNet101,
}
_WARM_UP_SHARE = 0.05


def build(config, image_shape, classes: int):
    """Builds the configuration's network; pixels from 0 to 255 go in, its first layer rescales them.

    Args:
        config: the run's `Config`.
        image_shape: (height, width, channels).
        classes: number of classes.

    Raises:
        UserError: the settings do not make a network.
    """
    builder = _BUILDERS[config.model]
    options = {name: getattr(config, name) for name in NETWORK_SETTINGS if getattr(config, name) is not None}
    for name in ("routing", "coefficients"):
        if len(options.get(name, ())) == 1:
            options[name] = options[name][0]
    if config.feedback != "none":
        options |= {"feedback": config.feedback, "feedback_options": feedback_options(config)}
    parameters = inspect.signature(builder).parameters
    if "options" not in parameters and (foreign := [name for name in options if name not in parameters]):
        raise UserError(f"--model={config.model} has no setting {', '.join(foreign)}.")
    try:
        return builder(image_shape, classes, include_rescaling=True, **options)
    except ValueError as error:
        raise UserError(f"These settings make no network: {error}") from None


def feedback_options(config) -> dict:
    """The arguments of the configuration's `layers.FeedbackAgreement` units."""
    names = ("epsilon", "iterations", "cost", "divergence", "extractor_objective")
    return {"weight": config.feedback_weight, **{name: getattr(config, name) for name in names}}


def compile_model(model, config, steps_per_epoch: int) -> list:
    """Compiles the model for the configuration.

    Returns:
        The callbacks that its loss needs.
    """
    rate = config.learning_rate
    if config.schedule == "cosine":
        steps = config.epochs * steps_per_epoch
        warm_up = max(1, int(_WARM_UP_SHARE * steps))
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warm_up), warmup_target=rate, warmup_steps=warm_up
        )
    optimizer = {
        "adam": lambda: keras.optimizers.Adam(rate),
        "adamw": lambda: keras.optimizers.AdamW(rate, weight_decay=config.weight_decay),
    }[config.optimizer]()
    loss, schedules = {
        "margin": lambda: (losses.MarginLoss(), []),
        "spread": lambda: (losses.SpreadLoss(0.2), [callbacks.SpreadMarginSchedule()]),
    }[config.loss]()
    model.compile(optimizer, loss, metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")])
    return schedules
