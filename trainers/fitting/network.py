"""Functions that build and compile the Keras model for a training configuration."""

import inspect
from collections.abc import Callable, Sequence

import keras

from encapnet_tf import attach_reconstruction, callbacks, losses, models, optimizers
from encapnet_tf.keras_private import inner_layers
from encapnet_tf.losses.class_loss import ClassLoss
from encapnet_tf.losses.labels_found import LabelsFound
from encapnet_tf.losses.multi_label_crossentropy import MultiLabelCrossentropy

from ..config.schema import Config, network_settings, settings
from ..data.augmentation.augment import mixes_labels
from ..runs.errors import UserError
from .memory import refuse_too_large

_BUILDERS: dict[str, Callable[..., keras.Model]] = {
    "encapnet": models.EncapNet,
    "encapnet6": models.EncapNet6,
    "encapnet18": models.EncapNet18,
    "encapnet101": models.EncapNet101,
    "capnet": models.CapNet,
    "plaincnn": models.PlainCNN,
    "resnet18": models.ResNet18,
    "resnet20": models.ResNet20,
    "sabourcapsnet": models.SabourCapsNet,
    "efficientcapsnet": models.EfficientCapsNet,
    "invertedattentioncapsnet": models.InvertedAttentionCapsNet,
    "selfroutingcapsnet": models.SelfRoutingCapsNet,
}
_WARM_UP_SHARE = 0.05  # of all steps, in the cosine schedule


def takes(model: str, setting: str) -> bool:
    """Return whether a network's builder function has an argument for a configuration setting, such as `width`."""
    if (model, setting) == ("resnet20", "width"):  # ResNet20's width is a number of channels, the setting names a shape
        return False
    parameters = inspect.signature(_BUILDERS[model]).parameters
    if "options" in parameters:  # a builder that passes its options to EncapNet
        parameters = inspect.signature(models.EncapNet).parameters
    return setting in parameters


def build(config: Config, image_shape: Sequence[int], classes: int) -> keras.Model:
    """Build the Keras model for a training configuration, without compiling it.

    Its first layer rescales pixels from 0 to 255.

    Args:
        config: the run's configuration.
        image_shape: (height, width, channels).
        classes: number of classes.

    Raises:
        UserError: the network does not have one of the settings, its builder refuses a value, or it cannot fit into
            this machine's memory.
    """
    builder, arguments = builder_and_arguments(config)
    if config.feedback != "none":
        arguments |= {"feedback": config.feedback, "feedback_options": feedback_options(config)}
    if config.bias_stddev:
        if not takes(config.model, "bias_initializer"):
            raise UserError(
                f"--bias_stddev={config.bias_stddev}: {config.model} has no such biases. Use --bias_stddev=0."
            )
        arguments["bias_initializer"] = keras.initializers.RandomNormal(stddev=config.bias_stddev)
    if unknown := [name for name in arguments if not takes(config.model, name)]:
        raise UserError(f"--model={config.model} has no setting {', '.join(unknown)}.")

    def make():
        model = builder(image_shape, classes, include_rescaling=True, **arguments)
        return model if config.reconstruction == "none" else _with_decoder(model, config)

    refuse_too_large(config, image_shape, lambda: _in_precision(config.precision, make))
    try:
        model = _in_precision(config.precision, make)
    except ValueError as error:
        raise UserError(f"These settings make no network: {error}") from None
    model.synchronized = config.synchronized
    return model


def _in_precision(precision: str, make: Callable[[], keras.Model]) -> keras.Model:
    """Build a network under the dtype policy of a precision, and restore the policy."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        return make()
    finally:
        keras.config.set_dtype_policy(policy)


def _with_decoder(model, config):
    """Add the configured reconstruction decoder to a network, or raise UserError if the network has no capsules."""
    if "class_capsules" not in {layer.name for layer in model.layers}:
        raise UserError(
            f"--reconstruction={config.reconstruction}: {config.model} has no class capsules to reconstruct images "
            "from. Use --reconstruction=none, or a capsule network such as --model=encapnet."
        )
    return attach_reconstruction(model, weight=config.reconstruction_weight, decoder=config.reconstruction)


def builder_and_arguments(config: Config) -> tuple[Callable[..., keras.Model], dict]:
    """Return the model-building function for a training configuration, and the keyword arguments to pass.

    The function is one of `encapnet_tf.models`.
    """
    values = {name: getattr(config, name) for name in network_settings()}
    arguments = {name: value for name, value in values.items() if value is not None}
    # A builder takes one choice for all modules as a string.
    for name, value in arguments.items():
        if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], str):
            arguments[name] = value[0]
    return _BUILDERS[config.model], arguments


def feedback_options(config: Config) -> dict:
    """Convert a training configuration to constructor arguments of the Sinkhorn-divergence regularisers."""
    values = {field.metadata["unit_argument"]: getattr(config, field.name) for field in settings()}
    return {
        argument: None if value == "none" else value
        for argument, value in values.items()
        if argument is not None and value is not None
    }


def labels_are_rows(config: Config) -> bool:
    """Return True if a training configuration needs label vectors instead of integer labels.

    It does if an augmentation mixes the labels, or if each image has two. A batch of labels then has the shape
    (batch, classes) instead of (batch,).
    """
    return mixes_labels(config.augment) or config.compose == "overlap"


def compile_model(
    model: keras.Model, config: Config, steps_per_epoch: int, mixed_labels: bool = False
) -> list[keras.callbacks.Callback]:
    """Compile a Keras model with the loss, optimizer and metrics from a training configuration.

    Args:
        model: the network.
        config: the run's configuration.
        steps_per_epoch: training steps in an epoch, for the learning rate schedule.
        mixed_labels: whether labels are rows (batch, classes) rather than integers (batch,); see `labels_are_rows`.

    Returns:
        The callbacks that the loss and the optimizer need during training.
    """
    crossentropy = keras.losses.CategoricalCrossentropy if mixed_labels else keras.losses.SparseCategoricalCrossentropy
    accuracy = keras.metrics.CategoricalAccuracy if mixed_labels else keras.metrics.SparseCategoricalAccuracy
    if config.compose == "overlap":
        crossentropy, accuracy = MultiLabelCrossentropy, LabelsFound
    loss = {
        "margin": losses.MarginLoss,
        "spread": lambda: losses.SpreadLoss(0.2),
        "crossentropy": crossentropy,
    }[config.loss]()
    model.compile(
        _optimizer(config, steps_per_epoch),
        loss,
        # The logged loss includes the feedback units' terms, so the loss of the classes is a metric of its own.
        metrics=[accuracy(name="accuracy"), ClassLoss(loss)],
        jit_compile={"auto": "auto", "true": True, "false": False}[config.jit_compile],
    )
    extra_callbacks: list[keras.callbacks.Callback] = []
    if config.loss == "spread":
        extra_callbacks.append(callbacks.SpreadMarginSchedule())
    if config.ema:  # the averaged weights are validated and saved, not the last ones
        _average_statistics(model, config.ema)
        extra_callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    return extra_callbacks


def _average_statistics(model, momentum):
    """Average the statistics of batch normalisations over as many training steps as the weights.

    Statistics of the last steps do not fit averaged weights: an optimizer's averages leave statistics out.
    """
    for layer in inner_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = max(layer.momentum, momentum)


def _optimizer(config, steps_per_epoch):
    rate = learning_rate(config, steps_per_epoch)
    options = {"use_ema": True, "ema_momentum": config.ema} if config.ema else {}
    if config.clip_norm:
        options["global_clipnorm"] = config.clip_norm
    if config.accumulate_steps > 1:
        options["gradient_accumulation_steps"] = config.accumulate_steps
    if config.optimizer == "adamw":
        if config.l2:
            raise UserError(
                f"--l2={config.l2} goes with --optimizer=adam or sgd. Choose one of these, or use --weight_decay of "
                "adamw."
            )
        return keras.optimizers.AdamW(rate, weight_decay=config.weight_decay, **options)
    if config.optimizer == "sgd":
        return optimizers.SGDL2(rate, l2=config.l2, **options)
    return optimizers.AdamL2(rate, config.l2, **options) if config.l2 else keras.optimizers.Adam(rate, **options)


def learning_rate(config: Config, steps_per_epoch: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the constant learning rate or the learning rate schedule of a training configuration."""
    rate, schedules = config.learning_rate, keras.optimizers.schedules
    if config.schedule == "cosine":
        steps = config.epochs * steps_per_epoch
        warm_up = max(1, int(_WARM_UP_SHARE * steps))
        return schedules.CosineDecay(0.0, max(1, steps - warm_up), warmup_target=rate, warmup_steps=warm_up)
    if config.schedule == "step":
        # Step milestone * steps_per_epoch is the first one with the smaller rate. PiecewiseConstantDecay keeps the old
        # rate at a boundary itself, hence - 1.
        boundaries = [epochs * steps_per_epoch - 1 for epochs in config.milestones]
        return schedules.PiecewiseConstantDecay(boundaries, [rate * 0.1**i for i in range(len(boundaries) + 1)])
    if config.schedule == "exponential":
        return schedules.ExponentialDecay(rate, steps_per_epoch, config.epoch_decay, staircase=True)
    return rate
