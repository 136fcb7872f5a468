"""Function that chooses which pairs of layers are connected by Sinkhorn-divergence regularisers.

The regularisers are `layers.FeedbackAgreement` layers. The argument `feedback` of the model builders decides.
"""

from encapnet_tf.arguments import one_of
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
        options: further arguments of `layers.FeedbackAgreement`, or None.

    Returns:
        A `FeedbackPlacement` whose units are named `<module>_feedback_half` and `<module>_feedback_same`.

    Raises:
        ValueError: `feedback` is unknown, or is "same" where a module has one layer.
    """
    roles = FEEDBACKS[one_of("feedback", feedback, FEEDBACKS)]
    units = []
    lower = lowest
    for module, layers in modules.items():
        first, *others = layers
        if feedback == "same" and not others:
            raise ValueError(
                f'feedback="same" connects the output of a module to that of its first layer, but {module} has one '
                'layer only. Use feedback="half", or give the module more layers.'
            )
        if "half" in roles:
            middle = others[(len(others) - 1) // 2] if others else first
            units.append((f"{module}_feedback_half", middle, lower))
        if "same" in roles and others:
            units.append((f"{module}_feedback_same", others[-1], first))
        lower = layers[-1]
    return FeedbackPlacement(units, **{"num_capsules": num_capsules, "synchronized": synchronized, **(options or {})})
