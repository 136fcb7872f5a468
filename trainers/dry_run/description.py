"""Functions that describe a training run's settings, estimated duration and memory use as text."""

from ..config.recipes import IMAGES_RECIPE, RECIPES
from ..config.schema import Config, settings
from ..config.setting import as_flag
from ..runs.counting import counted
from .measurement import STEPS, Measurement

_MIB = 1 << 20
_INFERENCE_SHARE = 1 / 3  # time of a forward pass, as a share of a training step on the same images


def describe_settings(config: Config) -> str:
    """Format the settings of a training configuration as text, grouped under the headings of `--help`.

    A setting that differs from the recipe is followed by the recipe's value. The recipe `images` chooses its settings
    for the data, so they are not compared.
    """
    recipe = None if config.recipe == IMAGES_RECIPE else RECIPES[config.recipe].config
    width = max(len(setting.name) for setting in settings())
    lines = []
    for setting in settings():
        if heading := setting.metadata["group"]:
            lines.append(f"{heading}:")
        value = getattr(config, setting.name)
        remark = ""
        if recipe is not None and value != getattr(recipe, setting.name):
            remark = f"   (recipe: {_as_text(getattr(recipe, setting.name))})"
        lines.append(f"  {setting.name:<{width}}  {_as_text(value)}{remark}")
    return "\n".join(lines)


def _as_text(value) -> str:
    """Format the value of a setting as text, with `None` shown as "default".

    The network or the data then set the value.
    """
    if isinstance(value, bool):
        return str(value).lower()
    return "default" if value is None else as_flag(value)


def describe_time(
    measurement: Measurement, config: Config, *, steps: int, first_step: int, validation_images: int
) -> str:
    """Format the estimated duration of a training run as text, extrapolated from a few measured steps.

    Args:
        measurement: of the steps.
        config: the run's configuration.
        steps: steps an epoch.
        first_step: the first step to train, counted over all epochs.
        validation_images: number of validation images.
    """
    step, remaining = measurement.step_seconds, config.epochs * steps - first_step
    validation = _INFERENCE_SHARE * step * validation_images / config.batch_size
    epoch = steps * step + validation
    total = measurement.first_seconds + remaining * step + remaining / steps * validation
    return (
        f"steps:   {STEPS} trained, loss {measurement.loss:.4f}. The first, which compiles, took "
        f"{_seconds(measurement.first_seconds)}, the others {_seconds(step)} each "
        f"({config.batch_size / step:,.0f} images/s)\n"
        f"time:    about {_seconds(total)} for {counted(remaining, 'step')}, {_seconds(epoch)} an epoch with its "
        f"validation. Writing files and testing come on top"
    )


def describe_memory(measurement: Measurement) -> str:
    """Format the memory use measured in a dry run as text."""
    lines = [
        f"memory:  {_size(measurement.process_bytes)} of main memory at most so far, with TensorFlow and the images "
        f"that are kept in memory; weights, gradients and optimizer are {_size(measurement.state_bytes)}"
    ]
    lines += [f"         {_size(size)} at most on {name}" for name, size in measurement.device_bytes.items()]
    return "\n".join(lines)


def _seconds(seconds: float) -> str:
    """Format a duration as text, such as "31 ms", "4.2 s", "3 min 10 s" or "2 h 5 min"."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def _size(number: float) -> str:
    """Format a number of bytes in MiB or GiB."""
    mib = number / _MIB
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib:.1f} MiB" if mib < 10 else f"{mib:.0f} MiB"
