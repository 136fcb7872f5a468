"""Function that chooses which pairs of layers are connected by Sinkhorn-divergence regularisers.

The regularisers are `layers.FeedbackAgreement` layers. The argument `feedback` of the model builders decides.
"""

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.feedback import FeedbackPlacement

FEEDBACKS = {None: (), "half": ("half",), "same": ("same",), "two": ("half", "same")}


def module_placement(feedback, modules, lowest, *, num_capsules, synchronized, options):
    """Choose which pairs of layers are connected by Sinkhorn-divergence regularisers.

    A "half" unit connects the middle one of a module's layers after its first (the first itself if there is no other)
    to the module's input. A "same" unit connects a module's output to the output of its first layer; a module of one
    layer has none.

    Args:
        feedback: "half", "same", "two" (both kinds of units) or None.
        modules: module's name -> names of its layers in order, from the lowest module to the highest.
        lowest: name of the layer that the first module reads.
        num_capsules: capsules of the modules' layers.
        synchronized: whether the units' batch statistics are taken over all replicas.
        options: further arguments of `layers.FeedbackAgreement`, or None. "modules" in it are the numbers of the
            modules with units, from 1; None or nothing means all.

    Returns:
        A `FeedbackPlacement` whose units are named `<module>_feedback_half` and `<module>_feedback_same`.

    Raises:
        ValueError: `feedback` is unknown, or is "same" where a module has one layer; or there is no module of a number.
    """
    roles = FEEDBACKS[one_of("feedback", feedback, FEEDBACKS)]
    options = dict(options or {})
    numbers = _module_numbers(options.pop("modules", None), len(modules))
    units = []
    lower = lowest
    for number, (module, layers) in enumerate(modules.items(), start=1):
        if feedback == "same" and len(layers) == 1:
            raise ValueError(
                f'feedback="same" connects the output of a module to that of its first layer, but {module} has one '
                'layer only. Use feedback="half", or give the module more layers.'
            )
        if number in numbers:
            units += _units(roles, module, layers, lower)
        lower = layers[-1]
    return FeedbackPlacement(units, **{"num_capsules": num_capsules, "synchronized": synchronized, **options})


def _units(roles, module, layers, lower):
    """Yield the name and the two layers of each Sinkhorn-divergence regulariser in one stage of a network.

    The stage is a module; of the two layers, the higher comes first.
    """
    first, *others = layers
    if "half" in roles:
        yield f"{module}_feedback_half", others[(len(others) - 1) // 2] if others else first, lower
    if "same" in roles and others:
        yield f"{module}_feedback_same", others[-1], first


def _module_numbers(numbers, count):
    """Check the numbers of the network stages that get Sinkhorn-divergence regularisers, and return them.

    None selects all modules. Raise ValueError if a number belongs to no module.
    """
    if numbers is None:
        return range(1, count + 1)
    numbers = [whole_number("modules", number) for number in numbers]
    if not numbers or max(numbers) > count:
        raise ValueError(
            f"modules must be numbers of modules, from 1 to {count}, the number of the network's modules with layers "
            f"to connect. Received: modules={tuple(numbers)}."
        )
    return numbers
