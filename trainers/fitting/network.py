"""From a configuration to a compiled model."""

import inspect

import keras

from encapnet_tf import callbacks, losses, models, optimizers
from encapnet_tf.losses.class_loss import ClassLoss

from ..config.schema import NETWORK_SETTINGS
from ..runs.errors import UserError

_BUILDERS = {
    "encapnet": models.EncapNet,
    "encapnet6": models.EncapNet6,
    "encapnet18": models.EncapNet18,
    "encapnet101": models.EncapNet101,
    "capnet": models.CapNet,
    "plaincnn": models.PlainCNN,
    "resnet18": models.ResNet18,
    "resnet20": models.ResNet20,
}
_WARM_UP_SHARE = 0.05


def takes(model: str, setting: str) -> bool:
    """Whether a network has a setting of `NETWORK_SETTINGS`."""
    if (model, setting) == ("resnet20", "width"):  # a number of channels there, the name of a shape here
        return False
    parameters = inspect.signature(_BUILDERS[model]).parameters
    if "options" in parameters:  # which go to EncapNet
        parameters = inspect.signature(models.EncapNet).parameters
    return setting in parameters


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
    if config.bias_stddev:
        options["bias_initializer"] = keras.initializers.RandomNormal(stddev=config.bias_stddev)
    if foreign := [name for name in options if not takes(config.model, name)]:
        raise UserError(f"--model={config.model} has no setting {', '.join(foreign)}.")
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if config.precision == "float32" else f"mixed_{config.precision}")
    try:
        model = builder(image_shape, classes, include_rescaling=True, **options)
    except ValueError as error:
        raise UserError(f"These settings make no network: {error}") from None
    finally:
        keras.config.set_dtype_policy(policy)
    model.synchronized = config.synchronized
    return model


def feedback_options(config) -> dict:
    """The arguments of the configuration's `layers.FeedbackAgreement` units."""
    names = (
        "epsilon",
        "iterations",
        "cost",
        "debias",
        "differentiate_plan",
        "divergence",
        "extractor_objective",
        "sync_replicas",
    )
    options = {"weight": config.feedback_weight, **{name: getattr(config, name) for name in names}}
    if config.generator is not None:
        options["generator"] = config.generator
    if config.extractor == "none":
        options["extractor"] = None
    return options


def compile_model(model, config, steps_per_epoch: int, mixed_labels: bool = False) -> list:
    """Compiles the model for the configuration.

    Args:
        model: the network.
        config: the run's `Config`.
        steps_per_epoch: for the learning rate's schedule.
        mixed_labels: whether labels come as rows (batch, classes).

    Returns:
        The callbacks that its loss and its optimizer need.
    """
    metrics, crossentropy = keras.metrics, keras.losses.SparseCategoricalCrossentropy
    if mixed_labels:
        crossentropy = keras.losses.CategoricalCrossentropy
    loss, schedules = {
        "margin": lambda: (losses.MarginLoss(), []),
        "spread": lambda: (losses.SpreadLoss(0.2), [callbacks.SpreadMarginSchedule()]),
        "crossentropy": lambda: (crossentropy(), []),
    }[config.loss]()
    accuracy = metrics.CategoricalAccuracy if mixed_labels else metrics.SparseCategoricalAccuracy
    # The loss that is logged has the feedback units' terms in it; this is the class loss alone.
    alone = ClassLoss(loss)
    jit = {"auto": "auto", "true": True, "false": False}[config.jit_compile]
    model.compile(
        _optimizer(config, steps_per_epoch), loss, metrics=[accuracy(name="accuracy"), alone], jit_compile=jit
    )
    # Validation, the best model and the final one are of the averaged weights.
    return [*schedules, *([keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if config.ema else [])]


def _optimizer(config, steps_per_epoch):
    rate = _learning_rate(config, steps_per_epoch)
    options = {"use_ema": True, "ema_momentum": config.ema} if config.ema else {}
    if config.clip_norm:
        options["global_clipnorm"] = config.clip_norm
    if config.accumulate_steps > 1:
        options["gradient_accumulation_steps"] = config.accumulate_steps
    if config.optimizer == "adamw":
        if config.l2:
            raise UserError(f"--l2={config.l2} goes with --optimizer=adam; adamw has --weight_decay.")
        return keras.optimizers.AdamW(rate, weight_decay=config.weight_decay, **options)
    return optimizers.AdamL2(rate, config.l2, **options) if config.l2 else keras.optimizers.Adam(rate, **options)


def _learning_rate(config, steps_per_epoch):
    rate, schedules = config.learning_rate, keras.optimizers.schedules
    if config.schedule == "cosine":
        steps = config.epochs * steps_per_epoch
        warm_up = max(1, int(_WARM_UP_SHARE * steps))
        return schedules.CosineDecay(0.0, max(1, steps - warm_up), warmup_target=rate, warmup_steps=warm_up)
    if config.schedule == "step":
        # The first step after a milestone is number milestone * steps_per_epoch; a boundary still has the old rate.
        boundaries = [epochs * steps_per_epoch - 1 for epochs in config.milestones]
        return schedules.PiecewiseConstantDecay(boundaries, [rate * 0.1**i for i in range(len(boundaries) + 1)])
    return rate
