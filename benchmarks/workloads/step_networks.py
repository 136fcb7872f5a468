"""Groups of networks whose training and inference times are compared in one table.

`benchmarks.step` times those of a group in interleaved rounds.
"""

import os
from dataclasses import dataclass, field

# TensorFlow imports JAX if it is installed, a hundred megabytes that would be counted as the network's memory.
ENVIRONMENT = (
    {"BENCHMARKS_HIDDEN_PACKAGES": "jax"} if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow" else {}
)
TINY = {"input_shape": (16, 16, 3), "num_capsules": 4}


@dataclass(frozen=True)
class Network:
    """Builder function and options of a network to benchmark.

    Attributes:
        name: row of the table.
        builder: name in `encapnet_tf.models`.
        options: the builder's arguments.
        most_images: largest batch that it is timed with, or None for no limit.
    """

    name: str
    builder: str
    options: dict = field(default_factory=dict)
    most_images: int | None = None

    def tiny(self):
        """Return a smaller version of this network for quick benchmark runs.

        It has 4 capsules, small images and few layers, for --quick.
        """
        shallow = {} if self.builder != "EncapNet18" else {"depths": (1, 0, 0, 0)}
        return Network(self.name, self.builder, {**self.options, **TINY, **shallow}, self.most_images)


def _encapnet(builder, name, routing, feedback=None, **options):
    title = f"{name} {routing.replace('_', '/')}" + (', feedback "two"' if feedback else "")
    return Network(title, builder, {"routing": routing, "feedback": feedback, **options})


SIX = (
    _encapnet("EncapNet6", "EncapNet-6", "master"),
    _encapnet("EncapNet6", "EncapNet-6", "master", "two"),
    _encapnet("EncapNet6", "EncapNet-6", "master_aide"),
    _encapnet("EncapNet6", "EncapNet-6", "master_aide", "two"),
    Network("PlainCNN same_shape", "PlainCNN", {"width": "same_shape"}),
    Network("PlainCNN similar_params", "PlainCNN", {"width": "similar_params"}),
    Network("CapNet dynamic", "CapNet", {"routing": "dynamic"}, most_images=8),
)
EIGHTEEN_MASTER = (
    _encapnet("EncapNet18", "EncapNet-18", "master"),
    _encapnet("EncapNet18", "EncapNet-18", "master", "two"),
    Network("ResNet18", "ResNet18"),
)
EIGHTEEN_AIDE = (
    _encapnet("EncapNet18", "EncapNet-18", "master_aide"),
    _encapnet("EncapNet18", "EncapNet-18", "master_aide", "two"),
)
# The depths of the paper's released code, with which the reference was timed.
FOURTEEN = (
    _encapnet("EncapNet18", "14 layers", "master", depths=(2, 2, 2, 2)),
    _encapnet("EncapNet18", "14 layers", "master", "two", depths=(2, 2, 2, 2)),
)

GROUPS = {"six": SIX, "master": EIGHTEEN_MASTER, "aide": EIGHTEEN_AIDE, "fourteen": FOURTEEN}
# One of every kind, for --quick.
FEW = {"six": SIX[-1:], "master": EIGHTEEN_MASTER[2:], "aide": EIGHTEEN_AIDE[:1], "fourteen": FOURTEEN[1:]}
