"""Networks to benchmark: capsule networks of several papers, with about 200,000 parameters each."""

from encapnet_tf.trainers.ablation.rows import TABLES
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.fitting.network import builder_and_arguments

from benchmarks.workloads.step_networks import Network

IMAGE_SHAPE = (28, 28, 1)  # of Fashion-MNIST


def family() -> list[Network]:
    """Return the networks to benchmark, which have about 200,000 parameters each.

    They are those of the ablation study's table "family".
    """
    networks = []
    for row in TABLES["family"]:
        builder, arguments = builder_and_arguments(resolve(row.recipe, row.settings))
        networks.append(Network(row.about, builder.__name__, {"input_shape": IMAGE_SHAPE, **arguments}))
    return networks
